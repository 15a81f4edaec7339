#pragma once

#include <memory>
#include <vector>

#include "retrieval/adapted.h"
#include "retrieval/refine.h"
#include "retrieval/rounds.h"

namespace tessera::retrieval {

/// One retrieve_refined() that can be driven step by step, so that the vectors and the searches of
/// many people are made together. What of the request is read after begin() is its strategy, its
/// adapter and `known`: they and the searcher outlive it.
/// Thread rule: confined to one thread at a time.
class RefineRun {
 public:
  /// Checks the request; nothing is encoded or searched yet.
  static Result<std::unique_ptr<RefineRun>> begin(const RefineRequest& request, std::size_t limit,
                                                  const SlotSet& excluded, Searcher& searcher);

  /// Persons without whose vectors it cannot go on; null when there are none. encode() makes them,
  /// alone or together with those of others.
  [[nodiscard]] const Encoding* encoding() const { return rounds_->encoding(); }
  Status accept_vectors(std::span<const float> rows);
  /// The searches without which it cannot go on, until they are answered. None, and no encoding: it
  /// is at its end.
  [[nodiscard]] const std::vector<Search>& wanted() const { return rounds_->wanted(); }
  Status accept(std::vector<std::vector<Hit>> answers);

  /// Once nothing is wanted.
  RefineResult finish();

 private:
  RefineRun(const RefineRequest& request, std::size_t limit, Searcher& searcher)
      : request_(request), limit_(limit), searcher_(searcher) {}
  void begin_strategy(Mixture mixture);
  void begin_adapter(Mixture mixture);
  Status advance();

  const RefineRequest& request_;
  const std::size_t limit_;
  Searcher& searcher_;
  bool has_interests_ = false;
  std::unique_ptr<Mover> mover_,
      replay_;  ///< The second of the two works with the first, or after.
  /// With a rehearsal: what its vectors are then searched with.
  std::unique_ptr<Mixture> rehearsed_;
  RoundVectors vectors_;
  std::unique_ptr<RoundsRun> rounds_;
};

}  // namespace tessera::retrieval
