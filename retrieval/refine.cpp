#include "retrieval/refine.h"

#include "retrieval/adapted.h"
#include "retrieval/components.h"
#include "retrieval/mixture.h"
#include "retrieval/rounds.h"
#include "retrieval/strategies.h"

namespace tessera::retrieval {
namespace {

/// A vector query is a mixture of one component.
Mixture single(const std::vector<float>& vector, std::size_t limit, const SlotSet& excluded) {
  Mixture mixture;
  InterestReport interest;
  interest.weight = 1;
  interest.quota = limit;
  interest.vector = vector;
  mixture.interests.push_back(std::move(interest));
  mixture.component_filters = {-1};
  mixture.shares = {{1.0}, {true}};
  mixture.excluded = excluded;
  return mixture;
}

/// The training-free strategies.
class StrategyMover final : public Mover {
 public:
  StrategyMover(const Strategy& strategy, const Mixture& mixture, Searcher& searcher)
      : strategy_(strategy), searcher_(searcher), contexts_(mixture.interests.size()) {
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      contexts_[i].first = mixture.interests[i].vector;
    }
  }

  /// `shares` are places in `history`, a list an interest.
  void take_history(const std::vector<HistoryItem>& history,
                    const std::vector<std::vector<std::uint32_t>>& shares) {
    for (std::size_t i = 0; i < shares.size(); ++i) {
      for (const std::uint32_t position : shares[i]) {
        contexts_[i].history.push_back(widen(history[position].vector));
        contexts_[i].weights.push_back(history[position].weight);
      }
    }
  }

  Status move_on(std::vector<InterestReport>& interests) override {
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      TESSERA_ASSIGN_OR_RETURN(interests[i].vector,
                               next_vector(strategy_, contexts_[i], searcher_.metric()));
    }
    return {};
  }

  /// Puts the vectors of a round's hits into the contexts of their components.
  Status read(const std::vector<InterestHit>& hits) override {
    for (Context& context : contexts_) begin_round(strategy_, context);
    for (const InterestHit& hit : hits) {
      Context& context = contexts_[hit.component];
      if (!wants_hit(strategy_, context)) continue;
      TESSERA_ASSIGN_OR_RETURN(const std::vector<float> vector, searcher_.vector_of(hit.hit.slot));
      if (vector.size() != searcher_.dim()) {
        return {Code::kInternal, "a stored vector has another dimension than its collection"};
      }
      observe_hit(strategy_, context, vector, searcher_.metric());
    }
    return {};
  }

 private:
  const Strategy& strategy_;
  Searcher& searcher_;
  std::vector<Context> contexts_;  ///< One per interest.
};

Status check_request(const RefineRequest& request, const Searcher& searcher) {
  if (request.rounds == 0) {
    return {Code::kInvalidArgument, "query.refine.rounds: must be 1 or larger"};
  }
  if (request.adapter != nullptr) {
    TESSERA_RETURN_IF_ERROR(check_adapter(*request.adapter, searcher.metric(), searcher.dim(),
                                          "query.refine.strategy.adapter"));
  } else {
    TESSERA_RETURN_IF_ERROR(check_strategy(request.strategy));
  }
  TESSERA_RETURN_IF_ERROR(check_history(request.history, searcher.dim(), "query.refine.history"));
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  if (interests != nullptr) {
    if (!interests->diversity) return {};
    return {Code::kInvalidArgument,
            "query.refine.query.interests.diversity: cannot be used in rounds"};
  }
  const auto& vector = std::get<std::vector<float>>(request.query);
  if (request.adapter != nullptr && request.history.empty()) {
    return {Code::kInvalidArgument,
            "query.refine.history: an adapter needs at least one item to encode"};
  }
  if (request.adapter != nullptr && vector.empty()) return {};
  return check_vector(vector, searcher.dim(), "query.refine.query");
}

Result<RefineResult> run_strategy(const RefineRequest& request, Mixture mixture, std::size_t limit,
                                  Searcher& searcher) {
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  const bool has_own = request.history.empty() && interests != nullptr;
  const auto& history = has_own ? interests->history : request.history;
  StrategyMover mover(request.strategy, mixture, searcher);
  mover.take_history(history, shared_history(history, mixture, searcher.metric()));
  return run_rounds(std::move(mixture), {limit, request.rounds, false}, mover, searcher);
}

Result<RefineResult> run_adapter(const RefineRequest& request, Mixture mixture, std::size_t limit,
                                 Searcher& searcher) {
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  if (interests != nullptr && request.adapter->has_item_bias()) {
    // A mean of items has a mean of their biases there.
    for (InterestReport& interest : mixture.interests) interest.vector.back() = 1;
  }
  if (interests != nullptr && request.history.empty()) {
    AdaptedRequest adapted{request, interests->history, {}, true};
    for (const InterestReport& interest : mixture.interests) {
      adapted.histories.push_back(interest.positions);
    }
    return retrieve_adapted(adapted, std::move(mixture), limit, searcher);
  }
  const bool has_first =
      interests != nullptr || !std::get<std::vector<float>>(request.query).empty();
  AdaptedRequest adapted{request, request.history,
                         shared_history(request.history, mixture, searcher.metric()), has_first};
  return retrieve_adapted(adapted, std::move(mixture), limit, searcher);
}

}  // namespace

Result<RefineResult> retrieve_refined(const RefineRequest& request, std::size_t limit,
                                      const SlotSet& excluded, Searcher& searcher) {
  TESSERA_RETURN_IF_ERROR(check_request(request, searcher));
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  Mixture mixture;
  if (interests != nullptr) {
    TESSERA_ASSIGN_OR_RETURN(mixture, make_mixture(*interests, limit, excluded, searcher));
  } else {
    mixture = single(std::get<std::vector<float>>(request.query), limit, excluded);
  }
  auto result = request.adapter != nullptr
                    ? run_adapter(request, std::move(mixture), limit, searcher)
                    : run_strategy(request, std::move(mixture), limit, searcher);
  if (result.has_error() || interests != nullptr) return result;
  result->interests.clear();
  for (RefineHit& hit : result->hits) {
    hit.component.reset();
    hit.rank = 0;
  }
  return result;
}

}  // namespace tessera::retrieval
