#include "index/hnsw_index.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "index/ann_index_impl.h"
#include "index/guarded_call.h"
#include "index/hnsw_build.h"
#include "index/hnsw_format.h"
#include "index/hnsw_growth.h"
#include "index/kernels.h"

namespace tessera::index {
namespace {

/// Memory that a thread's searches share.
struct Scratch {
  CodeQuery query;
  std::vector<std::uint32_t> ids;
  std::vector<float> distances;
  std::vector<RowHit> ranked;
};

Scratch& thread_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

/// Appends the k nearest of the rows that `representatives` (nearest first) stand for.
void expand_equal_rows(const HnswGraph& graph, std::span<const RowHit> representatives,
                       const RowFilter& filter, std::size_t k, std::vector<RowHit>& hits) {
  const std::size_t first = hits.size();
  for (const RowHit& representative : representatives) {
    // Rows at the same distance as the k-th compete by number, so they all must be seen.
    if (hits.size() - first >= k && representative.distance > hits.back().distance) break;
    std::size_t taken_count = 0;
    for (std::uint32_t row = representative.row; row != HnswGraph::kNoRow && taken_count < k;
         row = graph.next_equal_of(row)) {
      if (!filter.allows(row)) continue;
      hits.push_back({representative.distance, row});
      ++taken_count;
    }
  }
  std::sort(hits.begin() + static_cast<std::ptrdiff_t>(first), hits.end());
  if (hits.size() - first > k) hits.resize(first + k);
}

bool allows_all(const RowFilter& filter) {
  return filter.dead_words == nullptr && filter.slot_words == nullptr;
}

/// By the first values of the rows.
class PrefixScorer final : public NodeScorer {
 public:
  PrefixScorer(Metric metric, VectorSpan rows, std::span<const std::uint32_t> row_of_node,
               std::size_t prefix_dim, const float* query)
      : metric_(metric),
        rows_(rows),
        row_of_node_(row_of_node),
        prefix_dim_(prefix_dim),
        query_(query) {}

  void score(std::span<const std::uint32_t> nodes, float* out) override {
    ids_.resize(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) ids_[i] = row_of_node_[nodes[i]];
    prefix_distances_at(metric_, query_, rows_, prefix_dim_, ids_, out);
  }

 private:
  const Metric metric_;
  const VectorSpan rows_;
  const std::span<const std::uint32_t> row_of_node_;
  const std::size_t prefix_dim_;
  const float* const query_;
  std::vector<std::uint32_t> ids_;
};

std::size_t oversampled(std::size_t k, double factor) {
  constexpr double kMost = 1e9;
  const double wanted = std::ceil(static_cast<double>(k) * std::max(1.0, factor));
  return static_cast<std::size_t>(std::min(wanted, kMost));
}

}  // namespace

HnswIndex::HnswIndex(IndexSpec spec, Metric metric, VectorSpan rows, HnswGraph graph,
                     std::unique_ptr<const RowCodes> codes)
    : spec_(spec),
      metric_(metric),
      rows_(rows),
      graph_(std::move(graph)),
      codes_(std::move(codes)) {}

void HnswIndex::rerank(const float* query, std::span<const NodeHit> candidates,
                       std::vector<RowHit>& ranked) const {
  Scratch& scratch = thread_scratch();
  scratch.ids.resize(candidates.size());
  scratch.distances.resize(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    scratch.ids[i] = graph_.rows[candidates[i].node];
  }
  distances_at(metric_, query, rows_, scratch.ids, scratch.distances.data());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    ranked.push_back({scratch.distances[i], scratch.ids[i]});
  }
  std::sort(ranked.begin(), ranked.end());
}

