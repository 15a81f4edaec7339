#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/http.h"
#include "api/json_writer.h"
#include "api/lifted_vectors.h"
#include "api/parameters.h"
#include "api/quick_calls.h"
#include "api/schema.h"
#include "base/metrics.h"
#include "engine/database.h"

namespace tessera::api {

/// Times of queries by kind. Thread rule: immutable; the histograms lock themselves.
struct QueryTimes {
  explicit QueryTimes(metrics::Registry& registry);
  metrics::Histogram& nearest;
  metrics::Histogram& interests;
  metrics::Histogram& refine;
  metrics::Histogram& session;  ///< Rounds of sessions.
  metrics::Histogram& scroll;   ///< Queries without a query.
  metrics::Histogram& fusion;

  metrics::Histogram& of(const engine::QueryKind& kind) const;
};

/// One request on its way to its handler.
struct Call {
  engine::Database& database;
  metrics::Registry& registry;
  const QueryTimes& query_times;
  QueryTimeTable& time_table;
  const HttpRequest& request;
  const Target& target;
  const std::vector<std::string>& path_parameters;
  const CallParameters& parameters;
  const CancelToken& cancel;  ///< Of the request, narrowed by `timeout`.
  bool is_ready = true;
  /// The thread of the connection tries: whatever may take long is left to a worker.
  bool is_quick = false;
  int http_status = 200;
  bool is_handed_over = false;

  /// Ends a quick try; the answer that a handler returns with it is nobody's.
  [[nodiscard]] Status hand_over() {
    is_handed_over = true;
    return {Code::kUnavailable, "the call is for a worker"};
  }

  [[nodiscard]] const std::string& collection_name() const { return path_parameters.front(); }
  [[nodiscard]] Result<std::shared_ptr<engine::Collection>> collection() const {
    return database.collection(collection_name());
  }
};

/// kFormat unless the content type says JSON (or nothing).
Status check_content_type(std::string_view content_type);

enum class EmptyBody : std::uint8_t { kRefused, kMeansEmptyObject };

/// Parses and decodes the body; what `decode` reported becomes the Status.
template <class T>
Result<T> decode_body(const Call& call, T (*decode)(const Value&),
                      EmptyBody empty_body = EmptyBody::kRefused) {
  std::string_view body = call.request.body;
  std::size_t padding_bytes = call.request.body_padding_bytes;
  if (body.empty() && empty_body == EmptyBody::kMeansEmptyObject) {
    body = "{}";
    padding_bytes = 0;
  } else {
    TESSERA_RETURN_IF_ERROR(check_content_type(call.request.content_type));
  }
  Issues issues;
  const Document document(body, padding_bytes, issues);
  if (!document.ok()) return issues.status();
  T decoded = decode(document.root());
  TESSERA_RETURN_IF_ERROR(issues.status());
  return decoded;
}

/// Decodes a body from which the vectors are taken out already.
template <class T>
Result<T> decode_lifted(LiftedVectors& lifted, T (*decode)(const Value&)) {
  Issues issues;
  const Document document(lifted.rest, 0, issues);
  if (!document.ok()) return issues.status();
  T decoded = decode(document.root());
  TESSERA_RETURN_IF_ERROR(issues.status());
  if (put_back(lifted, decoded)) return decoded;
  return Status(Code::kFormat, "Format error in JSON body: a vector is not where it belongs");
}

/// decode_body() for a body with vectors, which are not parsed as JSON values where that can be
/// had.
template <class T>
Result<T> decode_vectors_body(const Call& call, T (*decode)(const Value&), VectorPlaces places) {
  if (check_content_type(call.request.content_type).ok()) {
    if (auto lifted = lift_vectors(call.request.body, places)) {
      auto decoded = decode_lifted(*lifted, decode);
      if (decoded.has_value()) return decoded;
    }
  }
  // What is wrong is found, and put into words, in the body as it came.
  return decode_body(call, decode);
}

// Service.
Status get_root(Call& call, JsonWriter& json);
Status get_health(Call& call, JsonWriter& json);
Status get_ready(Call& call, JsonWriter& json);
Status get_metrics(Call& call, JsonWriter& json);
Status get_openapi(Call& call, JsonWriter& json);
Status get_cluster(Call& call, JsonWriter& json);
Status get_issues(Call& call, JsonWriter& json);
Status delete_issues(Call& call, JsonWriter& json);
// Collections.
Status list_collections(Call& call, JsonWriter& json);
Status get_collection(Call& call, JsonWriter& json);
Status create_collection(Call& call, JsonWriter& json);
Status update_collection(Call& call, JsonWriter& json);
Status delete_collection(Call& call, JsonWriter& json);
Status collection_exists(Call& call, JsonWriter& json);
Status create_payload_index(Call& call, JsonWriter& json);
Status delete_payload_index(Call& call, JsonWriter& json);
// Points.
Status upsert_points(Call& call, JsonWriter& json);
Status delete_points(Call& call, JsonWriter& json);
Status set_payload(Call& call, JsonWriter& json);
Status overwrite_payload(Call& call, JsonWriter& json);
Status delete_payload(Call& call, JsonWriter& json);
Status clear_payload(Call& call, JsonWriter& json);
Status batch_update(Call& call, JsonWriter& json);
Status retrieve_points(Call& call, JsonWriter& json);
Status get_point(Call& call, JsonWriter& json);
Status scroll_points(Call& call, JsonWriter& json);
Status count_points(Call& call, JsonWriter& json);
// Users.
Status put_users(Call& call, JsonWriter& json);
Status append_events(Call& call, JsonWriter& json);
Status append_events_of_user(Call& call, JsonWriter& json);
Status delete_events_of_user(Call& call, JsonWriter& json);
Status delete_user(Call& call, JsonWriter& json);
Status delete_users(Call& call, JsonWriter& json);
Status get_user(Call& call, JsonWriter& json);
Status get_user_events(Call& call, JsonWriter& json);
Status scroll_users(Call& call, JsonWriter& json);
Status count_users(Call& call, JsonWriter& json);
// Adapters.
Status put_adapter(Call& call, JsonWriter& json);
Status delete_adapter(Call& call, JsonWriter& json);
Status get_adapter(Call& call, JsonWriter& json);
Status list_adapters(Call& call, JsonWriter& json);
// Sessions.
Status start_session(Call& call, JsonWriter& json);
Status count_sessions(Call& call, JsonWriter& json);
Status next_round(Call& call, JsonWriter& json);
Status get_session(Call& call, JsonWriter& json);
Status undo_round(Call& call, JsonWriter& json);
Status reset_session(Call& call, JsonWriter& json);
Status delete_session(Call& call, JsonWriter& json);
// Search.
Status query_points(Call& call, JsonWriter& json);
Status query_batch(Call& call, JsonWriter& json);
Status query_groups(Call& call, JsonWriter& json);
Status search_points(Call& call, JsonWriter& json);
Status search_batch(Call& call, JsonWriter& json);
// Measuring and planning.
Status measure_recall(Call& call, JsonWriter& json);
Status estimate_size(Call& call, JsonWriter& json);
// Clusters, reindex, jobs.
Status get_clusters(Call& call, JsonWriter& json);
Status train_clusters(Call& call, JsonWriter& json);
Status reindex(Call& call, JsonWriter& json);
Status list_jobs(Call& call, JsonWriter& json);
Status get_job(Call& call, JsonWriter& json);
Status cancel_job(Call& call, JsonWriter& json);

}  // namespace tessera::api
