#pragma once

#include "engine/top_k.h"
#include "engine/vector_field.h"

namespace tessera::engine {

/// How a segment is scanned for a query on a prefix of the vectors (search.prefix_dim > 0): the
/// k * oversampling allowed rows nearest by their first values are found exactly, then compared as
/// a whole and offered to `top`. Cosine compares the prefixes' directions, whatever their lengths.
/// kCancelled, kTimeout. Cost: one pass over the allowed rows' prefixes.
Status scan_prefix(const Segment& segment, Metric metric, const FieldSearch& search, TopK& top,
                   SegmentPlan& plan);

/// How many candidates a search keeps for exact re-ranking: k * oversampling, at least k.
std::size_t candidate_count_of(const FieldSearch& search);

}  // namespace tessera::engine