Status HnswIndex::search_nodes(const float* query, const SearchOptions& options,
                               const RowFilter& filter, std::vector<RowHit>& hits,
                               SearchStats& stats) const {
  Scratch& scratch = thread_scratch();
  const std::size_t k = options.k;
  const bool has_prefix = options.prefix_dim > 0 && options.prefix_dim < rows_.dim;
  const bool uses_codes = codes_ != nullptr && !options.ignore_codes && !has_prefix &&
                          codes_->prepare(query, scratch.query);
  WalkRequest request;
  request.ef = std::max<std::size_t>(k, options.ef == 0 ? spec_.ef_construct : options.ef);
  std::size_t candidate_count = oversampled(k, options.oversampling);
  if (uses_codes) candidate_count = std::max(candidate_count, codes_->candidate_count(k));
  // Coarse codes need more candidates than an ef that was chosen for exact comparisons holds.
  if (candidate_count >= 2 * k) request.ef = std::max(request.ef, candidate_count);
  request.filter = allows_all(filter) ? nullptr : &filter;
  request.visited_max = options.visited_max;
  request.cancel = options.cancel;

  RowScorer by_rows(metric_, rows_, graph_.rows, scratch.ids);
  by_rows.set_query(query);
  std::optional<CodeScorer> by_codes;
  std::optional<PrefixScorer> by_prefix;
  NodeScorer* scorer = &by_rows;
  if (uses_codes) scorer = &by_codes.emplace(*codes_, scratch.query);
  if (has_prefix) {
    scorer = &by_prefix.emplace(metric_, rows_, graph_.rows, options.prefix_dim, query);
  }
  // Coarse codes and prefixes blur the distances by which it would be told that nothing is left.
  if (!has_prefix && (!uses_codes || codes_->type() == CodeType::kSq8)) {
    end_by_distance(graph_, metric_, std::max(k, candidate_count), request);
  }
  TESSERA_ASSIGN_OR_RETURN(const std::span<const NodeHit> found,
                           walk_graph(graph_, *scorer, request, stats));

  std::vector<RowHit>& ranked = scratch.ranked;
  ranked.clear();
  const bool is_exact = !uses_codes && !has_prefix;
  if (is_exact || (!options.rescore && uses_codes)) {
    for (const NodeHit& hit : found) ranked.push_back({hit.distance, graph_.rows[hit.node]});
  } else {
    const auto candidates = found.first(std::min(found.size(), candidate_count));
    rerank(query, candidates, ranked);
    stats.reranked_count += candidates.size();
  }
  expand_equal_rows(graph_, ranked, filter, k, hits);
  return {};
}

Status HnswIndex::search(const float* query, const SearchOptions& options, const RowFilter& filter,
                         std::vector<RowHit>& hits, SearchStats& stats) const {
  if (options.k == 0) return {};
  return guarded_call("hnsw search",
                      [&] { return search_nodes(query, options, filter, hits, stats); });
}

Status HnswIndex::save(ByteSink& sink) const {
  return guarded_call("hnsw save", [&]() -> Status {
    TESSERA_RETURN_IF_ERROR(save_graph(graph_, spec_.m, rows_.row_count, sink));
    return save_row_codes(codes_.get(), rows_.dim, sink);
  });
}

std::size_t HnswIndex::memory_bytes() const {
  return sizeof(*this) - sizeof(graph_) + graph_.memory_bytes() +
         (codes_ == nullptr ? 0 : codes_->memory_bytes());
}

IndexResult build_hnsw(const IndexSpec& spec, Metric metric, VectorSpan rows,
                       const BuildControl& control) {
  return guarded_call("hnsw build", [&]() -> IndexResult {
    TESSERA_ASSIGN_OR_RETURN(BuiltGraph built, build_graph(spec, metric, rows, control));
    return IndexResult(std::make_unique<const HnswIndex>(spec, metric, rows, std::move(built.graph),
                                                         std::move(built.codes)));
  });
}

IndexResult load_hnsw(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      std::span<const std::byte> bytes) {
  return guarded_call("hnsw load", [&]() -> IndexResult {
    TESSERA_ASSIGN_OR_RETURN(HnswGraph graph, load_graph(spec.m, rows, bytes));
    TESSERA_ASSIGN_OR_RETURN(auto codes,
                             load_row_codes(metric, graph.node_count(), rows.dim, bytes));
    if (!bytes.empty()) {
      return Status(Code::kCorrupt, "hnsw graph: size: " + std::to_string(bytes.size()) +
                                        " bytes follow the last field");
    }
    return IndexResult(
        std::make_unique<const HnswIndex>(spec, metric, rows, std::move(graph), std::move(codes)));
  });
}

}  // namespace tessera::index
