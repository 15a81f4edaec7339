#include "retrieval/session.h"

#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "retrieval/strategies.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;
using Vector = std::vector<float>;

namespace {

using Doubles = std::vector<double>;

bool is_angular(Metric metric) {
  return metric == Metric::kCosine || metric == Metric::kDot;
}

Doubles normalised(const Vector& vector) {
  double sum = 0;
  for (const float value : vector) sum += double{value} * value;
  Doubles unit(vector.begin(), vector.end());
  if (sum > 0) {
    for (double& value : unit) value /= std::sqrt(sum);
  }
  return unit;
}

double length_of(const Doubles& vector) {
  double sum = 0;
  for (const double value : vector) sum += value * value;
  return std::sqrt(sum);
}

/// Rocchio's formula as it is written in the documentation.
Doubles rocchio_oracle(const JudgedRocchio& rocchio, const Vector& start,
                       const std::vector<ReturnedItem>& items, Metric metric) {
  const auto ready = [&](const Vector& vector) {
    return is_angular(metric) ? normalised(vector) : Doubles(vector.begin(), vector.end());
  };
  Doubles liked(start.size(), 0), disliked(start.size(), 0);
  double likes = 0, dislikes = 0;
  for (const ReturnedItem& item : items) {
    if (!item.score || *item.score == 0 || item.vector.empty()) continue;
    const Doubles vector = ready(item.vector);
    for (std::size_t i = 0; i < start.size(); ++i) {
      (*item.score > 0 ? liked : disliked)[i] += std::abs(*item.score) * vector[i];
    }
    (*item.score > 0 ? likes : dislikes) += std::abs(*item.score);
  }
  const double beta = likes > 0 ? rocchio.beta : 0, gamma = dislikes > 0 ? rocchio.gamma : 0;
  if (beta == 0 && gamma == 0) return Doubles(start.begin(), start.end());
  double alpha = rocchio.alpha;
  if (alpha + beta == 0) alpha = 1;
  const double divisor = rocchio.alpha + beta == 0 ? 1 : rocchio.alpha + beta;
  Doubles next = ready(start);
  for (std::size_t i = 0; i < next.size(); ++i) {
    double value = alpha * next[i];
    if (beta > 0) value += beta * liked[i] / likes;
    value /= divisor;
    if (gamma > 0) {
      const double away = disliked[i] / dislikes;
      value = is_angular(metric) ? value - gamma / divisor * away
                                 : value + gamma / divisor * (value - away);
    }
    next[i] = value;
  }
  if (!is_angular(metric)) return next;
  const double length = length_of(next);
  // What is left where everything cancels out is rounding.
  if (length < 1e-6) return Doubles(start.begin(), start.end());
  const double wanted = metric == Metric::kDot ? length_of(Doubles(start.begin(), start.end())) : 1;
  for (double& value : next) value *= wanted / length;
  return next;
}

void check_near(const Vector& vector, const Doubles& expected) {
  REQUIRE(vector.size() == expected.size());
  for (std::size_t i = 0; i < vector.size(); ++i) {
    REQUIRE(vector[i] == Approx(expected[i]).margin(1e-5));
  }
}

MovedInterest move_one(const SessionStrategy& strategy, const Vector& start,
                       const std::vector<ReturnedItem>& items, Metric metric) {
  const auto moved = move_interests(strategy, {{start, 1}}, items, metric);
  REQUIRE(moved.has_value());
  REQUIRE(moved->size() == 1);
  return moved->front();
}

std::vector<ReturnedItem> random_items(std::mt19937_64& random, const Rows& rows,
                                       std::size_t interest_count) {
  std::vector<ReturnedItem> items;
  for (std::size_t i = random() % 12; i > 0; --i) {
    ReturnedItem& item = items.emplace_back();
    if (random() % 6 != 0) item.vector = rows[random() % rows.size()];
    item.component = static_cast<std::uint32_t>(random() % interest_count);
    if (random() % 3 != 0) item.score = (static_cast<double>(random() % 9) - 4) / 2;
  }
  return items;
}

SessionStrategy strategy_by_number(std::uint64_t number) {
  if (number % 4 == 1) return RelevanceFeedback{1, 1, 0.5};
  if (number % 4 == 2) return Explore{0.5};
  if (number % 4 == 3) return Attention{0.3, 0.1};
  return JudgedRocchio{};
}

}  // namespace

