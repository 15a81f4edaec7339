#include <algorithm>

#include "api/decode.h"

namespace tessera::api {

using engine::CollectionConfig;
using engine::HnswConfig;
using engine::IndexConfig;
using engine::IndexType;
using engine::OptimizersConfig;
using engine::VectorConfig;
using engine::WalConfig;

namespace {

constexpr std::size_t kVectorNameBytesMax = 200;
constexpr std::uint64_t kHnswLinksMax = 1024;
constexpr std::uint64_t kEfConstructMax = 65'536;
constexpr std::uint64_t kListsMax = 1 << 20;

void read_bool(const Object& object, const char* name, std::optional<bool>& target) {
  if (const auto value = object.given(name)) target = value->boolean();
}

void read_integer(const Object& object, const char* name, std::optional<std::uint64_t>& target,
                  std::uint64_t min = 0, std::uint64_t max = UINT64_MAX) {
  if (const auto value = object.given(name)) target = value->integer_in(min, max);
}

/// A 32-bit count for which zero has no meaning, so that zero is a wrong type in the dialect.
void read_nonzero(const Object& object, const char* name, std::uint32_t& target) {
  const auto value = object.given(name);
  if (!value) return;
  const auto number = value->unsigned_integer();
  if (!number) return;
  if (*number == 0) {
    value->report_format("expected a nonzero integer, found 0");
  } else if (*number > UINT32_MAX) {
    value->report_format("expected a 32-bit integer, found " + value->shown());
  } else {
    target = static_cast<std::uint32_t>(*number);
  }
}

std::optional<OptimizersConfig> decode_optimizers(const Value& value) {
  const Object object(value);
  if (!object.ok()) return std::nullopt;
  OptimizersConfig config;
  if (const auto threshold = object.given("deleted_threshold")) {
    config.deleted_threshold = threshold->number_in(0, 1);
  }
  read_integer(object, "vacuum_min_vector_number", config.vacuum_min_vector_number, 100);
  read_integer(object, "default_segment_number", config.default_segment_number);
  read_integer(object, "max_segment_size", config.max_segment_size, 1);
  read_integer(object, "memmap_threshold", config.memmap_threshold);
  read_integer(object, "indexing_threshold", config.indexing_threshold);
  read_integer(object, "flush_interval_sec", config.flush_interval_sec);
  if (const auto threads = object.given("max_optimization_threads")) {
    // "auto" is what an absent value means.
    if (threads->is(Value::Kind::kString)) {
      (void)threads->one_of<bool>({{"auto", true}});
    } else {
      config.max_optimization_threads = threads->unsigned_integer();
    }
  }
  object.not_yet_true("prevent_unoptimized", "holding back points until they are indexed");
  return config;
}

std::optional<WalConfig> decode_wal(const Value& value) {
  const Object object(value);
  if (!object.ok()) return std::nullopt;
  WalConfig config;
  read_integer(object, "wal_capacity_mb", config.wal_capacity_mb, 1);
  read_integer(object, "wal_segments_ahead", config.wal_segments_ahead);
  read_integer(object, "wal_retain_closed", config.wal_retain_closed, 1);
  return config;
}

std::optional<ValueType> decode_datatype(const Object& object) {
  const auto datatype = object.given("datatype");
  if (!datatype) return std::nullopt;
  using Supported = std::optional<ValueType>;
  const auto type = datatype->one_of<Supported>({{"float32", ValueType::kFloat32},
                                                 {"float16", ValueType::kFloat16},
                                                 {"uint8", ValueType::kUint8},
                                                 {"turbo4", std::nullopt}});
  if (type && !*type) datatype->report_unimplemented("the datatype " + datatype->shown());
  return type.value_or(std::nullopt);
}

void refuse_strict_mode(const Object& object) {
  const auto given = object.given("strict_mode_config");
  if (!given) return;
  const Object config(*given);
  if (!config.ok()) return;
  config.not_yet_true("enabled", "strict mode");
}

/// One name a dimension.
std::vector<std::string> decode_dimension_names(const Value& value, std::uint32_t dim) {
  std::vector<std::string> names;
  value.each([&names](const Value& element) {
    const auto name = element.string();
    if (!name) return;
    if (name->empty()) element.report_validation("value invalid, must not be empty");
    if (name->size() > kVectorNameBytesMax) {
      element.report_validation("name is " + std::to_string(name->size()) +
                                " bytes long, must be at most " +
                                std::to_string(kVectorNameBytesMax));
    }
    names.emplace_back(*name);
  });
  if (value.is(Value::Kind::kArray) && dim > 0 && value.element_count() != dim) {
    value.report_validation(std::to_string(value.element_count()) + " names for " +
                            std::to_string(dim) + " dimensions (size)");
  }
  return names;
}

VectorConfig decode_vector_config(const Value& value) {
  VectorConfig config;
  const Object object(value);
  if (!object.ok()) return config;
  if (const auto size = object.require("size")) {
    config.dim = static_cast<std::uint32_t>(size->integer_in(1, engine::kDimMax).value_or(0));
  }
  if (const auto distance = object.require("distance")) {
    config.metric = distance
                        ->one_of<Metric>({{"Cosine", Metric::kCosine},
                                          {"Euclid", Metric::kEuclid},
                                          {"Dot", Metric::kDot},
                                          {"Manhattan", Metric::kManhattan}})
                        .value_or(Metric::kCosine);
  }
  if (const auto hnsw = object.given("hnsw_config")) config.hnsw = decode_hnsw_config(*hnsw);
  if (const auto index = object.given("index")) {
    config.index = decode_index_config(*index);
    const auto segments = config.index ? config.index->pq_segment_count : std::nullopt;
    if (segments && config.dim > 0 && config.dim % *segments != 0) {
      index->report_validation("value " + std::to_string(*segments) + " invalid, must divide " +
                                   std::to_string(config.dim) + " (size)",
                               ".pq_segments");
    }
  }
  read_bool(object, "on_disk", config.on_disk);
  config.quantization = decode_quantization(object, QuantizationPlace::kCreation);
  if (config.index) refuse_unused_quantization(object, config.index->type);
  if (const auto names = object.given("dimension_names")) {
    config.dimension_names = decode_dimension_names(*names, config.dim);
  }
  config.value_type = decode_datatype(object);
  object.not_yet("multivector_config", "a multi-vector");
  object.not_yet("memory", "a memory policy");
  return config;
}

/// Parameters of the unnamed vector rather than a map of names: "size" or "distance" are not
/// objects, as they would have to be as names.
bool is_single_vector(const Object& object) {
  for (const char* name : {"size", "distance"}) {
    const auto member = object.find(name);
    if (member && !member->is(Value::Kind::kObject)) return true;
  }
  return false;
}

/// Named vectors of an update: only their settings.
std::map<std::string, VectorConfig> decode_vector_changes(const Value& value) {
  std::map<std::string, VectorConfig> vectors;
  value.each_entry([&vectors](std::string_view name, const Value& entry) {
    const Object object(entry);
    if (!object.ok()) return;
    VectorConfig& config = vectors[std::string(name)];
    if (const auto hnsw = object.given("hnsw_config")) config.hnsw = decode_hnsw_config(*hnsw);
    object.not_yet("on_disk", "moving vectors of an existing collection");
    object.not_yet("datatype", "changing the datatype of an existing collection");
    object.not_yet("index", "changing the index here (use the reindex call, which)");
    object.not_yet("memory", "a memory policy");
    config.quantization = decode_quantization(object, QuantizationPlace::kChange);
  });
  return vectors;
}

void read_common_settings(const Object& object, QuantizationPlace place, CollectionConfig& config) {
  if (const auto hnsw = object.given("hnsw_config")) {
    config.hnsw = decode_hnsw_config(*hnsw).value_or(HnswConfig{});
  }
  if (const auto optimizers = object.given("optimizers_config")) {
    config.optimizers = decode_optimizers(*optimizers).value_or(OptimizersConfig{});
  }
  if (const auto metadata = object.given("metadata")) {
    config.metadata_json = metadata->compact_object();
  }
  config.quantization = decode_quantization(object, place);
  refuse_strict_mode(object);
  if (const auto sparse = object.given("sparse_vectors")) {
    const Object names(*sparse);
    if (names.member_count() > 0) sparse->report_unimplemented("a sparse vector");
  }
}

}  // namespace

void refuse_unused_quantization(const Object& object, IndexType type) {
  if (type == IndexType::kHnsw) return;
  for (const char* name : {"quantization_config", "quantization"}) {
    const auto given = object.given(name);
    if (!given || given->is(Value::Kind::kString)) continue;
    given->report_validation(std::string("is a setting of the type hnsw only, not of ") +
                             index::index_type_name(type));
  }
}

std::map<std::string, VectorConfig> decode_vector_configs(const Value& value) {
  std::map<std::string, VectorConfig> vectors;
  const Object object(value);
  if (!object.ok()) return vectors;
  if (is_single_vector(object)) {
    vectors.emplace("", decode_vector_config(value));
    return vectors;
  }
  value.each_entry([&vectors](std::string_view name, const Value& entry) {
    const std::string problem = check_name("vector name", name, kVectorNameBytesMax);
    if (!problem.empty()) entry.report_validation(problem);
    vectors.emplace(name, decode_vector_config(entry));
  });
  return vectors;
}

std::optional<HnswConfig> decode_hnsw_config(const Value& value) {
  const Object object(value);
  if (!object.ok()) return std::nullopt;
  HnswConfig config;
  read_integer(object, "m", config.m, 0, kHnswLinksMax);
  read_integer(object, "ef_construct", config.ef_construct, 4, kEfConstructMax);
  read_integer(object, "full_scan_threshold", config.full_scan_threshold);
  read_integer(object, "max_indexing_threads", config.max_indexing_threads);
  read_bool(object, "on_disk", config.on_disk);
  read_integer(object, "payload_m", config.payload_m, 0, kHnswLinksMax);
  object.not_yet_true("inline_storage", "inline storage");
  object.not_yet("memory", "a memory policy");
  return config;
}

std::optional<IndexConfig> decode_index_config(const Value& value) {
  const Object object(value);
  if (!object.ok()) return std::nullopt;
  object.refuse_unknown({"type", "lists", "probes", "pq_segments"});
  IndexConfig config;
  const auto type = object.require("type");
  if (!type) return std::nullopt;
  const auto decoded = type->one_of<IndexType>({{"hnsw", IndexType::kHnsw},
                                                {"ivf_flat", IndexType::kIvfFlat},
                                                {"ivf_sq8", IndexType::kIvfSq8},
                                                {"ivf_pq", IndexType::kIvfPq},
                                                {"flat", IndexType::kFlat}});
  if (!decoded) return std::nullopt;
  config.type = *decoded;
  read_integer(object, "lists", config.list_count, 1, kListsMax);
  read_integer(object, "probes", config.probe_count, 1, kListsMax);
  read_integer(object, "pq_segments", config.pq_segment_count, 1, engine::kDimMax);
  const bool is_ivf = config.type != IndexType::kHnsw && config.type != IndexType::kFlat;
  const auto refuse_unless = [&](bool is_used, const char* name, const char* types) {
    const auto member = object.given(name);
    if (!is_used && member) {
      member->report_validation(std::string("is a setting of ") + types + " only, not of " +
                                type->shown());
    }
  };
  refuse_unless(is_ivf, "lists", "the ivf types");
  refuse_unless(is_ivf, "probes", "the ivf types");
  refuse_unless(config.type == IndexType::kIvfPq, "pq_segments", "ivf_pq");
  if (config.list_count && config.probe_count && *config.probe_count > *config.list_count) {
    object.find("probes")->report_validation("value " + std::to_string(*config.probe_count) +
                                             " invalid, must be " +
                                             std::to_string(*config.list_count) + " or smaller");
  }
  return config;
}

CollectionConfig decode_create_collection(const Value& body) {
  CollectionConfig config;
  const Object object(body);
  if (!object.ok()) return config;
  if (const auto vectors = object.given("vectors")) {
    config.vectors = decode_vector_configs(*vectors);
  }
  read_common_settings(object, QuantizationPlace::kCreation, config);
  if (const auto wal = object.given("wal_config")) {
    config.wal = decode_wal(*wal).value_or(WalConfig{});
  }
  read_nonzero(object, "shard_number", config.shard_number);
  read_nonzero(object, "replication_factor", config.replication_factor);
  read_nonzero(object, "write_consistency_factor", config.write_consistency_factor);
  if (const auto method = object.given("sharding_method")) {
    const auto is_auto = method->one_of<bool>({{"auto", true}, {"custom", false}});
    if (is_auto && !*is_auto) method->report_unimplemented("custom sharding");
  }
  if (const auto on_disk = object.given("on_disk_payload")) {
    config.on_disk_payload = on_disk->boolean().value_or(true);
  }
  if (const auto payload = object.given("payload")) {
    const Object settings(*payload);
    settings.not_yet("memory", "a memory policy");
  }
  object.not_yet("init_from", "copying another collection");
  return config;
}

CollectionConfig decode_update_collection(const Value& body) {
  CollectionConfig config;
  const Object object(body);
  if (!object.ok()) return config;
  if (const auto vectors = object.given("vectors")) {
    config.vectors = decode_vector_changes(*vectors);
  }
  read_common_settings(object, QuantizationPlace::kChange, config);
  if (const auto given = object.given("params")) {
    const Object params(*given);
    for (const char* name : {"replication_factor", "write_consistency_factor",
                             "read_fan_out_factor", "on_disk_payload"}) {
      params.not_yet(name, "changing it after the creation of the collection");
    }
  }
  return config;
}

engine::TrainClustersRequest decode_train_clusters(const Value& body) {
  engine::TrainClustersRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"vector", "count", "iterations", "seed", "sample", "labels"});
  constexpr std::uint64_t kClusterCountMax = 1 << 20;
  constexpr std::uint64_t kIterationsMax = 10'000;
  if (const auto vector = object.given("vector")) request.vector = vector->string().value_or("");
  if (const auto count = object.given("count")) {
    request.count = static_cast<std::uint32_t>(count->integer_in(1, kClusterCountMax).value_or(1));
  }
  if (const auto iterations = object.given("iterations")) {
    request.iterations =
        static_cast<std::uint32_t>(iterations->integer_in(1, kIterationsMax).value_or(1));
  }
  if (const auto seed = object.given("seed")) request.seed = seed->unsigned_integer().value_or(0);
  if (const auto sample = object.given("sample")) request.sample = sample->integer_in(1);
  if (const auto labels = object.given("labels")) {
    const Object settings(*labels);
    if (!settings.ok()) return request;
    settings.refuse_unknown({"field"});
    if (const auto field = settings.require("field")) {
      request.label_field = decode_payload_path(*field);
    }
  }
  return request;
}

engine::ReindexRequest decode_reindex(const Value& body) {
  engine::ReindexRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"vector", "index", "hnsw_config", "quantization_config", "quantization"});
  if (const auto vector = object.given("vector")) request.vector = vector->string().value_or("");
  if (const auto index = object.given("index")) request.index = decode_index_config(*index);
  if (const auto hnsw = object.given("hnsw_config")) request.hnsw = decode_hnsw_config(*hnsw);
  request.quantization = decode_quantization(object, QuantizationPlace::kChange);
  if (request.index) refuse_unused_quantization(object, request.index->type);
  return request;
}

}  // namespace tessera::api
