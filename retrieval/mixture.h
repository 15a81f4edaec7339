#pragma once

#include "retrieval/allocation.h"
#include "retrieval/interests.h"

namespace tessera::retrieval {

/// An interests request made ready for its searches; what one round and many rounds share.
struct Mixture {
  std::vector<InterestReport> interests;  ///< With quotas; `returned` counts what was given out.
  std::vector<int> component_filters;     ///< One per interest.
  Shares shares;                          ///< One per interest.
  bool is_within_clusters = false;        ///< Every interest looks in its cluster only.
  std::vector<float> person;              ///< For the last resort; may be empty.
  SlotSet excluded;                       ///< With the history, if the request says so.
  MergeOrder merge = MergeOrder::kInterleave;
};

Result<Mixture> make_mixture(const InterestsRequest& request, std::size_t limit,
                             const SlotSet& excluded, const Searcher& searcher);

/// Fans out with the interests' current vectors and `quotas`, merges, and counts ranks on from the
/// interests' `returned`, which it raises. The slots found are added to mixture.excluded.
Result<std::vector<InterestHit>> retrieve_round(Mixture& mixture,
                                                const std::vector<std::size_t>& quotas,
                                                Searcher& searcher);

}  // namespace tessera::retrieval
