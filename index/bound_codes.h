#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/metric.h"
#include "index/aligned_bytes.h"

namespace tessera::index {

/// Rows as 8-bit codes of which each has a scale of its own, and how far a row may be from what its
/// code says: enough to tell that a row cannot be among the nearest without reading it, at a
/// quarter of the memory traffic. Needs no training, so rows can be added one by one.
///
/// With x = s b + e (row, scale, code, rest) and y = t c + f (query alike),
///   |<x, y> - s t <b, c>| <= |y| |e| + |f| (|x| + |e|)
/// by Cauchy and Schwarz; the bounds leave room for the rounding of distances as well.
/// Thread rule: one writer sets rows while others read rows that are set.
class BoundCodes {
 public:
  /// Whether there are bounds for this metric and they are cheaper than the distances.
  static bool are_useful(Metric metric, std::size_t dim);

  /// May throw bad_alloc.
  BoundCodes(std::size_t dim, std::size_t row_capacity);

  /// Writer only. Requires row < row_capacity.
  void set(std::size_t row, const float* vector);

  /// A query made ready. Thread rule: confined.
  struct Query {
    std::vector<std::int8_t> code;
    std::vector<std::int32_t> sums;  ///< Scratch.
    std::int32_t code_offset = 0;    ///< 128 times the sum of the code.
    // A bound is constant + norm (norm_factor + norm square_factor) + rest rest_factor +
    // scale product_factor (sum - code_offset).
    float constant = 0, norm_factor = 0, square_factor = 0, rest_factor = 0, product_factor = 0;
  };
  /// Requires are_useful(metric, dim).
  static void prepare(Metric metric, const float* query, std::size_t dim, Query& prepared);

  /// out[i]: index::distance(metric, query, row first + i) is not less. NaN where nothing is known,
  /// which happens where norms are beyond what a float holds.
  void lower_bounds(Query& query, std::size_t first, std::size_t row_count, float* out) const;

 private:
  struct Terms {
    float scale;
    float rest;  ///< |e|, not less.
    float norm;  ///< |x|, not less for the parts of a bound that need it.
  };

  const std::size_t dim_;
  const std::size_t stride_;
  AlignedBytes codes_;
  std::unique_ptr<Terms[]> terms_;
};

}  // namespace tessera::index
