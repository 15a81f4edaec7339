#include "retrieval/refine.h"

#include <numeric>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "retrieval/strategies.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;
using Vector = std::vector<float>;

namespace {

RefineRequest vector_request(Vector vector, std::uint32_t rounds, Strategy strategy) {
  RefineRequest request;
  request.query = std::move(vector);
  request.rounds = rounds;
  request.strategy = strategy;
  return request;
}

void check_near(const Vector& vector, const Vector& expected) {
  REQUIRE(vector.size() == expected.size());
  for (std::size_t i = 0; i < vector.size(); ++i) {
    CHECK(vector[i] == Approx(expected[i]).margin(1e-6));
  }
}

/// The vector of round 2 after the round-1 hits `hits`.
Vector second_vector(const Strategy& strategy, Metric metric, const Vector& first,
                     const std::vector<Vector>& hits, const std::vector<Vector>& history = {}) {
  Context context;
  context.first = first;
  for (const Vector& vector : history) {
    context.history.push_back(widen(vector));
    context.weights.push_back(1);
  }
  begin_round(strategy, context);
  for (const Vector& hit : hits) {
    if (wants_hit(strategy, context)) observe_hit(strategy, context, hit, metric);
  }
  return next_vector(strategy, context, metric).value();
}

Strategy random_strategy(std::mt19937_64& random, Metric metric) {
  const auto number = [&] { return 0.25 * static_cast<double>(random() % 5); };
  switch (random() % 4) {
    case 3:
      if (metric != Metric::kCosine && metric != Metric::kDot) return Explore{number()};
      return RelevanceFeedback{0.5 + number(), number(), number()};
    case 0:
      return Explore{number()};
    case 1:
      return Rocchio{0.25 + number(), number(), static_cast<std::uint32_t>(1 + random() % 4)};
    default:
      return Attention{number(), 0.05 + number()};
  }
}

std::string error_of(const RefineRequest& request, FakeSearcher& searcher) {
  const auto result = retrieve_refined(request, 10, {}, searcher);
  REQUIRE(result.has_error());
  CHECK(result.error().code() == Code::kInvalidArgument);
  return result.error().message();
}

}  // namespace

TEST_CASE("strategies: explore turns away from the mean of what came back") {
  const Explore half{0.5};
  // (1, 0) - 0.5 (0.3, 0.9) = (0.85, -0.45), to unit length.
  check_near(second_vector(half, Metric::kCosine, {2, 0}, {{0, 1}, {0.6F, 0.8F}}),
             {0.883788F, -0.467888F});
  check_near(second_vector(half, Metric::kDot, {2, 0}, {{0, 3}, {0.6F, 0.8F}}),
             {2 * 0.883788F, 2 * -0.467888F});
  // (2, 0) + 0.5 ((2, 0) - (1, 1)).
  check_near(second_vector(half, Metric::kEuclid, {2, 0}, {{0, 0}, {2, 2}}), {2.5F, -0.5F});
  check_near(second_vector(half, Metric::kManhattan, {2, 0}, {{0, 0}, {2, 2}}), {2.5F, -0.5F});
}

TEST_CASE("strategies: Rocchio goes towards the first hits of the round before") {
  const Rocchio strategy{0.6, 0.2, 2};
  // 0.75 (1, 0) + 0.25 (0, 1); the third hit does not count.
  const std::vector<Vector> hits = {{0, 1}, {0, 1}, {-1, 0}};
  check_near(second_vector(strategy, Metric::kCosine, {5, 0}, hits), {0.948683F, 0.316228F});
  check_near(second_vector(strategy, Metric::kEuclid, {4, 0}, hits), {3, 0.25F});
  check_near(second_vector(strategy, Metric::kDot, {5, 0}, hits), {5 * 0.948683F, 5 * 0.316228F});
}

TEST_CASE("strategies: attention re-reads the history in the light of what came back") {
  // At a tiny temperature each item attends to its most similar hit only.
  const Attention sharp{1, 1e-9};
  const std::vector<Vector> hits = {{1, 0}, {0, 1}};
  // Items (1, 0) and (0.6, 0.8) become (1, 0) and (0.6, 1.8) to unit length; then their mean.
  check_near(second_vector(sharp, Metric::kCosine, {0, 1}, hits, {{1, 0}, {0.6F, 0.8F}}),
             {0.811242F, 0.584710F});
  // At a huge one to all alike: (1, 0) + 0.5 (0.5, 0.5).
  check_near(second_vector(Attention{0.5, 1e9}, Metric::kCosine, {0, 1}, hits, {{1, 0}}),
             {0.980581F, 0.196116F});
  // Without a history the query itself is re-read.
  check_near(second_vector(Attention{0.5, 1e9}, Metric::kCosine, {3, 0}, hits),
             {0.980581F, 0.196116F});
  check_near(second_vector(Attention{1, 1e9}, Metric::kEuclid, {3, 0}, {{1, 0}, {1, 4}}), {2, 1});
}

