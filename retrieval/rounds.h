#pragma once

#include <vector>

#include "retrieval/mixture.h"
#include "retrieval/refine.h"

namespace tessera::retrieval {

/// What changes the vectors of a mixture's interests from one round to the next.
class Mover {
 public:
  virtual ~Mover() = default;
  /// Sets the vectors of the next round.
  virtual Status move_on(std::vector<InterestReport>& interests) = 0;
  /// The hits of a round that another one follows, in the order of the answer.
  virtual Status read(const std::vector<InterestHit>& hits) = 0;
};

struct RoundPlan {
  std::size_t limit = 0;
  std::uint32_t round_count = 1;
  /// The vectors of the last round are wanted, not its hits.
  bool is_rehearsal = false;
};

/// Rounds of ceil(limit / round_count) hits by the vectors that the interests have and `mover`
/// gives them. Every interest keeps its quota over all rounds; no slot comes twice. The report
/// names the vectors of the first round.
Result<RefineResult> run_rounds(Mixture mixture, const RoundPlan& plan, Mover& mover,
                                Searcher& searcher);

/// Which of `history` every interest re-reads: each item goes to the active interest nearest to it.
/// Places in the history, ascending, a list an interest.
std::vector<std::vector<std::uint32_t>> shared_history(const std::vector<HistoryItem>& history,
                                                       const Mixture& mixture, Metric metric);

}  // namespace tessera::retrieval
