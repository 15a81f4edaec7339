#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

/// Which rows lie near which centroid. A *position* counts rows list by list: list l holds the
/// positions begins[l] .. begins[l + 1] - 1, and row_ids says which row lies at a position.
///
/// Invariants: (1) begins ascends from 0 to row_ids.size() and has list_count() + 1 values; (2)
/// row_ids holds every row once, ascending within a list.
struct IvfLists {
  std::vector<float> centroids;  ///< list_count() x dim.
  std::vector<std::uint32_t> begins{0};
  std::vector<std::uint32_t> row_ids;

  [[nodiscard]] std::size_t list_count() const { return begins.size() - 1; }
};

/// What every part of one IVF index reads. Thread rule: immutable after build.
struct IvfData {
  Metric metric = Metric::kCosine;
  VectorSpan rows;
  IvfLists lists;

  [[nodiscard]] const float* centroid(std::size_t list) const {
    return lists.centroids.data() + list * rows.dim;
  }
  /// How a query is compared with centroids: by product where rows are, else by L2.
  [[nodiscard]] Metric list_metric() const {
    return higher_is_nearer(metric) ? Metric::kDot : Metric::kEuclid;
  }
  /// How rows are put into lists. For Dot it is not the angle: rows of great length are near to
  /// every query that points their way, so lists are to keep them apart from short ones.
  [[nodiscard]] Metric assignment_metric() const {
    return metric == Metric::kCosine ? Metric::kCosine : Metric::kEuclid;
  }
};

}  // namespace tessera::index
