#include <algorithm>
#include <thread>

#include "engine/collection_impl.h"
#include "engine/estimate.h"

namespace tessera::engine {
namespace {

/// The vectors that are asked about, with the request's settings over their own.
Result<std::map<std::string, VectorConfig>> wanted_vectors(const CollectionConfig& config,
                                                           const EstimateRequest& request) {
  std::map<std::string, VectorConfig> vectors;
  if (!request.vectors.empty()) {
    vectors = request.vectors;
  } else if (request.vector_name) {
    const auto found = config.vectors.find(*request.vector_name);
    if (found == config.vectors.end()) {
      return Status(Code::kInvalidArgument,
                    "Not existing vector name error: " + *request.vector_name);
    }
    vectors.insert(*found);
  } else {
    vectors = config.vectors;
  }
  for (auto& [name, vector] : vectors) {
    if (request.index) vector.index = request.index;
    if (request.on_disk) vector.on_disk = request.on_disk;
    apply_change(vector.quantization, request.quantization);
    if (!request.hnsw) continue;
    if (!vector.hnsw) vector.hnsw.emplace();
    merge_members(*vector.hnsw, *request.hnsw);
  }
  return vectors;
}

}  // namespace

Result<Estimate> CollectionImpl::estimate_size(const EstimateRequest& request) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  CollectionConfig config;
  {
    SharedLock lock(config_mutex_);
    config = config_;
  }
  // Without a setting of their own the collection's would apply.
  if (request.quantization && request.quantization->kind == QuantizationConfig::Kind::kDisabled) {
    config.quantization.reset();
  }
  TESSERA_ASSIGN_OR_RETURN(const auto vectors, wanted_vectors(config, request));
  Estimate estimate;
  estimate.point_count = request.point_count.value_or(point_count());
  estimate.thread_count = shared_.settings.index.build_thread_count == 0
                              ? std::max(1U, std::thread::hardware_concurrency())
                              : shared_.settings.index.build_thread_count;
  estimate.point_bytes = estimate.point_count * kPointBytes;
  estimate.ram_bytes = estimate.point_bytes;
  for (const auto& [name, vector] : vectors) {
    EstimateInput input;
    input.spec = index_spec_of(config, vector);
    input.dim = vector.dim;
    input.point_count = estimate.point_count;
    input.is_on_disk = vector.on_disk.value_or(false);
    input.thread_count = estimate.thread_count;
    input.distance_seconds = measure_distance_seconds(vector.metric, vector.dim, vector.type());
    input.metric = vector.metric;
    input.value_type = vector.type();
    const VectorEstimate one = estimate_vector(input);
    estimate.ram_bytes += one.ram_bytes;
    estimate.disk_bytes += one.disk_bytes;
    estimate.build_seconds += one.build_seconds;
    estimate.vectors.emplace(name, one);
  }
  return estimate;
}

}  // namespace tessera::engine
