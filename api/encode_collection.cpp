#include <cstdio>
#include <ctime>

#include "api/encode.h"

namespace tessera::api {

namespace {

/// What an answer reports where nothing was set.
constexpr std::uint64_t kDefaultM = 16;
constexpr std::uint64_t kDefaultEfConstruct = 100;
constexpr std::uint64_t kDefaultFullScanThreshold = 10'000;
constexpr double kDefaultDeletedThreshold = 0.2;
constexpr std::uint64_t kDefaultVacuumMinVectorNumber = 1000;
constexpr std::uint64_t kDefaultIndexingThreshold = 10'000;
constexpr std::uint64_t kDefaultFlushIntervalSec = 5;
constexpr std::uint64_t kDefaultWalCapacityMb = 32;
constexpr std::uint64_t kDefaultWalRetainClosed = 1;

/// Only what was set.
void encode_hnsw_diff(JsonWriter& json, const engine::HnswConfig& hnsw) {
  json.begin_object();
  json.optional_field("m", hnsw.m);
  json.optional_field("ef_construct", hnsw.ef_construct);
  json.optional_field("full_scan_threshold", hnsw.full_scan_threshold);
  json.optional_field("max_indexing_threads", hnsw.max_indexing_threads);
  json.optional_field("on_disk", hnsw.on_disk);
  json.optional_field("payload_m", hnsw.payload_m);
  json.end_object();
}

void encode_hnsw(JsonWriter& json, const engine::HnswConfig& hnsw) {
  json.begin_object();
  json.field("m", hnsw.m.value_or(kDefaultM));
  json.field("ef_construct", hnsw.ef_construct.value_or(kDefaultEfConstruct));
  json.field("full_scan_threshold", hnsw.full_scan_threshold.value_or(kDefaultFullScanThreshold));
  json.field("max_indexing_threads", hnsw.max_indexing_threads.value_or(0));
  json.field("on_disk", hnsw.on_disk.value_or(false));
  json.optional_field("payload_m", hnsw.payload_m);
  json.end_object();
}

void encode_optimizers(JsonWriter& json, const engine::OptimizersConfig& config) {
  json.begin_object();
  json.field("deleted_threshold", config.deleted_threshold.value_or(kDefaultDeletedThreshold));
  json.field("vacuum_min_vector_number",
             config.vacuum_min_vector_number.value_or(kDefaultVacuumMinVectorNumber));
  json.field("default_segment_number", config.default_segment_number.value_or(0));
  json.nullable_field("max_segment_size", config.max_segment_size);
  json.nullable_field("memmap_threshold", config.memmap_threshold);
  json.field("indexing_threshold", config.indexing_threshold.value_or(kDefaultIndexingThreshold));
  json.field("flush_interval_sec", config.flush_interval_sec.value_or(kDefaultFlushIntervalSec));
  json.nullable_field("max_optimization_threads", config.max_optimization_threads);
  json.end_object();
}

void encode_wal(JsonWriter& json, const engine::WalConfig& wal) {
  json.begin_object();
  json.field("wal_capacity_mb", wal.wal_capacity_mb.value_or(kDefaultWalCapacityMb));
  json.field("wal_segments_ahead", wal.wal_segments_ahead.value_or(0));
  json.field("wal_retain_closed", wal.wal_retain_closed.value_or(kDefaultWalRetainClosed));
  json.end_object();
}

/// As it was set.
void encode_quantization(JsonWriter& json, const engine::QuantizationConfig& config) {
  using Kind = engine::QuantizationConfig::Kind;
  json.begin_object();
  json.key(config.kind == Kind::kProduct  ? "product"
           : config.kind == Kind::kBinary ? "binary"
                                          : "scalar");
  json.begin_object();
  if (config.kind == Kind::kScalar) json.field("type", "int8");
  json.optional_field("quantile", config.quantile);
  if (config.compression) json.field("compression", "x" + std::to_string(*config.compression));
  json.optional_field("always_ram", config.always_ram);
  json.optional_field("encoding", config.encoding);
  json.optional_field("query_encoding", config.query_encoding);
  json.end_object();
  json.end_object();
}

void encode_vector_config(JsonWriter& json, const engine::VectorConfig& vector) {
  json.begin_object();
  json.field("size", vector.dim);
  json.field("distance", metric_name(vector.metric));
  if (vector.hnsw && *vector.hnsw != engine::HnswConfig{}) {
    json.key("hnsw_config");
    encode_hnsw_diff(json, *vector.hnsw);
  }
  if (vector.index) {
    json.key("index");
    json.begin_object();
    json.field("type", index::index_type_name(vector.index->type));
    json.optional_field("lists", vector.index->list_count);
    json.optional_field("probes", vector.index->probe_count);
    json.optional_field("pq_segments", vector.index->pq_segment_count);
    json.end_object();
  }
  json.optional_field("on_disk", vector.on_disk);
  if (vector.value_type) json.field("datatype", value_type_name(*vector.value_type));
  if (vector.quantization) {
    json.key("quantization_config");
    encode_quantization(json, *vector.quantization);
  }
  if (!vector.dimension_names.empty()) {
    json.key("dimension_names");
    json.begin_array();
    for (const std::string& name : vector.dimension_names) json.value(name);
    json.end_array();
  }
  json.end_object();
}

void encode_params(JsonWriter& json, const engine::CollectionConfig& config) {
  json.begin_object();
  json.key("vectors");
  if (config.vectors.size() == 1 && config.vectors.begin()->first.empty()) {
    encode_vector_config(json, config.vectors.begin()->second);
  } else {
    json.begin_object();
    for (const auto& [name, vector] : config.vectors) {
      json.key(name);
      encode_vector_config(json, vector);
    }
    json.end_object();
  }
  json.field("shard_number", config.shard_number);
  json.field("replication_factor", config.replication_factor);
  json.field("write_consistency_factor", config.write_consistency_factor);
  json.field("on_disk_payload", config.on_disk_payload);
  json.end_object();
}

void encode_config(JsonWriter& json, const engine::CollectionConfig& config) {
  json.begin_object();
  json.key("params");
  encode_params(json, config);
  json.key("hnsw_config");
  encode_hnsw(json, config.hnsw);
  json.key("optimizer_config");
  encode_optimizers(json, config.optimizers);
  json.key("wal_config");
  encode_wal(json, config.wal);
  json.key("quantization_config");
  if (config.quantization) {
    encode_quantization(json, *config.quantization);
  } else {
    json.null();
  }
  if (config.metadata_json) json.raw_field("metadata", *config.metadata_json);
  json.end_object();
}

const char* payload_type_name(index::PayloadIndexType type) {
  switch (type) {
    case index::PayloadIndexType::kKeyword:
      return "keyword";
    case index::PayloadIndexType::kInteger:
      return "integer";
    case index::PayloadIndexType::kFloat:
      return "float";
    case index::PayloadIndexType::kBool:
      return "bool";
    case index::PayloadIndexType::kDatetime:
      return "datetime";
  }
  return "unknown";
}

const char* job_state_name(engine::JobState state) {
  switch (state) {
    case engine::JobState::kQueued:
      return "queued";
    case engine::JobState::kRunning:
      return "running";
    case engine::JobState::kDone:
      return "done";
    case engine::JobState::kFailed:
      return "failed";
    case engine::JobState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

const char* collection_status(const engine::CollectionInfo& info) {
  if (!info.optimizer_error.empty()) return "red";
  return info.is_optimizing ? "yellow" : "green";
}

void encode_labels(JsonWriter& json, const std::vector<engine::ClusterLabel>& labels) {
  json.begin_array();
  for (const engine::ClusterLabel& label : labels) {
    json.begin_array();
    for (const engine::LabelValue& value : label) {
      json.begin_object();
      json.raw_field("value", value.value);
      json.field("count", value.count);
      json.end_object();
    }
    json.end_array();
  }
  json.end_array();
}

}  // namespace

void encode_collection_info(JsonWriter& json, const engine::CollectionInfo& info) {
  json.begin_object();
  json.field("status", collection_status(info));
  json.key("optimizer_status");
  if (info.optimizer_error.empty()) {
    json.value("ok");
  } else {
    json.begin_object();
    json.field("error", info.optimizer_error);
    json.end_object();
  }
  json.field("indexed_vectors_count", info.indexed_vector_count);
  json.field("points_count", info.point_count);
  json.field("segments_count", info.segment_count);
  json.key("config");
  encode_config(json, info.config);
  json.key("payload_schema");
  json.begin_object();
  for (const auto& [field, schema] : info.payload_schema) {
    json.key(field);
    json.begin_object();
    json.field("data_type", payload_type_name(schema.type));
    if (schema.params_json) json.raw_field("params", *schema.params_json);
    json.field("points", schema.point_count);
    json.end_object();
  }
  json.end_object();
  json.end_object();
}

void encode_clusters(JsonWriter& json, const engine::ClustersInfo& clusters) {
  json.begin_object();
  json.field("vector", clusters.vector);
  json.field("count", clusters.count);
  json.field("trained_at", format_datetime(clusters.trained_at_us));
  json.key("sizes");
  json.begin_array();
  for (const std::uint64_t size : clusters.sizes) json.value(size);
  json.end_array();
  json.field("version", clusters.version);
  json.field("drift", clusters.drift);
  if (clusters.unassigned > 0) json.field("unassigned", clusters.unassigned);
  if (!clusters.label_field.empty()) {
    json.field("label_field", clusters.label_field);
    json.key("labels");
    encode_labels(json, clusters.labels);
  }
  json.end_object();
}

void encode_job(JsonWriter& json, const engine::JobInfo& job) {
  json.begin_object();
  json.field("id", job.id);
  json.field("kind", job.kind);
  json.field("collection", job.collection);
  json.field("detail", job.detail);
  json.field("state", job_state_name(job.state));
  json.field("done", job.done);
  json.field("total", job.total);
  json.nullable_field("eta_seconds", job.eta_seconds);
  if (!job.error.empty()) json.field("error", job.error);
  json.field("created_at", format_datetime(job.created_at_us));
  if (job.finished_at_us) json.field("finished_at", format_datetime(*job.finished_at_us));
  json.end_object();
}

std::string format_datetime(std::int64_t microseconds) {
  constexpr std::int64_t kPerSecond = 1'000'000;
  std::int64_t fraction = microseconds % kPerSecond;
  if (fraction < 0) fraction += kPerSecond;
  const std::time_t seconds = (microseconds - fraction) / kPerSecond;
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "1970-01-01T00:00:00.000000Z";
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(fraction));
  return text.data();
}

}  // namespace tessera::api
