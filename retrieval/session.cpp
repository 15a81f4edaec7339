#include "retrieval/session.h"

#include <algorithm>
#include <cmath>

#include "retrieval/mixture.h"
#include "retrieval/strategies.h"

namespace tessera::retrieval {
namespace {

bool is_angular(Metric metric) {
  return metric == Metric::kCosine || metric == Metric::kDot;
}

bool is_liked(const ReturnedItem& item) {
  return item.score && *item.score > 0;
}
bool is_disliked(const ReturnedItem& item) {
  return item.score && *item.score < 0;
}

Status invalid(const std::string& field, const std::string& why) {
  return {Code::kInvalidArgument, "strategy." + field + ": " + why};
}
bool is_at_least_zero(double value) {
  return value >= 0 && std::isfinite(value);
}

Status check_rocchio(const JudgedRocchio& rocchio) {
  if (!is_at_least_zero(rocchio.alpha)) return invalid("rocchio.alpha", "must be 0 or larger");
  if (!is_at_least_zero(rocchio.beta)) return invalid("rocchio.beta", "must be 0 or larger");
  if (!is_at_least_zero(rocchio.gamma)) return invalid("rocchio.gamma", "must be 0 or larger");
  if (!(rocchio.alpha + rocchio.beta > 0)) {
    return invalid("rocchio", "alpha and beta must not both be 0");
  }
  return {};
}

Status check_relevance(const RelevanceFeedback& relevance, Metric metric) {
  if (!std::isfinite(relevance.a)) return invalid("relevance_feedback.a", "must be finite");
  if (!is_at_least_zero(relevance.b)) {
    return invalid("relevance_feedback.b", "must be 0 or larger");
  }
  if (!std::isfinite(relevance.c)) return invalid("relevance_feedback.c", "must be finite");
  if (!is_angular(metric)) {
    return invalid("relevance_feedback", "needs vectors compared by Cosine or Dot");
  }
  return {};
}

Status out_of_range() {
  return {Code::kInvalidArgument,
          "strategy: the feedback moves the vector out of the range of float"};
}

using Items = std::vector<const ReturnedItem*>;  // Of one interest, in the order of return.

/// Mean of items weighted by the size of their scores; nothing when there is none.
std::optional<Wide> weighted_mean(const Items& items, Metric metric,
                                  bool (*is_wanted)(const ReturnedItem&)) {
  double largest = 0;
  for (const ReturnedItem* item : items) {
    if (is_wanted(*item)) largest = std::max(largest, std::abs(*item->score));
  }
  if (largest == 0) return std::nullopt;
  Wide sum;
  double weights = 0;
  for (const ReturnedItem* item : items) {
    if (!is_wanted(*item)) continue;
    const double weight = std::abs(*item->score) / largest;
    sum.resize(item->vector.size(), 0);
    add_scaled(sum, is_angular(metric) ? unit(item->vector) : widen(item->vector), weight);
    weights += weight;
  }
  for (double& value : sum) value /= weights;
  return sum;
}

/// Nothing where no item has its say.
std::optional<Wide> rocchio(const JudgedRocchio& strategy, const std::vector<float>& start,
                            const Items& items, Metric metric) {
  const auto liked = weighted_mean(items, metric, is_liked);
  const auto disliked = weighted_mean(items, metric, is_disliked);
  const bool has_pull = liked && strategy.beta > 0;
  const bool has_push = disliked && strategy.gamma > 0;
  if (!has_pull && !has_push) return std::nullopt;
  const double pull = has_pull ? strategy.beta : 0;
  double sum = strategy.alpha + pull;
  // Without anything liked, alpha 0 leaves nothing to start from but the query.
  const double stay = sum > 0 ? strategy.alpha : 1;
  if (!(sum > 0)) sum = 1;
  Wide next(start.size(), 0);
  add_scaled(next, is_angular(metric) ? unit(start) : widen(start), stay / sum);
  if (has_pull) add_scaled(next, *liked, pull / sum);
  if (!has_push) return next;
  const double push = strategy.gamma / sum;
  if (!is_angular(metric)) {
    // Points, not directions: a step of `push` times the way from what is disliked.
    for (double& value : next) value *= 1 + push;
  }
  add_scaled(next, *disliked, -push);
  return next;
}

std::optional<Wide> relevance(const RelevanceFeedback& strategy, const std::vector<float>& start,
                              Items items) {
  items.erase(std::remove_if(items.begin(), items.end(),
                             [](const ReturnedItem* item) { return !item->score.has_value(); }),
              items.end());
  std::stable_sort(items.begin(), items.end(), [](const ReturnedItem* a, const ReturnedItem* b) {
    return *a->score > *b->score;
  });
  // Only the outermost make pairs.
  if (items.size() > 2 * kFeedbackPairMax) {
    items.erase(items.begin() + kFeedbackPairMax, items.end() - kFeedbackPairMax);
  }
  std::vector<Wide> vectors;
  std::vector<ScoredVector> judged;
  vectors.reserve(items.size());
  for (const ReturnedItem* item : items) {
    judged.push_back({&vectors.emplace_back(widen(item->vector)), *item->score});
  }
  return moved_by_pairs(strategy, start, judged);
}

/// A strategy of rounds without a person reads what the person left to it.
Result<std::vector<float>> unjudged(const Strategy& strategy, const std::vector<float>& start,
                                    const Items& items, Metric metric) {
  Context context;
  context.first = start;
  for (const ReturnedItem* item : items) observe_hit(strategy, context, item->vector, metric);
  return next_vector(strategy, context, metric);
}

/// The items of an interest whose vectors the strategy reads.
Items items_of(const SessionStrategy& strategy, std::uint32_t component,
               const std::vector<ReturnedItem>& items) {
  Items own;
  for (const ReturnedItem& item : items) {
    if (item.component == component && !item.vector.empty() && reads_vector(strategy, item)) {
      own.push_back(&item);
    }
  }
  return own;
}

Result<std::vector<float>> moved_vector(const SessionStrategy& strategy,
                                        const std::vector<float>& start, const Items& items,
                                        Metric metric) {
  if (const auto* away = std::get_if<Explore>(&strategy)) {
    return unjudged(*away, start, items, metric);
  }
  if (const auto* reread = std::get_if<Attention>(&strategy)) {
    return unjudged(*reread, start, items, metric);
  }
  const auto* towards = std::get_if<JudgedRocchio>(&strategy);
  std::optional<Wide> next = towards != nullptr
                                 ? rocchio(*towards, start, items, metric)
                                 : relevance(std::get<RelevanceFeedback>(strategy), start, items);
  if (!next) return start;
  if (is_angular(metric)) {
    const double size = norm(*next);
    if (!std::isfinite(size)) return out_of_range();
    // What cancelled out has no direction: the query stays. Pairs are not of unit vectors.
    if (towards != nullptr ? !has_direction(*next) : size == 0) return start;
    const bool keeps_length = metric == Metric::kDot && towards != nullptr;
    if (metric == Metric::kCosine || keeps_length) {
      const double length = keeps_length ? norm(widen(start)) : 1;
      for (double& value : *next) value *= length / size;
    }
  }
  auto values = narrow(*next);
  if (values) return std::move(*values);
  return out_of_range();
}

}  // namespace

Status check_session_strategy(const SessionStrategy& strategy, Metric metric) {
  if (const auto* towards = std::get_if<JudgedRocchio>(&strategy)) return check_rocchio(*towards);
  if (const auto* pairs = std::get_if<RelevanceFeedback>(&strategy)) {
    return check_relevance(*pairs, metric);
  }
  if (const auto* away = std::get_if<Explore>(&strategy)) {
    return is_at_least_zero(away->beta) ? Status() : invalid("explore.beta", "must be 0 or larger");
  }
  const auto& reread = std::get<Attention>(strategy);
  if (!is_at_least_zero(reread.gamma)) return invalid("attention.gamma", "must be 0 or larger");
  if (!(reread.temperature > 0) || !std::isfinite(reread.temperature)) {
    return invalid("attention.temperature", "must be larger than 0");
  }
  return {};
}

bool reads_vector(const SessionStrategy& strategy, const ReturnedItem& item) {
  if (std::holds_alternative<JudgedRocchio>(strategy)) return is_liked(item) || is_disliked(item);
  if (std::holds_alternative<RelevanceFeedback>(strategy)) return item.score.has_value();
  if (const auto* away = std::get_if<Explore>(&strategy)) return away->beta > 0 && !is_liked(item);
  return std::get<Attention>(strategy).gamma > 0 && !is_disliked(item);
}

Result<std::vector<MovedInterest>> move_interests(const SessionStrategy& strategy,
                                                  const std::vector<SessionStart>& starts,
                                                  const std::vector<ReturnedItem>& items,
                                                  Metric metric) {
  std::vector<MovedInterest> moved(starts.size());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::vector<float>& start = starts[i].vector;
    const Items own = items_of(strategy, static_cast<std::uint32_t>(i), items);
    auto vector = moved_vector(strategy, start, own, metric);
    if (vector.has_error()) return out_of_range();
    moved[i].vector = std::move(*vector);
    if (moved[i].vector != start) {
      moved[i].shift = cosine(widen(moved[i].vector), widen(start));
    }
  }
  move_weights(starts, items, moved);
  return moved;
}

