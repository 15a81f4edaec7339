#pragma once

#include <cstddef>
#include <span>

#include "index/ann_index.h"
#include "index/hnsw_graph.h"

namespace tessera::index {

/// What a walk looks for.
struct WalkRequest {
  const float* query = nullptr;
  std::size_t ef = 1;                 ///< Representatives kept; at least 1.
  const RowFilter* filter = nullptr;  ///< Null: every row is allowed.
  const CancelToken* cancel = nullptr;
};

/// Walks `graph` from its entry and gives the representatives nearest to the query, nearest first,
/// at most request.ef of them, each of whose equal rows at least one is allowed. Rows that are not
/// allowed are walked through and take no place among the ef; with fewer than ef allowed rows in
/// the graph all of them are found, at the cost of visiting every row.
/// The span is valid until the next walk of this thread. Allocates only while the thread's scratch
/// memory (one byte a row, eight a candidate) still grows. Thread rule: safe from any thread.
Result<std::span<const RowHit>> walk_graph(const HnswGraph& graph, Metric metric, VectorSpan rows,
                                           const WalkRequest& request, SearchStats& stats);

}  // namespace tessera::index
