#pragma once

#include <limits>

#include "engine/top_k.h"
#include "engine/vector_field.h"
#include "index/bound_codes.h"

namespace tessera::engine {

/// One of the searches that are done together, on its way. Thread rule: confined to the request.
struct VectorField::Part {
  Part(const FieldSearch& wanted, FieldAnswer& given, const SlotTable& slots)
      : search(wanted), answer(given), top(wanted.k, slots) {}

  /// What was done for it in a segment goes into its answer's figures.
  void count_segment() const {
    ++answer.stats.segment_count;
    answer.stats.visited_count += plan.visited_count;
    if (search.reports_segments) answer.stats.segments.push_back(plan);
  }

  const FieldSearch& search;
  FieldAnswer& answer;
  TopK top;                         ///< Of sealed rows first, then of fresh ones.
  SegmentPlan plan;                 ///< Of the segment at hand.
  index::BoundCodes::Query bounds;  ///< Ready when its code is not empty.
  /// Rows beyond it are not among the best, as is known of fresh rows after sealed ones.
  float limit = std::numeric_limits<float>::infinity();
};

}  // namespace tessera::engine
