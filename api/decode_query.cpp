#include <string>

#include "api/decode.h"

namespace tessera::api {

using engine::FusionQuery;
using engine::InterestsQuery;
using engine::NoQuery;
using engine::QueryKind;
using engine::QueryRequest;
using engine::RefineQuery;
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

constexpr std::size_t kSearchCountMax = 10'000;  // Of a batch.
constexpr double kWeightMax = 1e6;               // Of a prefetch in a fusion.

/// {"k"?, "weights"?}
FusionQuery decode_rrf(const Value& value) {
  retrieval::ReciprocalRank rule;
  const Object object(value);
  if (!object.ok()) return rule;
  if (const auto k = object.given("k")) rule.k = static_cast<double>(k->integer_in(1).value_or(1));
  if (const auto weights = object.given("weights")) {
    if (!is_within(*weights, kPrefetchCountMax)) return rule;
    weights->each([&rule](const Value& weight) {
      rule.weights.push_back(weight.number_in(0, kWeightMax).value_or(1));
    });
  }
  return rule;
}

/// "rrf" or "dbsf".
FusionQuery decode_fusion(const Value& value) {
  enum class Kind : std::uint8_t { kRrf, kDbsf };
  const auto kind = value.one_of<Kind>({{"rrf", Kind::kRrf}, {"dbsf", Kind::kDbsf}});
  if (kind == Kind::kDbsf) return engine::ScoreFusion{};
  return retrieval::ReciprocalRank{};
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
      {"formula", "a formula"},
      {"sample", "sampling"},
      {"relevance_feedback", "relevance feedback"}};
  std::size_t kind_count = 0;
  for (const char* name : {"nearest", "interests", "refine", "fusion", "rrf"}) {
    kind_count += object.has(name);
  }
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
  if (const auto fusion = object.find("fusion")) return decode_fusion(*fusion);
  if (const auto rrf = object.find("rrf")) return decode_rrf(*rrf);
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

/// What restricts the answer of a query, an older search or a prefetch.
void decode_limits(const Object& object, std::uint64_t limit_min, QueryRequest& request) {
  if (const auto filter = object.given("filter")) request.filter = decode_filter(*filter);
  if (const auto params = object.given("params")) request.params = decode_params(*params);
  if (const auto threshold = object.given("score_threshold")) {
    request.score_threshold = threshold->float32();
  }
  if (const auto limit = object.given("limit")) {
    request.limit = limit->integer_in(limit_min).value_or(request.limit);
  }
}

/// What of its points an answer shows.
void decode_shown(const Object& object, QueryRequest& request) {
  if (const auto offset = object.given("offset")) {
    request.offset = offset->unsigned_integer().value_or(0);
  }
  if (const auto selector = object.given("with_payload")) {
    request.with_payload = decode_payload_selector(*selector);
  }
  request.with_vector = decode_with_vector(object);
  refuse_shard_key(object);
}

/// `left`: how many prefetches the query may still have, at all depths.
QueryRequest decode_prefetch(const Value& value, std::size_t& left);

/// One prefetch or a list of them.
std::vector<QueryRequest> decode_prefetches(const Value& value, std::size_t& left) {
  std::vector<QueryRequest> prefetches;
  const std::size_t count = value.is(Value::Kind::kArray) ? value.element_count() : 1;
  if (count > left) {
    value.report_validation("a query must have " + std::to_string(kPrefetchCountMax) +
                            " prefetches or fewer, nested ones included");
    return prefetches;
  }
  left -= count;
  if (value.is(Value::Kind::kObject)) {
    prefetches.push_back(decode_prefetch(value, left));
  } else if (!value.is(Value::Kind::kArray)) {
    value.report_expected("a prefetch or a list of them");
  } else {
    value.each([&](const Value& element) { prefetches.push_back(decode_prefetch(element, left)); });
  }
  return prefetches;
}

/// A fusion is of prefetches, and of nothing else.
void check_fusion(const Object& object, const QueryRequest& request) {
  const auto* fusion = std::get_if<FusionQuery>(&request.query);
  if (fusion == nullptr) return;
  Issues& issues = object.value().issues();
  if (object.given("using")) {
    issues.refuse(Code::kBadRequest, "Fusion queries cannot be combined with the 'using' field.");
  }
  if (request.prefetch.empty()) {
    issues.refuse(Code::kBadRequest,
                  "Prefetches are needed for a fusion. Can't have a fusion without prefetches.");
    return;
  }
  const auto* rule = std::get_if<retrieval::ReciprocalRank>(fusion);
  const std::size_t count = rule == nullptr ? 0 : rule->weights.size();
  if (count == 0 || count == request.prefetch.size()) return;
  object.value().report_validation(
      "must be as many as there are prefetches, " + std::to_string(request.prefetch.size()),
      ".query.rrf.weights");
}

/// Only the id of a plain query is looked up: the others' ids are of points whose answers they
/// stay out of.
void decode_lookup(const Value& value, QueryRequest& request) {
  engine::VectorLookup lookup;
  const Object object(value);
  if (!object.ok()) return;
  if (const auto name = object.require("collection")) {
    lookup.collection = name->string().value_or("");
  }
  if (const auto vector = object.given("vector")) lookup.vector = vector->string();
  if (std::holds_alternative<InterestsQuery>(request.query) ||
      std::holds_alternative<RefineQuery>(request.query)) {
    value.report_validation("cannot be used with \"interests\" and \"refine\"");
  }
  request.lookup_from = std::move(lookup);
}

/// Where nothing is passed over, a number to pass over would be ignored in silence.
void refuse_offset(const Object& object, const char* where) {
  const auto offset = object.given("offset");
  if (!offset || offset->unsigned_integer().value_or(0) == 0) return;
  offset->report_validation(std::string("must be 0 or absent in ") + where);
}

/// What queries and their prefetches share.
void decode_search_part(const Object& object, bool may_be_profile, std::size_t& left,
                        QueryRequest& request) {
  const auto query = object.given("query");
  if (query) request.query = decode_query_kind(*query);
  if (const auto name = object.given("using")) {
    request.using_vector = name->string().value_or("");
  }
  if (const auto prefetch = object.given("prefetch")) {
    request.prefetch = decode_prefetches(*prefetch, left);
  }
  // No points at all, but the profile.
  const bool is_profile = may_be_profile && request.prefetch.empty() &&
                          std::holds_alternative<InterestsQuery>(request.query);
  decode_limits(object, is_profile ? 0 : 1, request);
  check_fusion(object, request);
  if (const auto lookup = object.given("lookup_from")) decode_lookup(*lookup, request);
  if (query) return;
  Issues& issues = object.value().issues();
  if (!request.prefetch.empty()) {
    issues.refuse(Code::kBadRequest,
                  "A query is needed to merge the prefetches. Can't have prefetches "
                  "without defining a query.");
  }
  if (request.score_threshold) {
    issues.refuse(Code::kBadRequest,
                  "A query is needed to use the score_threshold. Can't have "
                  "score_threshold without defining a query.");
  }
}

QueryRequest decode_prefetch(const Value& value, std::size_t& left) {
  QueryRequest request;
  const Object object(value);
  if (!object.ok()) return request;
  decode_search_part(object, false, left, request);
  refuse_offset(object, "a prefetch");
  return request;
}

/// A collection's name, or {"collection", "with_payload"?, "with_vectors"?}.
GroupLookup decode_group_lookup(const Value& value) {
  GroupLookup lookup;
  if (value.is(Value::Kind::kString)) {
    lookup.collection = value.string().value_or("");
    return lookup;
  }
  const Object object(value);
  if (!object.ok()) return lookup;
  if (const auto name = object.require("collection")) {
    lookup.collection = name->string().value_or("");
  }
  if (const auto selector = object.given("with_payload")) {
    lookup.with_payload = decode_payload_selector(*selector);
  }
  lookup.with_vector = decode_with_vector(object);
  return lookup;
}

std::vector<QueryRequest> decode_searches(const Value& body, QueryRequest (*decode)(const Value&)) {
  std::vector<QueryRequest> requests;
  const Object object(body);
  const auto searches = object.require("searches");
  if (!searches || !is_within(*searches, kSearchCountMax)) return requests;
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
  std::size_t left = kPrefetchCountMax;
  decode_search_part(object, true, left, request);
  decode_shown(object, request);
  if (const auto explain = object.given("explain")) {
    request.explain = explain->boolean().value_or(false);
  }
  return request;
}

GroupsRequest decode_query_groups(const Value& body) {
  GroupsRequest request;
  const Value internal = body.inside("internal");
  const Object object(internal);
  if (!object.ok()) return request;
  engine::QueryGroupsRequest& groups = request.groups;
  std::size_t left = kPrefetchCountMax;
  decode_search_part(object, false, left, groups.query);
  decode_shown(object, groups.query);
  refuse_offset(object, "a query for groups");
  groups.limit = groups.query.limit;
  if (const auto explain = object.given("explain")) {
    groups.query.explain = explain->boolean().value_or(false);
  }
  if (const auto path = object.require("group_by")) {
    groups.group_by = decode_payload_path(*path).value_or(engine::PayloadPath());
  }
  if (const auto size = object.given("group_size")) {
    groups.group_size = size->integer_in(1).value_or(groups.group_size);
  }
  if (const auto lookup = object.given("with_lookup")) {
    request.lookup = decode_group_lookup(*lookup);
  }
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
  decode_limits(object, 1, request);
  decode_shown(object, request);
  return request;
}

std::vector<QueryRequest> decode_search_batch(const Value& body) {
  return decode_searches(body, decode_search);
}

}  // namespace tessera::api