TEST_CASE("strategies: relevance feedback steps from the worst of what came back to the best") {
  const RelevanceFeedback strategy{1, 2, 0.5};
  // Similarities 3, 1, 0, -1 to (1, 0): pairs of differences 4 and 1.
  const std::vector<Vector> hits = {{1, 5}, {3, 1}, {-1, 2}, {0, 4}};
  // (1, 0) + 16 * 0.5 * ((3, 1) - (-1, 2)) + 1 * 0.5 * ((1, 5) - (0, 4)).
  check_near(second_vector(strategy, Metric::kDot, {1, 0}, hits), {33.5F, -7.5F});
  check_near(second_vector(strategy, Metric::kCosine, {1, 0}, hits), {0.975843F, -0.218472F});
  // Of more than six hits only the three best and the three worst have a say, in any order.
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    std::vector<Vector> many;
    for (int i = 0; i < 12; ++i) many.push_back({static_cast<float>(i), static_cast<float>(i % 4)});
    std::vector<Vector> outer(many.begin(), many.begin() + 3);
    outer.insert(outer.end(), many.end() - 3, many.end());
    std::shuffle(many.begin(), many.end(), random);
    CHECK(second_vector(strategy, Metric::kDot, {1, 0}, many) ==
          second_vector(strategy, Metric::kDot, {1, 0}, outer));
  }
  // Nothing tells equal ones apart.
  CHECK(second_vector(strategy, Metric::kDot, {1, 0}, {{1, 2}, {1, 3}}) == Vector{1, 0});
  FakeSearcher searcher(Metric::kEuclid, Rows(12, Vector{1, 0}));
  CHECK(error_of(vector_request({1, 0}, 2, strategy), searcher)
            .starts_with("query.refine.strategy.relevance_feedback: needs vectors"));
}

TEST_CASE("strategies: nothing to learn from leaves the query as it is, to the bit") {
  const Vector first = {0.1F, 0.2F, 0.7F};
  const std::vector<Vector> hits = {{1, 0, 0}, {0, 1, 0}};
  for (const Strategy& strategy :
       {Strategy(Explore{0}), Strategy(Rocchio{0.7, 0, 3}), Strategy(Attention{0, 0.1})}) {
    CHECK(second_vector(strategy, Metric::kCosine, first, hits, {{0, 0, 1}}) == first);
  }
  for (const Strategy& strategy :
       {Strategy(Explore{}), Strategy(Rocchio{}), Strategy(Attention{})}) {
    CHECK(second_vector(strategy, Metric::kCosine, first, {}, {{0, 0, 1}}) == first);
  }
  // What cancels out has no direction.
  CHECK(second_vector(Explore{1}, Metric::kCosine, {1, 0}, {{1, 0}}) == Vector{1, 0});
  CHECK(second_vector(Explore{1}, Metric::kDot, {0, 0}, {{0, 0}}) == Vector{0, 0});
  // Nor has what rounding leaves of it.
  const Vector odd = {0.3F, 0.7F, -0.2F, 0.61F, 0.1F};
  Vector scaled = odd;
  for (float& value : scaled) value *= 1.7F;
  for (const Metric metric : {Metric::kCosine, Metric::kDot}) {
    CHECK(second_vector(Explore{1}, metric, odd, {scaled, odd, scaled}) == odd);
  }
}

TEST_CASE("refine: one round equals a plain query") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    FakeSearcher searcher(metric, random_rows(random, metric, 1 + random() % 90, 4));
    const Vector query = searcher.rows()[random() % searcher.rows().size()];
    const auto result = retrieve_refined(vector_request(query, 1, random_strategy(random, metric)),
                                         20, {}, searcher)
                            .value();
    auto plain = searcher.ranking(query);
    plain.resize(std::min<std::size_t>(20, plain.size()));
    REQUIRE(result.hits.size() == plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
      REQUIRE(result.hits[i].hit.slot == plain[i].slot);
      REQUIRE(result.hits[i].hit.score == plain[i].score);
      REQUIRE(result.hits[i].round == 1);
      REQUIRE_FALSE(result.hits[i].component.has_value());
    }
    REQUIRE(result.rounds.size() == 1);
    REQUIRE(result.rounds[0].shift == 1);
    REQUIRE(result.interests.empty());
    REQUIRE(searcher.search_count == 1);
    REQUIRE(searcher.vector_count == 0);
  }
}

