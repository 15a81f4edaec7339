#include "retrieval/interests.h"

#include "retrieval/mixture.h"

namespace tessera::retrieval {

Result<InterestsResult> retrieve_interests(const InterestsRequest& request, std::size_t limit,
                                           const SlotSet& excluded, Searcher& searcher) {
  TESSERA_ASSIGN_OR_RETURN(Mixture mixture, make_mixture(request, limit, excluded, searcher));
  std::vector<std::size_t> quotas;
  for (const InterestReport& interest : mixture.interests) quotas.push_back(interest.quota);
  InterestsResult result;
  TESSERA_ASSIGN_OR_RETURN(result.hits, retrieve_round(mixture, quotas, searcher));
  result.interests = std::move(mixture.interests);
  return result;
}

}  // namespace tessera::retrieval
