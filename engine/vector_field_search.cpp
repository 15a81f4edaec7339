#include <algorithm>
#include <array>
#include <limits>

#include "engine/field_parts.h"
#include "engine/segment_plan.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kScanBlock = 256;
/// Slots whose rows are looked up under one lock.
constexpr std::size_t kLookupBlock = 512;
/// Searches repeated because a point was replaced under them.
constexpr int kAttemptsMax = 3;

SegmentPlan describe(const Segment& segment, const char* kind) {
  SegmentPlan plan;
  plan.number = segment.number();
  plan.kind = kind;
  if (segment.index() != nullptr) {
    plan.type = index::index_type_name(segment.index()->spec().type);
  }
  plan.row_count = segment.row_count();
  plan.live_count = segment.live_row_count();
  return plan;
}

const char* kind_of(const FieldView& view, const Segment& segment) {
  if (&segment == view.growing.get()) return "growing";
  return segment.index() != nullptr ? "sealed" : "frozen";
}

bool is_walkable(const SealedSegment& segment, const FieldSearch& search) {
  return !search.exact && search.plan != PlanChoice::kScan &&
         segment.index()->spec().type != IndexType::kFlat;
}

/// Of every point one hit; hits are in order, so the nearer one. True when one was dropped.
bool drop_repeated_slots(std::vector<SlotHit>& hits) {
  std::vector<std::pair<std::uint32_t, std::size_t>> slots(hits.size());
  for (std::size_t i = 0; i < hits.size(); ++i) slots[i] = {hits[i].slot, i};
  std::sort(slots.begin(), slots.end());
  std::vector<bool> is_repeated(hits.size());
  bool has_repeated = false;
  for (std::size_t i = 1; i < slots.size(); ++i) {
    if (slots[i].first != slots[i - 1].first) continue;
    is_repeated[slots[i].second] = has_repeated = true;
  }
  if (!has_repeated) return false;
  std::size_t position = 0;
  std::erase_if(hits, [&](const SlotHit&) { return is_repeated[position++]; });
  return true;
}

}  // namespace

bool VectorField::look_up(const FieldView& view, std::span<const std::uint32_t> slots,
                          std::vector<Location>& rows) const {
  SharedLock lock(mutex_);
  if (view_.get() != &view) return false;
  for (const std::uint32_t slot : slots) {
    const Location location = location_of(slot);
    if (location.segment != nullptr) rows.push_back(location);
  }
  return true;
}

void VectorField::offer_locations(const FieldView& view, std::span<const Location> rows,
                                  const FieldSearch& search, TopK& top,
                                  FieldSearchStats& stats) const {
  std::array<std::uint32_t, kScanBlock> offsets;
  for (std::size_t begin = 0; begin < rows.size();) {
    const Segment& segment = *rows[begin].segment;
    const RowBlock block = segment.block_at(rows[begin].row);
    std::size_t count = 0;
    std::size_t end = begin;
    for (; end < rows.size() && count < kScanBlock && rows[end].segment == &segment; ++end) {
      if (rows[end].row < block.first_row || rows[end].row - block.first_row >= block.row_count) {
        break;
      }
      offsets[count++] = rows[end].row - block.first_row;
    }
    begin = end;
    // A row that is not in the segment's index yet.
    if (search.indexed_only && segment.index() == nullptr) continue;
    // Rows that follow each other are read as one stretch, so they must be in order.
    std::sort(offsets.begin(), offsets.begin() + static_cast<std::ptrdiff_t>(count));
    offer_rows(block, {offsets.data(), count}, search, top);
    stats.visited_count += count;
    if (!search.reports_segments) continue;
    auto known = std::find_if(stats.segments.begin(), stats.segments.end(),
                              [&](const SegmentPlan& p) { return p.number == segment.number(); });
    if (known == stats.segments.end()) {
      stats.segments.push_back(describe(segment, kind_of(view, segment)));
      known = stats.segments.end() - 1;
      known->strategy = "match_scan";
    }
    known->match_count += count;
    known->visited_count += count;
  }
}

