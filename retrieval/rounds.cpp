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

RoundsRun::RoundsRun(Mixture mixture, const RoundPlan& plan, Mover& mover, Searcher& searcher)
    : mixture_(std::move(mixture)), plan_(plan), mover_(mover), searcher_(searcher) {
  if (plan.limit == 0) stage_ = Stage::kDone;
}

Status RoundsRun::advance() {
  while (stage_ != Stage::kDone) {
    if (stage_ == Stage::kMove) {
      if (mover_.encoding() != nullptr) return {};
      TESSERA_RETURN_IF_ERROR(begin_round());
    } else {
      pending_ = running_->wanted();
      if (!pending_.empty()) return {};
      TESSERA_RETURN_IF_ERROR(end_round());
    }
  }
  return {};
}

Status RoundsRun::accept(std::vector<std::vector<Hit>> answers) {
  pending_.clear();
  return running_->accept(std::move(answers));
}

Status RoundsRun::begin_round() {
  if (round_ > 1 || plan_.moves_first) TESSERA_RETURN_IF_ERROR(mover_.move_on(mixture_.interests));
  if (round_ == 1) {
    for (const InterestReport& interest : mixture_.interests) first_.push_back(interest.vector);
  }
  if (plan_.is_rehearsal && round_ == plan_.round_count) {
    stage_ = Stage::kDone;
    return {};
  }
  const std::size_t round_size =
      plan_.limit / plan_.round_count + (plan_.limit % plan_.round_count != 0);
  const std::size_t left = plan_.limit - result_.hits.size();
  wanted_count_ = std::min(round_size, left);
  shift_ = mean_shift(mixture_.interests, first_);
  running_.emplace(mixture_, round_quotas(mixture_, wanted_count_, left), searcher_);
  stage_ = Stage::kSearch;
  return {};
}

Status RoundsRun::end_round() {
  TESSERA_ASSIGN_OR_RETURN(std::vector<InterestHit> hits, running_->take());
  running_.reset();
  stage_ = Stage::kDone;
  if (hits.empty()) return {};
  for (const InterestHit& hit : hits) {
    result_.hits.push_back({hit.hit, round_, hit.component, hit.rank});
  }
  result_.rounds.push_back({round_, hits.size(), shift_});
  // A short round means that no more rows match.
  if (hits.size() < wanted_count_) return {};
  if (result_.hits.size() >= plan_.limit || round_ == plan_.round_count) return {};
  if (mixture_.page_rule) {
    // A page is for people: what comes next does not depend on how it was arranged.
    std::stable_sort(hits.begin(), hits.end(),
                     [](const InterestHit& a, const InterestHit& b) { return a.rank < b.rank; });
  }
  TESSERA_RETURN_IF_ERROR(mover_.read(hits));
  ++round_;
  stage_ = Stage::kMove;
  return {};
}

RefineResult RoundsRun::take() {
  // `shift` tells how far the others went.
  for (std::size_t i = 0; i < first_.size(); ++i) {
    mixture_.interests[i].vector = std::move(first_[i]);
  }
  result_.interests = std::move(mixture_.interests);
  return std::move(result_);
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