TEST_CASE("session: Rocchio moves towards what is liked and away from what is not", "[unit]") {
  const std::vector<ReturnedItem> items = {{{0, 1}, 0, 1.0}, {{-1, 0}, 0, -1.0}, {{1, 1}, 0, {}}};
  // (1, 0) + 0.75 (0, 1) - 0.15 (-1, 0) = (1.15, 0.75)
  const double length = std::hypot(1.15, 0.75);
  const MovedInterest moved = move_one(JudgedRocchio{}, {1, 0}, items, Metric::kCosine);
  check_near(moved.vector, {1.15 / length, 0.75 / length});
  CHECK(moved.shift == Approx(1.15 / length));
  // ((1, 0) + 0.75 (0, 1)) / 1.75, then 0.15 / 1.75 of the way from (-1, 0).
  const double x = 1 / 1.75, y = 0.75 / 1.75, step = 0.15 / 1.75;
  check_near(move_one(JudgedRocchio{}, {1, 0}, items, Metric::kEuclid).vector,
             {x + step * (x + 1), y + step * y});
}

TEST_CASE("session: who dislikes what they asked for keeps the query, not what rounding leaves",
          "[unit]") {
  const std::vector<float> start = {0.3F, 0.7F, -0.2F, 0.61F, 0.1F};
  for (const double score : {-0.3, -1.0, -1.7}) {
    const std::vector<ReturnedItem> items = {{start, 0, score}, {start, 0, -0.7}, {start, 0, -0.1}};
    for (const Metric metric : {Metric::kCosine, Metric::kDot}) {
      CAPTURE(score, static_cast<int>(metric));
      CHECK(move_one(JudgedRocchio{0.9, 0.75, 0.9}, start, items, metric).vector == start);
    }
  }
}

TEST_CASE("session: Rocchio is as its formula for random judgements", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 400; ++round) {
    const Metric metric = metric_by_number(random());
    const Rows rows = random_rows(random, metric, 40, 5);
    const auto number = [&] { return 0.25 * static_cast<double>(random() % 5); };
    const JudgedRocchio rocchio{number(), 0.25 + number(), number()};
    const auto items = random_items(random, rows, 1);
    const Vector& start = rows[random() % rows.size()];
    CAPTURE(round, static_cast<int>(metric));
    const MovedInterest moved = move_one(rocchio, start, items, metric);
    const Doubles expected = rocchio_oracle(rocchio, start, items, metric);
    check_near(moved.vector, expected);
  }
}

TEST_CASE("session: feedback in pairs ranks by the sum of similarities that it stands for",
          "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    const Metric metric = random() % 2 == 0 ? Metric::kCosine : Metric::kDot;
    const Rows rows = random_rows(random, metric, 60, 5);
    const RelevanceFeedback strategy{1, 0.5 * static_cast<double>(random() % 4), 0.3};
    std::vector<ReturnedItem> items;
    std::set<double> used;
    for (std::size_t i = random() % 9; i > 0; --i) {
      const double score = static_cast<double>(random() % 1000) / 100;
      if (used.insert(score).second) items.push_back({rows[random() % rows.size()], 0, score});
    }
    const Vector& start = rows[random() % rows.size()];
    const MovedInterest moved = move_one(strategy, start, items, metric);
    // The best with the worst, and so on inwards.
    std::map<double, const Vector*> by_score;
    for (const ReturnedItem& item : items) by_score[*item.score] = &item.vector;
    const auto dot = [](const Vector& a, const Vector& b) {
      double sum = 0;
      for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
      return sum;
    };
    for (const Vector& row : rows) {
      double expected = strategy.a * dot(start, row);
      auto worst = by_score.begin();
      auto best = by_score.rbegin();
      for (std::size_t pair = 0; pair < std::min<std::size_t>(3, by_score.size() / 2); ++pair) {
        const double scale = std::pow(best->first - worst->first, strategy.b) * strategy.c;
        expected += scale * (dot(*best->second, row) - dot(*worst->second, row));
        ++best;
        ++worst;
      }
      const double found = dot(moved.vector, row);
      if (metric == Metric::kDot) {
        REQUIRE(found == Approx(expected).margin(1e-3));
      } else if (by_score.size() > 1 && std::abs(expected) > 1e-3) {
        // Of unit length, the same direction: one positive factor for all rows.
        REQUIRE((found > 0) == (expected > 0));
      }
    }
  }
  const auto refused =
      check_session_strategy(RelevanceFeedback{1, 1, 1}, Metric::kEuclid).message();
  CHECK(refused == "strategy.relevance_feedback: needs vectors compared by Cosine or Dot");
}

