#include "retrieval/refine.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "retrieval/components.h"
#include "retrieval/mixture.h"
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

/// Many rounds over one mixture.
class Rounds {
 public:
  Rounds(Mixture mixture, const Strategy& strategy, Searcher& searcher)
      : mixture_(std::move(mixture)),
        strategy_(strategy),
        searcher_(searcher),
        contexts_(mixture_.interests.size()) {
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      contexts_[i].first = mixture_.interests[i].vector;
    }
  }

  /// Every history item goes to the component nearest to it: one component re-reads its own part.
  void share_history(const std::vector<HistoryItem>& history) {
    const Metric metric = searcher_.metric();
    for (const HistoryItem& item : history) {
      const Wide vector = widen(item.vector);
      std::size_t nearest = contexts_.size();
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < contexts_.size(); ++i) {
        if (!mixture_.shares.is_active[i]) continue;
        const Metric by = metric == Metric::kDot ? Metric::kCosine : metric;
        const double apart = separation(by, vector, widen(contexts_[i].first));
        if (nearest == contexts_.size() || apart < least) {
          least = apart;
          nearest = i;
        }
      }
      contexts_[nearest].history.push_back(vector);
      contexts_[nearest].weights.push_back(item.weight);
    }
  }

  Result<RefineResult> run(std::size_t limit, std::uint32_t round_count) {
    const std::size_t round_size = limit / round_count + (limit % round_count != 0);
    RefineResult result;
    for (std::uint32_t round = 1; round <= round_count && result.hits.size() < limit; ++round) {
      const std::size_t wanted = std::min(round_size, limit - result.hits.size());
      if (round > 1) TESSERA_RETURN_IF_ERROR(move_on());
      const double shift = mean_shift();
      TESSERA_ASSIGN_OR_RETURN(
          const std::vector<InterestHit> hits,
          retrieve_round(mixture_, round_quotas(wanted, limit - result.hits.size()), searcher_));
      if (hits.empty()) break;
      for (const InterestHit& hit : hits) {
        result.hits.push_back({hit.hit, round, hit.component, hit.rank});
      }
      result.rounds.push_back({round, hits.size(), shift});
      // A short round means that no more rows match.
      if (hits.size() < wanted) break;
      if (result.hits.size() < limit && round < round_count) TESSERA_RETURN_IF_ERROR(read(hits));
    }
    // The report names the vector of the first round; `shift` tells how far the others went.
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      mixture_.interests[i].vector = contexts_[i].first;
    }
    result.interests = std::move(mixture_.interests);
    return result;
  }

 private:
  /// This round's part of what is left of every quota, so that the rounds together keep them.
  [[nodiscard]] std::vector<std::size_t> round_quotas(std::size_t wanted, std::size_t left) const {
    std::vector<std::size_t> open;
    std::size_t sum = 0;
    for (const InterestReport& interest : mixture_.interests) {
      // A component that took seats of another may be beyond its quota.
      open.push_back(interest.quota - std::min(interest.quota, interest.returned));
      sum += open.back();
    }
    if (sum == wanted && wanted == left) return open;
    if (sum == 0) return largest_remainder(mixture_.shares.share, wanted);
    return largest_remainder(std::vector<double>(open.begin(), open.end()), wanted);
  }

  /// The vectors of the next round.
  Status move_on() {
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      TESSERA_ASSIGN_OR_RETURN(mixture_.interests[i].vector,
                               next_vector(strategy_, contexts_[i], searcher_.metric()));
    }
    return {};
  }

  /// Puts the vectors of a round's hits into the contexts of their components.
  Status read(const std::vector<InterestHit>& hits) {
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

  /// Cosine between the vectors of this round and of the first, averaged by weight.
  [[nodiscard]] double mean_shift() const {
    double shift = 0;
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      const InterestReport& interest = mixture_.interests[i];
      if (interest.vector == contexts_[i].first) {
        shift += interest.weight;
      } else {
        shift += interest.weight * cosine(widen(interest.vector), widen(contexts_[i].first));
      }
    }
    return shift;
  }

  Mixture mixture_;
  const Strategy& strategy_;
  Searcher& searcher_;
  std::vector<Context> contexts_;  ///< One per interest.
};

}  // namespace

Result<RefineResult> retrieve_refined(const RefineRequest& request, std::size_t limit,
                                      const SlotSet& excluded, Searcher& searcher) {
  if (request.rounds == 0) {
    return Status(Code::kInvalidArgument, "query.refine.rounds: must be 1 or larger");
  }
  TESSERA_RETURN_IF_ERROR(check_strategy(request.strategy));
  TESSERA_RETURN_IF_ERROR(check_history(request.history, searcher.dim(), "query.refine.history"));
  const auto* interests = std::get_if<InterestsRequest>(&request.query);
  Mixture mixture;
  if (interests != nullptr) {
    if (interests->diversity) {
      return Status(Code::kInvalidArgument,
                    "query.refine.query.interests.diversity: cannot be used in rounds");
    }
    TESSERA_ASSIGN_OR_RETURN(mixture, make_mixture(*interests, limit, excluded, searcher));
  } else {
    const auto& vector = std::get<std::vector<float>>(request.query);
    TESSERA_RETURN_IF_ERROR(check_vector(vector, searcher.dim(), "query.refine.query"));
    mixture = single(vector, limit, excluded);
  }
  Rounds rounds(std::move(mixture), request.strategy, searcher);
  const bool has_own = request.history.empty() && interests != nullptr;
  rounds.share_history(has_own ? interests->history : request.history);
  TESSERA_ASSIGN_OR_RETURN(RefineResult result, rounds.run(limit, request.rounds));
  if (interests == nullptr) {
    result.interests.clear();
    for (RefineHit& hit : result.hits) {
      hit.component.reset();
      hit.rank = 0;
    }
  }
  return result;
}

}  // namespace tessera::retrieval
