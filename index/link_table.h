#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <span>
#include <vector>

#include "index/aligned_bytes.h"

namespace tessera::index {

/// The links of a hierarchical graph while it is built: a list of fixed room for each node on each
/// of its levels, 2 m on the lowest and m on the others. The levels are drawn at random, each
/// higher one with an m-th of the nodes (Malkov and Yashunin, 2016).
///
/// Thread rule: read() from any thread at any time; a list that is being written reads as a mix of
/// its old and new links, each of which is a node. append() and write() only under lock_of(node).
class LinkTable {
 public:
  /// May throw bad_alloc.
  LinkTable(std::size_t node_count, std::uint32_t m, std::uint64_t seed);

  [[nodiscard]] std::size_t node_count() const { return top_levels_.size(); }
  /// The highest level of a node; 0 is the lowest.
  [[nodiscard]] std::uint32_t top_level(std::uint32_t node) const { return top_levels_[node]; }
  [[nodiscard]] std::size_t room(std::uint32_t level) const { return level == 0 ? 2 * m_ : m_; }

  /// Writes the node's links to out[0 .. room(level)) and returns how many there are.
  std::size_t read(std::uint32_t node, std::uint32_t level, std::uint32_t* out) const;

  [[nodiscard]] std::mutex& lock_of(std::uint32_t node) { return locks_[node % locks_.size()]; }
  /// False when the list is full.
  bool append(std::uint32_t node, std::uint32_t level, std::uint32_t link);
  /// At most room(level) links.
  void write(std::uint32_t node, std::uint32_t level, std::span<const std::uint32_t> links);

  /// Asks the memory for the beginning of the node's list on the lowest level.
  void prefetch(std::uint32_t node) const { __builtin_prefetch(list(node, 0)); }

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::size_t kLocks = 1024;

  [[nodiscard]] std::uint32_t* list(std::uint32_t node, std::uint32_t level) const;

  const std::uint32_t m_;
  std::vector<std::uint8_t> top_levels_;
  std::vector<std::uint32_t> upper_slots_;  ///< Node -> its first list of m among upper_lists_.
  AlignedBytes lowest_bytes_;
  AlignedBytes upper_bytes_;
  // Views of the two: atomic numbers, of which a list ends at kNone or where its room does.
  std::uint32_t* lowest_lists_ = nullptr;
  std::uint32_t* upper_lists_ = nullptr;
  std::array<std::mutex, kLocks> locks_;  ///< Of many nodes each; no thread holds two.
};

}  // namespace tessera::index
