#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

/// One level of the hierarchy. Nodes are numbered from 0 on each level; on the lowest level the
/// node number is the row number.
struct GraphLevel {
  std::vector<std::uint64_t> offsets;  ///< Node i links to links[offsets[i] .. offsets[i + 1]).
  std::vector<std::uint32_t> links;    ///< Nodes of this level.
  std::vector<std::uint32_t> rows;     ///< Node -> row, ascending; empty on the lowest level.
  std::vector<std::uint32_t> below;    ///< Node -> node one level down; empty on the lowest level.

  [[nodiscard]] std::size_t node_count() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  [[nodiscard]] std::span<const std::uint32_t> links_of(std::uint32_t node) const {
    return {links.data() + offsets[node], links.data() + offsets[node + 1]};
  }
};

/// A hierarchical navigable small world graph (Malkov and Yashunin, 2016) over the rows of one
/// segment. Thread rule: immutable once built.
///
/// 1. Of rows with equal bytes only the first, the *representative*, has links and is linked to;
///    next_equal chains the others to it in ascending order.
/// 2. On the lowest level every representative can be reached from every other, so that a walk
///    that does not give up finds every row.
/// 3. Every node of a level also is on the level below.
struct HnswGraph {
  static constexpr std::uint32_t kNoRow = std::numeric_limits<std::uint32_t>::max();

  std::vector<GraphLevel> levels;  ///< levels[0] is the lowest; none where there are no rows.
  std::uint32_t entry = 0;         ///< Where walks begin: a node of the highest level.
  std::vector<std::uint32_t> next_equal;  ///< Row -> next equal row; empty where no two are equal.

  [[nodiscard]] bool empty() const { return levels.empty(); }
  [[nodiscard]] std::uint32_t row_of(std::size_t level, std::uint32_t node) const {
    return level == 0 ? node : levels[level].rows[node];
  }
  [[nodiscard]] std::uint32_t entry_row() const { return row_of(levels.size() - 1, entry); }
  [[nodiscard]] std::uint32_t next_equal_of(std::uint32_t row) const {
    return next_equal.empty() ? kNoRow : next_equal[row];
  }
  [[nodiscard]] std::size_t memory_bytes() const;
};

/// Row -> its representative, from next_equal.
std::vector<std::uint32_t> representatives_of(const HnswGraph& graph, std::size_t row_count);

}  // namespace tessera::index
