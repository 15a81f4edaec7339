#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "retrieval/searcher.h"

namespace tessera::retrieval {

/// Several ranked lists made one. Larger scores are better, whatever the metric of the lists.
/// Thread rule: pure functions.

/// One item of the lists.
struct FusedHit {
  Slot slot = 0;
  float score = 0;
  std::size_t list = 0;   ///< The first list that has it,
  std::size_t place = 0;  ///< and its place there.
};

/// Reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009) as the dialect counts: an item
/// at place p, from 0, of a list of weight w adds 1 / ((p + 1) / w + k - 1).
struct ReciprocalRank {
  double k = 2;                 ///< >= 1
  std::vector<double> weights;  ///< One per list, >= 0; empty: all 1.
};
/// Every item once, in the order of the lists. Requires lists of distinct slots.
std::vector<FusedHit> fuse_by_rank(std::span<const std::vector<Hit>> lists,
                                   const ReciprocalRank& rule);

/// Distribution-based score fusion: an item adds (score - (mean - 3 s)) / 6 s, with the mean and
/// the sample deviation s of its list's scores; 0.5 where s is 0. The lists' scores are
/// similarities.
std::vector<FusedHit> fuse_by_score(std::span<const std::vector<Hit>> lists);

}  // namespace tessera::retrieval
