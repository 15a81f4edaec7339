#pragma once

#include <optional>
#include <vector>

#include "adapter/adapter.h"
#include "retrieval/mixture.h"
#include "retrieval/refine.h"

namespace tessera::retrieval {

/// Persons whose next vectors are wanted.
struct Encoding {
  const adapter::Adapter* adapter = nullptr;
  std::vector<adapter::Person*> persons;
};

/// What changes the vectors of a mixture's interests from one round to the next.
class Mover {
 public:
  virtual ~Mover() = default;
  /// What somebody must encode before move_on(); null where nothing is to be.
  [[nodiscard]] virtual const Encoding* encoding() const { return nullptr; }
  /// The vectors of the encoding's persons, which were told to remember them: rows of dim() values.
  virtual void take_vectors(std::span<const float> /*rows*/) {}
  /// Sets the vectors of the next round.
  virtual Status move_on(std::vector<InterestReport>& interests) = 0;
  /// The hits of a round that another one follows, those of each interest nearest first.
  virtual Status read(const std::vector<InterestHit>& hits) = 0;
};

struct RoundPlan {
  std::size_t limit = 0;
  std::uint32_t round_count = 1;
  /// The vectors of round 1 are the mover's too.
  bool moves_first = false;
  /// The vectors of the last round are wanted, not its hits.
  bool is_rehearsal = false;
};

/// Rounds of ceil(limit / round_count) hits by the vectors that the interests have and `mover`
/// gives them. Every interest keeps its quota over all rounds; no slot comes twice. Driven step by
/// step: advance() first and after each of the others, until is_done(). What it refers to outlives
/// it.
class RoundsRun {
 public:
  RoundsRun(Mixture mixture, const RoundPlan& plan, Mover& mover, Searcher& searcher);
  RoundsRun(const RoundsRun&) = delete;
  RoundsRun& operator=(const RoundsRun&) = delete;

  /// As far as it comes without vectors or answers from outside.
  Status advance();
  [[nodiscard]] bool is_done() const { return stage_ == Stage::kDone; }
  /// What the mover waits for; null else.
  [[nodiscard]] const Encoding* encoding() const {
    return stage_ == Stage::kMove ? mover_.encoding() : nullptr;
  }
  /// The searches that it waits for; none else. Valid until they are answered.
  [[nodiscard]] const std::vector<Search>& wanted() const { return pending_; }
  Status accept(std::vector<std::vector<Hit>> answers);

  /// Once done. The report names the vectors of the first round.
  RefineResult take();

 private:
  enum class Stage : std::uint8_t { kMove, kSearch, kDone };
  Status begin_round();
  Status end_round();

  Mixture mixture_;
  const RoundPlan plan_;
  Mover& mover_;
  Searcher& searcher_;
  Stage stage_ = Stage::kMove;
  std::uint32_t round_ = 1;
  std::size_t wanted_count_ = 0;  ///< Of this round.
  double shift_ = 1;
  std::vector<std::vector<float>> first_;  ///< The vectors of round 1.
  std::optional<MixtureRound> running_;
  std::vector<Search> pending_;
  RefineResult result_;
};

/// Which of `history` every interest re-reads: each item goes to the active interest nearest to it.
/// Places in the history, ascending, a list an interest.
std::vector<std::vector<std::uint32_t>> shared_history(const std::vector<HistoryItem>& history,
                                                       const Mixture& mixture, Metric metric);

}  // namespace tessera::retrieval
