#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

/// A uniform scalar quantiser, one step size for all dimensions so that sums over codes are sums of
/// integers: value d of a row is about center[d] + step * level, level in [-levels/2, levels/2).
/// For the inner product every center is 0. Thread rule: immutable once trained.
struct CodeGrid {
  std::vector<float> center;  ///< One a dimension, finite.
  float step = 1;             ///< Above 0, finite.
  std::uint32_t level_count = 256;

  [[nodiscard]] std::size_t dim() const { return center.size(); }

  /// levels[d] = the level nearest to row[d], plus level_count / 2.
  void encode(const float* row, std::uint8_t* levels) const;
};

struct GridOptions {
  std::uint32_t level_count = 256;
  /// Share of the values inside the grid; 1: chosen so that near rows keep their similarity.
  float quantile = 1;
};

/// Trains on the rows `sample`. False when the values span more than a float holds, or so little
/// that no step does.
bool train_grid(Metric metric, VectorSpan rows, std::span<const std::uint32_t> sample,
                const GridOptions& options, CodeGrid& grid);

/// A vector as signed bytes times one scale.
struct SignedBytes {
  float scale = 0;
  std::int32_t sum = 0;     ///< Of the bytes.
  double squared_norm = 0;  ///< Of the vector itself.
};

/// bytes[d] = round((values[d] - center[d]) / scale), |bytes[d]| <= 127. False when a difference
/// or the squared norm is not finite as float.
bool to_signed_bytes(const float* values, const float* center, std::size_t dim, std::int8_t* bytes,
                     SignedBytes& result);

}  // namespace tessera::index
