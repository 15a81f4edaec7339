#include "retrieval/interest_groups.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace tessera::retrieval {
namespace {

/// Scales weights by a power of two, which is exact, so that their sum cannot overflow.
std::vector<double> scaled(std::vector<double> weights) {
  if (weights.empty()) return weights;
  const double largest = *std::max_element(weights.begin(), weights.end());
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  for (double& weight : weights) weight = std::ldexp(weight, -exponent);
  return weights;
}

/// What a person and the neighbours say of one cluster.
struct Opinions {
  InterestGroup* own = nullptr;
  std::vector<const InterestGroup*> others;
};

InterestGroup smoothed(const Opinions& opinions, double lambda, std::size_t neighbor_count) {
  InterestGroup group;
  double weight = opinions.own == nullptr ? 0 : (1 - lambda) * opinions.own->weight;
  for (const InterestGroup* other : opinions.others) {
    weight += lambda * other->weight / static_cast<double>(neighbor_count);
  }
  if (opinions.others.empty()) {
    group = std::move(*opinions.own);
    group.weight = weight;
    return group;
  }
  group.cluster = opinions.others.front()->cluster;
  group.weight = weight;
  // Without items of one's own the mean is that of the neighbours alone: not shrunk towards zero.
  const double others_share = opinions.own == nullptr ? 1 : lambda;
  group.mean.assign(opinions.others.front()->mean.size(), 0);
  for (const InterestGroup* other : opinions.others) {
    add_scaled(group.mean, other->mean, others_share / static_cast<double>(opinions.others.size()));
  }
  group.is_smoothed = true;
  if (opinions.own != nullptr) {
    add_scaled(group.mean, opinions.own->mean, 1 - lambda);
    group.items = std::move(opinions.own->items);
    group.parts = std::move(opinions.own->parts);
    return group;
  }
  group.is_own = false;
  for (const InterestGroup* other : opinions.others) {
    group.items.insert(group.items.end(), other->items.begin(), other->items.end());
    group.parts.insert(group.parts.end(), other->parts.begin(), other->parts.end());
  }
  return group;
}

}  // namespace

std::vector<double> decayed_weights(const std::vector<HistoryItem>& history,
                                    std::optional<double> half_life_seconds) {
  std::vector<double> weights;
  weights.reserve(history.size());
  for (const HistoryItem& item : history) weights.push_back(item.weight);
  weights = scaled(std::move(weights));
  if (!half_life_seconds) return weights;
  std::optional<double> newest;
  for (const HistoryItem& item : history) {
    if (item.at_seconds) newest = std::max(newest.value_or(*item.at_seconds), *item.at_seconds);
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto& at = history[i].at_seconds;
    if (at) weights[i] *= std::exp2(-(*newest - *at) / *half_life_seconds);
  }
  return weights;
}

void normalise_weights(std::vector<double>& weights) {
  weights = scaled(std::move(weights));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) {
    weight = sum > 0 ? weight / sum : 1 / static_cast<double>(weights.size());
  }
}

Wide weighted_mean(const std::vector<HistoryItem>& history, const std::vector<double>& weights,
                   const std::vector<std::size_t>& members) {
  // Summed first and divided last, in the order of the items, as a stored mixture is.
  double sum = 0;
  for (const std::size_t i : members) sum += weights[i];
  const bool is_weighted = sum > 0;
  if (!is_weighted) sum = static_cast<double>(members.size());
  Wide mean(history.front().vector.size(), 0);
  for (const std::size_t i : members) {
    add_scaled(mean, history[i].vector, is_weighted ? weights[i] : 1);
  }
  for (double& value : mean) value /= sum;
  return mean;
}

std::vector<const HistoryItem*> nearest_first(const std::vector<const HistoryItem*>& items,
                                              const Wide& centre, Metric metric) {
  std::vector<std::pair<double, const HistoryItem*>> apart;
  apart.reserve(items.size());
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    apart.emplace_back(separation(metric, widen((*item)->vector), centre), *item);
  }
  std::stable_sort(apart.begin(), apart.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const HistoryItem*> sorted;
  for (const auto& [distance, item] : apart) sorted.push_back(item);
  return sorted;
}

std::vector<InterestGroup> groups_of(const std::vector<HistoryItem>& history,
                                     const std::vector<double>& weights,
                                     const std::vector<std::uint32_t>& clusters) {
  std::map<std::uint32_t, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < clusters.size(); ++i) members[clusters[i]].push_back(i);
  std::vector<InterestGroup> groups;
  std::vector<double> mixture;
  for (const auto& [cluster, items] : members) {
    InterestGroup& group = groups.emplace_back();
    group.mean = weighted_mean(history, weights, items);
    double weight = 0;
    for (const std::size_t i : items) {
      weight += weights[i];
      group.items.push_back(&history[i]);
    }
    mixture.push_back(weight);
  }
  normalise_weights(mixture);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i].weight = mixture[i];
  return groups;
}

std::vector<InterestGroup> group_by_cluster(const std::vector<HistoryItem>& history,
                                            std::optional<double> half_life_seconds,
                                            const index::Clusters& clusters) {
  if (history.empty()) return {};
  std::vector<std::uint32_t> nearest(history.size());
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (history[i].cluster) {
      nearest[i] = *history[i].cluster;
    } else {
      index::assign_clusters(clusters, {history[i].vector.data(), 1, clusters.dim}, &nearest[i]);
    }
  }
  auto groups = groups_of(history, decayed_weights(history, half_life_seconds), nearest);
  std::sort(nearest.begin(), nearest.end());
  nearest.erase(std::unique(nearest.begin(), nearest.end()), nearest.end());
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i].cluster = nearest[i];
  return groups;
}

std::vector<InterestGroup> groups_of(const PersonMixture& mixture) {
  std::vector<InterestGroup> groups;
  groups.reserve(mixture.parts.size());
  std::vector<double> weights;
  for (const auto& part : mixture.parts) {
    InterestGroup& group = groups.emplace_back();
    group.cluster = part->cluster();
    group.parts.push_back(part);
    weights.push_back(part->weight());
  }
  normalise_weights(weights);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i].weight = weights[i];
  return groups;
}

void fill_mean(InterestGroup& group) {
  if (group.mean.empty() && !group.parts.empty()) group.mean = group.parts.front()->mean();
}

std::vector<InterestGroup> smooth(std::vector<InterestGroup> own,
                                  const std::vector<std::vector<InterestGroup>>& neighbors,
                                  double lambda) {
  std::size_t neighbor_count = 0;
  std::map<std::uint32_t, Opinions> clusters;
  for (const auto& groups : neighbors) {
    neighbor_count += !groups.empty();
    for (const InterestGroup& group : groups) {
      clusters[group.cluster.value()].others.push_back(&group);
    }
  }
  if (neighbor_count == 0) return own;
  if (own.empty()) lambda = 1;
  if (lambda == 0) return own;
  for (InterestGroup& group : own) clusters[group.cluster.value()].own = &group;
  std::vector<InterestGroup> result;
  for (const auto& [cluster, opinions] : clusters) {
    // With lambda 1 the person's own clusters say nothing.
    if (lambda == 1 && opinions.others.empty()) continue;
    result.push_back(smoothed(opinions, lambda, neighbor_count));
  }
  return result;
}

}  // namespace tessera::retrieval