TEST_CASE("refine: a strategy that changes nothing gives the set of one plain query") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    FakeSearcher searcher(metric, random_rows(random, metric, 60, 4));
    const Strategy idle = seed % 3 == 0   ? Strategy(Explore{0})
                          : seed % 3 == 1 ? Strategy(Rocchio{1, 0, 3})
                                          : Strategy(Attention{0, 0.1});
    auto request =
        vector_request(searcher.rows()[3], 1 + static_cast<std::uint32_t>(seed % 7), idle);
    request.history = {{searcher.rows()[5], std::nullopt, 1, std::nullopt}};
    const auto result = retrieve_refined(request, 25, {}, searcher).value();
    auto plain = searcher.ranking(searcher.rows()[3]);
    plain.resize(25);
    REQUIRE(slots_of(result.hits) == slots_of(plain));
    for (const RoundReport& round : result.rounds) REQUIRE(round.shift == 1);
  }
}

TEST_CASE("refine: rounds have ceil(limit / rounds) items, the last one the rest") {
  std::mt19937_64 random(9);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 200, 4));
  const auto sizes = [&](std::size_t limit, std::uint32_t rounds) {
    std::vector<std::size_t> result;
    for (const auto& round : retrieve_refined(vector_request(searcher.rows()[0], rounds, Explore{}),
                                              limit, {}, searcher)
                                 .value()
                                 .rounds) {
      result.push_back(round.returned);
    }
    return result;
  };
  using Sizes = std::vector<std::size_t>;
  CHECK(sizes(100, 5) == Sizes{20, 20, 20, 20, 20});
  CHECK(sizes(11, 4) == Sizes{3, 3, 3, 2});
  CHECK(sizes(3, 7) == Sizes{1, 1, 1});
  CHECK(sizes(1, 5) == Sizes{1});
  CHECK(sizes(500, 4) == Sizes{125, 75});
}

TEST_CASE("refine: wrong requests name the field") {
  FakeSearcher searcher(Metric::kCosine, {{1, 0}, {0, 1}});
  using Catch::Contains;
  const auto with = [&](Strategy strategy) {
    return error_of(vector_request({1, 0}, 3, strategy), searcher);
  };
  CHECK_THAT(error_of(vector_request({1, 0}, 0, Explore{}), searcher), Contains("refine.rounds"));
  CHECK_THAT(error_of(vector_request({1}, 2, Explore{}), searcher), Contains("refine.query"));
  CHECK_THAT(error_of(vector_request({}, 2, Explore{}), searcher), Contains("refine.query"));
  CHECK_THAT(error_of(vector_request({1, INFINITY}, 2, Explore{}), searcher),
             Contains("refine.query"));
  CHECK_THAT(with(Explore{-1}), Contains("strategy.explore.beta"));
  CHECK_THAT(with(Explore{NAN}), Contains("strategy.explore.beta"));
  CHECK_THAT(with(Rocchio{-1, 0, 1}), Contains("strategy.rocchio.alpha"));
  CHECK_THAT(with(Rocchio{0.5, INFINITY, 1}), Contains("strategy.rocchio.beta"));
  CHECK_THAT(with(Rocchio{0, 0, 1}), Contains("strategy.rocchio"));
  CHECK_THAT(with(Rocchio{0.5, 0.5, 0}), Contains("strategy.rocchio.feedback"));
  CHECK_THAT(with(Attention{-0.1, 1}), Contains("strategy.attention.gamma"));
  CHECK_THAT(with(Attention{0.1, 0}), Contains("strategy.attention.temperature"));
  auto request = vector_request({1, 0}, 2, Attention{});
  request.history = {{{1, 0, 0}, std::nullopt, 1, std::nullopt}};
  CHECK_THAT(error_of(request, searcher), Contains("refine.history[0]"));
  FakeSearcher plane(Metric::kEuclid, Rows(12, Vector{1, 0}));
  CHECK_THAT(error_of(vector_request({-3e38F, 0}, 3, Explore{100}), plane),
             Contains("query.refine.strategy"));
}

