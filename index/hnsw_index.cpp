#include "index/hnsw_index.h"

#include <algorithm>
#include <utility>

#include "index/ann_index_impl.h"
#include "index/guarded_call.h"
#include "index/hnsw_build.h"
#include "index/hnsw_format.h"
#include "index/hnsw_walk.h"

namespace tessera::index {
namespace {

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

}  // namespace

HnswIndex::HnswIndex(IndexSpec spec, Metric metric, VectorSpan rows, HnswGraph graph)
    : spec_(spec), metric_(metric), rows_(rows), graph_(std::move(graph)) {}

Status HnswIndex::search(const float* query, const SearchOptions& options, const RowFilter& filter,
                         std::vector<RowHit>& hits, SearchStats& stats) const {
  if (options.k == 0) return {};
  return guarded_call("hnsw search", [&]() -> Status {
    WalkRequest request;
    request.query = query;
    request.ef =
        std::max<std::size_t>(options.k, options.ef == 0 ? spec_.ef_construct : options.ef);
    request.filter = allows_all(filter) ? nullptr : &filter;
    request.cancel = options.cancel;
    TESSERA_ASSIGN_OR_RETURN(const std::span<const RowHit> found,
                             walk_graph(graph_, metric_, rows_, request, stats));
    expand_equal_rows(graph_, found, filter, options.k, hits);
    return {};
  });
}

Status HnswIndex::save(ByteSink& sink) const {
  return guarded_call("hnsw save",
                      [&] { return save_graph(graph_, spec_.m, rows_.row_count, sink); });
}

std::size_t HnswIndex::memory_bytes() const {
  return sizeof(*this) - sizeof(graph_) + graph_.memory_bytes();
}

IndexResult build_hnsw(const IndexSpec& spec, Metric metric, VectorSpan rows,
                       const BuildControl& control) {
  return guarded_call("hnsw build", [&]() -> IndexResult {
    TESSERA_ASSIGN_OR_RETURN(HnswGraph graph, build_graph(spec, metric, rows, control));
    return IndexResult(std::make_unique<const HnswIndex>(spec, metric, rows, std::move(graph)));
  });
}

IndexResult load_hnsw(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      std::span<const std::byte> bytes) {
  return guarded_call("hnsw load", [&]() -> IndexResult {
    TESSERA_ASSIGN_OR_RETURN(HnswGraph graph, load_graph(spec.m, rows, bytes));
    return IndexResult(std::make_unique<const HnswIndex>(spec, metric, rows, std::move(graph)));
  });
}

}  // namespace tessera::index
