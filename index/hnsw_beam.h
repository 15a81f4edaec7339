#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "index/hnsw_walk.h"

namespace tessera::index {

/// The best candidates of a graph walk, sorted by (distance, node), of which some have been
/// expanded. A sorted array beats two heaps here: most offers are refused by one comparison, and
/// one structure serves as the queue of candidates and as the result.
/// Thread rule: confined to one walk.
class Beam {
 public:
  /// Empties the beam and sets how many candidates it keeps.
  void reset(std::size_t capacity) {
    capacity_ = capacity;
    hits_.clear();
    next_ = 0;
  }

  /// A candidate at this distance or farther is refused.
  [[nodiscard]] float bound() const {
    return hits_.size() < capacity_ ? std::numeric_limits<float>::infinity()
                                    : hits_.back().distance;
  }
  [[nodiscard]] bool is_full() const { return hits_.size() >= capacity_; }

  /// Inserts a candidate not yet expanded unless the beam is full of nearer ones.
  void offer(float distance, std::uint32_t node) {
    if (is_full()) {
      if (!(distance < hits_.back().distance)) return;
      hits_.pop_back();
    }
    const NodeHit hit = {distance, node};
    const auto position =
        std::upper_bound(hits_.begin(), hits_.end(), hit, [](const NodeHit& a, const NodeHit& b) {
          return a.distance != b.distance ? a.distance < b.distance
                                          : (a.node & kNodeMask) < (b.node & kNodeMask);
        });
    next_ = std::min(next_, static_cast<std::size_t>(position - hits_.begin()));
    hits_.insert(position, hit);
  }

  /// The nearest candidate not yet expanded; null when there is none.
  [[nodiscard]] const NodeHit* peek() {
    while (next_ < hits_.size() && (hits_[next_].node & kExpanded) != 0) ++next_;
    return next_ < hits_.size() ? &hits_[next_] : nullptr;
  }

  /// Marks what peek() showed as expanded and gives its node.
  std::uint32_t take() {
    const std::uint32_t node = hits_[next_].node;
    hits_[next_].node |= kExpanded;
    ++next_;
    return node;
  }

  /// Every candidate, nearest first. Ends the walk: the beam must be reset before its next use.
  [[nodiscard]] std::span<const NodeHit> finish() {
    for (NodeHit& hit : hits_) hit.node &= kNodeMask;
    return hits_;
  }

  /// Gives back memory beyond what ordinary searches need.
  void trim(std::size_t capacity_max) {
    if (hits_.capacity() > capacity_max) std::vector<NodeHit>().swap(hits_);
  }

 private:
  // Node numbers are below 2^31 (see build_index), which leaves a bit for the mark.
  static constexpr std::uint32_t kExpanded = 1U << 31;
  static constexpr std::uint32_t kNodeMask = kExpanded - 1;

  std::size_t capacity_ = 1;
  std::size_t next_ = 0;  ///< Everything before it is expanded.
  std::vector<NodeHit> hits_;
};

}  // namespace tessera::index