void move_weights(const std::vector<SessionStart>& starts, const std::vector<ReturnedItem>& items,
                  std::vector<MovedInterest>& moved) {
  std::vector<double> liked(starts.size(), 0), disliked(starts.size(), 0);
  for (const ReturnedItem& item : items) {
    if (is_liked(item)) liked[item.component] += *item.score;
    if (is_disliked(item)) disliked[item.component] -= *item.score;
  }
  double given = 0, judged = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    given += starts[i].weight;
    judged += liked[i] + disliked[i];
  }
  if (judged == 0 && std::abs(given - 1) < 1e-9) {
    // To the bit, so that the quotas are those of the query that the session began with.
    for (std::size_t i = 0; i < starts.size(); ++i) moved[i].weight = starts[i].weight;
    return;
  }
  double sum = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    moved[i].weight = starts[i].weight * (1 + liked[i]) / (2 + liked[i] + disliked[i]);
    sum += moved[i].weight;
  }
  for (MovedInterest& interest : moved) {
    interest.weight = sum > 0 ? interest.weight / sum : 1 / static_cast<double>(moved.size());
  }
}

Result<SessionRoundResult> retrieve_session_round(SessionRoundRequest request, Searcher& searcher) {
  Mixture mixture;
  if (request.page_mmr) {
    mixture.page_rule = Diversity{*request.page_mmr};
    if (request.limit > kDiversityCandidatesMax) {
      return Status(Code::kInvalidArgument, "limit: with a page's rule it must be " +
                                                std::to_string(kDiversityCandidatesMax) +
                                                " or smaller");
    }
  }
  std::vector<double> weights;
  for (const InterestReport& interest : request.interests) weights.push_back(interest.weight);
  mixture.shares = active_shares(weights, request.limit, request.min_quota, request.allocation,
                                 request.quota_power);
  const auto quotas = split_quota(mixture.shares, request.limit, request.allocation, request.seed);
  mixture.interests = std::move(request.interests);
  for (std::size_t i = 0; i < quotas.size(); ++i) mixture.interests[i].quota = quotas[i];
  mixture.component_filters = std::move(request.component_filters);
  mixture.is_within_clusters = request.scope == Scope::kCluster;
  mixture.person = std::move(request.person);
  mixture.excluded = std::move(request.excluded);
  mixture.merge = request.merge;
  mixture.page = request.page;
  SessionRoundResult result;
  TESSERA_ASSIGN_OR_RETURN(result.hits, retrieve_round(mixture, quotas, searcher));
  result.interests = std::move(mixture.interests);
  return result;
}

}  // namespace tessera::retrieval
