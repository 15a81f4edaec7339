#include "retrieval/allocation.h"

#include <cmath>
#include <numeric>
#include <random>

#include <catch2/catch.hpp>

using namespace tessera::retrieval;
using Seats = std::vector<std::size_t>;

namespace {

std::size_t sum(const Seats& seats) {
  return std::accumulate(seats.begin(), seats.end(), std::size_t{0});
}
double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

TEST_CASE("largest remainder: the published example and plain cases") {
  CHECK(largest_remainder({0.46, 0.31, 0.23}, 10) == Seats{5, 3, 2});
  CHECK(largest_remainder({46, 31, 23}, 10) == Seats{5, 3, 2});
  CHECK(largest_remainder({1}, 7) == Seats{7});
  CHECK(largest_remainder({1, 1}, 0) == Seats{0, 0});
  CHECK(largest_remainder({3, 0, 1}, 8) == Seats{6, 0, 2});
  CHECK(largest_remainder({}, 8).empty());
}

TEST_CASE("largest remainder: ties go to the larger weight, then to the smaller index") {
  CHECK(largest_remainder({1, 1, 1}, 10) == Seats{4, 3, 3});
  CHECK(largest_remainder({1, 1, 1}, 11) == Seats{4, 4, 3});
  CHECK(largest_remainder({1, 3}, 2) == Seats{0, 2});
  CHECK(largest_remainder({1, 3, 4}, 4) == Seats{0, 2, 2});
  // 0.1 + 0.2 is not 0.3 in binary: shares equal on paper stay a tie.
  CHECK(largest_remainder({0.1, 0.1, 0.1, 0.7}, 5) == Seats{1, 0, 0, 4});
}

TEST_CASE("largest remainder: huge and tiny weights and totals stay exact") {
  CHECK(largest_remainder({1e308, 1e308}, 3) == Seats{2, 1});
  CHECK(largest_remainder({1e308, 1e-308}, 3) == Seats{3, 0});
  CHECK(largest_remainder({5e-324, 5e-324}, 4) == Seats{2, 2});
  CHECK(sum(largest_remainder({0.3, 0.3, 0.4}, SIZE_MAX)) == SIZE_MAX);
  CHECK(sum(largest_remainder({1, 1e-300}, SIZE_MAX)) == SIZE_MAX);
}

TEST_CASE("largest remainder: exact sum and less than one seat from the share") {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<double> weights(1 + random() % 12);
    for (double& weight : weights) weight = static_cast<double>(random() % 1000);
    weights[random() % weights.size()] += 1;
    const std::size_t total = random() % 300;
    const Seats seats = largest_remainder(weights, total);
    REQUIRE(sum(seats) == total);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double share = weights[i] / sum(weights) * static_cast<double>(total);
      REQUIRE(std::abs(static_cast<double>(seats[i]) - share) < 1 + 1e-6);
      if (weights[i] == 0) REQUIRE(seats[i] == 0);
    }
  }
}

TEST_CASE("shares: components below min_quota are left out, never the heaviest") {
  const std::vector<double> weights = {0.5, 0.3, 0.15, 0.05};
  using Flags = std::vector<bool>;
  const auto active = [&](std::size_t limit, std::uint32_t min_quota, Allocation allocation) {
    const Shares shares = active_shares(weights, limit, min_quota, allocation);
    CHECK(sum(shares.share) == Approx(1));
    return shares.is_active;
  };
  CHECK(active(100, 1, Allocation::kProportional) == Flags{true, true, true, true});
  CHECK(active(10, 1, Allocation::kProportional) == Flags{true, true, true, false});
  CHECK(active(10, 3, Allocation::kSampled) == Flags{true, true, false, false});
  CHECK(active(1, 1, Allocation::kProportional) == Flags{true, false, false, false});
  CHECK(active(1, 0, Allocation::kProportional) == Flags{true, true, true, true});
  CHECK(active(4, 1, Allocation::kEqual) == Flags{true, true, true, true});
  CHECK(active(3, 1, Allocation::kEqual) == Flags{true, true, true, false});
  CHECK(active(10, 4, Allocation::kEqual) == Flags{true, true, false, false});
  CHECK(active(0, 1, Allocation::kEqual) == Flags{true, false, false, false});
  CHECK(active_shares({0.2, 0.8}, 2, 1, Allocation::kProportional).is_active == Flags{false, true});
}

