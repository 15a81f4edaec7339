#include "index/hnsw_walk.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "index/hnsw_beam.h"
#include "index/kernel_table.h"

namespace tessera::index {
namespace {

constexpr std::size_t kHopsBetweenPolls = 256;
constexpr std::size_t kBeamKept = 1U << 16;

/// Which rows a walk has seen: a byte a row that holds the number of the walk, so that a new walk
/// need not clear the table.
class VisitedRows {
 public:
  void begin(std::size_t row_count) {
    if (marks_.size() < row_count) marks_.resize(row_count, 0);
    if (++epoch_ == 0) {
      std::fill(marks_.begin(), marks_.end(), std::uint8_t{0});
      epoch_ = 1;
    }
  }
  /// True at the first visit of `row` in this walk.
  bool visit(std::uint32_t row) {
    if (marks_[row] == epoch_) return false;
    marks_[row] = epoch_;
    return true;
  }

 private:
  std::vector<std::uint8_t> marks_;
  std::uint8_t epoch_ = 0;
};

struct Scratch {
  VisitedRows visited;
  Beam beam;
  std::vector<RowHit> detours;  ///< Min-heap of rows that may be walked through, not returned.
  std::vector<std::uint32_t> ids;
  std::vector<float> distances;
};

Scratch& thread_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

bool is_farther(const RowHit& a, const RowHit& b) {
  return b < a;
}

/// One walk. Thread rule: confined to the calling thread.
class Walk {
 public:
  Walk(const HnswGraph& graph, Metric metric, VectorSpan rows, const WalkRequest& request,
       SearchStats& stats)
      : graph_(graph),
        kernels_(kernels().of(metric)),
        rows_(rows),
        request_(request),
        stats_(stats),
        scratch_(thread_scratch()) {}

  Result<std::span<const RowHit>> run() {
    scratch_.beam.trim(kBeamKept);
    scratch_.beam.reset(std::min(request_.ef, rows_.row_count));
    scratch_.detours.clear();
    scratch_.visited.begin(rows_.row_count);
    if (request_.cancel != nullptr) TESSERA_RETURN_IF_ERROR(request_.cancel->check());
    const RowHit start = descend();
    scratch_.visited.visit(start.row);
    const Status status = request_.filter == nullptr ? explore<false>(start) : explore<true>(start);
    TESSERA_RETURN_IF_ERROR(status);
    return scratch_.beam.finish();
  }

 private:
  /// Distances of scratch_.ids into scratch_.distances.
  void measure() {
    const std::size_t count = scratch_.ids.size();
    if (scratch_.distances.size() < count) scratch_.distances.resize(count);
    kernels_.rows_at(request_.query, rows_.data, scratch_.ids.data(), count, rows_.dim,
                     scratch_.distances.data());
    stats_.visited_count += count;
  }

  /// Goes down greedily to the lowest level.
  RowHit descend() {
    std::size_t level = graph_.levels.size() - 1;
    std::uint32_t node = graph_.entry;
    float nearest = kernels_.pair(request_.query, rows_.row(graph_.row_of(level, node)), rows_.dim);
    ++stats_.visited_count;
    for (; level > 0; --level) {
      node = descend_level(graph_.levels[level], node, nearest);
      node = graph_.levels[level].below[node];
    }
    return {nearest, node};
  }

  std::uint32_t descend_level(const GraphLevel& level, std::uint32_t node, float& nearest) {
    for (;;) {
      const std::span<const std::uint32_t> links = level.links_of(node);
      scratch_.ids.clear();
      for (const std::uint32_t link : links) scratch_.ids.push_back(level.rows[link]);
      measure();
      bool has_moved = false;
      for (std::size_t i = 0; i < links.size(); ++i) {
        if (scratch_.distances[i] < nearest) {
          nearest = scratch_.distances[i];
          node = links[i];
          has_moved = true;
        }
      }
      if (!has_moved) return node;
    }
  }

  /// Whether the filter allows the representative or a row equal to it.
  bool allows(std::uint32_t representative) const {
    for (std::uint32_t row = representative; row != HnswGraph::kNoRow;
         row = graph_.next_equal_of(row)) {
      if (request_.filter->allows(row)) return true;
    }
    return false;
  }

  template <bool kIsFiltered>
  void offer(RowHit hit) {
    if (kIsFiltered && !allows(hit.row)) {
      scratch_.detours.push_back(hit);
      std::push_heap(scratch_.detours.begin(), scratch_.detours.end(), is_farther);
    } else {
      scratch_.beam.offer(hit.distance, hit.row);
    }
  }

  /// The nearest row not yet expanded, allowed or not; kNoRow when the walk is over. A full beam
  /// makes detours beyond its bound pointless; until then everything is worth walking through.
  template <bool kIsFiltered>
  std::uint32_t next_row() {
    Beam& beam = scratch_.beam;
    const RowHit* candidate = beam.peek();
    if (kIsFiltered && !scratch_.detours.empty()) {
      std::vector<RowHit>& detours = scratch_.detours;
      const RowHit nearest = detours.front();
      const bool is_worth_it = !beam.is_full() || nearest.distance < beam.bound();
      if (is_worth_it && (candidate == nullptr || nearest.distance < candidate->distance)) {
        std::pop_heap(detours.begin(), detours.end(), is_farther);
        detours.pop_back();
        return nearest.row;
      }
    }
    return candidate == nullptr ? HnswGraph::kNoRow : beam.take();
  }

  template <bool kIsFiltered>
  Status explore(RowHit start) {
    const GraphLevel& level = graph_.levels.front();
    Beam& beam = scratch_.beam;
    offer<kIsFiltered>(start);
    std::size_t hop_count = 0;
    for (std::uint32_t row = next_row<kIsFiltered>(); row != HnswGraph::kNoRow;
         row = next_row<kIsFiltered>()) {
      if (request_.cancel != nullptr && ++hop_count % kHopsBetweenPolls == 0) {
        TESSERA_RETURN_IF_ERROR(request_.cancel->check());
      }
      scratch_.ids.clear();
      for (const std::uint32_t link : level.links_of(row)) {
        if (scratch_.visited.visit(link)) scratch_.ids.push_back(link);
      }
      // The likely next row's links arrive while this row's neighbours are measured.
      if (const RowHit* next = beam.peek(); next != nullptr) {
        __builtin_prefetch(level.links.data() + level.offsets[next->row]);
      }
      measure();
      for (std::size_t i = 0; i < scratch_.ids.size(); ++i) {
        const float distance = scratch_.distances[i];
        if (!beam.is_full() || distance < beam.bound())
          offer<kIsFiltered>({distance, scratch_.ids[i]});
      }
    }
    return {};
  }

  const HnswGraph& graph_;
  const MetricKernels& kernels_;
  const VectorSpan rows_;
  const WalkRequest& request_;
  SearchStats& stats_;
  Scratch& scratch_;
};

}  // namespace

Result<std::span<const RowHit>> walk_graph(const HnswGraph& graph, Metric metric, VectorSpan rows,
                                           const WalkRequest& request, SearchStats& stats) {
  if (graph.empty()) return std::span<const RowHit>();
  return Walk(graph, metric, rows, request, stats).run();
}

}  // namespace tessera::index
