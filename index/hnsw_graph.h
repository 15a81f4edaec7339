#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "index/ann_index.h"
#include "index/huge_pages.h"

namespace tessera::index {

/// One level of the hierarchy: the nodes 0 .. node_count() - 1 and their links.
struct GraphLevel {
  HugeVector<std::uint32_t> offsets;  ///< Node i links to links[offsets[i] .. offsets[i + 1]).
  HugeVector<std::uint32_t> links;

  [[nodiscard]] std::size_t node_count() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  [[nodiscard]] std::span<const std::uint32_t> links_of(std::uint32_t node) const {
    return {links.data() + offsets[node], links.data() + offsets[node + 1]};
  }
};

/// A hierarchical navigable small world graph (Malkov and Yashunin, 2016) over the rows of one
/// segment. Thread rule: immutable once built.
///
/// 1. Of rows with equal bytes only the first, the *representative*, is a node; next_equal chains
///    the others to it in ascending order.
/// 2. On the lowest level every node can be reached from every other, so that a walk that does not
///    give up finds every row.
/// 3. A node has one number on all its levels: nodes of higher levels have smaller numbers, and
///    node 0, where walks begin, is on all of them. Within a level nodes that are near each other
///    in the graph have near numbers, so that a walk reads near memory.
struct HnswGraph {
  static constexpr std::uint32_t kNoRow = std::numeric_limits<std::uint32_t>::max();

  std::vector<GraphLevel> levels;   ///< levels[0] is the lowest; none where there are no rows.
  std::vector<std::uint32_t> rows;  ///< Node -> row.
  std::vector<std::uint32_t> next_equal;  ///< Row -> next equal row; empty where no two are equal.
  float distance_growth = 0;              ///< As measure_growth() says.

  [[nodiscard]] bool empty() const { return levels.empty(); }
  [[nodiscard]] std::size_t node_count() const { return rows.size(); }
  [[nodiscard]] std::uint32_t next_equal_of(std::uint32_t row) const {
    return next_equal.empty() ? kNoRow : next_equal[row];
  }
  [[nodiscard]] std::size_t memory_bytes() const;
};

}  // namespace tessera::index
