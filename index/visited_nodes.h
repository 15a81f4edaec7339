#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::index {

/// Which nodes a walk has seen: a bit a node, so that the table stays in the nearest cache, and a
/// list of the nodes, so that clearing it costs what the walk cost.
/// Thread rule: confined to one walk at a time.
class VisitedNodes {
 public:
  void begin(std::size_t node_count) {
    for (const std::uint32_t node : visited_) words_[node / kWordBits] = 0;
    visited_.clear();
    const std::size_t word_count = node_count / kWordBits + 1;
    if (words_.size() < word_count) words_.resize(word_count, 0);
  }
  /// True at the first visit of `node` in this walk.
  bool visit(std::uint32_t node) {
    std::uint64_t& word = words_[node / kWordBits];
    const std::uint64_t bit = std::uint64_t{1} << (node % kWordBits);
    if ((word & bit) != 0) return false;
    word |= bit;
    visited_.push_back(node);
    return true;
  }

 private:
  static constexpr std::uint32_t kWordBits = 64;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint32_t> visited_;
};

}  // namespace tessera::index
