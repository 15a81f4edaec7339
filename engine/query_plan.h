#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tessera::engine {

/// How one segment was searched. Plain data, for "explain".
struct SegmentPlan {
  std::uint64_t number = 0;
  const char* kind = "sealed";  ///< "sealed", "frozen" (waits for its index) or "growing".
  const char* type = "fresh";   ///< Of its index: "hnsw", ...; "fresh" where there is none yet.
  /// "match_scan" (the allowed slots were looked up), "exact_scan" (the rows were tested one by
  /// one), "code_scan" (so were fresh rows and those of a flat index, but those that their codes
  /// show to be too far), "walk", "filtered_walk", or "walk_then_scan": the walk ended before it
  /// had met enough allowed rows, or had cost more than a scan.
  const char* strategy = "exact_scan";
  std::size_t row_count = 0;
  std::size_t live_count = 0;
  std::size_t match_count = 0;      ///< Live rows that the filter allows.
  bool is_match_estimated = false;  ///< match_count is from a sample of the rows.
  std::size_t visited_count = 0;    ///< Distances computed, of rows or of codes.
  std::size_t reranked_count = 0;   ///< Rows compared as a whole after their code or prefix.
};

/// What one dimension adds to a score (Cosine, Dot: a product) or to a distance (Euclid: a squared
/// difference; Manhattan: a difference).
struct Contribution {
  std::uint32_t dim = 0;
  float value = 0;
  std::string name = {};  ///< Empty unless the vector's dimensions have names.
};

/// How a query was run, for "explain": true.
struct QueryPlan {
  std::string strategy;  ///< "exact_scan", "filtered_walk", "walk", "scroll"; the last search's.
  std::size_t match_count = 0;    ///< Points that the filter allows.
  std::size_t visited_count = 0;  ///< Distances computed.
  std::size_t search_count = 0;   ///< Nearest-neighbour searches run.
  std::size_t segment_count = 0;
  std::vector<SegmentPlan> segments;  ///< Of the last search, in the order searched.
};

}  // namespace tessera::engine
