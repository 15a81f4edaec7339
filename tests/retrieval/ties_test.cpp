#include "retrieval/ties.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <catch2/catch.hpp>

#include "retrieval/allocation.h"
#include "retrieval/fanout.h"

using namespace tessera::retrieval;

namespace {

constexpr std::uint64_t kSeed = 20'261'128;

/// As another order of summation could have it.
double shaken(std::mt19937_64& random, double value) {
  return value * (1 + (static_cast<double>(random() % 9) - 4) * 1.1e-16);
}

}  // namespace

TEST_CASE("ties: rounding makes no share larger, and a real difference does") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (std::uint64_t denominator = 1; denominator <= 4096; ++denominator) {
    for (int i = 0; i < 8; ++i) {
      const double share =
          static_cast<double>(random() % (denominator + 1)) / static_cast<double>(denominator);
      const double other = shaken(random, share);
      CAPTURE(denominator, share, other);
      CHECK_FALSE(is_larger_share(share, other));
      CHECK_FALSE(is_larger_share(other, share));
      CHECK(is_larger_share(share + 2e-9, share));
      CHECK_FALSE(is_larger_share(share, share + 2e-9));
    }
  }
  CHECK(is_larger_share(0.5, -0.5));
  CHECK(is_larger_share(-0.25, -0.5));
}

TEST_CASE("ties: quotas and the merged order do not depend on how weights were added up") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> counts(1 + random() % 8);
    for (double& count : counts) count = static_cast<double>(1 + random() % 6);
    const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
    std::vector<double> weights, others;
    for (const double count : counts) {
      weights.push_back(count / sum);
      others.push_back(shaken(random, count / sum));
    }
    const std::size_t limit = 1 + random() % 200;
    CAPTURE(round, counts, limit);
    const auto min_quota = static_cast<std::uint32_t>(random() % 4);
    const Shares shares = active_shares(weights, limit, min_quota, Allocation::kProportional);
    const Shares shaken_shares = active_shares(others, limit, min_quota, Allocation::kProportional);
    REQUIRE(shares.is_active == shaken_shares.is_active);
    const auto quotas = largest_remainder(shares.share, limit);
    REQUIRE(quotas == largest_remainder(shaken_shares.share, limit));
    REQUIRE(interleave(shares.share, quotas) == interleave(shaken_shares.share, quotas));
  }
}
