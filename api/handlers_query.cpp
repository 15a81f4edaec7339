#include <chrono>

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

/// Runs one query and takes its time, also when it fails. A quick try ends where the query does not
/// come to an end in time.
Result<QueryResult> run_query(Call& call, const engine::Collection& collection,
                              const QueryRequest& request, std::size_t shape) {
  const auto started = std::chrono::steady_clock::now();
  std::optional<CancelToken> hurried;
  if (call.is_quick) hurried.emplace(&call.cancel, started + kQuickTimeMax);
  auto result = collection.query(request, hurried ? *hurried : call.cancel);
  const auto taken = std::chrono::steady_clock::now() - started;
  const bool is_too_slow = call.is_quick && result.has_error() &&
                           result.error().code() == Code::kTimeout && call.cancel.check().ok();
  // What was refused says nothing about those that are not.
  if (result.has_value() || is_too_slow) call.time_table.observe(shape, taken);
  if (is_too_slow) return call.hand_over();
  call.query_times.of(request.query).observe(std::chrono::duration<double>(taken).count());
  return result;
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
  json.begin_array();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(const QueryResult result,
                             run_query(call, *collection, requests[i], shapes[i]));
    encode(json, result, shown_of(requests[i].with_payload, requests[i].with_vector));
  }
  json.end_array();
  return {};
}

}  // namespace

QueryTimes::QueryTimes(metrics::Registry& registry)
    : nearest(query_histogram(registry, "nearest")),
      interests(query_histogram(registry, "interests")),
      refine(query_histogram(registry, "refine")),
      session(query_histogram(registry, "session")),
      scroll(query_histogram(registry, "scroll")) {}

metrics::Histogram& QueryTimes::of(const engine::QueryKind& kind) const {
  if (std::holds_alternative<engine::InterestsQuery>(kind)) return interests;
  if (std::holds_alternative<engine::RefineQuery>(kind)) return refine;
  if (std::holds_alternative<engine::NoQuery>(kind)) return scroll;
  return nearest;
}

Status query_points(Call& call, JsonWriter& json) {
  return answer_one(call, json, decode_query, VectorPlaces::kQuery, encode_query_result);
}
Status query_batch(Call& call, JsonWriter& json) {
  return answer_batch(call, json, decode_query_batch, encode_query_result);
}
Status search_points(Call& call, JsonWriter& json) {
  return answer_one(call, json, decode_search, VectorPlaces::kSearch, encode_bare_points);
}
Status search_batch(Call& call, JsonWriter& json) {
  return answer_batch(call, json, decode_search_batch, encode_bare_points);
}

}  // namespace tessera::api
