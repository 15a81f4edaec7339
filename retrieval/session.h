#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "retrieval/interests.h"
#include "retrieval/refine.h"

namespace tessera::retrieval {

/// Rounds with a person in between: what they say about the items of earlier rounds moves the
/// vectors, and the weights, of the round to come. Every round is computed from the beginning of
/// the session and all that was said since, so that a round can be taken back without a trace.
/// Formulas in docs/methods.md.

/// q_t = alpha q_1 + beta mean(liked) - gamma mean(disliked), Rocchio 1971.
struct JudgedRocchio {
  double alpha = 1;
  double beta = 0.75;
  double gamma = 0.15;
};
/// Explore: away from what was returned and not liked. Attention: the query is read again in the
/// light of what was returned and not disliked.
using SessionStrategy = std::variant<JudgedRocchio, RelevanceFeedback, Explore, Attention>;

/// An item of an earlier round.
struct ReturnedItem {
  std::vector<float> vector;  ///< Empty when it is gone: then it moves no vector.
  std::uint32_t component = 0;
  std::optional<double> score;  ///< Above 0 it is liked, below 0 disliked; 0 is neither.
};

/// An interest, or the query of a session without interests.
struct SessionStart {
  std::vector<float> vector;
  double weight = 1;  ///< >= 0.
};
struct MovedInterest {
  std::vector<float> vector;
  double weight = 0;  ///< Of all they sum to 1.
  double shift = 1;   ///< Cosine between the vector and that of the start.
};

/// kInvalidArgument naming the field under "strategy".
Status check_session_strategy(const SessionStrategy& strategy, Metric metric);

/// Whether the strategy reads the vector of an item; where not, it may be empty.
[[nodiscard]] bool reads_vector(const SessionStrategy& strategy, const ReturnedItem& item);

/// What feedback makes of the interests. An interest moves by the items that it returned itself:
/// its vector by the strategy, its weight by w (1 + p) / (2 + p + n), where p and n sum the scores
/// of liked and of disliked ones. Without anything to move it a vector comes back to the bit.
/// `items` in the order of return. kInvalidArgument when a vector leaves the range of float.
Result<std::vector<MovedInterest>> move_interests(const SessionStrategy& strategy,
                                                  const std::vector<SessionStart>& starts,
                                                  const std::vector<ReturnedItem>& items,
                                                  Metric metric);

/// Its part that makes the weights.
void move_weights(const std::vector<SessionStart>& starts, const std::vector<ReturnedItem>& items,
                  std::vector<MovedInterest>& moved);

struct SessionRoundRequest {
  /// With the vectors and weights of this round, and `returned` as far as the session is.
  std::vector<InterestReport> interests;
  std::vector<int> component_filters;  ///< One an interest, as Search::component_filter.
  std::size_t limit = 0;
  std::uint32_t min_quota = 0;
  double quota_power = 1;  ///< As InterestsRequest::quota_power.
  Allocation allocation = Allocation::kProportional;
  MergeOrder merge = MergeOrder::kInterleave;
  std::uint32_t page = 0;       ///< As InterestsRequest::page.
  std::optional<Mmr> page_mmr;  ///< With a page.
  Scope scope = Scope::kGlobal;
  std::uint64_t seed = 42;
  std::vector<float> person;  ///< For the last resort; may be empty.
  SlotSet excluded;           ///< With all that was returned.
};
struct SessionRoundResult {
  std::vector<InterestHit> hits;  ///< min(limit, rows that match); ranks count on from `returned`.
  std::vector<InterestReport> interests;  ///< With this round's quotas; `returned` counts on.
};

/// One round: of a single interest the plain query, of several what retrieve_interests() does with
/// such components, except that an interest which gets too small a quota stays in the report with
/// quota 0.
Result<SessionRoundResult> retrieve_session_round(SessionRoundRequest request, Searcher& searcher);

}  // namespace tessera::retrieval
