#include "retrieval/fusion.h"

#include <cmath>
#include <map>
#include <random>

#include <catch2/catch.hpp>

using namespace tessera::retrieval;

namespace {

using Lists = std::vector<std::vector<Hit>>;

std::map<Slot, float> scores_of(const std::vector<FusedHit>& fused) {
  std::map<Slot, float> scores;
  for (const FusedHit& hit : fused) REQUIRE(scores.emplace(hit.slot, hit.score).second);
  return scores;
}

/// Lists of distinct slots.
Lists random_lists(std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  Lists lists(1 + random() % 4);
  for (auto& list : lists) {
    std::map<Slot, float> items;
    for (std::uint64_t i = random() % 20; i > 0; --i) {
      items.emplace(static_cast<Slot>(random() % 25), normal(random));
    }
    for (const auto& [slot, score] : items) list.push_back({slot, score});
    std::shuffle(list.begin(), list.end(), random);
  }
  return lists;
}

}  // namespace

TEST_CASE("fusion by rank: the first places of two lists") {
  const Lists lists = {{{7, 0.9F}, {3, 0.8F}, {5, 0.1F}}, {{3, 12}, {9, 11}}};
  const auto scores = scores_of(fuse_by_rank(lists, {}));
  REQUIRE(scores.size() == 4);
  CHECK(scores.at(7) == Approx(1.0 / 2));
  CHECK(scores.at(3) == Approx(1.0 / 3 + 1.0 / 2));
  CHECK(scores.at(5) == Approx(1.0 / 4));
  CHECK(scores.at(9) == Approx(1.0 / 3));
  const auto weighted = scores_of(fuse_by_rank(lists, {60, {2, 0.5}}));
  CHECK(weighted.at(7) == Approx(1 / (1 / 2.0 + 59)));
  CHECK(weighted.at(3) == Approx(1 / (2 / 2.0 + 59) + 1 / (1 / 0.5 + 59)));
  // A weight of zero takes a list's part away, but not its items.
  CHECK(scores_of(fuse_by_rank(lists, {2, {1, 0}})).at(9) == 0);
}

TEST_CASE("fusion by score: lists of other scales count alike, and equal scores as the middle") {
  const Lists lists = {{{1, 1}, {2, 2}, {3, 3}}, {{1, 500}, {2, 300}, {3, 100}}, {{2, 8}}};
  const auto scores = scores_of(fuse_by_score(lists));
  // Deviations 1 and 200: every list goes from 1/3 to 2/3.
  CHECK(scores.at(1) == Approx(1.0 / 3 + 2.0 / 3));
  CHECK(scores.at(2) == Approx(0.5 + 0.5 + 0.5));
  CHECK(scores.at(3) == Approx(2.0 / 3 + 1.0 / 3));
  CHECK(scores_of(fuse_by_score(Lists{{{1, 4}, {2, 4}}})).at(2) == 0.5F);
  CHECK(fuse_by_score({}).empty());
}

TEST_CASE("fusion: random lists agree with sums item by item") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Lists lists = random_lists(random);
    ReciprocalRank rule;
    rule.k = static_cast<double>(1 + random() % 60);
    for (std::size_t i = 0; i < lists.size(); ++i) {
      rule.weights.push_back(static_cast<double>(1 + random() % 5));
    }
    const auto by_rank = fuse_by_rank(lists, rule);
    const auto by_score = fuse_by_score(lists);
    const auto rank_scores = scores_of(by_rank), score_scores = scores_of(by_score);
    for (Slot slot = 0; slot < 25; ++slot) {
      double rank_sum = 0, score_sum = 0;
      bool is_there = false;
      for (std::size_t i = 0; i < lists.size(); ++i) {
        double mean = 0, squares = 0;
        const auto count = static_cast<double>(lists[i].size());
        for (const Hit& hit : lists[i]) mean += hit.score / count;
        for (const Hit& hit : lists[i]) squares += std::pow(hit.score - mean, 2);
        const double deviation = count < 2 ? 0 : std::sqrt(squares / (count - 1));
        for (std::size_t place = 0; place < lists[i].size(); ++place) {
          if (lists[i][place].slot != slot) continue;
          is_there = true;
          rank_sum += 1 / (static_cast<double>(place + 1) / rule.weights[i] + rule.k - 1);
          score_sum += deviation == 0
                           ? 0.5
                           : (lists[i][place].score - (mean - 3 * deviation)) / (6 * deviation);
        }
      }
      REQUIRE(rank_scores.contains(slot) == is_there);
      if (!is_there) continue;
      CHECK(rank_scores.at(slot) == Approx(rank_sum));
      CHECK(score_scores.at(slot) == Approx(score_sum).margin(1e-5));
    }
    for (const FusedHit& hit : by_rank) {
      CHECK(lists[hit.list][hit.place].slot == hit.slot);
      for (std::size_t earlier = 0; earlier < hit.list; ++earlier) {
        for (const Hit& other : lists[earlier]) CHECK(other.slot != hit.slot);
      }
    }
  }
}
