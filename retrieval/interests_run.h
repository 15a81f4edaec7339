#pragma once

#include <memory>
#include <vector>

#include "retrieval/interests.h"
#include "retrieval/mixture.h"

namespace tessera::retrieval {

/// One retrieve_interests() that can be driven search by search, so that the searches of many
/// people are found together. The request and the searcher outlive it.
/// Thread rule: confined to one thread at a time.
class InterestsRun {
 public:
  /// Checks the request and makes the mixture; nothing is searched yet.
  static Result<InterestsRun> begin(const InterestsRequest& request, std::size_t limit,
                                    const SlotSet& excluded, Searcher& searcher);

  /// The searches without which it cannot go on; none at the end. They borrow from this object,
  /// until they are answered.
  std::vector<Search> wanted() { return round_->wanted(); }
  Status accept(std::vector<std::vector<Hit>> answers) {
    return round_->accept(std::move(answers));
  }
  /// Once nothing is wanted.
  Result<InterestsResult> finish();

 private:
  InterestsRun(const InterestsRequest& request, std::size_t limit, Searcher& searcher)
      : request_(&request), limit_(limit), searcher_(&searcher) {}

  const InterestsRequest* request_;
  std::size_t limit_;
  Searcher* searcher_;
  bool chooses_ = false;  ///< For diversity, from more hits than the limit.
  std::unique_ptr<Mixture> mixture_;
  std::unique_ptr<MixtureRound> round_;
};

}  // namespace tessera::retrieval
