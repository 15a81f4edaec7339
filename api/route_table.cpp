#include "api/handlers.h"
#include "api/routes.h"

namespace tessera::api {

namespace {

constexpr Method kGet = Method::kGet;
constexpr Method kPost = Method::kPost;
constexpr Method kPut = Method::kPut;
constexpr Method kPatch = Method::kPatch;
constexpr Method kDelete = Method::kDelete;
constexpr ParameterSet kNone = ParameterSet::kNone;
constexpr ParameterSet kWrite = ParameterSet::kWrite;
constexpr ParameterSet kRead = ParameterSet::kRead;
constexpr ParameterSet kTimeout = ParameterSet::kTimeout;
constexpr ParameterSet kVector = ParameterSet::kVector;
constexpr ParameterSet kUser = ParameterSet::kUser;
constexpr ParameterSet kPage = ParameterSet::kPage;
constexpr ParameterSet kSession = ParameterSet::kSession;
constexpr AnswerForm kPlain = AnswerForm::kPlain;
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

#define TESSERA_C "/collections/{collection_name}"

constexpr Route kRoutes[] = {
    {kGet, "/", get_root, "service", "root", "Title, version of the dialect, and what runs", "",
     "VersionInfo", kNone, kPlain},
    {kGet, "/healthz", get_health, "service", "healthz", "Whether the daemon answers", "", "Text",
     kNone, kPlain, kText},
    {kGet, "/livez", get_health, "service", "livez", "Whether the daemon answers", "", "Text",
     kNone, kPlain, kText},
    {kGet, "/readyz", get_ready, "service", "readyz",
     "Whether requests are served; 503 while starting or stopping", "", "Text", kNone, kPlain,
     kText},
    {kGet, "/metrics", get_metrics, "service", "metrics", "Metrics in the Prometheus text format",
     "", "Text", kNone, kPlain, kPrometheusText},
    {kGet, "/openapi.json", get_openapi, "service", "openapi", "This document", "", "AnyObject",
     kNone, kPlain},
    {kGet, "/cluster", get_cluster, "service", "cluster_status", "One node: disabled", "",
     "ClusterStatus"},
    {kGet, "/issues", get_issues, "service", "get_issues", "Advice on settings: none is gathered",
     "", "IssueList"},
    {kDelete, "/issues", delete_issues, "service", "clear_issues", "Forget the advice on settings",
     "", "Boolean"},

    {kGet, "/collections", list_collections, "collections", "get_collections",
     "Names of all collections", "", "CollectionList"},
    {kGet, TESSERA_C, get_collection, "collections", "get_collection",
     "State and settings of a collection", "", "CollectionInfo"},
    {kPut, TESSERA_C, create_collection, "collections", "create_collection", "Create a collection",
     "CreateCollection", "Boolean", kTimeout},
    {kPatch, TESSERA_C, update_collection, "collections", "update_collection",
     "Change the graph and optimizer settings", "UpdateCollection", "Boolean", kTimeout},
    {kDelete, TESSERA_C, delete_collection, "collections", "delete_collection",
     "Delete a collection; false if there is none", "", "Boolean", kTimeout},
    {kGet, TESSERA_C "/exists", collection_exists, "collections", "collection_exists",
     "Whether a collection exists", "", "Existence"},
    {kPut, TESSERA_C "/index", create_payload_index, "indexes", "create_field_index",
     "Index a payload field", "CreatePayloadIndex", "UpdateResult", kWrite},
    {kDelete, TESSERA_C "/index/{field_name}", delete_payload_index, "indexes",
     "delete_field_index", "Drop the index of a payload field", "", "UpdateResult", kWrite},

    {kPut, TESSERA_C "/points", upsert_points, "points", "upsert_points",
     "Insert points or replace them", "UpsertPoints", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/points", retrieve_points, "points", "get_points", "Points by their ids",
     "RetrievePoints", "RecordList", kRead},
    {kGet, TESSERA_C "/points/{id}", get_point, "points", "get_point",
     "One point with payload and vectors", "", "Record", kRead},
    {kPost, TESSERA_C "/points/delete", delete_points, "points", "delete_points",
     "Delete points by ids or by a filter", "PointSelector", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/points/payload", set_payload, "points", "set_payload", "Set payload keys",
     "SetPayload", "UpdateResult", kWrite},
    {kPut, TESSERA_C "/points/payload", overwrite_payload, "points", "overwrite_payload",
     "Replace whole payloads", "OverwritePayload", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/points/payload/delete", delete_payload, "points", "delete_payload",
     "Remove payload keys", "DeletePayload", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/points/payload/clear", clear_payload, "points", "clear_payload",
     "Remove whole payloads", "PointSelector", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/points/batch", batch_update, "points", "batch_update",
     "Several writes in order", "BatchUpdate", "UpdateResultList", kWrite},
    {kPost, TESSERA_C "/points/scroll", scroll_points, "points", "scroll_points",
     "Points in the order of their ids", "ScrollPoints", "ScrollPage", kRead},
    {kPost, TESSERA_C "/points/count", count_points, "points", "count_points", "Number of points",
     "CountPoints", "Count", kRead},

    {kPut, TESSERA_C "/users", put_users, "users", "put_users",
     "Store users or change them: what is not given stays", "PutUsers", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/users/events", append_events, "users", "append_events",
     "Add events of several users", "AppendEvents", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/users/delete", delete_users, "users", "delete_users",
     "Delete users and all that is stored of them", "DeleteUsers", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/users/scroll", scroll_users, "users", "scroll_users",
     "Users in the order of their keys", "ScrollUsers", "UserPage", kRead},
    {kPost, TESSERA_C "/users/count", count_users, "users", "count_users", "Number of users",
     "CountUsers", "Count", kRead},
    {kGet, TESSERA_C "/users/{user_id}", get_user, "users", "get_user",
     "One user with vector, number of events and interests", "", "User", kUser},
    {kDelete, TESSERA_C "/users/{user_id}", delete_user, "users", "delete_user",
     "Delete a user and all that is stored of it", "", "UpdateResult", kWrite},
    {kGet, TESSERA_C "/users/{user_id}/events", get_user_events, "users", "get_user_events",
     "Events of a user, the newest first", "", "EventPage", kPage},
    {kPost, TESSERA_C "/users/{user_id}/events", append_events_of_user, "users",
     "append_user_events", "Add events of one user", "EventsOfUser", "UpdateResult", kWrite},
    {kPost, TESSERA_C "/users/{user_id}/events/delete", delete_events_of_user, "users",
     "delete_user_events", "Delete events of a user", "EventSelectors", "UpdateResult", kWrite},

    {kGet, TESSERA_C "/adapters", list_adapters, "adapters", "get_adapters",
     "Trained adapters of a collection", "", "AdapterList"},
    {kGet, TESSERA_C "/adapters/{adapter_name}", get_adapter, "adapters", "get_adapter",
     "One trained adapter", "", "Adapter"},
    {kPut, TESSERA_C "/adapters/{adapter_name}", put_adapter, "adapters", "put_adapter",
     "Add a trained adapter or replace it", "AdapterFile", "Adapter", kTimeout},
    {kDelete, TESSERA_C "/adapters/{adapter_name}", delete_adapter, "adapters", "delete_adapter",
     "Delete a trained adapter", "", "UpdateResult", kTimeout},

    {kPost, TESSERA_C "/points/query", query_points, "search", "query_points",
     "Nearest points, interests, or retrieval in rounds", "Query", "QueryResult", kRead},
    {kPost, TESSERA_C "/points/query/batch", query_batch, "search", "query_batch_points",
     "Several queries, found together", "QueryBatch", "QueryResultList", kRead},
    {kPost, TESSERA_C "/points/query/groups", query_groups, "search", "query_points_groups",
     "A query whose hits are grouped by a payload value", "QueryGroups", "QueryGroupsResult",
     kRead},
    {kPost, TESSERA_C "/points/search", search_points, "search", "search_points",
     "Older form of a vector query", "Search", "ScoredPointList", kRead},
    {kPost, TESSERA_C "/points/search/batch", search_batch, "search", "search_batch_points",
     "Several older vector queries", "SearchBatch", "ScoredPointListList", kRead},

    {kPost, TESSERA_C "/sessions", start_session, "sessions", "start_session",
     "Begin a session: its first round", "StartSession", "SessionRound", kWrite},
    {kGet, TESSERA_C "/sessions", count_sessions, "sessions", "count_sessions",
     "Number of open sessions", "", "Count", kRead},
    {kGet, TESSERA_C "/sessions/{session}", get_session, "sessions", "get_session",
     "A session's rounds so far", "", "Session", kSession},
    {kDelete, TESSERA_C "/sessions/{session}", delete_session, "sessions", "delete_session",
     "End a session", "", "Boolean", kWrite},
    {kPost, TESSERA_C "/sessions/{session}/next", next_round, "sessions", "next_round",
     "The next round, after what the person says about earlier ones", "NextRound", "SessionRound",
     kWrite},
    {kPost, TESSERA_C "/sessions/{session}/undo", undo_round, "sessions", "undo_round",
     "Take back the last round and the feedback before it", "UndoRound", "Session", kWrite},
    {kPost, TESSERA_C "/sessions/{session}/reset", reset_session, "sessions", "reset_session",
     "Take back all rounds", "", "Session", kWrite},

    {kPost, TESSERA_C "/recall", measure_recall, "search", "measure_recall",
     "How often searches find what exact ones find", "Recall", "RecallReport", kRead},
    {kPost, TESSERA_C "/estimate", estimate_size, "collections", "estimate_size",
     "Bytes and minutes that a configuration would take", "Estimate", "EstimateReport", kTimeout},

    {kGet, TESSERA_C "/clusters", get_clusters, "jobs", "get_clusters", "Item clusters of a vector",
     "", "Clusters", kVector},
    {kPost, TESSERA_C "/clusters", train_clusters, "jobs", "train_clusters",
     "Train item clusters in the background", "TrainClusters", "JobStarted"},
    {kPost, TESSERA_C "/reindex", reindex, "jobs", "reindex",
     "Build another index beside the present one, then switch", "Reindex", "JobStarted"},
    {kGet, "/jobs", list_jobs, "jobs", "get_jobs", "Background jobs", "", "JobList"},
    {kGet, "/jobs/{job_id}", get_job, "jobs", "get_job", "One background job", "", "Job"},
    {kDelete, "/jobs/{job_id}", cancel_job, "jobs", "cancel_job", "Ask a job to stop", "",
     "Boolean"},
};

constexpr MissingRoute kMissingRoutes[] = {
    {kGet, "/telemetry", "telemetry"},
    {kGet, "/aliases", "collection aliases"},
    {kPost, "/collections/aliases", "collection aliases"},
    {kGet, TESSERA_C "/aliases", "collection aliases"},
    {kPut, TESSERA_C "/vectors/{vector_name}", "adding a named vector"},
    {kDelete, TESSERA_C "/vectors/{vector_name}", "removing a named vector"},
    {kPost, TESSERA_C "/facet", "faceting"},
    {kPut, TESSERA_C "/points/vectors", "updating vectors"},
    {kPost, TESSERA_C "/points/vectors/delete", "deleting vectors"},
    {kPost, TESSERA_C "/points/search/groups", "grouping"},
    {kPost, TESSERA_C "/points/search/matrix/pairs", "a distance matrix"},
    {kPost, TESSERA_C "/points/search/matrix/offsets", "a distance matrix"},
    {kPost, TESSERA_C "/points/recommend", "recommending by examples"},
    {kPost, TESSERA_C "/points/recommend/batch", "recommending by examples"},
    {kPost, TESSERA_C "/points/recommend/groups", "recommending by examples"},
    {kPost, TESSERA_C "/points/discover", "discovery"},
    {kPost, TESSERA_C "/points/discover/batch", "discovery"},
    {kGet, TESSERA_C "/snapshots", "snapshots"},
    {kPost, TESSERA_C "/snapshots", "snapshots"},
    {kPut, TESSERA_C "/snapshots/recover", "snapshots"},
    {kPost, TESSERA_C "/snapshots/upload", "snapshots"},
    {kGet, TESSERA_C "/snapshots/{snapshot_name}", "snapshots"},
    {kDelete, TESSERA_C "/snapshots/{snapshot_name}", "snapshots"},
    {kGet, TESSERA_C "/shards/{shard_id}/snapshots", "snapshots"},
    {kPost, TESSERA_C "/shards/{shard_id}/snapshots", "snapshots"},
    {kPut, TESSERA_C "/shards/{shard_id}/snapshots/recover", "snapshots"},
    {kPost, TESSERA_C "/shards/{shard_id}/snapshots/upload", "snapshots"},
    {kGet, TESSERA_C "/shards/{shard_id}/snapshots/{snapshot_name}", "snapshots"},
    {kDelete, TESSERA_C "/shards/{shard_id}/snapshots/{snapshot_name}", "snapshots"},
    {kGet, "/snapshots", "snapshots"},
    {kPost, "/snapshots", "snapshots"},
    {kGet, "/snapshots/{snapshot_name}", "snapshots"},
    {kDelete, "/snapshots/{snapshot_name}", "snapshots"},
    {kGet, TESSERA_C "/optimizations", "listing optimizations (see /jobs)"},
    {kGet, TESSERA_C "/cluster", "distribution over nodes"},
    {kPost, TESSERA_C "/cluster", "distribution over nodes"},
    {kPut, TESSERA_C "/shards", "custom sharding"},
    {kPost, TESSERA_C "/shards/delete", "custom sharding"},
    {kPost, "/cluster/recover", "distribution over nodes"},
    {kDelete, "/cluster/peer/{peer_id}", "distribution over nodes"},
    {kGet, "/quotas", "quotas"},
    {kPut, "/quotas", "quotas"},
};
#undef TESSERA_C

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}
std::span<const MissingRoute> missing_routes() {
  return kMissingRoutes;
}

}  // namespace tessera::api