TEST_CASE("session: explore forgives what is liked, attention what is disliked", "[unit]") {
  const Rows rows = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.6F, 0.8F, 0}};
  std::vector<ReturnedItem> items;
  for (std::size_t i = 1; i < rows.size(); ++i) items.push_back({rows[i], 0, {}});
  items[0].score = 1;
  items[1].score = -1;
  const auto expected = [&](const Strategy& strategy, const std::vector<std::size_t>& read) {
    Context context;
    context.first = rows[0];
    for (const std::size_t row : read) {
      observe_hit(strategy, context, rows[row], Metric::kCosine);
    }
    return next_vector(strategy, context, Metric::kCosine).value();
  };
  CHECK(move_one(Explore{0.5}, rows[0], items, Metric::kCosine).vector ==
        expected(Explore{0.5}, {2, 3}));
  CHECK(move_one(Attention{0.3, 0.1}, rows[0], items, Metric::kCosine).vector ==
        expected(Attention{0.3, 0.1}, {1, 3}));
}

TEST_CASE("session: without anything to move it a vector stays to the bit", "[unit]") {
  std::mt19937_64 random(11);
  for (std::uint64_t number = 0; number < 16; ++number) {
    const Metric metric = metric_by_number(number / 4);
    const SessionStrategy strategy = strategy_by_number(number);
    if (!check_session_strategy(strategy, metric).ok()) continue;
    const Rows rows = random_rows(random, metric, 10, 7);
    std::vector<ReturnedItem> gone = {{{}, 0, 1.0}, {{}, 0, -1.0}};
    CHECK(move_one(strategy, rows[3], gone, metric).vector == rows[3]);
    CHECK(move_one(strategy, rows[3], {}, metric).vector == rows[3]);
    CHECK(move_one(strategy, rows[3], {}, metric).shift == 1);
    if (number % 4 >= 2) continue;
    const std::vector<ReturnedItem> unjudged = {{rows[1], 0, {}}, {rows[2], 0, 0.0}};
    CHECK(move_one(strategy, rows[3], unjudged, metric).vector == rows[3]);
  }
}

TEST_CASE("session: an interest moves by what it returned itself, and so does its weight",
          "[unit]") {
  const std::vector<SessionStart> starts = {{{1, 0}, 0.5}, {{0, 1}, 0.3}, {{1, 1}, 0.2}};
  const std::vector<ReturnedItem> items = {
      {{0, 1}, 0, 1.0}, {{0, 1}, 0, 2.0}, {{1, 0}, 1, -1.0}, {{}, 1, -2.0}, {{1, 0}, 2, {}}};
  const auto moved = move_interests(JudgedRocchio{}, starts, items, Metric::kCosine);
  REQUIRE(moved.has_value());
  const double first = 0.5 * 4 / 5, second = 0.3 * 1 / 5, third = 0.2 * 1 / 2;
  CHECK((*moved)[0].weight == Approx(first / (first + second + third)));
  CHECK((*moved)[1].weight == Approx(second / (first + second + third)));
  CHECK((*moved)[2].weight == Approx(third / (first + second + third)));
  CHECK((*moved)[0].shift < 1);
  CHECK((*moved)[1].shift < 1);
  CHECK((*moved)[2].vector == starts[2].vector);
}

