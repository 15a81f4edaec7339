#include "engine/item_clusters.h"

#include <algorithm>
#include <chrono>

#include "index/parallel.h"

namespace tessera::engine {
namespace {

/// Slots whose vectors are read and assigned at once.
constexpr std::size_t kBlockSlots = 512;
constexpr std::chrono::milliseconds kPollInterval{10};

}  // namespace

void ItemClusters::mark(std::span<const std::uint32_t> slots) {
  if (slots.empty()) return;
  Lock lock(marks_mutex_);
  marked_.addMany(slots.size(), slots.data());
}

void ItemClusters::mark(const index::Bitmap& slots) {
  Lock lock(marks_mutex_);
  marked_ |= slots;
}

std::size_t ItemClusters::marked_count() const {
  SharedLock lock(marks_mutex_);
  return marked_.or_cardinality(in_work_);
}

Status ItemClusters::catch_up(const index::BuildControl& control, std::size_t slot_count_max) {
  std::unique_lock one_at_a_time(catching_up_, std::defer_lock);
  while (!one_at_a_time.try_lock_for(kPollInterval)) {
    if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
  }
  std::vector<std::uint32_t> slots;
  {
    Lock lock(marks_mutex_);
    in_work_ |= marked_;
    marked_ = index::Bitmap();
    slots.resize(in_work_.cardinality());
    in_work_.toUint32Array(slots.data());
  }
  if (slots.size() > slot_count_max) slots.resize(slot_count_max);
  const std::size_t block_count = (slots.size() + kBlockSlots - 1) / kBlockSlots;
  const auto work = [&](std::size_t block, std::size_t) {
    const std::size_t begin = block * kBlockSlots;
    assign(std::span(slots).subspan(begin, std::min(kBlockSlots, slots.size() - begin)));
    return Status();
  };
  const auto blocks_done = [&](std::size_t done) {
    if (control.progress)
      control.progress(std::min(done * kBlockSlots, slots.size()), slots.size());
  };
  return index::run_blocks("cluster assignment", block_count, control, work, blocks_done);
}

void ItemClusters::assign(std::span<const std::uint32_t> slots) {
  const auto vectors = fetch_(slots);
  std::vector<std::uint32_t> nearest(slots.size(), kNone);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (vectors[i].empty()) continue;
    index::assign_clusters(*clusters_, {vectors[i].data(), 1, clusters_->dim}, &nearest[i]);
  }
  {
    Lock lock(assigned_mutex_);
    if (slots.back() >= assigned_.size()) assigned_.resize(slots.back() + std::size_t{1}, kNone);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      std::uint32_t& cluster = assigned_[slots[i]];
      if (cluster != kNone) --sizes_[cluster];
      cluster = nearest[i];
      if (cluster != kNone) ++sizes_[cluster];
    }
  }
  unsaved_count_.fetch_add(slots.size(), std::memory_order_relaxed);
  if (assigned_count_ != nullptr) assigned_count_->add(static_cast<double>(slots.size()));
  // Marked again meanwhile, a slot stays in marked_ and is assigned once more.
  Lock lock(marks_mutex_);
  for (const std::uint32_t slot : slots) in_work_.remove(slot);
}

std::vector<std::uint32_t> ItemClusters::assignments() const {
  // Marks first: a slot whose mark goes meanwhile is taken for one that is not assigned.
  index::Bitmap marked;
  {
    SharedLock lock(marks_mutex_);
    marked = marked_ | in_work_;
  }
  std::vector<std::uint32_t> clusters;
  {
    SharedLock lock(assigned_mutex_);
    clusters = assigned_;
  }
  for (const std::uint32_t slot : marked) {
    if (slot < clusters.size()) clusters[slot] = kNone;
  }
  return clusters;
}

void ItemClusters::restore(std::vector<std::uint32_t> assignments) {
  Lock lock(assigned_mutex_);
  assigned_ = std::move(assignments);
  sizes_.assign(clusters_->count(), 0);
  for (const std::uint32_t cluster : assigned_) {
    if (cluster != kNone) ++sizes_[cluster];
  }
}

std::vector<std::uint32_t> ItemClusters::clusters_of(std::span<const std::uint32_t> slots) const {
  std::vector<std::uint32_t> clusters(slots.size(), kNone);
  {
    SharedLock lock(assigned_mutex_);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] < assigned_.size()) clusters[i] = assigned_[slots[i]];
    }
  }
  SharedLock lock(marks_mutex_);
  if (marked_.isEmpty() && in_work_.isEmpty()) return clusters;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (marked_.contains(slots[i]) || in_work_.contains(slots[i])) clusters[i] = kNone;
  }
  return clusters;
}

SlotBits ItemClusters::slots_in(std::uint32_t cluster) const {
  constexpr std::size_t kStretch = 32;
  SharedLock lock(assigned_mutex_);
  SlotBits bits(assigned_.size(), false);
  const std::uint32_t* const assigned = assigned_.data();
  std::size_t begin = 0;
  // Few slots are in it: whole stretches are passed over by comparisons that need no branch.
  for (; begin + kStretch <= assigned_.size(); begin += kStretch) {
    std::uint32_t is_any = 0;
    for (std::size_t i = 0; i < kStretch; ++i) is_any |= assigned[begin + i] == cluster ? 1U : 0U;
    if (is_any == 0) continue;
    for (std::size_t i = begin; i < begin + kStretch; ++i) {
      if (assigned[i] == cluster) bits.set(static_cast<std::uint32_t>(i));
    }
  }
  for (; begin < assigned_.size(); ++begin) {
    if (assigned[begin] == cluster) bits.set(static_cast<std::uint32_t>(begin));
  }
  return bits;
}

std::vector<std::uint64_t> ItemClusters::sizes() const {
  SharedLock lock(assigned_mutex_);
  return sizes_;
}

}  // namespace tessera::engine
