#pragma once

#include <optional>

#include "base/cancel.h"
#include "index/hnsw_graph.h"
#include "index/hnsw_walk.h"

namespace tessera::index {

inline constexpr float kGrowthMax = 2;

/// How a walk knows that it may end. By count, it ends when its ef nearest nodes have been walked
/// through. But some queries have their neighbours close together, with many nodes hardly farther
/// than the last one wanted, and others stand out: by distance, a walk ends when what is left is
/// farther than a multiple of the distance of the last one wanted. That multiple is chosen so that
/// on average as many nodes are walked through as by count.
///
/// Around a point of data with m intrinsic dimensions the distance to the r-th nearest neighbour
/// grows as r^(1/m) (Levina and Bickel, "Maximum likelihood estimation of intrinsic dimension",
/// 2004), so the ef-th is (ef / k)^(1/m) times as far as the k-th. The exponent is measured when a
/// graph is built. Ending by a multiple of the k-th distance: Al-Jazzazi, Diwan, Gou, Musco, Musco
/// and Suel, "Distance adaptive beam search for provably accurate graph-based nearest neighbor
/// search", 2025.

/// The least that index::distance can be, which is that of equal vectors; nullopt where there is
/// none and distances have no multiples.
std::optional<float> zero_distance(Metric metric);

/// The mean exponent by which distances, less zero_distance, grow with the rank of a neighbour. 0
/// where the metric has no zero_distance and where there are too few nodes to tell. kCancelled.
Result<float> measure_growth(const HnswGraph& graph, Metric metric, VectorSpan rows,
                             const CancelToken* cancel);

/// Makes a request that keeps request.ef nodes end by distance, for `wanted` nodes. Left as it is
/// where the growth is not known, where nothing is kept beyond what is wanted, and where ef is all
/// there is, so that everything is to be walked through.
void end_by_distance(const HnswGraph& graph, Metric metric, std::size_t wanted,
                     WalkRequest& request);

}  // namespace tessera::index
