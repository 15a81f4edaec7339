#pragma once

#include <memory>

#include "index/ann_index.h"
#include "index/hnsw_graph.h"
#include "index/row_codes.h"

namespace tessera::index {

/// Limits of the two numbers that shape a graph; outside of them building is kInvalidArgument.
inline constexpr std::uint32_t kHnswMMin = 2;
inline constexpr std::uint32_t kHnswMMax = 1024;
inline constexpr std::uint32_t kHnswEfConstructMax = 1U << 20;

struct BuiltGraph {
  HnswGraph graph;
  std::unique_ptr<const RowCodes> codes;  ///< In the order of the nodes; null for none.
};

/// Builds the graph: rows of the highest levels first, on control.thread_count threads, comparing
/// codes where spec.codes gives some. With one thread the same spec and rows give the same graph.
/// Memory on the way: about twice the graph's and the codes'.
Result<BuiltGraph> build_graph(const IndexSpec& spec, Metric metric, VectorSpan rows,
                               const BuildControl& control);

}  // namespace tessera::index