TEST_CASE("shares: a power sharpens the split, and leaves the turns of a page") {
  const std::vector<double> weights = {0.5, 0.25, 0.125, 0.125, 0};
  const auto of = [&](double power, Allocation allocation = Allocation::kProportional) {
    return active_shares(weights, 1000, 0, allocation, power);
  };
  const Shares squared = of(2);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CHECK(squared.share[i] == Approx(weights[i] * weights[i] / (0.34375)));
    CHECK(squared.turn_share[i] == Approx(weights[i]));
  }
  CHECK(of(1).share == of(1).turn_share);
  // What weighs nothing has no share, whatever the power.
  CHECK(of(0).share == std::vector<double>{0.25, 0.25, 0.25, 0.25, 0});
  CHECK(of(2, Allocation::kEqual).share == of(1, Allocation::kEqual).share);
  CHECK(of(2, Allocation::kEqual).turn_share == of(1, Allocation::kEqual).share);
  // Whose seats are too few is a matter of the sharpened shares.
  const Shares few = active_shares(weights, 20, 1, Allocation::kProportional, 3);
  CHECK(few.is_active == std::vector<bool>{true, true, false, false, false});
  CHECK(few.turn_share[0] == Approx(2.0 / 3));
  CHECK(sum(few.share) == Approx(1));
  // The heaviest stays, wherever it is and whatever the power makes of the others.
  using Flags = std::vector<bool>;
  const auto one = [](const std::vector<double>& of, double power,
                      Allocation allocation = Allocation::kProportional) {
    return active_shares(of, 1, 1, allocation, power).is_active;
  };
  CHECK(one({0.1, 0.9}, 0) == Flags{false, true});
  CHECK(one({0.1, 0.9}, 0, Allocation::kEqual) == Flags{false, true});
  CHECK(active_shares({0.93, 0.02, 0.05}, 2, 1, Allocation::kEqual, 10).is_active ==
        Flags{true, false, true});
  // A tie, of which a power makes none: of equals the first.
  CHECK(one({0.5 - 2e-10, 0.5 + 2e-10}, 10) == Flags{true, false});
  // Tiny weights vanish without taking the others with them.
  CHECK(sum(active_shares({1 - 1e-300, 1e-300}, 10, 0, Allocation::kProportional, 10).share) == 1);
}

TEST_CASE("quotas: equal and sampled splits") {
  const Shares equal = active_shares({0.7, 0.2, 0.1}, 10, 1, Allocation::kEqual);
  CHECK(split_quota(equal, 10, Allocation::kEqual, 1) == Seats{4, 3, 3});
  const Shares shares = active_shares({0.5, 0.3, 0.0, 0.2}, 100'000, 1, Allocation::kSampled);
  const Seats sampled = split_quota(shares, 100'000, Allocation::kSampled, 42);
  CHECK(sampled == split_quota(shares, 100'000, Allocation::kSampled, 42));
  CHECK(sampled != split_quota(shares, 100'000, Allocation::kSampled, 43));
  CHECK(sum(sampled) == 100'000);
  CHECK(sampled[2] == 0);
  // Five standard deviations of a binomial.
  CHECK(std::abs(static_cast<double>(sampled[0]) - 50'000) < 5 * std::sqrt(25'000));
  CHECK(std::abs(static_cast<double>(sampled[1]) - 30'000) < 5 * std::sqrt(21'000));
  CHECK(sum(split_quota(shares, SIZE_MAX, Allocation::kSampled, 42)) == SIZE_MAX);
  // The same seed must give the same split on every platform.
  CHECK(split_quota(shares, 10, Allocation::kSampled, 42) == Seats{5, 4, 0, 1});
}
