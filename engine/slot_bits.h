#pragma once

#include <cstdint>
#include <vector>

#include "index/bitmap.h"

namespace tessera::engine {

/// The slots a search may return, one bit each: what a graph walk can test in a nanosecond. Built
/// from a Bitmap for one request. Slots beyond size() are not allowed. words() is never null, even
/// for no slots at all: to a row filter, null means every slot.
class SlotBits {
 public:
  /// Bits 0..slot_count-1, all set or all clear.
  SlotBits(std::size_t slot_count, bool value)
      : words_(slot_count / 64 + 1, value ? ~std::uint64_t{0} : 0), size_(slot_count) {
    words_.back() &= (std::uint64_t{1} << (size_ % 64)) - 1;
  }

  static SlotBits from(const index::Bitmap& slots, std::size_t slot_count) {
    if (slots.cardinality() > slot_count / 2) {
      // Most filters of "not these" leave nearly all: the few others are visited instead.
      index::Bitmap others = slots;
      others.flip(0, slot_count);
      SlotBits bits(slot_count, true);
      bits.clear_all(others);
      return bits;
    }
    SlotBits bits(slot_count, false);
    slots.iterate(
        [](std::uint32_t slot, void* self) {
          static_cast<SlotBits*>(self)->set(slot);
          return true;
        },
        &bits);
    return bits;
  }

  void set(std::uint32_t slot) {
    if (slot < size_) words_[slot / 64] |= std::uint64_t{1} << (slot % 64);
  }
  void clear(std::uint32_t slot) {
    if (slot < size_) words_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
  void clear_all(const index::Bitmap& slots) {
    slots.iterate(
        [](std::uint32_t slot, void* self) {
          static_cast<SlotBits*>(self)->clear(slot);
          return true;
        },
        this);
  }
  void intersect(const SlotBits& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      words_[i] &= i < other.words_.size() ? other.words_[i] : 0;
    }
  }
  [[nodiscard]] bool contains(std::uint32_t slot) const {
    return slot < size_ && (words_[slot / 64] >> (slot % 64) & 1) != 0;
  }
  [[nodiscard]] std::size_t count() const {
    std::size_t total = 0;
    for (const std::uint64_t word : words_)
      total += static_cast<std::size_t>(__builtin_popcountll(word));
    return total;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const std::uint64_t* words() const { return words_.data(); }
  [[nodiscard]] std::size_t word_count() const { return words_.size(); }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t size_;
};

}  // namespace tessera::engine
