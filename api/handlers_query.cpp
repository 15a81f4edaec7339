#include <chrono>

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

/// Runs one query and takes its time, also when it fails.
Result<QueryResult> run_query(const Call& call, const engine::Collection& collection,
                              const QueryRequest& request) {
  const auto started = std::chrono::steady_clock::now();
  auto result = collection.query(request, call.cancel);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
  call.query_times.of(request.query).observe(taken.count());
  return result;
}

using EncodeResult = void (*)(JsonWriter&, const QueryResult&, Shown);

void encode_bare_points(JsonWriter& json, const QueryResult& result, Shown shown) {
  encode_scored_points(json, result.points, shown);
}

Status answer_one(Call& call, JsonWriter& json, QueryRequest (*decode)(const Value&),
                  EncodeResult encode) {
  TESSERA_ASSIGN_OR_RETURN(const QueryRequest request, decode_body(call, decode));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const QueryResult result, run_query(call, *collection, request));
  encode(json, result, shown_of(request.with_payload, request.with_vector));
  return {};
}

Status answer_batch(Call& call, JsonWriter& json, std::vector<QueryRequest> (*decode)(const Value&),
                    EncodeResult encode) {
  TESSERA_ASSIGN_OR_RETURN(const auto requests, decode_body(call, decode));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  json.begin_array();
  for (const QueryRequest& request : requests) {
    TESSERA_ASSIGN_OR_RETURN(const QueryResult result, run_query(call, *collection, request));
    encode(json, result, shown_of(request.with_payload, request.with_vector));
  }
  json.end_array();
  return {};
}

}  // namespace

QueryTimes::QueryTimes(metrics::Registry& registry)
    : nearest(query_histogram(registry, "nearest")),
      interests(query_histogram(registry, "interests")),
      refine(query_histogram(registry, "refine")),
      scroll(query_histogram(registry, "scroll")) {}

metrics::Histogram& QueryTimes::of(const engine::QueryKind& kind) const {
  if (std::holds_alternative<engine::InterestsQuery>(kind)) return interests;
  if (std::holds_alternative<engine::RefineQuery>(kind)) return refine;
  if (std::holds_alternative<engine::NoQuery>(kind)) return scroll;
  return nearest;
}

Status query_points(Call& call, JsonWriter& json) {
  return answer_one(call, json, decode_query, encode_query_result);
}
Status query_batch(Call& call, JsonWriter& json) {
  return answer_batch(call, json, decode_query_batch, encode_query_result);
}
Status search_points(Call& call, JsonWriter& json) {
  return answer_one(call, json, decode_search, encode_bare_points);
}
Status search_batch(Call& call, JsonWriter& json) {
  return answer_batch(call, json, decode_search_batch, encode_bare_points);
}

}  // namespace tessera::api
