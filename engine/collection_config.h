#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "base/value_type.h"
#include "engine/quantization_config.h"
#include "index/ann_index.h"
#include "index/payload_index.h"

namespace tessera::engine {

using index::IndexSpec;
using index::IndexType;
using index::PayloadIndexType;

inline constexpr std::uint32_t kDimMax = 65536;

/// The dialect's hnsw_config. Absent members stay absent, so that an answer shows what was set.
struct HnswConfig {
  std::optional<std::uint64_t> m;
  std::optional<std::uint64_t> ef_construct;
  std::optional<std::uint64_t> full_scan_threshold;  ///< Rows below which no graph is walked.
  std::optional<std::uint64_t> max_indexing_threads;
  std::optional<bool> on_disk;
  std::optional<std::uint64_t> payload_m;
  bool operator==(const HnswConfig&) const = default;
};

/// The dialect's optimizers_config.
struct OptimizersConfig {
  std::optional<double> deleted_threshold;  ///< Share of dead rows that has a segment rebuilt; 0.2.
  std::optional<std::uint64_t> vacuum_min_vector_number;  ///< Rows below which it is not; 1000.
  std::optional<std::uint64_t> default_segment_number;
  std::optional<std::uint64_t> max_segment_size;
  std::optional<std::uint64_t> memmap_threshold;
  /// Growing segments of at least this many KiB of vectors are indexed; 10000, 0 disables indexing.
  std::optional<std::uint64_t> indexing_threshold;
  std::optional<std::uint64_t> flush_interval_sec;
  std::optional<std::uint64_t> max_optimization_threads;
  bool operator==(const OptimizersConfig&) const = default;
};

struct WalConfig {
  std::optional<std::uint64_t> wal_capacity_mb;
  std::optional<std::uint64_t> wal_segments_ahead;
  std::optional<std::uint64_t> wal_retain_closed;
  bool operator==(const WalConfig&) const = default;
};

/// Calls visit(name, pointer to member) for every member of HnswConfig, OptimizersConfig or
/// WalConfig; the name is the dialect's. What stores, reads or merges these settings goes through
/// it.
template <class Config, class Visit>
void for_each_member(Visit visit) {
  if constexpr (std::is_same_v<Config, HnswConfig>) {
    visit("m", &Config::m);
    visit("ef_construct", &Config::ef_construct);
    visit("full_scan_threshold", &Config::full_scan_threshold);
    visit("max_indexing_threads", &Config::max_indexing_threads);
    visit("on_disk", &Config::on_disk);
    visit("payload_m", &Config::payload_m);
  } else if constexpr (std::is_same_v<Config, OptimizersConfig>) {
    visit("deleted_threshold", &Config::deleted_threshold);
    visit("vacuum_min_vector_number", &Config::vacuum_min_vector_number);
    visit("default_segment_number", &Config::default_segment_number);
    visit("max_segment_size", &Config::max_segment_size);
    visit("memmap_threshold", &Config::memmap_threshold);
    visit("indexing_threshold", &Config::indexing_threshold);
    visit("flush_interval_sec", &Config::flush_interval_sec);
    visit("max_optimization_threads", &Config::max_optimization_threads);
  } else {
    static_assert(std::is_same_v<Config, WalConfig>);
    visit("wal_capacity_mb", &Config::wal_capacity_mb);
    visit("wal_segments_ahead", &Config::wal_segments_ahead);
    visit("wal_retain_closed", &Config::wal_retain_closed);
  }
}

/// Members that are set in `changes` replace those of `target`.
template <class Config>
void merge_members(Config& target, const Config& changes) {
  for_each_member<Config>([&](const char*, auto member) {
    if (changes.*member) target.*member = changes.*member;
  });
}

/// The `index` setting of a vector (ours, beside hnsw_config).
struct IndexConfig {
  IndexType type = IndexType::kHnsw;
  std::optional<std::uint64_t> list_count;        ///< "lists"
  std::optional<std::uint64_t> probe_count;       ///< "probes"
  std::optional<std::uint64_t> pq_segment_count;  ///< "pq_segments"
  bool operator==(const IndexConfig&) const = default;
};

struct VectorConfig {
  std::uint32_t dim = 0;
  Metric metric = Metric::kCosine;
  std::optional<HnswConfig> hnsw;
  std::optional<IndexConfig> index;
  std::optional<bool> on_disk;
  std::optional<QuantizationConfig> quantization = std::nullopt;
  /// What "explain" calls the dimensions; empty, or one for each.
  std::vector<std::string> dimension_names = {};
  std::optional<ValueType> value_type = std::nullopt;  ///< "datatype"; absent: float32.

  [[nodiscard]] ValueType type() const { return value_type.value_or(ValueType::kFloat32); }
  bool operator==(const VectorConfig&) const = default;
};

/// What a collection was created with. The unnamed vector has the name "".
struct CollectionConfig {
  std::map<std::string, VectorConfig> vectors;
  HnswConfig hnsw;
  OptimizersConfig optimizers;
  WalConfig wal;
  std::optional<QuantizationConfig> quantization;  ///< Of vectors that have none of their own.
  std::uint32_t shard_number = 1;
  std::uint32_t replication_factor = 1;
  std::uint32_t write_consistency_factor = 1;
  bool on_disk_payload = true;
  std::optional<std::string> metadata_json;
};

/// What to build for one vector: its own settings over the collection's over the defaults.
/// Quantization says what codes an hnsw index compares first; the ivf types have their own.
IndexSpec index_spec_of(const CollectionConfig& config, const VectorConfig& vector);

/// JSON text of an index spec, as segment files hold it, and back. A text without codes is of a
/// time when there were none: kNone. kCorrupt names the field.
std::string encode_spec(const IndexSpec& spec);
Result<IndexSpec> decode_spec(std::string_view json);

/// Catalog document of a collection, and back. kCorrupt names the field.
std::string encode_config(const CollectionConfig& config);
Result<CollectionConfig> decode_config(std::string_view json);

struct PayloadFieldSchema {
  PayloadIndexType type = PayloadIndexType::kKeyword;
  std::optional<std::string> params_json;  ///< As given, when it was given as an object.
  std::uint64_t point_count = 0;           ///< Points with at least one value.
};

/// Answer of GET /collections/{c}.
struct CollectionInfo {
  CollectionConfig config;
  bool is_optimizing = false;   ///< "yellow" while a background build is due or running.
  std::string optimizer_error;  ///< Empty: "ok".
  std::uint64_t point_count = 0;
  std::uint64_t indexed_vector_count = 0;
  std::uint64_t segment_count = 0;
  std::map<std::string, PayloadFieldSchema> payload_schema;
};

}  // namespace tessera::engine
