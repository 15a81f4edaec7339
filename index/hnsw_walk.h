#pragma once

#include <cstddef>
#include <span>

#include "index/ann_index.h"
#include "index/hnsw_graph.h"
#include "index/node_scorer.h"

namespace tessera::index {

struct NodeHit {
  float distance = 0;  ///< As the scorer says.
  std::uint32_t node = 0;
};

/// What a walk looks for.
struct WalkRequest {
  std::size_t ef = 1;  ///< Nodes kept; at least 1.
  /// Above 0, and below ef: once so many are kept, those are left out whose distance, less `zero`,
  /// is more than `reach` times that of the last of them.
  std::size_t wanted = 0;
  float reach = 1;  ///< At least 1.
  float zero = 0;
  const RowFilter* filter = nullptr;  ///< Null: every row is allowed.
  std::size_t visited_max = 0;        ///< Give up after about so many distances; 0: never.
  const CancelToken* cancel = nullptr;
};

/// Walks `graph` from its entry and gives the nodes nearest by `scorer`, nearest first, at most
/// request.ef of them, each of whose equal rows at least one is allowed. Nodes that are not allowed
/// are walked through and take no place among the ef; with fewer than ef allowed nodes in the graph
/// (than request.wanted where that is set) all of them are found, at the cost of visiting every
/// node. stats.gave_up: after visited_max distances the walk ended early. The span is valid until
/// the next walk of this thread. Allocates only while the thread's scratch memory (a bit a node,
/// eight bytes a candidate) still grows. Thread rule: safe from any thread.
Result<std::span<const NodeHit>> walk_graph(const HnswGraph& graph, NodeScorer& scorer,
                                            const WalkRequest& request, SearchStats& stats);

}  // namespace tessera::index
