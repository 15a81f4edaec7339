#include <algorithm>
#include <array>
#include <string_view>

#include "engine/prefix_scan.h"
#include "engine/top_k.h"
#include "engine/vector_field.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kScanBlock = 256;

index::RowFilter row_filter(const Segment& segment, const std::uint32_t* slots,
                            const FieldSearch& search) {
  index::RowFilter filter;
  filter.dead_words = segment.dead().words();
  filter.slots = slots;
  if (search.allowed != nullptr) {
    filter.slot_words = search.allowed->words();
    filter.slot_word_count = search.allowed->word_count();
  }
  return filter;
}

/// Whether computing every allowed row's distance is cheaper than walking the index. A walk
/// computes about ef * m distances when everything is allowed and 1/selectivity times as many under
/// a filter, each a cache miss; a scan touches every row's bit and reads allowed rows in order.
bool is_scan_cheaper(const SealedSegment& segment, const FieldSearch& search, double live_share) {
  const auto rows = static_cast<double>(segment.row_count());
  const double live = std::max<double>(1, static_cast<double>(segment.live_row_count()));
  // Where in the collection the allowed rows are is not known; each segment gets its share of them.
  const double allowed = static_cast<double>(search.allowed_count) * live_share;
  const double matches = search.allowed == nullptr ? live : std::clamp(allowed, 1.0, live);
  if (matches <= static_cast<double>(search.k)) return true;
  const index::IndexSpec& spec = segment.index()->spec();
  const double ef = static_cast<double>(std::max(search.k, search.ef.value_or(spec.ef_construct)));
  constexpr double kRandomAccessFactor = 2, kRowsTestedPerDistance = 32;
  const double walk_cost = kRandomAccessFactor * ef * spec.m * (rows / matches);
  const double scan_cost = matches + rows / kRowsTestedPerDistance;
  return scan_cost <= walk_cost;
}

/// Allowed rows that are alive, counted one by one: for explanations only.
std::size_t count_matches(const Segment& segment, const FieldSearch& search) {
  if (search.allowed == nullptr) return segment.live_row_count();
  std::size_t count = 0;
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    for (std::uint32_t i = 0; i < block.row_count; ++i) {
      const bool is_live = !segment.dead().contains(block.first_row + i);
      count += is_live && search.allowed->contains(block.slots[i]) ? 1 : 0;
    }
    row = block.first_row + block.row_count;
  }
  return count;
}

/// Adds what was done in one segment to the whole.
void add_part(const Segment& segment, const FieldSearch& search, const FieldSearchStats& part,
              FieldSearchStats& stats) {
  ++stats.segment_count;
  stats.visited_count += part.visited_count;
  stats.reranked_count += part.reranked_count;
  if (std::string_view(part.strategy) != "exact_scan") stats.strategy = part.strategy;
  if (!search.explains) return;
  SegmentPlan& plan = stats.segments.emplace_back();
  plan.type =
      segment.index() == nullptr ? "fresh" : index::index_type_name(segment.index()->spec().type);
  plan.strategy = part.strategy;
  plan.row_count = segment.row_count();
  plan.live_count = segment.live_row_count();
  plan.match_count = count_matches(segment, search);
  plan.visited_count = part.visited_count;
  plan.reranked_count = part.reranked_count;
}

std::size_t live_row_count(const FieldView& view) {
  std::size_t total = view.growing->live_row_count();
  for (const auto& segment : view.sealed) total += segment->live_row_count();
  for (const auto& segment : view.frozen) total += segment->live_row_count();
  return total;
}

}  // namespace

void VectorField::scan(const Segment& segment, const FieldSearch& search, TopK& top,
                       FieldSearchStats& stats, Status& status) const {
  const Metric metric = identity_.metric;
  const std::size_t dim = identity_.dim;
  if (search.prefix_dim > 0) {
    status = scan_prefix(segment, metric, search, top, stats);
    return;
  }
  std::array<float, kScanBlock> distances;
  std::array<std::uint32_t, kScanBlock> rows;

  // Rows that are appended meanwhile are scanned too: the row that replaces one that has just died
  // is among them.
  for (std::uint32_t row = 0; row < segment.row_count();) {
    const RowBlock block = segment.block_at(row);
    for (std::uint32_t begin = 0; begin < block.row_count && status.ok();) {
      status = search.cancel != nullptr ? search.cancel->check() : Status();
      const index::RowFilter filter = row_filter(segment, block.slots - block.first_row, search);
      std::uint32_t count = 0;
      const std::uint32_t stretch_end =
          std::min<std::uint32_t>(block.row_count, begin + kScanBlock * 16);
      std::uint32_t next = begin;
      for (; next < stretch_end && count < kScanBlock; ++next) {
        if (filter.allows(block.first_row + next)) rows[count++] = next;
      }
      begin = next;
      if (count == 0) continue;
      if (rows[count - 1] - rows[0] + 1 == count) {
        index::distances(metric, search.query, block.vectors + std::size_t{rows[0]} * dim, count,
                         dim, distances.data());
      } else {
        index::distances_at(metric, search.query, block.vectors, {rows.data(), count}, dim,
                            distances.data());
      }
      stats.visited_count += count;
      for (std::uint32_t i = 0; i < count; ++i) {
        if (!top.worth_offering(distances[i])) continue;
        top.offer({distances[i], block.slots[rows[i]], block.vectors + std::size_t{rows[i]} * dim});
      }
    }
    if (!status.ok()) return;
    row = block.first_row + block.row_count;
  }
}

