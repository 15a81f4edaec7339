#include "api/openapi.h"

namespace tessera::api {

namespace {

// clang-format off
constexpr NamedSchema kSchemas[] = {
  {"Error", R"(
    {"type":"object","required":["status","time"],"properties":{"status":{"type":"object",
    "required":["error"],"properties":{"error":{"type":"string"}}},
    "time":{"type":"number"}}})"},
  {"Text", R"({"type":"string"})"},
  {"Boolean", R"({"type":"boolean"})"},
  {"AnyObject", R"({"type":"object","additionalProperties":true})"},
  {"VersionInfo", R"(
    {"type":"object","required":["title","version","tessera"],
    "properties":{"title":{"type":"string"},"version":{"type":"string",
    "description":"Of the dialect"},"tessera":{"type":"object","required":["version",
    "commit","cpu","body_types"],"properties":{"version":{"type":"string"},
    "commit":{"type":"string"},
    "cpu":{"type":"string","enum":["avx512","avx2","neon","baseline"]},
    "body_types":{"type":"array","items":{"type":"string"}}}}}})"},
  {"ClusterStatus", R"(
    {"type":"object","required":["status"],"properties":{"status":{"type":"string",
    "enum":["disabled"]}}})"},
  {"IssueList", R"(
    {"type":"object","required":["issues"],"properties":{"issues":{"type":"array",
    "maxItems":0,"items":{"type":"object"}}}})"},
  {"CollectionList", R"(
    {"type":"object","required":["collections"],"properties":{"collections":{"type":"array",
    "items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}})"},
  {"Existence", R"(
    {"type":"object","required":["exists"],"properties":{"exists":{"type":"boolean"}}})"},
  {"CollectionInfo", R"(
    {"type":"object","required":["status","optimizer_status","indexed_vectors_count",
    "points_count","segments_count","config","payload_schema"],
    "properties":{"status":{"type":"string","enum":["green","yellow","grey","red"]},
    "optimizer_status":{"anyOf":[{"type":"string","enum":["ok"]},{"type":"object",
    "required":["error"],"properties":{"error":{"type":"string"}}}]},
    "indexed_vectors_count":{"type":"integer","minimum":0},"points_count":{"type":"integer",
    "minimum":0},"segments_count":{"type":"integer","minimum":0},"config":{"type":"object",
    "required":["params","hnsw_config","optimizer_config","wal_config",
    "quantization_config"],"properties":{"params":{"type":"object","required":["vectors"],
    "properties":{"vectors":{"anyOf":[@VectorParams,{"type":"object",
    "additionalProperties":@VectorParams}]},"shard_number":{"type":"integer"},
    "replication_factor":{"type":"integer"},"write_consistency_factor":{"type":"integer"},
    "on_disk_payload":{"type":"boolean"}}},"hnsw_config":@HnswConfig,
    "optimizer_config":@OptimizersState,"wal_config":@WalConfig,
    "quantization_config":{"allOf":[@Quantization],"nullable":true},"metadata":@Payload}},
    "payload_schema":{"type":"object","additionalProperties":{"type":"object",
    "required":["data_type","points"],"properties":{"data_type":@PayloadIndexType,
    "params":{"type":"object"},"points":{"type":"integer","minimum":0}}}}}})"},
  {"OptimizersState", R"(
    {"type":"object","required":["deleted_threshold","vacuum_min_vector_number",
    "default_segment_number","indexing_threshold","flush_interval_sec"],
    "properties":{"deleted_threshold":{"type":"number"},
    "vacuum_min_vector_number":{"type":"integer"},
    "default_segment_number":{"type":"integer"},"max_segment_size":{"type":"integer",
    "nullable":true},"memmap_threshold":{"type":"integer","nullable":true},
    "indexing_threshold":{"type":"integer"},"flush_interval_sec":{"type":"integer"},
    "max_optimization_threads":{"type":"integer","nullable":true}}})"},
  {"UpdateResult", R"(
    {"type":"object","required":["operation_id","status"],
    "properties":{"operation_id":{"type":"integer","minimum":0},"status":{"type":"string",
    "enum":["acknowledged","completed"]}}})"},
  {"UpdateResultList", R"({"type":"array","items":@UpdateResult})"},
  {"Record", R"(
    {"type":"object","required":["id"],"properties":{"id":@PointId,"payload":@Payload,
    "vector":@PointVectors}})"},
  {"RecordList", R"({"type":"array","items":@Record})"},
  {"ScrollPage", R"(
    {"type":"object","required":["points","next_page_offset"],
    "properties":{"points":@RecordList,"next_page_offset":{"allOf":[@PointId],
    "nullable":true}}})"},
  {"Count", R"(
    {"type":"object","required":["count"],"properties":{"count":{"type":"integer",
    "minimum":0}}})"},
  {"User", R"(
    {"type":"object","required":["id","events","interests"],"properties":{"id":@UserId,
    "vector":@PointVectors,"events":{"type":"integer","minimum":0,"description":"How many"},
    "interests":{"type":"array","items":{"type":"object","required":["cluster","weight","count",
    "medoid","items"],"properties":{"cluster":{"type":"integer"},"weight":{"type":"number"},
    "count":{"type":"integer"},"medoid":{"allOf":[@PointId],"nullable":true},
    "items":{"type":"array","maxItems":5,"items":@PointId}}}}}})"},
  {"Adapter", R"(
    {"type":"object","required":["name"],"properties":{"name":{"type":"string"},
    "error":{"type":"string","description":"Why it cannot be used; then there is nothing else"},
    "version":{"type":"integer","minimum":1,"description":"Uploads of this name"},
    "created_at":{"type":"string","format":"date-time"},"bytes":{"type":"integer"},
    "parameters":{"type":"integer"},"backbone":{"type":"string","enum":["sasrec","gru4rec",
    "mean"]},"dim":{"type":"integer","description":"Without the bias"},
    "context_size":{"type":"integer","description":"Items of a round that are read"},
    "max_history":{"type":"integer"},"item_bias":{"type":"boolean"}}})"},
  {"AdapterList", R"(
    {"type":"object","required":["adapters"],"properties":{"adapters":{"type":"array",
    "items":@Adapter}}})"},
  {"EventPage", R"(
    {"type":"object","required":["events","count"],"properties":{"events":{"type":"array",
    "items":{"type":"object","required":["id","at","weight"],"properties":{"id":@PointId,
    "at":{"type":"string","format":"date-time"},"weight":{"type":"number"}}}},
    "count":{"type":"integer","minimum":0}}})"},
  {"UserPage", R"(
    {"type":"object","required":["users","next_page_offset"],"properties":{"users":{"type":"array",
    "items":{"type":"object","required":["id","events"],"properties":{"id":@UserId,
    "vector":@PointVectors,"events":{"type":"integer","minimum":0}}}},
    "next_page_offset":{"allOf":[@UserId],"nullable":true}}})"},
  {"ScoredPoint", R"(
    {"type":"object","required":["id","version","score"],"properties":{"id":@PointId,
    "version":{"type":"integer","minimum":0},"score":{"type":"number"},"payload":@Payload,
    "vector":@PointVectors,"interest":{"type":"object","required":["component","rank","score"],
    "properties":{"component":{"type":"integer"},"rank":{"type":"integer"},
    "score":{"type":"number"}}},
    "round":{"type":"integer","minimum":1},"contributions":{"type":"array","maxItems":5,
    "items":{"type":"object","required":["dim","contribution"],
    "properties":{"dim":{"type":"integer","minimum":0},"contribution":{"type":"number"},
    "name":{"type":"string"}}}}}})"},
  {"ScoredPointList", R"({"type":"array","items":@ScoredPoint})"},
  {"ScoredPointListList", R"({"type":"array","items":@ScoredPointList})"},
  {"InterestReports", R"(
    {"type":"array","items":{"type":"object","required":["component","weight",
    "quota","returned","items"],"properties":{"component":{"type":"integer"},
    "cluster":{"type":"integer","nullable":true},"weight":{"type":"number"},
    "quota":{"type":"integer"},"returned":{"type":"integer"},"medoid":{"allOf":[@PointId],
    "nullable":true},"items":{"type":"array","maxItems":5,"items":@PointId},
    "label":{"type":"array","maxItems":3,"items":@LabelValue}}}})"},
  {"RoundReports", R"(
    {"type":"array","items":{"type":"object","required":["round","returned","shift"],
    "properties":{"round":{"type":"integer","minimum":1},"returned":{"type":"integer"},
    "shift":{"type":"number"}}}})"},
  {"QueryPlan", R"(
    {"type":"object","required":["strategy"],
    "properties":{"strategy":{"type":"string"},"match_count":{"type":"integer"},
    "visited_count":{"type":"integer"},"search_count":{"type":"integer"},
    "segment_count":{"type":"integer"},"segments":{"type":"array","items":{"type":"object",
    "required":["type","strategy","rows","live","matches","visited","reranked"],
    "properties":{"type":{"type":"string"},"strategy":{"type":"string"},
    "rows":{"type":"integer"},"live":{"type":"integer"},"matches":{"type":"integer"},
    "matches_estimated":{"type":"boolean"},
    "visited":{"type":"integer"},"reranked":{"type":"integer"}}}}}})"},
  {"QueryResult", R"(
    {"type":"object","required":["points"],"properties":{"points":@ScoredPointList,
    "interests":@InterestReports,"rounds":@RoundReports,"plan":@QueryPlan}})"},
  {"PointGroup", R"(
    {"type":"object","required":["id","hits"],"properties":{"id":{"anyOf":[{"type":"string"},
    {"type":"integer"}]},"hits":@ScoredPointList,"lookup":@Record}})"},
  {"QueryGroupsResult", R"(
    {"type":"object","required":["groups"],"properties":{"groups":{"type":"array",
    "items":@PointGroup},"interests":@InterestReports,"rounds":@RoundReports,
    "plan":@QueryPlan}})"},
  {"SessionRound", R"(
    {"type":"object","required":["session","round","returned","shift","expires_at","points"],
    "properties":{"session":{"type":"string"},"round":{"type":"integer","minimum":1},
    "returned":{"type":"integer","minimum":0},"shift":{"type":"number"},
    "expires_at":{"type":"string","format":"date-time"},"points":@ScoredPointList,
    "interests":{"type":"array","items":{"type":"object","required":["component","weight",
    "quota","returned","items","shift"],"properties":{"component":{"type":"integer"},
    "cluster":{"type":"integer","nullable":true},"weight":{"type":"number"},
    "quota":{"type":"integer"},"returned":{"type":"integer"},"medoid":{"allOf":[@PointId],
    "nullable":true},"items":{"type":"array","maxItems":5,"items":@PointId},
    "label":{"type":"array","maxItems":3,"items":@LabelValue},
    "shift":{"type":"number"}}}}}})"},
  {"Session", R"(
    {"type":"object","required":["session","created_at","expires_at","ttl","round","returned",
    "bytes","rounds"],"properties":{"session":{"type":"string"},"created_at":{"type":"string",
    "format":"date-time"},"expires_at":{"type":"string","format":"date-time"},
    "ttl":{"type":"integer","description":"Seconds"},"round":{"type":"integer","minimum":0},
    "returned":{"type":"integer","minimum":0},"bytes":{"type":"integer","minimum":0},
    "rounds":{"type":"array","items":{"type":"object","required":["round","at","limit",
    "returned","shift","feedback","points"],"properties":{"round":{"type":"integer",
    "minimum":1},"at":{"type":"string","format":"date-time"},"limit":{"type":"integer"},
    "returned":{"type":"integer"},"shift":{"type":"number"},"feedback":{"type":"array",
    "items":{"type":"object","required":["id","score"],"properties":{"id":@PointId,
    "score":{"type":"number"}}}},"points":{"type":"array","items":@PointId},
    "vector":@DenseVector,"interests":{"type":"array","items":{"type":"object",
    "required":["component","weight","quota","returned","shift"],
    "properties":{"component":{"type":"integer"},"weight":{"type":"number"},
    "quota":{"type":"integer"},"returned":{"type":"integer"},"shift":{"type":"number"},
    "vector":@DenseVector}}}}}}}})"},
  {"QueryResultList", R"({"type":"array","items":@QueryResult})"},
  {"SearchTimes", R"(
    {"type":"object","required":["mean_us","p50_us","p99_us","visited_mean"],
    "properties":{"mean_us":{"type":"number"},"p50_us":{"type":"number"},
    "p99_us":{"type":"number"},"visited_mean":{"type":"number"}}})"},
  {"RecallReport", R"(
    {"type":"object","required":["recall","sample","limit","approximate","exact"],
    "properties":{"recall":{"type":"number","nullable":true},"sample":{"type":"integer"},
    "limit":{"type":"integer"},"approximate":@SearchTimes,"exact":@SearchTimes}})"},
  {"VectorEstimate", R"(
    {"type":"object","required":["index","vector_bytes","code_bytes","graph_bytes","id_bytes",
    "ram_bytes","disk_bytes","build_ram_bytes","build_minutes"],
    "properties":{"index":{"type":"string"},"vector_bytes":{"type":"integer"},
    "code_bytes":{"type":"integer"},"graph_bytes":{"type":"integer"},
    "id_bytes":{"type":"integer"},"ram_bytes":{"type":"integer"},
    "disk_bytes":{"type":"integer"},"build_ram_bytes":{"type":"integer"},
    "build_minutes":{"type":"number"}}})"},
  {"EstimateReport", R"(
    {"type":"object","required":["points","vectors","point_bytes","ram_bytes","disk_bytes",
    "build_minutes","build_threads"],"properties":{"points":{"type":"integer"},
    "vectors":{"type":"object","additionalProperties":@VectorEstimate},
    "point_bytes":{"type":"integer"},"ram_bytes":{"type":"integer"},
    "disk_bytes":{"type":"integer"},"build_minutes":{"type":"number"},
    "build_threads":{"type":"integer"}}})"},
  {"Clusters", R"(
    {"type":"object","required":["vector","count","trained_at","sizes","version","drift"],
    "properties":{"vector":{"type":"string"},"count":{"type":"integer"},
    "trained_at":{"type":"string","format":"date-time"},"sizes":{"type":"array",
    "items":{"type":"integer"}},"version":{"type":"integer"},"drift":{"type":"number"},
    "unassigned":{"type":"integer"},"label_field":{"type":"string"},"labels":{"type":"array",
    "items":{"type":"array","maxItems":3,"items":{"type":"object","required":["value","count"],
    "properties":{"value":@LabelValue,"count":{"type":"integer"}}}}}}})"},
  {"LabelValue", R"(
    {"anyOf":[{"type":"string"},{"type":"integer"},{"type":"boolean"}]})"},
  {"JobStarted", R"(
    {"type":"object","required":["job"],"properties":{"job":{"type":"integer","minimum":0}}})"},
  {"Job", R"(
    {"type":"object","required":["id","kind","collection","detail","state","done","total",
    "eta_seconds","created_at"],"properties":{"id":{"type":"integer","minimum":0},
    "kind":{"type":"string"},"collection":{"type":"string"},"detail":{"type":"string"},
    "state":{"type":"string","enum":["queued","running","done","failed","cancelled"]},
    "done":{"type":"integer"},"total":{"type":"integer"},"eta_seconds":{"type":"number",
    "nullable":true},"error":{"type":"string"},"created_at":{"type":"string",
    "format":"date-time"},"finished_at":{"type":"string","format":"date-time"}}})"},
  {"JobList", R"(
    {"type":"object","required":["jobs"],"properties":{"jobs":{"type":"array",
    "items":@Job}}})"},
};
// clang-format on

}  // namespace

std::span<const NamedSchema> result_schemas() {
  return kSchemas;
}

}  // namespace tessera::api
