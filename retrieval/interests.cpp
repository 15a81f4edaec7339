#include "retrieval/interests.h"

#include "retrieval/diversity.h"
#include "retrieval/mixture.h"

namespace tessera::retrieval {

Result<InterestsResult> retrieve_interests(const InterestsRequest& request, std::size_t limit,
                                           const SlotSet& excluded, Searcher& searcher) {
  if (request.diversity) TESSERA_RETURN_IF_ERROR(check_diversity(*request.diversity, limit));
  TESSERA_ASSIGN_OR_RETURN(Mixture mixture, make_mixture(request, limit, excluded, searcher));
  std::vector<std::size_t> quotas;
  for (const InterestReport& interest : mixture.interests) quotas.push_back(interest.quota);
  const bool chooses = request.diversity && limit > 0;
  if (chooses) {
    // In the proportions of the quotas, so that the choice is among what the mixture asks for.
    quotas = largest_remainder({quotas.begin(), quotas.end()},
                               candidate_count(*request.diversity, limit));
  }
  InterestsResult result;
  TESSERA_ASSIGN_OR_RETURN(result.hits, retrieve_round(mixture, quotas, searcher));
  if (chooses) {
    TESSERA_ASSIGN_OR_RETURN(
        result.hits, diversified(*request.diversity, std::move(result.hits), limit, searcher));
    for (InterestReport& interest : mixture.interests) interest.returned = 0;
    for (const InterestHit& hit : result.hits) ++mixture.interests[hit.component].returned;
  }
  result.interests = std::move(mixture.interests);
  return result;
}

}  // namespace tessera::retrieval
