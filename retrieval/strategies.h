#pragma once

#include "retrieval/refine.h"
#include "retrieval/vector_math.h"

namespace tessera::retrieval {

/// What a strategy knows when it makes the vector of the next round. It keeps no more of the hits
/// than its formula needs.
struct Context {
  std::vector<float> first;     ///< The vector of round 1, as given.
  std::vector<Wide> history;    ///< What attention re-reads; may be empty.
  std::vector<double> weights;  ///< One per history item.
  /// Attention: every hit. Rocchio: the first ones of the last round. Relevance feedback: those
  /// that its pairs can be made of, by score, the best first.
  std::vector<Wide> kept;
  std::vector<double> scores;  ///< Relevance feedback: one per kept hit.
  Wide sum;                    ///< Explore: of every hit.
  std::size_t summed_count = 0;
};

struct ScoredVector {
  const Wide* vector = nullptr;
  double score = 0;
};
/// What relevance feedback makes of `judged`, which come best first; nothing without a pair whose
/// scores differ.
[[nodiscard]] std::optional<Wide> moved_by_pairs(const RelevanceFeedback& strategy,
                                                 std::span<const float> start,
                                                 const std::vector<ScoredVector>& judged);

/// Before the hits of a round are observed.
void begin_round(const Strategy& strategy, Context& context);
/// Whether the strategy will use the vector of the round's next hit; asked in rank order.
[[nodiscard]] bool wants_hit(const Strategy& strategy, const Context& context);
void observe_hit(const Strategy& strategy, Context& context, std::span<const float> vector,
                 Metric metric);

/// kInvalidArgument naming the field under "query.refine.strategy".
Status check_strategy(const Strategy& strategy, Metric metric);

/// The vector of the next round. A strategy that changes nothing (beta or gamma 0, nothing
/// retrieved) gives `first` back, to the bit. kInvalidArgument when the result leaves the range of
/// float.
Result<std::vector<float>> next_vector(const Strategy& strategy, const Context& context,
                                       Metric metric);

}  // namespace tessera::retrieval
