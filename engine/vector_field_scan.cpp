#include <algorithm>
#include <array>

#include "engine/field_parts.h"
#include "engine/prefix_scan.h"
#include "engine/segment_plan.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kBlockRows = 256;
/// Of the first block of rows with codes.
constexpr std::uint32_t kFirstRows = 32;
/// Rows tested between two looks at the cancel token.
constexpr std::uint32_t kTestedRowsMax = kBlockRows * 16;
/// Where searches of different filters take turns: as much as stays in the second-level cache.
constexpr std::size_t kSharedBytes = 256 << 10;
/// Codes that several searches look at in turn: as much as stays in the first-level cache.
constexpr std::size_t kSharedCodeBytes = 24 << 10;
/// With fewer allowed rows than one in so many, testing each row first costs less.
constexpr std::size_t kSelectiveShare = 4;

bool is_selective(const FieldSearch& search) {
  return search.allowed != nullptr &&
         search.allowed_count < search.allowed->size() / kSelectiveShare;
}

}  // namespace

void VectorField::offer_rows(const RowBlock& block, std::span<const std::uint32_t> rows,
                             const FieldSearch& search, TopK& top) const {
  std::array<float, kBlockRows> distances;
  if (rows.back() - rows.front() + 1 == rows.size()) {
    index::distances(identity_.metric, search.query, block.vectors.part(rows.front(), rows.size()),
                     distances.data());
  } else {
    index::distances_at(identity_.metric, search.query, block.vectors, rows, distances.data());
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!top.worth_offering(distances[i])) continue;
    top.offer({distances[i], block.slots[rows[i]], block.vectors.bytes_of(rows[i])});
  }
}

// Rows in blocks that stay in the cache while all searches look at them. Those that allow the same
// rows share the test too.
Status VectorField::scan_rows(const Segment& segment, Parts parts) const {
  std::vector<std::vector<Part*>> groups;
  for (Part* part : parts) {
    part->plan.match_count = 0;
    part->plan.is_match_estimated = false;
    if (part->search.prefix_dim > 0) {
      TESSERA_RETURN_IF_ERROR(
          scan_prefix(segment, identity_.metric, part->search, part->top, part->plan));
      continue;
    }
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return group.front()->search.allowed == part->search.allowed;
    });
    if (same == groups.end()) {
      groups.push_back({part});
    } else {
      same->push_back(part);
    }
  }
  if (groups.empty()) return {};
  const auto turn_rows = static_cast<std::uint32_t>(
      groups.size() == 1 ? kTestedRowsMax
                         : std::clamp<std::size_t>(kSharedBytes / identity_.layout().row_bytes(),
                                                   16, kTestedRowsMax));
  const CancelToken* const cancel = groups.front().front()->search.cancel;
  // Rows that are appended meanwhile are scanned too: the row that replaces one that has just died
  // is among them.
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    for (std::uint32_t begin = 0; begin < block.row_count; begin += turn_rows) {
      if (cancel != nullptr) TESSERA_RETURN_IF_ERROR(cancel->check());
      const std::uint32_t end = std::min(block.row_count, begin + turn_rows);
      for (const auto& group : groups) scan_stretch(segment, block, begin, end, group);
    }
    row = block.first_row + block.row_count;
  }
  for (const auto& group : groups) {
    for (Part* part : group) part->plan.visited_count += part->plan.match_count;
  }
  return {};
}

/// Rows `begin` to `end` of the block for searches that allow the same.
void VectorField::scan_stretch(const Segment& segment, const RowBlock& block, std::uint32_t begin,
                               std::uint32_t end, Parts parts) const {
  std::array<std::uint32_t, kBlockRows> rows;
  const index::RowFilter filter =
      row_filter(segment, block.slots - block.first_row, parts.front()->search);
  for (std::uint32_t next = begin; next < end;) {
    std::uint32_t count = 0;
    for (; next < end && count < kBlockRows; ++next) {
      if (filter.allows(block.first_row + next)) rows[count++] = next;
    }
    if (count == 0) continue;
    for (Part* part : parts) {
      offer_rows(block, {rows.data(), count}, part->search, part->top);
      part->plan.match_count += count;
    }
  }
}

Status VectorField::scan(const Segment& segment, Parts parts) const {
  const bool has_codes = segment.row_count() > 0 && segment.block_at(0).codes != nullptr;
  std::vector<Part*> by_codes, by_rows;
  for (Part* part : parts) {
    const bool fits = has_codes && part->search.prefix_dim == 0 && !is_selective(part->search);
    (fits ? by_codes : by_rows).push_back(part);
  }
  TESSERA_RETURN_IF_ERROR(scan_rows(segment, by_rows));
  return scan_codes(segment, by_codes);
}

// Rows in blocks: which of them may be near by their bounds, then the filter, then the distances of
// what is left. A block's codes stay in the cache while all searches look at them.
Status VectorField::scan_codes(const Segment& segment, Parts parts) const {
  if (parts.empty()) return {};
  for (Part* part : parts) {
    part->plan.strategy = "code_scan";
    if (!part->bounds.code.empty()) continue;
    index::BoundCodes::prepare(identity_.metric, part->search.query, identity_.dim, part->bounds);
  }
  const CancelToken* const cancel = parts.front()->search.cancel;
  std::array<std::uint32_t, kBlockRows> rows;
  // Until as many rows as are wanted are found every row may be near, and is read: the first blocks
  // are small.
  std::uint32_t step = kFirstRows;
  std::uint32_t unchecked = kTestedRowsMax;  // Rows since the last look at the cancel token.
  const auto step_max = static_cast<std::uint32_t>(
      parts.size() == 1
          ? kBlockRows
          : std::clamp<std::size_t>(kSharedCodeBytes / identity_.dim, 16, kBlockRows));
  // Rows that are appended meanwhile are scanned too, as in scan_rows().
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    std::uint32_t block_rows = 0;
    for (std::uint32_t begin = 0; begin < block.row_count; begin += block_rows) {
      if (unchecked >= kTestedRowsMax) {
        if (cancel != nullptr) TESSERA_RETURN_IF_ERROR(cancel->check());
        unchecked = 0;
      }
      block_rows = std::min(step, block.row_count - begin);
      unchecked += block_rows;
      step = std::min(step_max, 2 * step);
      for (Part* part : parts) {
        const float farthest = std::min(part->limit, part->top.bound());
        const std::size_t near_count = block.codes->near_rows(
            part->bounds, farthest, block.first_code + begin, block_rows, rows.data());
        part->plan.visited_count += block_rows;
        if (near_count == 0) continue;
        const index::RowFilter filter =
            row_filter(segment, block.slots - block.first_row, part->search);
        std::size_t count = 0;
        for (std::size_t i = 0; i < near_count; ++i) {
          const std::uint32_t place = begin + rows[i];
          if (filter.allows(block.first_row + place)) rows[count++] = place;
        }
        if (count == 0) continue;
        offer_rows(block, {rows.data(), count}, part->search, part->top);
        part->plan.reranked_count += count;
      }
    }
    row = block.first_row + block.row_count;
  }
  const std::size_t live = segment.live_row_count();
  for (Part* part : parts) {
    const FieldSearch& search = part->search;
    part->plan.match_count = live;
    if (search.allowed == nullptr) continue;
    const double share = static_cast<double>(search.allowed_count) /
                         static_cast<double>(std::max<std::size_t>(1, search.allowed->size()));
    part->plan.match_count = static_cast<std::size_t>(share * static_cast<double>(live));
    part->plan.is_match_estimated = true;
  }
  return {};
}

}  // namespace tessera::engine