TEST_CASE("session: strategies that make no sense are refused by name", "[unit]") {
  const auto error = [](const SessionStrategy& strategy) {
    return check_session_strategy(strategy, Metric::kCosine).message();
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK(error(JudgedRocchio{-1, 1, 1}) == "strategy.rocchio.alpha: must be 0 or larger");
  CHECK(error(JudgedRocchio{1, kNan, 1}) == "strategy.rocchio.beta: must be 0 or larger");
  CHECK(error(JudgedRocchio{1, 1, INFINITY}) == "strategy.rocchio.gamma: must be 0 or larger");
  CHECK(error(JudgedRocchio{0, 0, 1}) == "strategy.rocchio: alpha and beta must not both be 0");
  CHECK(error(RelevanceFeedback{kNan, 1, 1}) == "strategy.relevance_feedback.a: must be finite");
  CHECK(error(RelevanceFeedback{1, -1, 1}) == "strategy.relevance_feedback.b: must be 0 or larger");
  CHECK(error(RelevanceFeedback{1, 1, kNan}) == "strategy.relevance_feedback.c: must be finite");
  CHECK(error(Explore{-1}) == "strategy.explore.beta: must be 0 or larger");
  CHECK(error(Attention{-1, 1}) == "strategy.attention.gamma: must be 0 or larger");
  CHECK(error(Attention{1, 0}) == "strategy.attention.temperature: must be larger than 0");
  const auto moved = move_interests(RelevanceFeedback{1, 1e9, 1}, {{{1, 0}, 1}},
                                    {{{1, 0}, 0, 1e6}, {{0, 1}, 0, -1e6}}, Metric::kCosine);
  REQUIRE(moved.has_error());
  CHECK(moved.error().code() == Code::kInvalidArgument);
  CHECK(moved.error().message().find("out of the range of float") != std::string::npos);
}

TEST_CASE("session: random sessions follow their formulas and repeat nothing", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int run = 0; run < 60; ++run) {
    const Metric metric = metric_by_number(random());
    const Rows rows = random_rows(random, metric, 80, 4);
    FakeSearcher searcher(metric, rows);
    SessionStrategy strategy = strategy_by_number(random());
    if (!check_session_strategy(strategy, metric).ok()) strategy = JudgedRocchio{};
    const std::size_t interest_count = 1 + random() % 3;
    std::vector<SessionStart> starts;
    for (std::size_t i = 0; i < interest_count; ++i) {
      starts.push_back({rows[random() % rows.size()], 0.25 + static_cast<double>(random() % 4)});
    }
    CAPTURE(run, static_cast<int>(metric), interest_count);
    std::vector<ReturnedItem> items;
    std::vector<Slot> returned;
    SlotSet seen;
    for (int round = 0; round < 8; ++round) {
      const auto moved = move_interests(strategy, starts, items, metric);
      REQUIRE(moved.has_value());
      SessionRoundRequest request;
      double weights = 0;
      for (std::size_t i = 0; i < interest_count; ++i) {
        InterestReport& interest = request.interests.emplace_back();
        interest.component = static_cast<std::uint32_t>(i);
        interest.vector = (*moved)[i].vector;
        interest.weight = (*moved)[i].weight;
        weights += interest.weight;
      }
      REQUIRE(weights == Approx(1));
      request.component_filters.assign(interest_count, -1);
      request.limit = 1 + random() % 20;
      request.excluded = seen;
      const std::size_t limit = request.limit;
      const auto answer = retrieve_session_round(std::move(request), searcher);
      REQUIRE(answer.has_value());
      REQUIRE(answer->hits.size() == std::min(limit, rows.size() - returned.size()));
      std::size_t quotas = 0;
      for (const InterestReport& interest : answer->interests) quotas += interest.quota;
      REQUIRE(quotas == limit);
      if (interest_count == 1) {
        std::vector<Hit> expected = searcher.ranking((*moved)[0].vector, -1, &seen);
        expected.resize(std::min(limit, expected.size()));
        REQUIRE(slots_of(answer->hits) == slots_of(expected));
      }
      for (const InterestHit& hit : answer->hits) {
        REQUIRE_FALSE(seen.contains(hit.hit.slot));
        seen.add(hit.hit.slot);
        returned.push_back(hit.hit.slot);
        items.push_back({rows[hit.hit.slot], hit.component, {}});
      }
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (random() % 5 == 0) items[i].score = random() % 2 == 0 ? 1 : -1;
      }
    }
  }
}

