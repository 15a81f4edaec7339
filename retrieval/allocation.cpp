#include "retrieval/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "retrieval/ties.h"

namespace tessera::retrieval {
namespace {

/// More draws than this change the split by less than its own noise; the counts are scaled instead.
constexpr std::size_t kDrawsMax = std::size_t{1} << 20;

/// Positions from the heaviest to the lightest of weights that sum to 1, ties in order.
std::vector<std::size_t> heaviest_first(const std::vector<double>& weights) {
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return is_larger_share(weights[a], weights[b]);
  });
  return order;
}

/// weight^power, so that the sum is 1 again. The heaviest stays the heaviest.
std::vector<double> raised_to(double power, const std::vector<double>& weights) {
  if (power == 1) return weights;
  const double largest = *std::max_element(weights.begin(), weights.end());
  std::vector<double> raised(weights.size(), 0);
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    // A weight of 0 stays it, whatever the power.
    if (weights[i] > 0) raised[i] = std::pow(weights[i] / largest, power);
    sum += raised[i];
  }
  for (double& weight : raised) weight /= sum;
  return raised;
}

/// One draw a seat. The mapping from random bits to a component is our own, because that of
/// std::discrete_distribution differs between standard libraries.
std::vector<std::size_t> sample(const std::vector<double>& shares, std::size_t limit,
                                std::uint64_t seed) {
  std::vector<double> upper(shares.size());
  std::partial_sum(shares.begin(), shares.end(), upper.begin());
  const auto last = static_cast<std::size_t>(
      shares.rend() - std::find_if(shares.rbegin(), shares.rend(), [](double p) { return p > 0; }) -
      1);
  std::mt19937_64 random(seed);
  std::vector<std::size_t> counts(shares.size(), 0);
  const std::size_t draw_count = std::min(limit, kDrawsMax);
  for (std::size_t i = 0; i < draw_count; ++i) {
    const double draw = std::ldexp(static_cast<double>(random() >> 11), -53) * upper.back();
    const auto found = std::upper_bound(upper.begin(), upper.end(), draw);
    ++counts[std::min(static_cast<std::size_t>(found - upper.begin()), last)];
  }
  if (draw_count == limit) return counts;
  return largest_remainder(std::vector<double>(counts.begin(), counts.end()), limit);
}

}  // namespace

std::vector<std::size_t> largest_remainder(const std::vector<double>& weights, std::size_t total) {
  if (weights.empty()) return {};
  // The sum of huge weights could overflow; scaling by the largest cannot.
  const double largest = *std::max_element(weights.begin(), weights.end());
  TESSERA_ASSERT(largest > 0 && std::isfinite(largest));
  long double sum = 0;
  for (const double weight : weights) sum += static_cast<long double>(weight) / largest;
  std::vector<std::size_t> seats(weights.size());
  std::vector<long double> remainder(weights.size());
  std::size_t left = total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const long double share =
        static_cast<long double>(weights[i]) / largest / sum * static_cast<long double>(total);
    // For astronomical totals rounding may exceed what is left.
    const long double whole = std::min(std::floor(share), static_cast<long double>(left));
    seats[i] = whole >= static_cast<long double>(left) ? left : static_cast<std::size_t>(whole);
    remainder[i] = share - whole;
    left -= seats[i];
  }
  std::vector<double> share_of_one(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    share_of_one[i] = static_cast<double>(static_cast<long double>(weights[i]) / largest / sum);
  }
  std::vector<std::size_t> order = heaviest_first(share_of_one);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return is_larger_share(static_cast<double>(remainder[a]), static_cast<double>(remainder[b]));
  });
  for (std::size_t i = 0; left > 0; i = (i + 1) % order.size()) {
    if (!(weights[order[i]] > 0)) continue;
    ++seats[order[i]];
    --left;
  }
  return seats;
}

Shares active_shares(const std::vector<double>& weights, std::size_t limit, std::uint32_t min_quota,
                     Allocation allocation, double power) {
  const std::vector<double> raised =
      allocation == Allocation::kEqual ? weights : raised_to(power, weights);
  // By the weights: a power makes ties and parts them.
  const std::vector<std::size_t> order = heaviest_first(weights);
  Shares shares{std::vector<double>(weights.size(), 0), std::vector<bool>(weights.size(), false),
                std::vector<double>(weights.size(), 0)};
  std::size_t equal_count = weights.size();
  if (min_quota > 0) equal_count = std::min(equal_count, limit / min_quota);
  double sum = 0, turn_sum = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double weight = raised[order[i]];
    const bool is_enough = allocation == Allocation::kEqual
                               ? i < equal_count
                               : !is_larger_share(min_quota, static_cast<double>(limit) * weight);
    if (i > 0 && !is_enough) continue;
    shares.is_active[order[i]] = true;
    shares.share[order[i]] = allocation == Allocation::kEqual ? 1 : weight;
    sum += shares.share[order[i]];
    shares.turn_share[order[i]] = allocation == Allocation::kEqual ? 1 : weights[order[i]];
    turn_sum += shares.turn_share[order[i]];
  }
  for (double& share : shares.share) share /= sum;
  for (double& share : shares.turn_share) share /= turn_sum;
  return shares;
}

std::vector<std::size_t> split_quota(const Shares& shares, std::size_t limit, Allocation allocation,
                                     std::uint64_t seed) {
  switch (allocation) {
    case Allocation::kProportional:
    case Allocation::kEqual:
      return largest_remainder(shares.share, limit);
    case Allocation::kSampled:
      return sample(shares.share, limit, seed);
  }
  return {};
}

}  // namespace tessera::retrieval
