#include "retrieval/interests.h"

#include "retrieval/diversity.h"
#include "retrieval/interests_run.h"

namespace tessera::retrieval {

Result<InterestsRun> InterestsRun::begin(const InterestsRequest& request, std::size_t limit,
                                         const SlotSet& excluded, Searcher& searcher) {
  TESSERA_RETURN_IF_ERROR(check_choice(request, limit));
  InterestsRun run(request, limit, searcher);
  TESSERA_ASSIGN_OR_RETURN(Mixture mixture, make_mixture(request, limit, excluded, searcher));
  std::vector<std::size_t> quotas;
  for (const InterestReport& interest : mixture.interests) quotas.push_back(interest.quota);
  run.chooses_ = request.diversity && request.page == 0 && limit > 0;
  if (run.chooses_) {
    // In the proportions of the quotas, so that the choice is among what the mixture asks for.
    quotas = largest_remainder({quotas.begin(), quotas.end()},
                               candidate_count(*request.diversity, limit));
  }
  run.mixture_ = std::make_unique<Mixture>(std::move(mixture));
  run.round_ = std::make_unique<MixtureRound>(*run.mixture_, quotas, searcher);
  return run;
}

Result<InterestsResult> InterestsRun::finish() {
  InterestsResult result;
  TESSERA_ASSIGN_OR_RETURN(result.hits, round_->take());
  if (chooses_) {
    TESSERA_ASSIGN_OR_RETURN(
        result.hits, diversified(*request_->diversity, std::move(result.hits), limit_, *searcher_));
    for (InterestReport& interest : mixture_->interests) interest.returned = 0;
    for (const InterestHit& hit : result.hits) ++mixture_->interests[hit.component].returned;
  }
  result.interests = std::move(mixture_->interests);
  return result;
}

Result<InterestsResult> retrieve_interests(const InterestsRequest& request, std::size_t limit,
                                           const SlotSet& excluded, Searcher& searcher) {
  TESSERA_ASSIGN_OR_RETURN(InterestsRun run,
                           InterestsRun::begin(request, limit, excluded, searcher));
  for (auto searches = run.wanted(); !searches.empty(); searches = run.wanted()) {
    TESSERA_ASSIGN_OR_RETURN(auto answers, searcher.search_many(searches));
    TESSERA_RETURN_IF_ERROR(run.accept(std::move(answers)));
  }
  return run.finish();
}

}  // namespace tessera::retrieval
