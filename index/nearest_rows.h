#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

/// Keeps the k nearest of the hits it is offered, in any order, ties by row. k >= 1.
/// Thread rule: confined to one search. Cost: O(log k) for a hit that is kept.
class NearestRows {
 public:
  explicit NearestRows(std::size_t k) : k_(k) {}

  /// A distance above this cannot be kept.
  [[nodiscard]] float bound() const {
    return heap_.size() < k_ ? std::numeric_limits<float>::infinity() : heap_.front().distance;
  }

  void offer(RowHit hit) {
    if (heap_.size() < k_) {
      heap_.push_back(hit);
      std::push_heap(heap_.begin(), heap_.end());
    } else if (hit < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = hit;
      std::push_heap(heap_.begin(), heap_.end());
    }
  }

  /// Appends what was kept, nearest first, and is empty afterwards.
  void drain(std::vector<RowHit>& hits) {
    std::sort_heap(heap_.begin(), heap_.end());
    hits.insert(hits.end(), heap_.begin(), heap_.end());
    heap_.clear();
  }

 private:
  const std::size_t k_;
  std::vector<RowHit> heap_;  ///< The farthest kept hit is in front.
};

}  // namespace tessera::index
