#pragma once

#include <cstdint>

#include "index/ann_index.h"
#include "index/hnsw_graph.h"

namespace tessera::index {

/// Establishes invariant 2 of HnswGraph: adds links on the lowest level until every node can be
/// reached from every other. Insertion alone does not give that: a node loses the links to it when
/// its neighbours prefer others (rows of small norm under the inner product, tight groups), and
/// then no search would ever find it. New links go to nodes near each other that have fewer than
/// `degree_wanted` links where there are such. Returns how many links were added. kCancelled.
/// Cost: two traversals of the graph and one walk for each group of nodes cut off.
Result<std::size_t> connect_graph(HnswGraph& graph, Metric metric, VectorSpan rows,
                                  std::size_t degree_wanted, const CancelToken* cancel);

}  // namespace tessera::index
