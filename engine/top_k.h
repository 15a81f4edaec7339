#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/slot_table.h"
#include "engine/vector_field.h"

namespace tessera::engine {

/// The k first of the offered hits in the total order (distance, id).
class TopK {
 public:
  TopK(std::size_t k, const SlotTable& slots) : k_(k), slots_(slots) {}

  void offer(const SlotHit& hit) {
    if (heap_.size() < k_) {
      if (heap_.empty()) heap_.reserve(std::min(k_, kReservedMax));
      heap_.push_back(hit);
      std::push_heap(heap_.begin(), heap_.end(), order());
    } else if (k_ > 0 && before(hit, heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), order());
      heap_.back() = hit;
      std::push_heap(heap_.begin(), heap_.end(), order());
    }
  }
  /// A row at this distance or farther cannot enter unless it wins a tie.
  [[nodiscard]] bool worth_offering(float distance) const {
    return heap_.size() < k_ || distance <= heap_.front().distance;
  }
  /// Beyond this distance nothing is worth offering.
  [[nodiscard]] float bound() const {
    return heap_.size() < k_ || k_ == 0 ? std::numeric_limits<float>::infinity()
                                        : heap_.front().distance;
  }
  [[nodiscard]] bool before(const SlotHit& a, const SlotHit& b) const {
    if (a.distance != b.distance) return a.distance < b.distance;
    if (a.slot == b.slot) return false;
    return slots_.id_of(a.slot) < slots_.id_of(b.slot);
  }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  [[nodiscard]] const SlotTable& slots() const { return slots_; }

  /// In order; the object is empty afterwards.
  std::vector<SlotHit> take() {
    std::sort(heap_.begin(), heap_.end(), order());
    return std::move(heap_);
  }

 private:
  struct Order {
    const TopK& top;
    bool operator()(const SlotHit& a, const SlotHit& b) const { return top.before(a, b); }
  };
  [[nodiscard]] Order order() const { return {*this}; }

  static constexpr std::size_t kReservedMax = 1024;

  const std::size_t k_;
  const SlotTable& slots_;
  std::vector<SlotHit> heap_;
};

}  // namespace tessera::engine
