#include "index/hnsw_growth.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "index/node_scorer.h"

namespace tessera::index {
namespace {

constexpr std::size_t kSampleNodes = 64;
/// Ranks whose distances are compared: what a search for a few rows keeps.
constexpr std::size_t kNearRank = 8, kFarRank = 64;
constexpr std::size_t kSampleEf = 2 * kFarRank;
/// With fewer nodes a sample says more of the set's border than of its inside.
constexpr std::size_t kNodesMin = 16 * kFarRank;
/// A walk by distance keeps no more than so many times ef, whatever the query.
constexpr std::size_t kKeptShare = 4;

}  // namespace

std::optional<float> zero_distance(Metric metric) {
  switch (metric) {
    case Metric::kEuclid:
    case Metric::kManhattan:
      return 0.0F;
    case Metric::kCosine:
      return -1.0F;  // Of rows of length 1.
    case Metric::kDot:
      return std::nullopt;
  }
  return std::nullopt;
}

Result<float> measure_growth(const HnswGraph& graph, Metric metric, VectorSpan rows,
                             const CancelToken* cancel) {
  const std::optional<float> zero = zero_distance(metric);
  if (!zero || graph.node_count() < kNodesMin) return 0.0F;
  std::vector<std::uint32_t> ids;
  RowScorer scorer(metric, rows, graph.rows, ids);
  RowReader reader(rows);
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < kSampleNodes; ++i) {
    if (cancel != nullptr) TESSERA_RETURN_IF_ERROR(cancel->check());
    const std::size_t node = i * graph.node_count() / kSampleNodes;
    scorer.set_query(reader(graph.rows[node]));
    WalkRequest request;
    request.ef = kSampleEf;
    SearchStats stats;
    TESSERA_ASSIGN_OR_RETURN(const std::span<const NodeHit> found,
                             walk_graph(graph, scorer, request, stats));
    // The nearest is the node itself.
    if (found.size() <= kFarRank) continue;
    const double near = double{found[kNearRank].distance} - *zero;
    const double far = double{found[kFarRank].distance} - *zero;
    if (near <= 0 || !std::isfinite(far)) continue;
    sum += std::log(far / near);
    ++count;
  }
  if (count == 0) return 0.0F;
  const double ranks = std::log(static_cast<double>(kFarRank) / kNearRank);
  return std::clamp(static_cast<float>(sum / static_cast<double>(count) / ranks), 0.0F, kGrowthMax);
}

void end_by_distance(const HnswGraph& graph, Metric metric, std::size_t wanted,
                     WalkRequest& request) {
  const std::optional<float> zero = zero_distance(metric);
  if (!zero || !(graph.distance_growth > 0)) return;
  if (wanted >= request.ef || request.ef >= graph.node_count()) return;
  request.wanted = wanted;
  request.zero = *zero;
  request.reach =
      std::pow(static_cast<float>(request.ef) / static_cast<float>(wanted), graph.distance_growth);
  request.ef = std::min(kKeptShare * request.ef, graph.node_count());
}

}  // namespace tessera::index
