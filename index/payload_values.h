#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "index/payload_posting.h"
#include "index/payload_range.h"

namespace tessera::index {

/// Value -> posting, in ascending order of the values. Entries lie in blocks of a few hundred: a
/// look-up is a binary search, a change moves at most one block, a range reads memory in order.
///
/// Invariants: (1) no block is empty and none holds more than kBlockEntryMax entries; (2) values
/// ascend strictly within a block and from block to block.
/// Thread rule: confined; the owner locks.
template <class Number>
class OrderedPostings {
 public:
  using View = Number;  ///< How a value is handed in.
  using Key = Number;   ///< How the column remembers it.
  static View view_of(Key key) { return key; }

  Key add(View value, std::uint32_t slot) {
    if (blocks_.empty()) {
      blocks_.emplace_back().push_back({value, Posting(slot)});
      return value;
    }
    const std::size_t block_index = block_of(value);
    Block& block = blocks_[block_index];
    const auto at = std::lower_bound(block.begin(), block.end(), value, entry_less);
    if (at != block.end() && at->value == value) {
      at->posting.add(slot);
      return value;
    }
    block.insert(at, {value, Posting(slot)});
    if (block.size() > kBlockEntryMax) split(block_index);
    return value;
  }

  /// `key` is held by `slot`.
  void remove(Key key, std::uint32_t slot) {
    const std::size_t block_index = block_of(key);
    Block& block = blocks_[block_index];
    const auto at = std::lower_bound(block.begin(), block.end(), key, entry_less);
    if (!at->posting.remove(slot)) return;
    block.erase(at);
    if (block.empty()) blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(block_index));
  }

  [[nodiscard]] const Posting* find(View value) const {
    if (blocks_.empty()) return nullptr;
    const Block& block = blocks_[block_of(value)];
    const auto at = std::lower_bound(block.begin(), block.end(), value, entry_less);
    return at != block.end() && at->value == value ? &at->posting : nullptr;
  }

  void collect(const Interval<Number>& interval, PostingUnion& slots) const {
    if (blocks_.empty()) return;
    std::size_t block_index = block_of(interval.least);
    auto at = std::lower_bound(blocks_[block_index].begin(), blocks_[block_index].end(),
                               interval.least, entry_less);
    while (true) {
      for (; at != blocks_[block_index].end(); ++at) {
        if (at->value > interval.greatest) return;
        slots.add(at->posting);
      }
      if (++block_index == blocks_.size()) return;
      at = blocks_[block_index].begin();
    }
  }

  [[nodiscard]] std::size_t memory_bytes() const {
    std::size_t bytes = blocks_.capacity() * sizeof(Block);
    for (const Block& block : blocks_) {
      bytes += block.capacity() * sizeof(Entry);
      for (const Entry& entry : block) bytes += entry.posting.heap_bytes();
    }
    return bytes;
  }

 private:
  struct Entry {
    Number value;
    Posting posting;
  };
  using Block = std::vector<Entry>;
  static constexpr std::size_t kBlockEntryMax = 256;

  static bool entry_less(const Entry& entry, Number value) { return entry.value < value; }

  /// The last block whose first value is not above `value`, or the first block.
  [[nodiscard]] std::size_t block_of(Number value) const {
    const auto after = std::upper_bound(
        blocks_.begin(), blocks_.end(), value,
        [](Number wanted, const Block& block) { return wanted < block.front().value; });
    return after == blocks_.begin() ? 0 : static_cast<std::size_t>(after - blocks_.begin()) - 1;
  }

  void split(std::size_t block_index) {
    Block& full = blocks_[block_index];
    // Values that arrive in ascending order (times, counters) only ever touch the last block: the
    // block before is left nearly full instead of half full.
    const bool is_last = block_index + 1 == blocks_.size();
    const auto keep =
        static_cast<std::ptrdiff_t>(is_last ? kBlockEntryMax * 7 / 8 : full.size() / 2);
    Block upper(std::make_move_iterator(full.begin() + keep), std::make_move_iterator(full.end()));
    full.erase(full.begin() + keep, full.end());
    blocks_.insert(blocks_.begin() + static_cast<std::ptrdiff_t>(block_index) + 1,
                   std::move(upper));
  }

  std::vector<Block> blocks_;
};

/// Keyword -> posting, hashed. Thread rule: confined; the owner locks.
class KeywordPostings {
 public:
  using View = std::string_view;
  using Key = const std::string*;  ///< Into the map's node, which stays where it is.
  static View view_of(Key key) { return *key; }

  Key add(View value, std::uint32_t slot) {
    if (const auto at = postings_.find(value); at != postings_.end()) {
      at->second.add(slot);
      return &at->first;
    }
    return &postings_.emplace(value, slot).first->first;
  }

  /// `key` is held by `slot` and may dangle afterwards.
  void remove(Key key, std::uint32_t slot) {
    const auto at = postings_.find(std::string_view(*key));
    if (at->second.remove(slot)) postings_.erase(at);
  }

  [[nodiscard]] const Posting* find(View value) const {
    const auto at = postings_.find(value);
    return at == postings_.end() ? nullptr : &at->second;
  }

  [[nodiscard]] std::size_t memory_bytes() const {
    // A node: the link and the cached hash, beside the pair.
    constexpr std::size_t kNodeBytes = sizeof(*postings_.begin()) + 2 * sizeof(void*);
    std::size_t bytes = postings_.bucket_count() * sizeof(void*);
    for (const auto& [keyword, posting] : postings_) {
      const bool is_inline = keyword.capacity() <= std::string().capacity();
      bytes += kNodeBytes + (is_inline ? 0 : keyword.capacity() + 1) + posting.heap_bytes();
    }
    return bytes;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, Posting, Hash, std::equal_to<>> postings_;
};

}  // namespace tessera::index
