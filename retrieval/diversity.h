#pragma once

#include <span>
#include <vector>

#include "retrieval/interests.h"
#include "retrieval/searcher.h"

namespace tessera::retrieval {

/// kInvalidArgument naming the member of query.interests.diversity.
Status check_diversity(const Diversity& diversity, std::size_t limit);
/// Of a request, or of each of its rounds: the member of query.interests.
Status check_choice(const InterestsRequest& request, std::size_t limit);

/// How many hits are looked for to choose `limit` from.
std::size_t candidate_count(const Diversity& diversity, std::size_t limit);

/// The chosen hits in the order of choice, `limit` of them or all. Similarity is the score, for
/// Euclid and Manhattan the negative one; equally good candidates are taken in the searcher's
/// order. Cost: limit x candidates, times the dimension for maximal marginal relevance.
Result<std::vector<InterestHit>> diversified(const Diversity& diversity,
                                             std::vector<InterestHit> candidates, std::size_t limit,
                                             Searcher& searcher);

/// The same hits with their first `page` places chosen: each of those goes to the most valuable hit
/// by the rule, of the interest whose turn it is; the others stay behind them by score. `turns`:
/// a component a place, which has as many hits as turns; or none: the places are anybody's.
/// `vectors`: of every component the one that similarity is to; none: the scores are.
Result<std::vector<InterestHit>> diversified_page(const Diversity& diversity,
                                                  std::vector<InterestHit> hits, std::size_t page,
                                                  std::span<const std::size_t> turns,
                                                  std::span<const std::vector<float>> vectors,
                                                  Searcher& searcher);

}  // namespace tessera::retrieval
