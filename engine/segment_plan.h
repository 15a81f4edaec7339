#pragma once

#include <cstddef>

#include "engine/segment.h"
#include "engine/vector_field.h"
#include "index/ann_index.h"

namespace tessera::engine {

/// What a search may take of a segment: its live rows, and of those the allowed ones. `slots`: of
/// the rows, by row. Nothing is tested where nothing can fail.
index::RowFilter row_filter(const Segment& segment, const std::uint32_t* slots,
                            const FieldSearch& search);

/// Live, allowed rows of a sealed segment, from a sample of its rows: reads about a thousand of
/// them. The counts of a segment without a filter are exact.
struct MatchCount {
  double rows = 0;
  bool is_estimated = false;
};
MatchCount estimate_matches(const SealedSegment& segment, const FieldSearch& search);
/// Tests every row.
MatchCount count_matches(const SealedSegment& segment, const FieldSearch& search);

/// Candidates that a walk keeps, as index::SearchOptions::ef. Of several searches that make one
/// answer each gives a few hits only, so it keeps max(40, 2 k), where that is fewer than a search
/// that stands alone keeps. A given ef is kept.
std::size_t walk_ef(const index::IndexSpec& spec, const FieldSearch& search);

/// Nanoseconds, by the figures of docs/design.md ("Choosing a plan"). What counts is their ratio,
/// which depends less on the machine than they do.
namespace cost {
/// Tests `rows` rows and computes the distances of `matches` of them.
double scan_ns(double rows, double matches, std::size_t dim);
/// Looks `matches` slots up and computes the distances of their rows.
double match_scan_ns(double matches, std::size_t dim);
/// Walks the index of a segment of which the filter allows `matches` live rows.
double walk_ns(const SealedSegment& segment, const FieldSearch& search, double matches);
/// Comparisons after which a walk has clearly cost more than scanning the segment would.
std::size_t visits_until_scan(const SealedSegment& segment, double matches);
}  // namespace cost

/// Whether a segment is scanned rather than walked; `matches` becomes exact where the estimate does
/// not decide.
bool is_scan_cheaper(const SealedSegment& segment, const FieldSearch& search, MatchCount& matches);

/// Whether looking up every allowed slot is cheaper than searching the segments one by one.
bool is_match_scan_cheaper(const FieldView& view, const FieldSearch& search, std::size_t dim);

}  // namespace tessera::engine