/// False when the view is no longer the current one: the locations speak of that alone.
Result<bool> VectorField::scan_matches(const FieldView& view, const FieldSearch& search, TopK& top,
                                       FieldSearchStats& stats) const {
  stats.strategy = "match_scan";
  stats.segment_count += view.sealed.size() + view.frozen.size() + 1;
  std::array<std::uint32_t, kLookupBlock> slots;
  std::vector<Location> rows;
  rows.reserve(kLookupBlock);
  std::size_t count = 0;
  bool is_current = true;
  const auto search_block = [&]() -> Status {
    if (search.cancel != nullptr) TESSERA_RETURN_IF_ERROR(search.cancel->check());
    rows.clear();
    is_current = look_up(view, {slots.data(), count}, rows);
    count = 0;
    if (is_current) offer_locations(view, rows, search, top, stats);
    return {};
  };
  for (std::size_t i = 0; i < search.allowed->word_count() && is_current; ++i) {
    for (std::uint64_t word = search.allowed->words()[i]; word != 0; word &= word - 1) {
      slots[count++] =
          static_cast<std::uint32_t>(i * 64 + static_cast<std::size_t>(__builtin_ctzll(word)));
      if (count < kLookupBlock) continue;
      TESSERA_RETURN_IF_ERROR(search_block());
      if (!is_current) break;
    }
  }
  if (is_current && count > 0) TESSERA_RETURN_IF_ERROR(search_block());
  return is_current;
}

Result<bool> VectorField::walk(const SealedSegment& segment, Part& part) const {
  const FieldSearch& search = part.search;
  SegmentPlan& plan = part.plan;
  if (!is_walkable(segment, search)) return true;
  MatchCount matches = estimate_matches(segment, search);
  if (search.plan == PlanChoice::kCheapest && is_scan_cheaper(segment, search, matches)) {
    return true;
  }
  plan.strategy = search.allowed == nullptr ? "walk" : "filtered_walk";
  plan.match_count = static_cast<std::size_t>(matches.rows);
  plan.is_match_estimated = matches.is_estimated;

  const RowBlock rows = segment.block_at(0);
  index::SearchOptions options;
  options.k = search.k;
  options.ef = walk_ef(segment.index()->spec(), search);
  options.probe_count = search.probe_count.value_or(0);
  options.ignore_codes = search.ignore_codes;
  options.rescore = search.rescore;
  options.oversampling = search.oversampling;
  options.prefix_dim = search.prefix_dim;
  // Where what is allowed is far from the query, a walk would meet most rows before it ends, and
  // still find others than the nearest. It gives up instead.
  if (search.allowed != nullptr && search.plan == PlanChoice::kCheapest) {
    options.visited_max = cost::visits_until_scan(segment, matches.rows);
  }
  options.cancel = search.cancel;
  std::vector<index::RowHit> found;
  index::SearchStats walked;
  TESSERA_RETURN_IF_ERROR(segment.index()->search(
      search.query, options, row_filter(segment, rows.slots, search), found, walked));
  plan.visited_count += walked.visited_count;
  plan.reranked_count += walked.reranked_count;

  // A walk may end before it has met every allowed row. The answer must not be short.
  const bool is_complete =
      !matches.is_estimated && found.size() >= static_cast<std::size_t>(matches.rows);
  if (walked.gave_up || (found.size() < search.k && !is_complete)) {
    plan.strategy = "walk_then_scan";
    return true;
  }
  for (const index::RowHit& hit : found) {
    if (!part.top.worth_offering(hit.distance)) break;
    part.top.offer({hit.distance, rows.slots[hit.row], rows.vectors.bytes_of(hit.row)});
  }
  return false;
}

Status VectorField::search_sealed(const SealedSegment& segment, Parts parts) const {
  std::vector<Part*> scanned;
  for (Part* part : parts) {
    part->plan = describe(segment, "sealed");
    TESSERA_ASSIGN_OR_RETURN(const bool needs_scan, walk(segment, *part));
    if (needs_scan) scanned.push_back(part);
  }
  TESSERA_RETURN_IF_ERROR(scan(segment, scanned));
  for (Part* part : parts) {
    part->answer.stats.strategy = part->plan.strategy;
    part->count_segment();
  }
  return {};
}

