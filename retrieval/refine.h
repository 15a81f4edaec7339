#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "adapter/adapter.h"
#include "retrieval/interests.h"

namespace tessera::retrieval {

/// Multi-round retrieval: rounds of ceil(limit / rounds) items; what came back changes the query
/// vector; no round repeats an item. After Li et al., "Ada-Retrieval: An Adaptive Multi-Round
/// Retrieval Paradigm for Sequential Recommendations" (AAAI 2024), with training-free strategies;
/// formulas in docs/methods.md.

/// q_t = normalise(q_1 - beta * mean(everything retrieved so far)).
struct Explore {
  double beta = 0.5;
};
/// q_t = normalise(alpha * q + beta * mean(first `feedback` hits of the round before)), Rocchio
/// 1971.
struct Rocchio {
  double alpha = 0.7;
  double beta = 0.3;
  std::uint32_t feedback = 3;
};
/// H' = normalise(H + gamma * softmax(H F^T / temperature) F), q = normalise(mean of H').
struct Attention {
  double gamma = 0.3;
  double temperature = 0.1;
};
/// q_t = a q_1 + sum over pairs of d^b c (better - worse), d the difference of their scores: the
/// best scored item with the worst, the second best with the second worst, at most
/// kFeedbackPairMax such pairs. Cosine and Dot only, where a search by this vector ranks by the
/// same sum of similarities. In rounds without a person the items are those retrieved so far, and
/// their scores the similarities to q_1.
struct RelevanceFeedback {
  double a = 1;
  double b = 1;  ///< >= 0.
  double c = 1;
};
inline constexpr std::size_t kFeedbackPairMax = 3;
using Strategy = std::variant<Explore, Rocchio, Attention, RelevanceFeedback>;

struct RefineRequest {
  /// Round 1: a vector, or a multi-interest request whose components are each refined. With an
  /// adapter the vector may be empty: then round 1 has the adapter's own.
  std::variant<std::vector<float>, InterestsRequest> query;
  /// What attention re-reads and adapters encode, newest last. Empty beside interests: every
  /// interest has its own items. An interest without any keeps its vector under an adapter.
  std::vector<HistoryItem> history;
  std::uint32_t rounds = 5;  ///< >= 1.
  Strategy strategy = Explore{};

  /// Instead of a strategy: trained weights make the vectors. Cosine or Dot; fits the collection.
  std::shared_ptr<const adapter::Adapter> adapter;
  /// Slots that no answer shows; with an adapter only.
  SlotSet known;
  /// An adapter's rounds read what they retrieve without regard to `known`, as in the paper's
  /// evaluation; a second pass with the same vectors makes the answer.
  bool context_includes_known = false;
};

struct RefineHit {
  Hit hit;
  std::uint32_t round = 1;  ///< From 1.
  std::optional<std::uint32_t> component;
  std::uint32_t rank = 0;  ///< Within the component, over all rounds; with component only.
};

struct RoundReport {
  std::uint32_t round = 1;
  std::size_t returned = 0;
  double shift = 1;  ///< Cosine between this round's vector and the first round's (mean by weight).
};

struct RefineResult {
  std::vector<RefineHit> hits;  ///< Round by round, min(limit, rows that match), each slot once.
  std::vector<RoundReport> rounds;
  std::vector<InterestReport> interests;  ///< Empty for a vector query.
};

/// rounds = 1 equals a plain query. Deterministic.
Result<RefineResult> retrieve_refined(const RefineRequest& request, std::size_t limit,
                                      const SlotSet& excluded, Searcher& searcher);

}  // namespace tessera::retrieval
