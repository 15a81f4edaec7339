#include "engine/prefix_scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/segment_plan.h"
#include "index/kernels.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kBlockRows = 256;
/// Rows tested between two looks at the cancel token.
constexpr std::uint32_t kTestedRowsMax = kBlockRows * 16;

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
  std::vector<float> prefix(search.query, search.query + search.prefix_dim);
  // The prefixes' directions are compared.
  if (metric == Metric::kCosine) (void)index::normalise(prefix);
  TopK candidates(candidate_count_of(search), top.slots());
  std::array<std::uint32_t, kBlockRows> rows;
  std::array<float, kBlockRows> distances;
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    for (std::uint32_t next = 0; next < block.row_count;) {
      if (search.cancel != nullptr) TESSERA_RETURN_IF_ERROR(search.cancel->check());
      const index::RowFilter filter = row_filter(segment, block.slots - block.first_row, search);
      const std::uint32_t end = std::min<std::uint32_t>(block.row_count, next + kTestedRowsMax);
      std::uint32_t count = 0;
      for (; next < end && count < kBlockRows; ++next) {
        if (filter.allows(block.first_row + next)) rows[count++] = next;
      }
      index::prefix_distances_at(metric, prefix.data(), block.vectors, search.prefix_dim,
                                 {rows.data(), count}, distances.data());
      for (std::uint32_t i = 0; i < count; ++i) {
        if (!candidates.worth_offering(distances[i])) continue;
        candidates.offer({distances[i], block.slots[rows[i]], block.vectors.bytes_of(rows[i])});
      }
      plan.match_count += count;
    }
    row = block.first_row + block.row_count;
  }
  plan.visited_count += plan.match_count;
  for (const SlotHit& candidate : candidates.take()) {
    const std::vector<float> factors = factors_of(segment.layout(), candidate.vector, 1);
    const index::VectorSpan one{candidate.vector, 1, segment.layout().dim, segment.layout().type,
                                factors.empty() ? nullptr : factors.data()};
    float distance = 0;
    index::distances(metric, search.query, one, &distance);
    ++plan.reranked_count;
    if (top.worth_offering(distance)) top.offer({distance, candidate.slot, candidate.vector});
  }
  return {};
}

}  // namespace tessera::engine
