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
    wanted_ = 0;
    bound_ = std::numeric_limits<float>::infinity();
    hits_.clear();
    next_ = 0;
  }
  /// Before the first offer: as WalkRequest says of its members.
  void set_reach(std::size_t wanted, float reach, float zero) {
    wanted_ = wanted;
    reach_ = reach;
    zero_ = zero;
  }

  /// A candidate at this distance or farther is refused.
  [[nodiscard]] float bound() const { return bound_; }

  /// Inserts a candidate not yet expanded if it is nearer than the bound.
  void offer(float distance, std::uint32_t node) {
    if (!(distance < bound_)) return;
    if (hits_.size() >= capacity_) hits_.pop_back();
    const NodeHit hit = {distance, node};
    const auto position =
        std::upper_bound(hits_.begin(), hits_.end(), hit, [](const NodeHit& a, const NodeHit& b) {
          return a.distance != b.distance ? a.distance < b.distance
                                          : (a.node & kNodeMask) < (b.node & kNodeMask);
        });
    next_ = std::min(next_, static_cast<std::size_t>(position - hits_.begin()));
    const bool is_among_wanted = position - hits_.begin() < static_cast<std::ptrdiff_t>(wanted_);
    hits_.insert(position, hit);
    if (hits_.size() >= capacity_) bound_ = std::min(bound_, hits_.back().distance);
    if (is_among_wanted && hits_.size() >= wanted_) draw_in();
  }

  /// The nearest candidate not yet expanded; null when there is none within the bound.
  [[nodiscard]] const NodeHit* peek() {
    while (next_ < hits_.size() && (hits_[next_].node & kExpanded) != 0) ++next_;
    if (next_ == hits_.size() || hits_[next_].distance > bound_) return nullptr;
    return &hits_[next_];
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

  /// The last one wanted has changed.
  void draw_in() {
    const float last = hits_[wanted_ - 1].distance;
    // Rounding must not leave out what is as near as the last one wanted.
    const float reached = std::max(zero_ + (last - zero_) * reach_, last);
    bound_ = std::min(bound_, reached);
  }

  std::size_t capacity_ = 1;
  std::size_t wanted_ = 0;  ///< 0: the bound is the last candidate's distance, of a full beam.
  float reach_ = 1;
  float zero_ = 0;
  float bound_ = std::numeric_limits<float>::infinity();
  std::size_t next_ = 0;  ///< Everything before it is expanded.
  std::vector<NodeHit> hits_;
};

}  // namespace tessera::index
