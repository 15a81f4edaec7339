#include "engine/segment_plan.h"

#include <algorithm>

namespace tessera::engine {
namespace {

constexpr std::size_t kSampleRows = 1024;
constexpr std::size_t kPartEfMin = 40;
/// Where the costs of two plans are nearer to each other than this, the matches are counted.
constexpr double kUndecidedRatio = 2;

std::size_t live_row_count(const FieldView& view) {
  std::size_t total = view.growing->live_row_count();
  for (const auto& segment : view.sealed) total += segment->live_row_count();
  for (const auto& segment : view.frozen) total += segment->live_row_count();
  return total;
}

template <class Segments>
double scan_all_ns(const Segments& segments, double share, std::size_t dim) {
  double total = 0;
  for (const auto& segment : segments) {
    total += cost::scan_ns(static_cast<double>(segment->row_count()),
                           share * static_cast<double>(segment->live_row_count()), dim);
  }
  return total;
}

}  // namespace

index::RowFilter row_filter(const Segment& segment, const std::uint32_t* slots,
                            const FieldSearch& search) {
  index::RowFilter filter;
  filter.slots = slots;
  if (segment.dead().count() > 0) filter.dead_words = segment.dead().words();
  if (search.allowed != nullptr) {
    filter.slot_words = search.allowed->words();
    filter.slot_word_count = search.allowed->word_count();
  }
  return filter;
}

MatchCount estimate_matches(const SealedSegment& segment, const FieldSearch& search) {
  const auto live = static_cast<double>(segment.live_row_count());
  const std::size_t rows = segment.row_count();
  if (search.allowed == nullptr) return {live, false};
  if (rows <= kSampleRows) return count_matches(segment, search);
  const index::RowFilter filter = row_filter(segment, segment.block_at(0).slots, search);
  std::size_t hits = 0;
  // Multiples of the golden ratio: spread evenly, and in step with no period that the rows may
  // have.
  std::uint32_t position = 0;
  for (std::size_t i = 0; i < kSampleRows; ++i) {
    position += 0x9e3779b9U;
    hits += filter.allows(static_cast<std::uint32_t>(std::uint64_t{position} * rows >> 32)) ? 1 : 0;
  }
  // Half a hit more than were met: none in the sample does not mean none.
  const double estimate =
      (static_cast<double>(hits) + 0.5) * static_cast<double>(rows) / kSampleRows;
  return {std::min({estimate, live, static_cast<double>(search.allowed_count)}), true};
}

MatchCount count_matches(const SealedSegment& segment, const FieldSearch& search) {
  if (search.allowed == nullptr) return {static_cast<double>(segment.live_row_count()), false};
  const std::uint32_t rows = segment.row_count();
  if (rows == 0) return {};
  const index::RowFilter filter = row_filter(segment, segment.block_at(0).slots, search);
  std::size_t matches = 0;
  for (std::uint32_t row = 0; row < rows; ++row) matches += filter.allows(row) ? 1 : 0;
  return {static_cast<double>(matches), false};
}

std::size_t walk_ef(const index::IndexSpec& spec, const FieldSearch& search) {
  const std::size_t alone = std::max<std::size_t>(search.k, search.ef.value_or(spec.ef_construct));
  if (!search.is_part || search.ef) return alone;
  return std::min(alone, std::max(kPartEfMin, 2 * search.k));
}

namespace cost {
namespace {

constexpr double kRowTestNs = 1.15;
constexpr double kScanRowNs = 10, kScanValueNs = 0.13;   // Rows in order.
constexpr double kLookupNs = 20, kLookupValueNs = 0.15;  // Rows in order with gaps.
constexpr double kWalkRowNs = 60, kWalkValueNs = 0.1;    // Codes anywhere, and a heap to keep.
/// Of the ef * m links of a walk's candidates, those that lead to rows not met before.
constexpr double kNewLinkShare = 0.6;
/// Walks differ: one that was expected to be just as cheap as a scan may need so much more.
constexpr double kWalkSlack = 1.5;

}  // namespace

double scan_ns(double rows, double matches, std::size_t dim) {
  return rows * kRowTestNs + matches * (kScanRowNs + kScanValueNs * static_cast<double>(dim));
}

double match_scan_ns(double matches, std::size_t dim) {
  return matches * (kLookupNs + kLookupValueNs * static_cast<double>(dim));
}

double walk_ns(const SealedSegment& segment, const FieldSearch& search, double matches) {
  const index::IndexSpec& spec = segment.index()->spec();
  const auto rows = static_cast<double>(segment.row_count());
  const auto ef = static_cast<double>(walk_ef(spec, search));
  // To meet ef allowed rows, so many must be met.
  const double met = std::min(rows, ef * spec.m * kNewLinkShare * rows / matches);
  return met * (kWalkRowNs + kWalkValueNs * static_cast<double>(segment.dim()));
}

std::size_t visits_until_scan(const SealedSegment& segment, double matches) {
  const auto dim = static_cast<double>(segment.dim());
  const double scan = scan_ns(static_cast<double>(segment.row_count()), matches, segment.dim());
  return static_cast<std::size_t>(kWalkSlack * scan / (kWalkRowNs + kWalkValueNs * dim)) + 1;
}

}  // namespace cost

bool is_scan_cheaper(const SealedSegment& segment, const FieldSearch& search, MatchCount& matches) {
  const auto rows = static_cast<double>(segment.row_count());
  const auto ratio = [&] {
    const double count = std::max(1.0, matches.rows);
    return cost::scan_ns(rows, count, segment.dim()) / cost::walk_ns(segment, search, count);
  };
  if (matches.is_estimated && ratio() < kUndecidedRatio && ratio() > 1 / kUndecidedRatio) {
    matches = count_matches(segment, search);
  }
  return matches.rows <= static_cast<double>(search.k) || ratio() <= 1;
}

bool is_match_scan_cheaper(const FieldView& view, const FieldSearch& search, std::size_t dim) {
  if (search.allowed == nullptr) return false;
  const auto live = static_cast<double>(live_row_count(view));
  const auto allowed = std::min(static_cast<double>(search.allowed_count), live);
  const double share = allowed / std::max(1.0, live);
  double others = scan_all_ns(view.frozen, share, dim) +
                  cost::scan_ns(static_cast<double>(view.growing->row_count()),
                                share * static_cast<double>(view.growing->live_row_count()), dim);
  for (const auto& segment : view.sealed) {
    const auto rows = static_cast<double>(segment->row_count());
    const double matches = std::max(1.0, share * static_cast<double>(segment->live_row_count()));
    const double scan = cost::scan_ns(rows, matches, dim);
    others += search.exact ? scan : std::min(scan, cost::walk_ns(*segment, search, matches));
  }
  return cost::match_scan_ns(allowed, dim) < others;
}

}  // namespace tessera::engine
