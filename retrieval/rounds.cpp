#include "retrieval/rounds.h"

#include <algorithm>
#include <limits>

#include "retrieval/vector_math.h"

namespace tessera::retrieval {
namespace {

/// This round's part of what is left of every quota, so that the rounds together keep them.
std::vector<std::size_t> round_quotas(const Mixture& mixture, std::size_t wanted,
                                      std::size_t left) {
  std::vector<std::size_t> open;
  std::size_t sum = 0;
  for (const InterestReport& interest : mixture.interests) {
    // A component that took seats of another may be beyond its quota.
    open.push_back(interest.quota - std::min(interest.quota, interest.returned));
    sum += open.back();
  }
  if (sum == wanted && wanted == left) return open;
  if (sum == 0) return largest_remainder(mixture.shares.share, wanted);
  return largest_remainder(std::vector<double>(open.begin(), open.end()), wanted);
}

using Vectors = std::vector<std::vector<float>>;

/// Cosine between the vectors of this round and of the first, averaged by weight.
double mean_shift(const std::vector<InterestReport>& interests, const Vectors& first) {
  double shift = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const InterestReport& interest = interests[i];
    if (interest.vector == first[i]) {
      shift += interest.weight;
    } else {
      shift += interest.weight * cosine(widen(interest.vector), widen(first[i]));
    }
  }
  return shift;
}

}  // namespace

Result<RefineResult> run_rounds(Mixture mixture, const RoundPlan& plan, Mover& mover,
                                Searcher& searcher) {
  Vectors first;
  for (const InterestReport& interest : mixture.interests) first.push_back(interest.vector);
  const std::size_t round_size =
      plan.limit / plan.round_count + (plan.limit % plan.round_count != 0);
  RefineResult result;
  for (std::uint32_t round = 1; round <= plan.round_count && result.hits.size() < plan.limit;
       ++round) {
    const std::size_t left = plan.limit - result.hits.size();
    const std::size_t wanted = std::min(round_size, left);
    if (round > 1) TESSERA_RETURN_IF_ERROR(mover.move_on(mixture.interests));
    if (plan.is_rehearsal && round == plan.round_count) break;
    const double shift = mean_shift(mixture.interests, first);
    TESSERA_ASSIGN_OR_RETURN(
        const std::vector<InterestHit> hits,
        retrieve_round(mixture, round_quotas(mixture, wanted, left), searcher));
    if (hits.empty()) break;
    for (const InterestHit& hit : hits) {
      result.hits.push_back({hit.hit, round, hit.component, hit.rank});
    }
    result.rounds.push_back({round, hits.size(), shift});
    // A short round means that no more rows match.
    if (hits.size() < wanted) break;
    if (result.hits.size() < plan.limit && round < plan.round_count) {
      TESSERA_RETURN_IF_ERROR(mover.read(hits));
    }
  }
  // `shift` tells how far the others went.
  for (std::size_t i = 0; i < first.size(); ++i) mixture.interests[i].vector = std::move(first[i]);
  result.interests = std::move(mixture.interests);
  return result;
}

std::vector<std::vector<std::uint32_t>> shared_history(const std::vector<HistoryItem>& history,
                                                       const Mixture& mixture, Metric metric) {
  std::vector<std::vector<std::uint32_t>> shares(mixture.interests.size());
  const Metric by = metric == Metric::kDot ? Metric::kCosine : metric;
  for (std::size_t position = 0; position < history.size(); ++position) {
    const Wide vector = widen(history[position].vector);
    std::size_t nearest = shares.size();
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (!mixture.shares.is_active[i]) continue;
      const double apart =
          shares.size() == 1 ? 0 : separation(by, vector, widen(mixture.interests[i].vector));
      if (nearest == shares.size() || apart < least) {
        least = apart;
        nearest = i;
      }
    }
    shares[nearest].push_back(static_cast<std::uint32_t>(position));
  }
  return shares;
}

}  // namespace tessera::retrieval
