#include <algorithm>
#include <array>
#include <cmath>

#include "engine/segment_plan.h"
#include "engine/top_k.h"
#include "engine/vector_field.h"
#include "index/bound_codes.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kBlock = 256;
/// With fewer allowed rows than one in so many, testing each row first costs less.
constexpr std::size_t kSelectiveShare = 4;

index::BoundCodes::Query& thread_query() {
  thread_local index::BoundCodes::Query query;
  return query;
}

}  // namespace

// Rows in blocks: bounds of all of them, then the filter for those that may be near, then the
// distances of what is left.
Status VectorField::scan_fresh(const GrowingSegment& segment, const FieldSearch& search,
                               float limit, TopK& top, SegmentPlan& plan) const {
  const bool is_selective =
      search.allowed != nullptr && search.allowed_count < search.allowed->size() / kSelectiveShare;
  const bool has_codes = segment.row_count() > 0 && segment.block_at(0).codes != nullptr;
  if (!has_codes || is_selective || search.prefix_dim > 0) {
    return scan(segment, search, top, plan);
  }
  index::BoundCodes::Query& query = thread_query();
  index::BoundCodes::prepare(identity_.metric, search.query, identity_.dim, query);
  std::array<float, kBlock> bounds;
  std::array<std::uint32_t, kBlock> rows;
  plan.strategy = "code_scan";
  // Rows that are appended meanwhile are scanned too, as in scan().
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    for (std::uint32_t begin = 0; begin < block.row_count; begin += kBlock) {
      if (search.cancel != nullptr) TESSERA_RETURN_IF_ERROR(search.cancel->check());
      const std::uint32_t block_rows = std::min(kBlock, block.row_count - begin);
      block.codes->lower_bounds(query, block.first_code + begin, block_rows, bounds.data());
      plan.visited_count += block_rows;
      const float farthest = std::min(limit, top.bound());
      const index::RowFilter filter = row_filter(segment, block.slots - block.first_row, search);
      std::uint32_t count = 0;
      for (std::uint32_t i = 0; i < block_rows; ++i) {
        // A bound that is not finite says nothing.
        if (bounds[i] > farthest && std::isfinite(bounds[i])) continue;
        if (filter.allows(block.first_row + begin + i)) rows[count++] = begin + i;
      }
      if (count == 0) continue;
      offer_rows(block, {rows.data(), count}, search, top);
      plan.reranked_count += count;
    }
    row = block.first_row + block.row_count;
  }
  const std::size_t live = segment.live_row_count();
  plan.match_count = live;
  if (search.allowed != nullptr) {
    const double share = static_cast<double>(search.allowed_count) /
                         static_cast<double>(std::max<std::size_t>(1, search.allowed->size()));
    plan.match_count = static_cast<std::size_t>(share * static_cast<double>(live));
    plan.is_match_estimated = true;
  }
  return {};
}

}  // namespace tessera::engine
