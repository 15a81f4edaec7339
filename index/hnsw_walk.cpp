#include "index/hnsw_walk.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "index/hnsw_beam.h"
#include "index/visited_nodes.h"

namespace tessera::index {
namespace {

constexpr std::size_t kHopsBetweenPolls = 256;
constexpr std::size_t kBeamKept = 1U << 16;

struct Scratch {
  VisitedNodes visited;
  Beam beam;
  std::vector<NodeHit> detours;  ///< Min-heap of nodes that may be walked through, not returned.
  std::vector<std::uint32_t> ids;
  std::vector<float> distances;
};

Scratch& thread_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

bool is_farther(const NodeHit& a, const NodeHit& b) {
  return a.distance != b.distance ? a.distance > b.distance : a.node > b.node;
}

/// One walk. Thread rule: confined to the calling thread.
class Walk {
 public:
  Walk(const HnswGraph& graph, NodeScorer& scorer, const WalkRequest& request, SearchStats& stats)
      : graph_(graph),
        scorer_(scorer),
        request_(request),
        stats_(stats),
        visited_end_(stats.visited_count + request.visited_max),
        scratch_(thread_scratch()) {}

  Result<std::span<const NodeHit>> run() {
    scratch_.beam.trim(kBeamKept);
    scratch_.beam.reset(std::min(request_.ef, graph_.node_count()));
    if (request_.wanted > 0) {
      scratch_.beam.set_reach(request_.wanted, request_.reach, request_.zero);
    }
    scratch_.detours.clear();
    scratch_.visited.begin(graph_.node_count());
    if (request_.cancel != nullptr) TESSERA_RETURN_IF_ERROR(request_.cancel->check());
    const NodeHit start = descend();
    scratch_.visited.visit(start.node);
    const Status status = request_.filter == nullptr ? explore<false>(start) : explore<true>(start);
    TESSERA_RETURN_IF_ERROR(status);
    return scratch_.beam.finish();
  }

 private:
  /// Distances of scratch_.ids into scratch_.distances.
  void measure() {
    const std::size_t count = scratch_.ids.size();
    if (scratch_.distances.size() < count) scratch_.distances.resize(count);
    scorer_.score(scratch_.ids, scratch_.distances.data());
    stats_.visited_count += count;
  }

  /// Goes down greedily to the lowest level.
  NodeHit descend() {
    scratch_.ids.assign(1, 0);
    measure();
    NodeHit nearest = {scratch_.distances.front(), 0};
    for (std::size_t level = graph_.levels.size() - 1; level > 0; --level) {
      while (step_down(graph_.levels[level], nearest)) continue;
    }
    return nearest;
  }

  /// To the nearest neighbour on this level; false when there is none nearer.
  bool step_down(const GraphLevel& level, NodeHit& nearest) {
    const std::span<const std::uint32_t> links = level.links_of(nearest.node);
    scratch_.ids.assign(links.begin(), links.end());
    measure();
    bool has_moved = false;
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (scratch_.distances[i] < nearest.distance) {
        nearest = {scratch_.distances[i], links[i]};
        has_moved = true;
      }
    }
    return has_moved;
  }

  /// Whether the filter allows the node's row or a row equal to it.
  bool allows(std::uint32_t node) const {
    for (std::uint32_t row = graph_.rows[node]; row != HnswGraph::kNoRow;
         row = graph_.next_equal_of(row)) {
      if (request_.filter->allows(row)) return true;
    }
    return false;
  }

  template <bool kIsFiltered>
  void offer(NodeHit hit) {
    if (kIsFiltered && !allows(hit.node)) {
      scratch_.detours.push_back(hit);
      std::push_heap(scratch_.detours.begin(), scratch_.detours.end(), is_farther);
    } else {
      scratch_.beam.offer(hit.distance, hit.node);
      __builtin_prefetch(graph_.levels.front().offsets.data() + hit.node);
    }
  }

  /// The nearest node not yet expanded, allowed or not; kNoRow when the walk is over. Beyond the
  /// beam's bound nothing is worth walking through.
  template <bool kIsFiltered>
  std::uint32_t next_node() {
    Beam& beam = scratch_.beam;
    const NodeHit* candidate = beam.peek();
    if (kIsFiltered && !scratch_.detours.empty()) {
      std::vector<NodeHit>& detours = scratch_.detours;
      const NodeHit nearest = detours.front();
      const bool is_worth_it = nearest.distance < beam.bound();
      if (is_worth_it && (candidate == nullptr || nearest.distance < candidate->distance)) {
        std::pop_heap(detours.begin(), detours.end(), is_farther);
        detours.pop_back();
        return nearest.node;
      }
    }
    return candidate == nullptr ? HnswGraph::kNoRow : beam.take();
  }

  /// The likely next node's links arrive while this node's neighbours are measured.
  void prefetch_next_links(const GraphLevel& level) {
    const NodeHit* next = scratch_.beam.peek();
    if (next == nullptr) return;
    const std::uint32_t* const links = level.links.data() + level.offsets[next->node];
    constexpr std::size_t kLineLinks = 16;
    __builtin_prefetch(links);
    __builtin_prefetch(links + kLineLinks);
  }

  template <bool kIsFiltered>
  Status explore(NodeHit start) {
    const GraphLevel& level = graph_.levels.front();
    Beam& beam = scratch_.beam;
    offer<kIsFiltered>(start);
    std::size_t hop_count = 0;
    for (std::uint32_t node = next_node<kIsFiltered>(); node != HnswGraph::kNoRow;
         node = next_node<kIsFiltered>()) {
      if (request_.cancel != nullptr && ++hop_count % kHopsBetweenPolls == 0) {
        TESSERA_RETURN_IF_ERROR(request_.cancel->check());
      }
      if (request_.visited_max > 0 && stats_.visited_count > visited_end_) {
        stats_.gave_up = true;
        return {};
      }
      scratch_.ids.clear();
      for (const std::uint32_t link : level.links_of(node)) {
        if (scratch_.visited.visit(link)) scratch_.ids.push_back(link);
      }
      prefetch_next_links(level);
      measure();
      for (std::size_t i = 0; i < scratch_.ids.size(); ++i) {
        const float distance = scratch_.distances[i];
        if (distance < beam.bound()) offer<kIsFiltered>({distance, scratch_.ids[i]});
      }
    }
    return {};
  }

  const HnswGraph& graph_;
  NodeScorer& scorer_;
  const WalkRequest& request_;
  SearchStats& stats_;
  const std::size_t visited_end_;
  Scratch& scratch_;
};

}  // namespace

Result<std::span<const NodeHit>> walk_graph(const HnswGraph& graph, NodeScorer& scorer,
                                            const WalkRequest& request, SearchStats& stats) {
  if (graph.empty()) return std::span<const NodeHit>();
  return Walk(graph, scorer, request, stats).run();
}

}  // namespace tessera::index