Status VectorField::search_sealed(const SealedSegment& segment, const FieldSearch& search,
                                  double live_share, TopK& top, FieldSearchStats& stats) const {
  Status status;
  const bool is_flat = segment.index()->spec().type == IndexType::kFlat;
  if (search.exact || is_flat || is_scan_cheaper(segment, search, live_share)) {
    scan(segment, search, top, stats, status);
    return status;
  }
  stats.strategy = search.allowed == nullptr ? "walk" : "filtered_walk";

  const RowBlock rows = segment.block_at(0);
  index::SearchOptions options;
  options.k = search.k;
  options.ef = search.ef.value_or(0);
  options.probe_count = search.probe_count.value_or(0);
  options.ignore_codes = search.ignore_codes;
  options.rescore = search.rescore;
  options.oversampling = search.oversampling;
  options.prefix_dim = search.prefix_dim;
  options.cancel = search.cancel;
  std::vector<index::RowHit> found;
  index::SearchStats walked;
  TESSERA_RETURN_IF_ERROR(segment.index()->search(
      search.query, options, row_filter(segment, rows.slots, search), found, walked));
  stats.visited_count += walked.visited_count;
  stats.reranked_count += walked.reranked_count;

  // A walk may end before it has met every allowed row. The answer must not be short.
  if (found.size() < search.k && found.size() < segment.live_row_count()) {
    stats.strategy = "exact_scan";
    scan(segment, search, top, stats, status);
    return status;
  }
  for (const index::RowHit& hit : found) {
    if (!top.worth_offering(hit.distance)) break;
    top.offer(
        {hit.distance, rows.slots[hit.row], rows.vectors + std::size_t{hit.row} * identity_.dim});
  }
  return {};
}

Status VectorField::search(const FieldView& view, const FieldSearch& search,
                           std::vector<SlotHit>& hits, FieldSearchStats& stats) const {
  hits.clear();
  stats.segments.clear();
  if (search.k == 0) return {};
  TopK top(search.k, slots_);
  Status status;
  const double live_rows = static_cast<double>(live_row_count(view));
  for (const auto& segment : view.sealed) {
    if (segment->row_count() == 0) continue;
    const double live_share =
        static_cast<double>(segment->live_row_count()) / std::max(1.0, live_rows);
    FieldSearchStats part;
    TESSERA_RETURN_IF_ERROR(search_sealed(*segment, search, live_share, top, part));
    add_part(*segment, search, part, stats);
  }
  std::vector<SlotHit> sealed_hits = top.take();

  // Fresh rows after sealed ones (invariant 2): a slot found in both has just been replaced, and
  // the fresh row is the current one.
  TopK fresh(search.k, slots_);
  if (!search.indexed_only) {
    std::vector<const Segment*> segments;
    for (const auto& segment : view.frozen) segments.push_back(segment.get());
    segments.push_back(view.growing.get());
    for (const Segment* segment : segments) {
      FieldSearchStats part;
      scan(*segment, search, fresh, part, status);
      TESSERA_RETURN_IF_ERROR(status);
      add_part(*segment, search, part, stats);
    }
  }
  hits = fresh.take();
  hits.insert(hits.end(), sealed_hits.begin(), sealed_hits.end());
  std::stable_sort(hits.begin(), hits.end(),
                   [&](const SlotHit& a, const SlotHit& b) { return top.before(a, b); });
  std::vector<SlotHit> unique;
  unique.reserve(std::min(search.k, hits.size()));
  index::Bitmap seen;
  for (const SlotHit& hit : hits) {
    if (unique.size() == search.k) break;
    if (seen.addChecked(hit.slot)) unique.push_back(hit);
  }
  hits = std::move(unique);
  return {};
}

}  // namespace tessera::engine