TEST_CASE("session: the first round is what a query by the same interests finds", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int run = 0; run < 40; ++run) {
    const Metric metric = metric_by_number(random());
    const Rows rows = random_rows(random, metric, 60, 4);
    FakeSearcher searcher(metric, rows);
    InterestsRequest query;
    query.clustering = Clustering::kWard;
    for (std::size_t i = 1 + random() % 12; i > 0; --i) {
      const auto slot = static_cast<Slot>(random() % rows.size());
      query.history.push_back({rows[slot], slot, 1.0 + static_cast<double>(random() % 3), {}});
    }
    query.max_components = static_cast<std::uint32_t>(1 + random() % 4);
    query.min_quota = static_cast<std::uint32_t>(random() % 4);
    query.allocation = static_cast<Allocation>(random() % 3);
    query.merge = static_cast<MergeOrder>(random() % 2);
    query.page = static_cast<std::uint32_t>(random() % 20);
    query.quota_power = static_cast<double>(random() % 5) / 2;
    query.blend = 0.4;
    query.blend_with = BlendWith::kHistory;
    if (query.page > 0 && random() % 2 == 0) query.page_blend = 0.1;
    const std::size_t limit = 1 + random() % 30;
    const auto expected = retrieve_interests(query, limit, SlotSet(), searcher);
    REQUIRE(expected.has_value());

    SessionRoundRequest request;
    request.interests = make_components(query, metric).value();
    request.component_filters.assign(request.interests.size(), -1);
    request.limit = limit;
    request.min_quota = query.min_quota;
    request.quota_power = query.quota_power;
    request.allocation = query.allocation;
    request.merge = query.merge;
    request.page = query.page;
    if (query.page_blend) request.page_mmr = Mmr{1};
    request.seed = query.seed;
    for (const HistoryItem& item : query.history) request.excluded.add(*item.slot);
    const auto round = retrieve_session_round(std::move(request), searcher);
    REQUIRE(round.has_value());
    CAPTURE(run, static_cast<int>(metric), limit);
    REQUIRE(slots_of(round->hits) == slots_of(expected->hits));
    for (std::size_t i = 0; i < expected->interests.size(); ++i) {
      CHECK(round->interests[i].quota == expected->interests[i].quota);
      CHECK(round->interests[i].returned == expected->interests[i].returned);
    }
  }
}

TEST_CASE("session: a page goes by the round's vector and what was beyond the first", "[unit]") {
  FakeSearcher searcher(Metric::kCosine, {{1, 0}, {0.8F, 0.6F}, {0.6F, 0.8F}, {0, 1}});
  const auto order_of = [&](std::vector<float> vector, std::vector<float> offset) {
    SessionRoundRequest request;
    InterestReport& interest = request.interests.emplace_back();
    interest.weight = 1;
    interest.vector = std::move(vector);
    interest.page_offset = std::move(offset);
    request.component_filters = {-1};
    request.limit = 4;
    request.page = 2;
    request.page_mmr = Mmr{1};
    return slots_of(retrieve_session_round(std::move(request), searcher).value().hits);
  };
  CHECK(order_of({1, 0}, {}) == std::vector<Slot>{0, 1, 2, 3});
  CHECK(order_of({1, 0}, {-1, 1}) == std::vector<Slot>{3, 2, 0, 1});
  // The vector has moved, and what the page goes by with it: to (0.1, 0.4).
  CHECK(order_of({0.8F, 0.6F}, {-0.7F, -0.2F}) == std::vector<Slot>{3, 2, 1, 0});
  // What cancels out is no direction.
  CHECK(order_of({1, 0}, {-1, 0}) == std::vector<Slot>{0, 1, 2, 3});
}