/// Fresh rows after sealed ones (invariant 2): a slot found in both has just been replaced.
Status VectorField::search_fresh(const FieldView& view, Parts parts, bool may_skip) const {
  std::vector<Part*> open;
  for (Part* part : parts) {
    if (part->search.indexed_only) continue;
    open.push_back(part);
    // A fresh row beyond all k of the sealed ones is not among the best, unless one of those has
    // just been replaced: then the search is repeated.
    const std::vector<SlotHit>& hits = part->answer.hits;
    part->limit = may_skip && hits.size() == part->search.k
                      ? hits.back().distance
                      : std::numeric_limits<float>::infinity();
  }
  const auto search_one = [&](const GrowingSegment& segment, const char* kind) -> Status {
    for (Part* part : open) part->plan = describe(segment, kind);
    TESSERA_RETURN_IF_ERROR(scan(segment, open));
    for (Part* part : open) part->count_segment();
    return {};
  };
  for (const auto& segment : view.frozen) TESSERA_RETURN_IF_ERROR(search_one(*segment, "frozen"));
  TESSERA_RETURN_IF_ERROR(search_one(*view.growing, "growing"));
  for (Part* part : open) {
    const std::vector<SlotHit> fresh_hits = part->top.take();
    std::vector<SlotHit>& hits = part->answer.hits;
    const auto sealed_count = static_cast<std::ptrdiff_t>(hits.size());
    hits.insert(hits.end(), fresh_hits.begin(), fresh_hits.end());
    std::inplace_merge(hits.begin(), hits.begin() + sealed_count, hits.end(),
                       [&](const SlotHit& a, const SlotHit& b) { return part->top.before(a, b); });
  }
  return {};
}

Status VectorField::search_segments(const FieldView& view, Parts parts, bool may_skip) const {
  for (Part* part : parts) {
    part->answer.stats.strategy = "exact_scan";
    part->limit = std::numeric_limits<float>::infinity();
  }
  for (const auto& segment : view.sealed) {
    if (segment->row_count() > 0) TESSERA_RETURN_IF_ERROR(search_sealed(*segment, parts));
  }
  for (Part* part : parts) part->answer.hits = part->top.take();
  return search_fresh(view, parts, may_skip);
}

Status VectorField::search_many(const FieldView& view, std::span<const FieldSearch> searches,
                                std::span<FieldAnswer> answers) const {
  const SearchMark mark(budget_);
  std::vector<Part> parts;
  parts.reserve(searches.size());
  for (std::size_t i = 0; i < searches.size(); ++i) {
    const FieldSearch& search = searches[i];
    FieldAnswer& answer = answers[i];
    answer.hits.clear();
    if (search.k == 0) continue;
    // Looked-up rows are compared as a whole, not by a prefix.
    if (search.plan == PlanChoice::kCheapest && search.prefix_dim == 0 &&
        is_match_scan_cheaper(view, search, identity_.dim)) {
      TopK top(search.k, slots_);
      TESSERA_ASSIGN_OR_RETURN(const bool is_done, scan_matches(view, search, top, answer.stats));
      if (is_done) {
        answer.hits = top.take();
        continue;
      }
      answer.stats.segments.clear();
    }
    parts.emplace_back(search, answer, slots_);
  }
  std::vector<Part*> open;
  for (Part& part : parts) open.push_back(&part);
  for (int attempt = 1; !open.empty(); ++attempt) {
    TESSERA_RETURN_IF_ERROR(search_segments(view, open, attempt < kAttemptsMax));
    // Rows of a point that was replaced meanwhile may have taken the places of others.
    std::erase_if(open, [](Part* part) {
      std::vector<SlotHit>& hits = part->answer.hits;
      const bool is_short = drop_repeated_slots(hits) && hits.size() < part->search.k;
      if (hits.size() > part->search.k) hits.resize(part->search.k);
      return !is_short;
    });
    if (attempt == kAttemptsMax) break;
    for (Part* part : open) part->answer.stats.segments.clear();
  }
  return {};
}

Status VectorField::search(const FieldView& view, const FieldSearch& search,
                           std::vector<SlotHit>& hits, FieldSearchStats& stats) const {
  FieldAnswer answer{{}, std::move(stats)};
  const Status status = search_many(view, {&search, 1}, {&answer, 1});
  hits = std::move(answer.hits);
  stats = std::move(answer.stats);
  return status;
}

}  // namespace tessera::engine
