#include "retrieval/strategies.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace tessera::retrieval {
namespace {

Status invalid(const std::string& field, const std::string& why) {
  return {Code::kInvalidArgument, "query.refine.strategy." + field + ": " + why};
}
bool is_at_least_zero(double value) {
  return value >= 0 && std::isfinite(value);
}

/// Cosine and Dot compare directions: the formulas work on unit vectors there.
bool is_angular(Metric metric) {
  return metric == Metric::kCosine || metric == Metric::kDot;
}

Wide ready(Metric metric, std::span<const float> vector) {
  return is_angular(metric) ? unit(vector) : widen(vector);
}

Wide explore(const Explore& strategy, const Context& context, Metric metric) {
  Wide next = ready(metric, context.first);
  if (!is_angular(metric)) {
    // Points, not directions: a step of beta times the way from the mean to the query.
    for (double& value : next) value *= 1 + strategy.beta;
  }
  add_scaled(next, context.sum, -strategy.beta / static_cast<double>(context.summed_count));
  return next;
}

Wide rocchio(const Rocchio& strategy, const Context& context, Metric metric) {
  const double sum = strategy.alpha + strategy.beta;
  Wide next(context.first.size(), 0);
  add_scaled(next, ready(metric, context.first), strategy.alpha / sum);
  for (const Wide& vector : context.kept) {
    add_scaled(next, vector, strategy.beta / sum / static_cast<double>(context.kept.size()));
  }
  return next;
}

/// Softmax over the retrieved vectors of the similarity to `item`, divided by the temperature.
std::vector<double> attention_weights(const Wide& item, const std::vector<Wide>& retrieved,
                                      double temperature, Metric metric) {
  std::vector<double> logits;
  logits.reserve(retrieved.size());
  for (const Wide& vector : retrieved) {
    const double similarity =
        is_angular(metric) ? inner_product(item, vector) : -separation(metric, item, vector);
    logits.push_back(similarity / temperature);
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  // A tiny temperature may have sent every logit to infinity: then none is told apart.
  double sum = 0;
  for (double& logit : logits) {
    logit = std::isfinite(largest) ? std::exp(logit - largest) : 1;
    sum += logit;
  }
  for (double& weight : logits) weight /= sum;
  return logits;
}

Wide attention(const Attention& strategy, const Context& context, Metric metric) {
  std::vector<Wide> history = context.history;
  std::vector<double> weights = context.weights;
  if (history.empty()) {
    history.push_back(widen(context.first));
    weights.assign(1, 1.0);
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  Wide next(context.first.size(), 0);
  double sum = 0;
  for (std::size_t i = 0; i < history.size(); ++i) {
    Wide item = std::move(history[i]);
    if (is_angular(metric)) make_unit(item);
    const auto attended = attention_weights(item, context.kept, strategy.temperature, metric);
    for (std::size_t j = 0; j < attended.size(); ++j) {
      add_scaled(item, context.kept[j], strategy.gamma * attended[j]);
    }
    if (is_angular(metric)) {
      make_unit(item);
    } else {
      for (double& value : item) value /= 1 + strategy.gamma;
    }
    add_scaled(next, item, weights[i] / largest);
    sum += weights[i] / largest;
  }
  for (double& value : next) value /= sum;
  return next;
}

std::optional<Wide> relevance(const RelevanceFeedback& strategy, const Context& context) {
  std::vector<ScoredVector> judged;
  for (std::size_t i = 0; i < context.kept.size(); ++i) {
    judged.push_back({&context.kept[i], context.scores[i]});
  }
  return moved_by_pairs(strategy, context.first, judged);
}

/// Where it belongs by score, after equal ones. Between the best and the worst that pairs can be
/// made of, none is needed.
void keep_by_score(Context& context, std::span<const float> vector) {
  Wide wide = widen(vector);
  const double score = inner_product(widen(context.first), wide);
  const auto place =
      std::upper_bound(context.scores.begin(), context.scores.end(), score, std::greater<>()) -
      context.scores.begin();
  context.scores.insert(context.scores.begin() + place, score);
  context.kept.insert(context.kept.begin() + place, std::move(wide));
  if (context.kept.size() <= 2 * kFeedbackPairMax) return;
  context.scores.erase(context.scores.begin() + kFeedbackPairMax);
  context.kept.erase(context.kept.begin() + kFeedbackPairMax);
}

bool changes_nothing(const Strategy& strategy) {
  if (const auto* away = std::get_if<Explore>(&strategy)) return away->beta == 0;
  if (const auto* towards = std::get_if<Rocchio>(&strategy)) return towards->beta == 0;
  if (const auto* pairs = std::get_if<RelevanceFeedback>(&strategy)) {
    return pairs->c == 0 && pairs->a == 1;
  }
  return std::get<Attention>(strategy).gamma == 0;
}

}  // namespace

std::optional<Wide> moved_by_pairs(const RelevanceFeedback& strategy, std::span<const float> start,
                                   const std::vector<ScoredVector>& judged) {
  const std::size_t pair_count = std::min(judged.size() / 2, kFeedbackPairMax);
  Wide next;
  for (std::size_t i = 0; i < pair_count; ++i) {
    const ScoredVector& better = judged[i];
    const ScoredVector& worse = judged[judged.size() - 1 - i];
    const double difference = better.score - worse.score;
    if (!(difference > 0)) break;
    if (next.empty()) {
      next.assign(start.size(), 0);
      add_scaled(next, start, strategy.a);
    }
    const double scale = std::pow(difference, strategy.b) * strategy.c;
    add_scaled(next, *better.vector, scale);
    add_scaled(next, *worse.vector, -scale);
  }
  if (next.empty()) return std::nullopt;
  return next;
}

Status check_strategy(const Strategy& strategy, Metric metric) {
  if (const auto* away = std::get_if<Explore>(&strategy)) {
    if (!is_at_least_zero(away->beta)) return invalid("explore.beta", "must be 0 or larger");
  } else if (const auto* towards = std::get_if<Rocchio>(&strategy)) {
    if (!is_at_least_zero(towards->alpha)) return invalid("rocchio.alpha", "must be 0 or larger");
    if (!is_at_least_zero(towards->beta)) return invalid("rocchio.beta", "must be 0 or larger");
    const double sum = towards->alpha + towards->beta;
    if (!(sum > 0) || !std::isfinite(sum)) {
      return invalid("rocchio", "alpha and beta must not both be 0");
    }
    if (towards->feedback == 0) return invalid("rocchio.feedback", "must be 1 or larger");
  } else if (const auto* pairs = std::get_if<RelevanceFeedback>(&strategy)) {
    if (!std::isfinite(pairs->a)) return invalid("relevance_feedback.a", "must be finite");
    if (!is_at_least_zero(pairs->b)) {
      return invalid("relevance_feedback.b", "must be 0 or larger");
    }
    if (!std::isfinite(pairs->c)) return invalid("relevance_feedback.c", "must be finite");
    if (!is_angular(metric)) {
      return invalid("relevance_feedback", "needs vectors compared by Cosine or Dot");
    }
  } else {
    const auto& reread = std::get<Attention>(strategy);
    if (!is_at_least_zero(reread.gamma)) return invalid("attention.gamma", "must be 0 or larger");
    if (!(reread.temperature > 0) || !std::isfinite(reread.temperature)) {
      return invalid("attention.temperature", "must be larger than 0");
    }
  }
  return {};
}

void begin_round(const Strategy& strategy, Context& context) {
  if (std::holds_alternative<Rocchio>(strategy)) context.kept.clear();
}

bool wants_hit(const Strategy& strategy, const Context& context) {
  if (changes_nothing(strategy)) return false;
  const auto* towards = std::get_if<Rocchio>(&strategy);
  return towards == nullptr || context.kept.size() < towards->feedback;
}

void observe_hit(const Strategy& strategy, Context& context, std::span<const float> vector,
                 Metric metric) {
  if (std::holds_alternative<RelevanceFeedback>(strategy)) return keep_by_score(context, vector);
  if (!std::holds_alternative<Explore>(strategy)) {
    context.kept.push_back(ready(metric, vector));
    return;
  }
  context.sum.resize(vector.size(), 0);
  add_scaled(context.sum, ready(metric, vector), 1);
  ++context.summed_count;
}

Result<std::vector<float>> next_vector(const Strategy& strategy, const Context& context,
                                       Metric metric) {
  if (changes_nothing(strategy) || (context.kept.empty() && context.summed_count == 0)) {
    return context.first;
  }
  Wide next;
  if (const auto* away = std::get_if<Explore>(&strategy)) {
    next = explore(*away, context, metric);
  } else if (const auto* towards = std::get_if<Rocchio>(&strategy)) {
    next = rocchio(*towards, context, metric);
  } else if (const auto* pairs = std::get_if<RelevanceFeedback>(&strategy)) {
    auto moved = relevance(*pairs, context);
    if (!moved) return context.first;
    next = std::move(*moved);
  } else {
    next = attention(std::get<Attention>(strategy), context, metric);
  }
  if (is_angular(metric)) {
    // What cancelled out has no direction: the query stays. Pairs are not of unit vectors.
    const bool has_pairs = std::holds_alternative<RelevanceFeedback>(strategy);
    if (has_pairs ? norm(next) == 0 : !has_direction(next)) return context.first;
    const bool keeps_scale = metric == Metric::kDot && has_pairs;
    if (!keeps_scale) make_unit(next);
    if (metric == Metric::kDot && !keeps_scale) {
      const double length = norm(widen(context.first));
      for (double& value : next) value *= length;
    }
  }
  auto values = narrow(next);
  if (!values)
    return Status(Code::kInvalidArgument,
                  "query.refine.strategy: the refined vector leaves the range of float");
  return std::move(*values);
}

}  // namespace tessera::retrieval
