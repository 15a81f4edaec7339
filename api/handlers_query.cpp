#include <charconv>
#include <chrono>
#include <span>
#include <unordered_map>

#include "api/binary_body.h"
#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

namespace {

using engine::QueryRequest;
using engine::QueryResult;

metrics::Histogram& query_histogram(metrics::Registry& registry, const char* kind) {
  return registry.histogram("tessera_query_seconds", "Time of one query in the engine, by kind",
                            metrics::latency_bounds_seconds(), {{"kind", kind}});
}

/// Runs queries together and takes their time, also when they fail. A quick try ends where they do
/// not come to an end in time. `run(cancel)` gives a Result.
template <class Run>
auto run_timed(Call& call, std::span<const QueryRequest* const> requests,
               std::span<const std::size_t> shapes, const Run& run) -> decltype(run(call.cancel)) {
  const auto started = std::chrono::steady_clock::now();
  std::optional<CancelToken> hurried;
  if (call.is_quick) hurried.emplace(&call.cancel, started + kQuickTimeMax);
  auto result = run(hurried ? *hurried : call.cancel);
  if (requests.empty()) return result;
  // Of several queries each counts as an equal part.
  const auto taken =
      (std::chrono::steady_clock::now() - started) / static_cast<std::int64_t>(requests.size());
  const bool is_too_slow = call.is_quick && result.has_error() &&
                           result.error().code() == Code::kTimeout && call.cancel.check().ok();
  // What was refused says nothing about those that are not.
  if (result.has_value() || is_too_slow) {
    for (const std::size_t shape : shapes) call.time_table.observe(shape, taken);
  }
  if (is_too_slow) return call.hand_over();
  for (const QueryRequest* request : requests) {
    call.query_times.of(request->query).observe(std::chrono::duration<double>(taken).count());
  }
  return result;
}

Result<QueryResult> run_query(Call& call, const engine::Collection& collection,
                              const QueryRequest& request, std::size_t shape) {
  const QueryRequest* const only = &request;
  return run_timed(call, {&only, 1}, {&shape, 1},
                   [&](const CancelToken& cancel) { return collection.query(request, cancel); });
}

Result<std::vector<QueryResult>> run_queries(Call& call, const engine::Collection& collection,
                                             const std::vector<QueryRequest>& requests,
                                             const std::vector<std::size_t>& shapes) {
  std::vector<const QueryRequest*> all;
  for (const QueryRequest& request : requests) all.push_back(&request);
  return run_timed(call, all, shapes, [&](const CancelToken& cancel) {
    return collection.query_many(requests, cancel);
  });
}

/// Whether queries that together take so long are for this thread.
bool may_run(const Call& call, std::chrono::microseconds expected) {
  return !call.is_quick || expected <= kQuickTime;
}

using EncodeResult = void (*)(JsonWriter&, const QueryResult&, Shown);

void encode_bare_points(JsonWriter& json, const QueryResult& result, Shown shown) {
  encode_scored_points(json, result.points, shown);
}

Result<QueryRequest> decode_one(const Call& call, QueryRequest (*decode)(const Value&),
                                VectorPlaces places) {
  if (!is_content_type(call.request.content_type, kBinaryQueryType)) {
    return decode_vectors_body(call, decode, places);
  }
  TESSERA_ASSIGN_OR_RETURN(auto lifted, decode_binary_query(call.request.body, places));
  return decode_lifted(lifted, decode);
}

Status answer_one(Call& call, JsonWriter& json, QueryRequest (*decode)(const Value&),
                  VectorPlaces places, EncodeResult encode) {
  TESSERA_ASSIGN_OR_RETURN(const QueryRequest request, decode_one(call, decode, places));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  const std::size_t shape = query_shape(call.collection_name(), request);
  if (!may_run(call, expected_time(call.time_table, shape, request))) return call.hand_over();
  TESSERA_ASSIGN_OR_RETURN(const QueryResult result, run_query(call, *collection, request, shape));
  encode(json, result, shown_of(request.with_payload, request.with_vector));
  return {};
}

Status answer_batch(Call& call, JsonWriter& json, std::vector<QueryRequest> (*decode)(const Value&),
                    EncodeResult encode) {
  TESSERA_ASSIGN_OR_RETURN(const auto requests, decode_body(call, decode));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  std::vector<std::size_t> shapes;
  std::chrono::microseconds expected{0};
  for (const QueryRequest& request : requests) {
    shapes.push_back(query_shape(call.collection_name(), request));
    expected += expected_time(call.time_table, shapes.back(), request);
  }
  // Several times the longest of one query is not for this thread either.
  constexpr std::size_t kQuickBatchMax = 16;
  if (call.is_quick && requests.size() > kQuickBatchMax) return call.hand_over();
  if (!may_run(call, expected)) return call.hand_over();
  TESSERA_ASSIGN_OR_RETURN(const auto results, run_queries(call, *collection, requests, shapes));
  json.begin_array();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    encode(json, results[i], shown_of(requests[i].with_payload, requests[i].with_vector));
  }
  json.end_array();
  return {};
}

