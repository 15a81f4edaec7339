#include <string>

#include "api/decode.h"

namespace tessera::api {

using engine::InterestsQuery;
using engine::NoQuery;
using engine::QueryKind;
using engine::QueryRequest;
using engine::SearchParams;
using engine::VectorInput;

namespace {

constexpr const char* kQueryKeys =
    "a vector, a point ID, or an object with one of `nearest`, `interests`, `refine`, `recommend`, "
    "`discover`, `context`, `order_by`, `fusion`, `rrf`, `formula`, `sample`, `relevance_feedback`";

void decode_quantization_params(const Value& value, SearchParams& params) {
  const Object object(value);
  if (!object.ok()) return;
  if (const auto ignore = object.given("ignore")) {
    params.ignore_codes = ignore->boolean().value_or(false);
  }
  if (const auto rescore = object.given("rescore")) {
    params.rescore = rescore->boolean().value_or(true);
  }
  if (const auto oversampling = object.given("oversampling")) {
    params.oversampling = oversampling->number_from(1);
  }
}

/// Checked and no more: a filtered walk always does what acorn asks for.
void check_acorn(const Value& value) {
  const Object object(value);
  if (!object.ok()) return;
  if (const auto enable = object.given("enable")) (void)enable->boolean();
  if (const auto selectivity = object.given("max_selectivity")) (void)selectivity->number_in(0, 1);
}

/// What `query` holds, except null.
QueryKind decode_query_kind(const Value& value) {
  if (!value.is(Value::Kind::kObject)) {
    if (value.is(Value::Kind::kArray) || value.is(Value::Kind::kString) || value.is_number()) {
      return decode_vector_input(value);
    }
    value.report_expected(kQueryKeys);
    return NoQuery{};
  }
  const Object object(value);
  if (!object.ok()) return NoQuery{};
  static constexpr std::pair<const char*, const char*> kNotYet[] = {
      {"recommend", "recommending by examples"},
      {"discover", "discovery"},
      {"context", "context search"},
      {"order_by", "ordering by a payload key"},
      {"fusion", "fusing prefetches"},
      {"rrf", "fusing prefetches"},
      {"formula", "a formula"},
      {"sample", "sampling"},
      {"relevance_feedback", "relevance feedback"}};
  std::size_t kind_count = 0;
  for (const char* name : {"nearest", "interests", "refine"}) kind_count += object.has(name);
  for (const auto& [name, what] : kNotYet) kind_count += object.has(name);
  if (kind_count > 1) {
    value.report_format("a query holds one kind only, found more than one");
    return NoQuery{};
  }
  for (const auto& [name, what] : kNotYet) {
    if (const auto member = object.find(name)) member->report_unimplemented(what);
  }
  if (const auto nearest = object.find("nearest")) {
    object.not_yet("mmr", "maximal marginal relevance");
    return decode_vector_input(*nearest);
  }
  if (const auto interests = object.find("interests")) return decode_interests(*interests);
  if (const auto refine = object.find("refine")) return decode_refine(*refine);
  if (kind_count == 0) {
    // A sparse vector or something to embed: decode_dense names what is missing.
    if (object.has("indices") || object.has("values") || object.has("model")) {
      (void)decode_dense(value);
    } else {
      value.report_expected(kQueryKeys);
    }
  }
  return NoQuery{};
}

/// `prefetch` is one query or a list of them.
bool has_prefetch(const Object& object) {
  const auto prefetch = object.given("prefetch");
  if (!prefetch) return false;
  if (prefetch->is(Value::Kind::kObject)) return true;
  if (prefetch->is(Value::Kind::kArray)) return prefetch->element_count() > 0;
  prefetch->report_expected("a prefetch or a list of them");
  return false;
}

/// Fields that queries and the older searches share.
void decode_shared_fields(const Object& object, QueryRequest& request) {
  if (const auto filter = object.given("filter")) request.filter = decode_filter(*filter);
  if (const auto params = object.given("params")) request.params = decode_params(*params);
  if (const auto threshold = object.given("score_threshold")) {
    request.score_threshold = threshold->float32();
  }
  if (const auto limit = object.given("limit")) {
    // No points at all, but the profile.
    const bool may_be_none = std::holds_alternative<InterestsQuery>(request.query);
    request.limit = limit->integer_in(may_be_none ? 0 : 1).value_or(request.limit);
  }
  if (const auto offset = object.given("offset")) {
    request.offset = offset->unsigned_integer().value_or(0);
  }
  if (const auto selector = object.given("with_payload")) {
    request.with_payload = decode_payload_selector(*selector);
  }
  request.with_vector = decode_with_vector(object);
  refuse_shard_key(object);
}

std::vector<QueryRequest> decode_searches(const Value& body, QueryRequest (*decode)(const Value&)) {
  std::vector<QueryRequest> requests;
  const Object object(body);
  const auto searches = object.require("searches");
  if (!searches) return requests;
  requests.reserve(searches->element_count());
  searches->each([&](const Value& search) { requests.push_back(decode(search)); });
  return requests;
}

}  // namespace

SearchParams decode_params(const Value& value) {
  SearchParams params;
  const Object object(value);
  if (!object.ok()) return params;
  if (const auto ef = object.given("hnsw_ef")) params.hnsw_ef = ef->integer_in(1);
  if (const auto exact = object.given("exact")) params.exact = exact->boolean().value_or(false);
  if (const auto only = object.given("indexed_only")) {
    params.indexed_only = only->boolean().value_or(false);
  }
  if (const auto probes = object.given("nprobe")) params.probe_count = probes->integer_in(1);
  if (const auto quantization = object.given("quantization")) {
    decode_quantization_params(*quantization, params);
  }
  if (const auto dims = object.given("dims")) params.dims = dims->integer_in(1, engine::kDimMax);
  if (const auto acorn = object.given("acorn")) check_acorn(*acorn);
  object.not_yet("idf", "an idf corpus");
  return params;
}

VectorInput decode_vector_input(const Value& value) {
  if (value.is(Value::Kind::kString) || value.is_number()) {
    return decode_point_id(value).value_or(PointId());
  }
  return decode_dense(value);
}

QueryRequest decode_query(const Value& body) {
  QueryRequest request;
  const Value internal = body.inside("internal");
  const Object object(internal);
  if (!object.ok()) return request;
  const auto query = object.given("query");
  if (query) request.query = decode_query_kind(*query);
  if (const auto name = object.given("using")) {
    request.using_vector = name->string().value_or("");
  }
  decode_shared_fields(object, request);
  if (const auto explain = object.given("explain")) {
    request.explain = explain->boolean().value_or(false);
  }
  if (has_prefetch(object)) {
    if (query) {
      object.not_yet("prefetch", "a prefetch");
    } else {
      body.issues().refuse(Code::kBadRequest,
                           "A query is needed to merge the prefetches. Can't have prefetches "
                           "without defining a query.");
    }
  }
  if (!query && request.score_threshold) {
    body.issues().refuse(Code::kBadRequest,
                         "A query is needed to use the score_threshold. Can't have "
                         "score_threshold without defining a query.");
  }
  object.not_yet("lookup_from", "looking up vectors in another collection");
  return request;
}

std::vector<QueryRequest> decode_query_batch(const Value& body) {
  return decode_searches(body, decode_query);
}

QueryRequest decode_search(const Value& body) {
  QueryRequest request;
  const Value internal = body.inside("internal");
  const Object object(internal);
  if (!object.ok()) return request;
  if (const auto vector = object.require("vector")) {
    // {name, vector} names the vector to search with.
    const bool is_named = vector->is(Value::Kind::kObject);
    if (is_named) {
      const Object named(*vector);
      if (const auto name = named.require("name")) {
        request.using_vector = name->string().value_or("");
      }
      if (const auto inner = named.require("vector")) request.query = decode_dense(*inner);
    } else {
      request.query = decode_dense(*vector);
    }
  }
  (void)object.require("limit");
  decode_shared_fields(object, request);
  return request;
}

std::vector<QueryRequest> decode_search_batch(const Value& body) {
  return decode_searches(body, decode_search);
}

}  // namespace tessera::api
