#pragma once

#include <optional>
#include <vector>

#include "retrieval/allocation.h"
#include "retrieval/fanout.h"
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
  std::size_t page = 0;                ///< As InterestsRequest::page.
  std::optional<Diversity> page_rule;  ///< How the page's hits are ordered, if not by nearness.
};

Result<Mixture> make_mixture(const InterestsRequest& request, std::size_t limit,
                             const SlotSet& excluded, const Searcher& searcher);

/// A fan-out with the interests' current vectors and `quotas`. The mixture and the searcher outlive
/// it. As Fanout, it may be driven search by search, together with others.
class MixtureRound {
 public:
  MixtureRound(Mixture& mixture, const std::vector<std::size_t>& quotas, Searcher& searcher);
  MixtureRound(const MixtureRound&) = delete;
  MixtureRound& operator=(const MixtureRound&) = delete;

  /// The searches without which it cannot go on, valid until they are answered; none at the end.
  std::vector<Search> wanted();
  Status accept(std::vector<std::vector<Hit>> answers);
  /// Once nothing is wanted: the hits in the order of the answer. Ranks count on from the
  /// interests' `returned`, which was raised. The slots found are in mixture.excluded.
  Result<std::vector<InterestHit>> take();

 private:
  enum class Stage : std::uint8_t { kFanout, kRest, kDone };
  static std::vector<Fanout::Lane> lanes_of(const Mixture& mixture,
                                            const std::vector<std::size_t>& quotas);
  void merge();
  [[nodiscard]] std::vector<std::vector<float>> page_vectors() const;

  Mixture& mixture_;
  Searcher& searcher_;
  const std::size_t limit_;
  Fanout fanout_;
  Stage stage_ = Stage::kFanout;
  std::vector<InterestHit> hits_;
  /// Whose turns the places of the page are, as component numbers; none when it goes by score.
  std::vector<std::size_t> turns_;
  std::size_t own_count_ = 0;  ///< Hits behind those come from the plain query.
};

/// All of a round.
Result<std::vector<InterestHit>> retrieve_round(Mixture& mixture,
                                                const std::vector<std::size_t>& quotas,
                                                Searcher& searcher);

}  // namespace tessera::retrieval
