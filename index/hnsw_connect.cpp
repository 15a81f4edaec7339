#include "index/hnsw_connect.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "index/hnsw_walk.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kEntry = 0;  // Where walks begin.
constexpr std::size_t kCandidates = 64;
constexpr std::size_t kRepairsBetweenPolls = 64;

using Link = std::pair<std::uint32_t, std::uint32_t>;  // from, to

/// Calls `add(from, to)` for every link of the level.
template <class Function>
void for_each_link(const GraphLevel& level, Function&& add) {
  for (std::uint32_t node = 0; node < level.node_count(); ++node) {
    for (const std::uint32_t link : level.links_of(node)) add(node, link);
  }
}

/// A level's offsets and links from the calls that `each` makes to its argument, in their order.
template <class Each>
GraphLevel collect_links(std::size_t node_count, Each&& each) {
  GraphLevel level;
  level.offsets.assign(node_count + 1, 0);
  each([&](std::uint32_t from, std::uint32_t) { ++level.offsets[from + 1]; });
  for (std::size_t i = 0; i < node_count; ++i) level.offsets[i + 1] += level.offsets[i];
  level.links.resize(level.offsets.back());
  std::vector<std::uint32_t> ends(level.offsets.begin(), level.offsets.end() - 1);
  each([&](std::uint32_t from, std::uint32_t to) { level.links[ends[from]++] = to; });
  return level;
}

GraphLevel reverse_of(const GraphLevel& level) {
  return collect_links(level.node_count(), [&](auto&& add) {
    for_each_link(level, [&](std::uint32_t from, std::uint32_t to) { add(to, from); });
  });
}

GraphLevel with_links(const GraphLevel& level, const std::vector<Link>& extra) {
  return collect_links(level.node_count(), [&](auto&& add) {
    for_each_link(level, add);
    for (const auto& [from, to] : extra) add(from, to);
  });
}

/// The set of nodes reached so far by following the links of one level.
class Reach {
 public:
  explicit Reach(const GraphLevel& level) : level_(level), reached_(level.node_count(), false) {}

  [[nodiscard]] bool contains(std::uint32_t node) const { return reached_[node]; }

  void spread_from(std::uint32_t start) {
    if (reached_[start]) return;
    reached_[start] = true;
    pending_.push_back(start);
    while (!pending_.empty()) {
      const std::uint32_t node = pending_.back();
      pending_.pop_back();
      for (const std::uint32_t link : level_.links_of(node)) {
        if (reached_[link]) continue;
        reached_[link] = true;
        pending_.push_back(link);
      }
    }
  }

 private:
  const GraphLevel& level_;
  std::vector<bool> reached_;
  std::vector<std::uint32_t> pending_;
};

class Connector {
 public:
  Connector(HnswGraph& graph, Metric metric, VectorSpan rows, std::size_t degree_wanted,
            const CancelToken* cancel)
      : graph_(graph),
        metric_(metric),
        rows_(rows),
        row_reader_(rows),
        degree_wanted_(degree_wanted),
        cancel_(cancel) {}

  Result<std::size_t> run() {
    degrees_.resize(graph_.node_count());
    for (std::uint32_t node = 0; node < degrees_.size(); ++node) {
      degrees_[node] = static_cast<std::uint32_t>(graph_.levels[0].links_of(node).size());
    }
    TESSERA_ASSIGN_OR_RETURN(const std::size_t forward_count, link_unreached());
    TESSERA_ASSIGN_OR_RETURN(const std::size_t backward_count, link_dead_ends());
    return forward_count + backward_count;
  }

 private:
  /// Links nodes that cannot be reached from the entry to near ones that can, both ways.
  Result<std::size_t> link_unreached() {
    Reach reach(graph_.levels[0]);
    std::vector<Link> extra;
    reach.spread_from(kEntry);
    for (std::uint32_t node = 0; node < graph_.node_count(); ++node) {
      if (reach.contains(node)) continue;
      TESSERA_ASSIGN_OR_RETURN(const std::uint32_t near, find_near(node, reach));
      extra.emplace_back(near, node);
      const std::span<const std::uint32_t> links = graph_.levels[0].links_of(node);
      if (std::find(links.begin(), links.end(), near) == links.end()) {
        extra.emplace_back(node, near);
      }
      ++degrees_[near];
      reach.spread_from(node);
    }
    merge(extra);
    return extra.size();
  }

  /// Links nodes from which the entry cannot be reached to near ones from which it can.
  Result<std::size_t> link_dead_ends() {
    const GraphLevel reverse = reverse_of(graph_.levels[0]);
    Reach reach(reverse);
    std::vector<Link> extra;
    reach.spread_from(kEntry);
    for (std::uint32_t node = 0; node < graph_.node_count(); ++node) {
      if (reach.contains(node)) continue;
      TESSERA_ASSIGN_OR_RETURN(const std::uint32_t near, find_near(node, reach));
      extra.emplace_back(node, near);
      reach.spread_from(node);
    }
    merge(extra);
    return extra.size();
  }

  /// A node of `reach` near `node`, rather one that has room for another link. The entry belongs to
  /// every reach and serves where the walk finds none.
  Result<std::uint32_t> find_near(std::uint32_t node, const Reach& reach) {
    const bool is_poll = ++repair_count_ % kRepairsBetweenPolls == 0;
    RowScorer scorer(metric_, rows_, graph_.rows, ids_);
    scorer.set_query(row_reader_(graph_.rows[node]));
    WalkRequest request;
    request.ef = kCandidates;
    request.cancel = is_poll ? cancel_ : nullptr;
    SearchStats stats;
    TESSERA_ASSIGN_OR_RETURN(const std::span<const NodeHit> found,
                             walk_graph(graph_, scorer, request, stats));
    std::optional<std::uint32_t> nearest;
    for (const NodeHit& hit : found) {
      if (hit.node == node || !reach.contains(hit.node)) continue;
      if (degrees_[hit.node] < degree_wanted_) return hit.node;
      if (!nearest) nearest = hit.node;
    }
    return nearest.value_or(kEntry);
  }

  void merge(const std::vector<Link>& extra) {
    if (!extra.empty()) graph_.levels[0] = with_links(graph_.levels[0], extra);
  }

  HnswGraph& graph_;
  const Metric metric_;
  const VectorSpan rows_;
  RowReader row_reader_;
  const std::size_t degree_wanted_;
  const CancelToken* cancel_;
  std::vector<std::uint32_t> degrees_;
  std::vector<std::uint32_t> ids_;  ///< Scratch.
  std::size_t repair_count_ = 0;
};

}  // namespace

Result<std::size_t> connect_graph(HnswGraph& graph, Metric metric, VectorSpan rows,
                                  std::size_t degree_wanted, const CancelToken* cancel) {
  if (graph.empty()) return std::size_t{0};
  return Connector(graph, metric, rows, degree_wanted, cancel).run();
}

}  // namespace tessera::index
