#include "engine/prefix_scan.h"

#include <cmath>

#include "index/kernels.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kPollEvery = 4096;

/// The distance of two prefixes; of their directions where the metric is Cosine, 0 when one of them
/// has none.
class PrefixDistance {
 public:
  PrefixDistance(Metric metric, const float* query, std::size_t prefix_dim)
      : metric_(metric), query_(query), prefix_dim_(prefix_dim) {
    if (metric == Metric::kCosine) query_norm_ = norm(query);
  }

  [[nodiscard]] float operator()(const float* row) const {
    const float distance = index::distance(metric_, query_, row, prefix_dim_);
    if (metric_ != Metric::kCosine) return distance;
    const float norms = query_norm_ * norm(row);
    return norms > 0 ? distance / norms : 0;
  }

 private:
  [[nodiscard]] float norm(const float* vector) const {
    return std::sqrt(index::inner_product(vector, vector, prefix_dim_));
  }

  const Metric metric_;
  const float* const query_;
  const std::size_t prefix_dim_;
  float query_norm_ = 0;
};

}  // namespace

std::size_t candidate_count_of(const FieldSearch& search) {
  const double wanted =
      std::ceil(static_cast<double>(search.k) * std::max(1.0, search.oversampling));
  // No segment has more rows than this.
  constexpr double kMost = 1ULL << 32;
  return static_cast<std::size_t>(std::min(wanted, kMost));
}

Status scan_prefix(const Segment& segment, Metric metric, const FieldSearch& search, TopK& top,
                   SegmentPlan& plan) {
  const std::size_t dim = segment.dim();
  const PrefixDistance distance_to(metric, search.query, search.prefix_dim);
  TopK candidates(candidate_count_of(search), top.slots());
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    for (std::uint32_t i = 0; i < block.row_count; ++i) {
      if (i % kPollEvery == 0 && search.cancel != nullptr) {
        TESSERA_RETURN_IF_ERROR(search.cancel->check());
      }
      if (segment.dead().contains(block.first_row + i)) continue;
      if (search.allowed != nullptr && !search.allowed->contains(block.slots[i])) continue;
      const float* const vector = block.vectors + std::size_t{i} * dim;
      const float distance = distance_to(vector);
      ++plan.match_count;
      if (candidates.worth_offering(distance)) candidates.offer({distance, block.slots[i], vector});
    }
    row = block.first_row + block.row_count;
  }
  plan.visited_count += plan.match_count;
  for (const SlotHit& candidate : candidates.take()) {
    const float distance = index::distance(metric, search.query, candidate.vector, dim);
    ++plan.reranked_count;
    if (top.worth_offering(distance)) top.offer({distance, candidate.slot, candidate.vector});
  }
  return {};
}

}  // namespace tessera::engine
