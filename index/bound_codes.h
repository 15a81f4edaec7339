#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/metric.h"
#include "index/aligned_bytes.h"
#include "index/kernel_table.h"

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
  /// Memory of a row.
  static std::size_t row_bytes(std::size_t dim);

  /// May throw bad_alloc.
  BoundCodes(std::size_t dim, std::size_t row_capacity);

  /// Writer only. Requires row < row_capacity.
  void set(std::size_t row, const float* vector);

  /// A query made ready. Thread rule: immutable after prepare().
  struct Query {
    std::vector<std::int8_t> code;
    NearQuery terms;  ///< Borrows `code`.
  };
  /// Requires are_useful(metric, dim). What is prepared may be moved, but not copied.
  static void prepare(Metric metric, const float* query, std::size_t dim, Query& prepared);

  /// Of `row_count` rows from `first` on those that may be at `farthest` or nearer: their places
  /// after `first`, ascending, into `out`, which has room for all. Returns their count. For all
  /// others index::distance(metric, query, row) is more than `farthest`. Where norms are beyond
  /// what a float holds nothing is known, and the row is among those that may be near.
  std::size_t near_rows(const Query& query, float farthest, std::size_t first,
                        std::size_t row_count, std::uint32_t* out) const;

 private:
  const std::size_t dim_;
  const std::size_t stride_;
  AlignedBytes codes_;
  // A row's terms, in columns: they are read for many rows at once.
  std::unique_ptr<float[]> scales_;
  std::unique_ptr<float[]> rests_;  ///< |e|, not less.
  std::unique_ptr<float[]> norms_;  ///< |x|, not less for the parts of a bound that need it.
};

}  // namespace tessera::index