using Lookups = std::vector<std::optional<engine::Record>>;

/// The point that a group's value names: an integer, or a string that is a UUID.
std::optional<PointId> id_of_group(std::string_view json) {
  if (json.starts_with('"')) return PointId::parse_uuid(json.substr(1, json.size() - 2));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
  if (error != std::errc{} || end != json.data() + json.size()) return std::nullopt;
  return PointId(number);
}

/// One record or none for each group.
Result<Lookups> look_up(const engine::Collection& collection, const GroupLookup& lookup,
                        const std::vector<engine::PointGroup>& groups) {
  Lookups records(groups.size());
  engine::RetrieveRequest request;
  request.with_payload = lookup.with_payload;
  request.with_vector = lookup.with_vector;
  for (const engine::PointGroup& group : groups) {
    if (const auto id = id_of_group(group.value)) request.ids.push_back(*id);
  }
  TESSERA_ASSIGN_OR_RETURN(const auto found, collection.retrieve(request));
  std::unordered_map<PointId, const engine::Record*> record_of;
  for (const engine::Record& record : found) record_of.emplace(record.id, &record);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto id = id_of_group(groups[i].value);
    if (!id) continue;
    if (const auto record = record_of.find(*id); record != record_of.end()) {
      records[i] = *record->second;
    }
  }
  return records;
}

}  // namespace

QueryTimes::QueryTimes(metrics::Registry& registry)
    : nearest(query_histogram(registry, "nearest")),
      interests(query_histogram(registry, "interests")),
      refine(query_histogram(registry, "refine")),
      session(query_histogram(registry, "session")),
      scroll(query_histogram(registry, "scroll")),
      fusion(query_histogram(registry, "fusion")) {}

metrics::Histogram& QueryTimes::of(const engine::QueryKind& kind) const {
  if (std::holds_alternative<engine::InterestsQuery>(kind)) return interests;
  if (std::holds_alternative<engine::RefineQuery>(kind)) return refine;
  if (std::holds_alternative<engine::NoQuery>(kind)) return scroll;
  if (std::holds_alternative<engine::FusionQuery>(kind)) return fusion;
  return nearest;
}

Status query_points(Call& call, JsonWriter& json) {
  return answer_one(call, json, decode_query, VectorPlaces::kQuery, encode_query_result);
}
Status query_batch(Call& call, JsonWriter& json) {
  return answer_batch(call, json, decode_query_batch, encode_query_result);
}
Status query_groups(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const GroupsRequest request, decode_body(call, decode_query_groups));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  std::shared_ptr<engine::Collection> source;
  if (request.lookup) {
    auto found = call.database.collection(request.lookup->collection);
    if (found.has_error()) {
      return {Code::kNotFound, "Collection " + request.lookup->collection + " not found"};
    }
    source = std::move(*found);
  }
  const QueryRequest* const only = &request.groups.query;
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           run_timed(call, {&only, 1}, {}, [&](const CancelToken& cancel) {
                             return collection->query_groups(request.groups, cancel);
                           }));
  Lookups lookups;
  Shown shown_lookup;
  if (source != nullptr) {
    TESSERA_ASSIGN_OR_RETURN(lookups, look_up(*source, *request.lookup, result.groups));
    shown_lookup = shown_of(request.lookup->with_payload, request.lookup->with_vector);
  }
  encode_groups(json, result, lookups,
                {shown_of(only->with_payload, only->with_vector), shown_lookup});
  return {};
}
Status search_points(Call& call, JsonWriter& json) {
  return answer_one(call, json, decode_search, VectorPlaces::kSearch, encode_bare_points);
}
Status search_batch(Call& call, JsonWriter& json) {
  return answer_batch(call, json, decode_search_batch, encode_bare_points);
}

}  // namespace tessera::api