TEST_CASE("refine: rounds of interests keep the quotas of the whole") {
  std::mt19937_64 random(3);
  FakeSearcher searcher(Metric::kDot, random_rows(random, Metric::kDot, 300, 3));
  InterestsRequest interests;
  interests.components = {{{1, 0, 0}, 46, -1}, {{0, 1, 0}, 31, -1}, {{0, 0, 1}, 23, -1}};
  RefineRequest request;
  request.query = interests;
  request.rounds = 4;
  const auto result = retrieve_refined(request, 50, {}, searcher).value();
  REQUIRE(result.interests.size() == 3);
  const auto plain = retrieve_interests(interests, 50, {}, searcher).value();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(result.interests[i].quota == plain.interests[i].quota);
    CHECK(result.interests[i].returned == plain.interests[i].quota);
    CHECK(result.interests[i].vector == plain.interests[i].vector);
  }
}

TEST_CASE("refine: promises hold on random requests") {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    const std::size_t count = seed % 7 == 0 ? 1 + random() % 4 : 20 + random() % 150;
    FakeSearcher searcher(metric, random_rows(random, metric, count, 4));
    if (random() % 3 == 0) searcher.matches = [](Slot slot) { return slot % 3 != 0; };
    index::Clusters clusters{metric, 4, {}};
    for (const Vector& row : random_rows(random, Metric::kCosine, 8, 4)) {
      clusters.centroids.insert(clusters.centroids.end(), row.begin(), row.end());
    }
    SlotSet excluded;
    for (Slot slot = 0; slot < count; ++slot) {
      if (random() % 12 == 0) excluded.add(slot);
    }
    RefineRequest request;
    request.rounds = static_cast<std::uint32_t>(1 + random() % 7);
    request.strategy = random_strategy(random, metric);
    SlotSet forbidden = excluded;
    const bool has_interests = random() % 2 == 0;
    InterestsRequest interests;
    interests.clusters = &clusters;
    interests.min_quota = static_cast<std::uint32_t>(random() % 3);
    interests.allocation = static_cast<Allocation>(random() % 3);
    interests.merge = static_cast<MergeOrder>(random() % 2);
    for (std::size_t i = 1 + random() % 6; i > 0; --i) {
      const auto slot = static_cast<Slot>(random() % count);
      const HistoryItem item{searcher.rows()[slot], slot, 1.0 + static_cast<double>(random() % 3),
                             std::nullopt};
      interests.history.push_back(item);
      if (has_interests) forbidden.add(slot);
      if (random() % 2 == 0) request.history.push_back(item);
    }
    if (has_interests) {
      request.query = interests;
    } else {
      request.query = searcher.rows()[random() % count];
    }
    const std::size_t limit = 1 + random() % 60;
    const auto result = retrieve_refined(request, limit, excluded, searcher).value();
    const std::size_t match_count = searcher.ranking(searcher.rows()[0], -1, &forbidden).size();
    REQUIRE(result.hits.size() == std::min(limit, match_count));
    REQUIRE(result.rounds.size() <= request.rounds);

    std::set<Slot> seen;
    std::vector<std::size_t> by_round(result.rounds.size(), 0);
    std::vector<std::uint32_t> next_rank(result.interests.size(), 0);
    std::uint32_t round = 1;
    for (const RefineHit& hit : result.hits) {
      REQUIRE(seen.insert(hit.hit.slot).second);
      REQUIRE_FALSE(forbidden.contains(hit.hit.slot));
      REQUIRE(hit.round >= round);
      round = hit.round;
      ++by_round.at(round - 1);
      REQUIRE(hit.component.has_value() == has_interests);
      if (has_interests) REQUIRE(hit.rank == next_rank.at(*hit.component)++);
    }
    for (std::size_t i = 0; i < by_round.size(); ++i) {
      REQUIRE(result.rounds[i].round == i + 1);
      REQUIRE(result.rounds[i].returned == by_round[i]);
      REQUIRE(by_round[i] > 0);
      REQUIRE(result.rounds[i].shift >= -1 - 1e-9);
      REQUIRE(result.rounds[i].shift <= 1 + 1e-9);
    }
    for (std::size_t i = 0; i < next_rank.size(); ++i) {
      REQUIRE(result.interests[i].returned == next_rank[i]);
    }
    if (request.rounds == 1 && has_interests) {
      const auto plain = retrieve_interests(interests, limit, excluded, searcher).value();
      REQUIRE(slots_of(result.hits) == slots_of(plain.hits));
    }
    const auto again = retrieve_refined(request, limit, excluded, searcher).value();
    REQUIRE(slots_of(again.hits) == slots_of(result.hits));
  }
}

TEST_CASE("refine: a failing search ends the rounds with its error") {
  std::mt19937_64 random(11);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 50, 3));
  searcher.fail_at = 2;
  const auto result =
      retrieve_refined(vector_request(searcher.rows()[0], 5, Explore{}), 20, {}, searcher);
  REQUIRE(result.has_error());
  CHECK(result.error().code() == Code::kTimeout);
}
