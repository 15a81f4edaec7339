#pragma once

#include <cstdint>

#include "engine/requests.h"
#include "index/ann_index.h"

namespace tessera::engine {

/// One vector of a configuration, for estimate_vector.
struct EstimateInput {
  index::IndexSpec spec;
  std::uint32_t dim = 0;
  std::uint64_t point_count = 0;
  bool is_on_disk = false;
  unsigned thread_count = 1;    ///< That build.
  double distance_seconds = 0;  ///< Of two vectors of this dim.
  Metric metric = Metric::kCosine;
  ValueType value_type = ValueType::kFloat32;
};

/// What `input` would take once everything is in one segment; docs/api.md has the formulas. Good to
/// half as much again for memory; times are of this machine when nothing else runs.
VectorEstimate estimate_vector(const EstimateInput& input);

/// How long one distance takes here, measured for about two milliseconds over rows that do not fit
/// the caches, visited at random as a graph walk does.
double measure_distance_seconds(Metric metric, std::uint32_t dim,
                                ValueType type = ValueType::kFloat32);

/// Memory of one point's id in both directions, without vectors and payload.
inline constexpr std::uint64_t kPointBytes = 115;

}  // namespace tessera::engine
