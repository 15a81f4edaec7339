#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/point_id.h"
#include "engine/stable_vector.h"
#include "index/bitmap.h"

namespace tessera::engine {

/// Which point lives in which slot. Slots are given in ascending order and not reused while the
/// daemon runs, so the id of a slot never changes once a reader can see the slot.
/// Thread rule: id_of() and version_of() from any thread for a slot learnt from a published row;
/// the rest is guarded by the owner's lock.
class SlotTable {
 public:
  [[nodiscard]] std::optional<std::uint32_t> find(const PointId& id) const {
    const auto found = slots_.find(id);
    return found == slots_.end() ? std::nullopt : std::optional(found->second);
  }
  void reserve(std::size_t count) { slots_.reserve(count); }
  void insert(const PointId& id, std::uint32_t slot, std::uint64_t version) {
    if (const auto known = slots_.find(id); known != slots_.end() && known->second == slot) {
      touch(slot, version);
      return;
    }
    entries_.ensure(slot);
    entries_[slot].id = id;
    entries_[slot].version.store(version, std::memory_order_release);
    slots_[id] = slot;
    live_.add(slot);
    if (slot >= slot_count_) slot_count_ = slot + 1;
  }
  void touch(std::uint32_t slot, std::uint64_t version) {
    entries_[slot].version.store(version, std::memory_order_release);
  }
  void erase(const PointId& id, std::uint32_t slot) {
    slots_.erase(id);
    live_.remove(slot);
  }

  [[nodiscard]] const PointId& id_of(std::uint32_t slot) const { return entries_[slot].id; }
  [[nodiscard]] std::uint64_t version_of(std::uint32_t slot) const {
    return entries_[slot].version.load(std::memory_order_acquire);
  }
  [[nodiscard]] const index::Bitmap& live() const { return live_; }
  [[nodiscard]] std::size_t point_count() const { return slots_.size(); }
  /// One more than the largest slot ever given.
  [[nodiscard]] std::uint32_t slot_count() const { return slot_count_; }

 private:
  struct Entry {
    PointId id;
    std::atomic<std::uint64_t> version = 0;
  };
  StableVector<Entry> entries_;
  std::unordered_map<PointId, std::uint32_t> slots_;
  index::Bitmap live_;
  std::uint32_t slot_count_ = 0;
};

}  // namespace tessera::engine
