#include "retrieval/refine.h"

#include "retrieval/adapted.h"
#include "retrieval/components.h"
#include "retrieval/diversity.h"
#include "retrieval/mixture.h"
#include "retrieval/refine_run.h"
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
  mixture.shares = {{1.0}, {true}, {1.0}};
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
    for (Context& context : contexts_) tessera::retrieval::begin_round(strategy_, context);
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

Status check_request(const RefineRequest& request, std::size_t limit, const Searcher& searcher) {
  if (request.rounds == 0) {
    return {Code::kInvalidArgument, "query.refine.rounds: must be 1 or larger"};
  }
  if (request.adapter != nullptr) {
    TESSERA_RETURN_IF_ERROR(check_adapter(*request.adapter, searcher.metric(), searcher.dim(),
                                          "query.refine.strategy.adapter"));
  } else {
    TESSERA_RETURN_IF_ERROR(check_strategy(request.strategy, searcher.metric()));
  }
  TESSERA_RETURN_IF_ERROR(check_history(request.history, searcher.dim(), "query.refine.history"));
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  if (interests != nullptr) {
    if (!interests->diversity || interests->page > 0) {
      return check_choice(*interests, limit);
    }
    return {Code::kInvalidArgument,
            "query.refine.query.interests.diversity: in rounds it goes together with `page` only"};
  }
  const auto& vector = std::get<std::vector<float>>(request.query);
  if (request.adapter != nullptr && request.history.empty()) {
    return {Code::kInvalidArgument,
            "query.refine.history: an adapter needs at least one item to encode"};
  }
  if (request.adapter != nullptr && vector.empty()) return {};
  return check_vector(vector, searcher.dim(), "query.refine.query");
}

}  // namespace

Result<std::unique_ptr<RefineRun>> RefineRun::begin(const RefineRequest& request, std::size_t limit,
                                                    const SlotSet& excluded, Searcher& searcher) {
  TESSERA_RETURN_IF_ERROR(check_request(request, limit, searcher));
  std::unique_ptr<RefineRun> run(new RefineRun(request, limit, searcher));
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  run->has_interests_ = interests != nullptr;
  Mixture mixture;
  if (interests != nullptr) {
    TESSERA_ASSIGN_OR_RETURN(mixture, make_mixture(*interests, limit, excluded, searcher));
  } else {
    mixture = single(std::get<std::vector<float>>(request.query), limit, excluded);
  }
  if (request.adapter != nullptr) {
    run->begin_adapter(std::move(mixture));
  } else {
    run->begin_strategy(std::move(mixture));
  }
  TESSERA_RETURN_IF_ERROR(run->advance());
  return run;
}

void RefineRun::begin_strategy(Mixture mixture) {
  const auto* interests = std::get_if<InterestsRequest>(&request_.query);
  const bool has_own = request_.history.empty() && interests != nullptr;
  const auto& history = has_own ? interests->history : request_.history;
  auto mover = std::make_unique<StrategyMover>(request_.strategy, mixture, searcher_);
  mover->take_history(history, shared_history(history, mixture, searcher_.metric()));
  mover_ = std::move(mover);
  rounds_ = std::make_unique<RoundsRun>(
      std::move(mixture), RoundPlan{limit_, request_.rounds, false, false}, *mover_, searcher_);
}

void RefineRun::begin_adapter(Mixture mixture) {
  const auto* interests = std::get_if<InterestsRequest>(&request_.query);
  for (InterestReport& interest : mixture.interests) {
    // A mean of items has a mean of their biases there.
    if (interests != nullptr && request_.adapter->has_item_bias()) interest.vector.back() = 1;
    // An adapter's vectors are not those that a page's were made beside.
    interest.page_offset.clear();
  }
  const bool has_own = interests != nullptr && request_.history.empty();
  const bool has_first =
      interests != nullptr || !std::get<std::vector<float>>(request_.query).empty();
  AdaptedPersons persons{has_own ? interests->history : request_.history, {}};
  if (has_own) {
    for (const auto& interest : mixture.interests) persons.histories.push_back(interest.positions);
  } else {
    persons.histories = shared_history(request_.history, mixture, searcher_.metric());
  }
  mover_ = make_adapter_mover(*request_.adapter, persons, has_first ? &mixture.interests : nullptr,
                              searcher_);
  const bool rehearses = request_.context_includes_known && !request_.known.isEmpty();
  const RoundPlan plan{limit_, request_.rounds, !has_first, rehearses};
  if (!rehearses) {
    mixture.excluded |= request_.known;
    rounds_ = std::make_unique<RoundsRun>(std::move(mixture), plan, *mover_, searcher_);
    return;
  }
  rehearsed_ = std::make_unique<Mixture>(mixture);
  replay_ = make_recorder(*mover_, vectors_);
  rounds_ = std::make_unique<RoundsRun>(std::move(mixture), plan, *replay_, searcher_);
}

Status RefineRun::advance() {
  TESSERA_RETURN_IF_ERROR(rounds_->advance());
  if (!rounds_->is_done() || rehearsed_ == nullptr) return {};
  // The answer is made of the same vectors, without what is known.
  RefineResult rehearsal = rounds_->take();
  for (std::size_t i = 0; i < rehearsal.interests.size(); ++i) {
    rehearsed_->interests[i].vector = std::move(rehearsal.interests[i].vector);
  }
  rehearsed_->excluded |= request_.known;
  const bool has_first = has_interests_ || !std::get<std::vector<float>>(request_.query).empty();
  if (!has_first && !vectors_.empty()) vectors_.erase(vectors_.begin());
  replay_ = make_player(std::move(vectors_));
  rounds_ = std::make_unique<RoundsRun>(std::move(*rehearsed_),
                                        RoundPlan{limit_, request_.rounds, false, false}, *replay_,
                                        searcher_);
  rehearsed_.reset();
  return rounds_->advance();
}

Status RefineRun::accept_vectors(std::span<const float> rows) {
  mover_->take_vectors(rows);
  return advance();
}

Status RefineRun::accept(std::vector<std::vector<Hit>> answers) {
  TESSERA_RETURN_IF_ERROR(rounds_->accept(std::move(answers)));
  return advance();
}

RefineResult RefineRun::finish() {
  RefineResult result = rounds_->take();
  if (has_interests_) return result;
  result.interests.clear();
  for (RefineHit& hit : result.hits) {
    hit.component.reset();
    hit.rank = 0;
  }
  return result;
}

Result<RefineResult> retrieve_refined(const RefineRequest& request, std::size_t limit,
                                      const SlotSet& excluded, Searcher& searcher) {
  TESSERA_ASSIGN_OR_RETURN(const auto run, RefineRun::begin(request, limit, excluded, searcher));
  adapter::Scratch scratch;
  adapter::Values rows;
  const adapter::Check check = [&searcher] { return searcher.check(); };
  while (true) {
    if (const Encoding* encoding = run->encoding(); encoding != nullptr) {
      TESSERA_RETURN_IF_ERROR(encode(*encoding, check, scratch, rows));
      TESSERA_RETURN_IF_ERROR(run->accept_vectors(rows));
    } else if (!run->wanted().empty()) {
      TESSERA_ASSIGN_OR_RETURN(auto answers, searcher.search_many(run->wanted()));
      TESSERA_RETURN_IF_ERROR(run->accept(std::move(answers)));
    } else {
      return run->finish();
    }
  }
}

}  // namespace tessera::retrieval
