#include "retrieval/diversity.h"

#include <cmath>
#include <map>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "index/kernels.h"
#include "retrieval/refine.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;
using Vector = std::vector<float>;

namespace {

double similarity(Metric metric, float score) {
  return higher_is_nearer(metric) ? double{score} : -double{score};
}

double similarity(Metric metric, const Vector& a, const Vector& b) {
  return similarity(metric,
                    index::score_of(metric, index::distance(metric, a.data(), b.data(), a.size())));
}

/// The rule as it is written, with everything computed anew for every choice.
/// `turns`: the component that each place is for; none: anybody's. `vectors`: what relevance is
/// nearness to, by component; none: it is the score.
std::vector<Slot> naive_choice(const Diversity& diversity, std::vector<InterestHit> candidates,
                               std::size_t limit, const FakeSearcher& searcher,
                               const std::vector<std::size_t>& turns = {},
                               const std::vector<Vector>& vectors = {}) {
  std::sort(candidates.begin(), candidates.end(),
            [&](const auto& a, const auto& b) { return searcher.precedes(a.hit, b.hit); });
  const Metric metric = searcher.metric();
  std::vector<Slot> chosen;
  while (chosen.size() < limit && chosen.size() < candidates.size()) {
    std::optional<Slot> best;
    double greatest = 0;
    for (const InterestHit& candidate : candidates) {
      const Slot slot = candidate.hit.slot;
      if (std::find(chosen.begin(), chosen.end(), slot) != chosen.end()) continue;
      if (!turns.empty() && candidate.component != turns[chosen.size()]) continue;
      double value = vectors.empty()
                         ? similarity(metric, candidate.hit.score)
                         : similarity(metric, vectors[candidate.component], searcher.rows()[slot]);
      if (const auto* mmr = std::get_if<Mmr>(&diversity.rule)) {
        if (!chosen.empty()) {
          double nearest = similarity(metric, searcher.rows()[slot], searcher.rows()[chosen[0]]);
          for (const Slot other : chosen) {
            nearest = std::max(nearest,
                               similarity(metric, searcher.rows()[slot], searcher.rows()[other]));
          }
          value = mmr->lambda * value - (1 - mmr->lambda) * nearest;
        }
      } else {
        std::size_t most = 0;
        for (const std::string& category : searcher.categories[slot]) {
          std::size_t count = 0;
          for (const Slot other : chosen) {
            const auto& theirs = searcher.categories[other];
            count += std::find(theirs.begin(), theirs.end(), category) != theirs.end();
          }
          most = std::max(most, count);
        }
        value -= std::get<CategoryPenalty>(diversity.rule).lambda * static_cast<double>(most);
      }
      if (best && !(value > greatest)) continue;
      best = slot;
      greatest = value;
    }
    chosen.push_back(*best);
  }
  return chosen;
}

InterestsRequest two_interests(const FakeSearcher& searcher) {
  InterestsRequest request;
  request.components = {{searcher.rows()[1], 2, -1}, {searcher.rows()[2], 1, -1}};
  return request;
}

double mean_similarity(const std::vector<InterestHit>& hits, const FakeSearcher& searcher) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j, ++count) {
      sum += similarity(searcher.metric(), searcher.rows()[hits[i].hit.slot],
                        searcher.rows()[hits[j].hit.slot]);
    }
  }
  return sum / static_cast<double>(count);
}

/// Eighty rows; each has up to two of four categories.
FakeSearcher searcher_with_categories(std::mt19937_64& random) {
  const Metric metric = metric_by_number(random());
  FakeSearcher searcher(metric, random_rows(random, metric, 80, 4));
  searcher.categories.resize(80);
  for (auto& categories : searcher.categories) {
    for (std::size_t n = random() % 3; n > 0; --n) {
      categories.push_back("c" + std::to_string(random() % 4));
    }
    std::sort(categories.begin(), categories.end());
    categories.erase(std::unique(categories.begin(), categories.end()), categories.end());
  }
  return searcher;
}

Diversity random_diversity(std::mt19937_64& random) {
  if (random() % 2 == 0) return {Mmr{0.25 * static_cast<double>(random() % 5)}};
  return {CategoryPenalty{0.05 * static_cast<double>(random() % 8)}};
}

}  // namespace

TEST_CASE("diversity: chooses as the rules are written") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    FakeSearcher searcher = searcher_with_categories(random);
    std::vector<InterestHit> candidates;
    for (const Hit& hit : searcher.ranking(searcher.rows()[0])) {
      if (candidates.size() < 40) candidates.push_back({hit, 0, 0});
    }
    std::shuffle(candidates.begin(), candidates.end(), random);
    const Diversity diversity = random_diversity(random);
    const std::size_t limit = 1 + random() % 50;
    const auto chosen = diversified(diversity, candidates, limit, searcher).value();
    REQUIRE(slots_of(chosen) == naive_choice(diversity, candidates, limit, searcher));
  }
}

TEST_CASE("diversity: an answer is chosen from more hits than it holds") {
  std::mt19937_64 random(7);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 400, 4));
  auto request = two_interests(searcher);
  const auto plain = retrieve_interests(request, 30, {}, searcher).value();
  request.diversity = Diversity{Mmr{0.3}, 0};
  const auto result = retrieve_interests(request, 30, {}, searcher).value();
  REQUIRE(result.hits.size() == 30);
  CHECK(mean_similarity(result.hits, searcher) < mean_similarity(plain.hits, searcher));
  std::map<std::uint32_t, std::size_t> counts;
  std::set<Slot> seen;
  for (const InterestHit& hit : result.hits) {
    CHECK(seen.insert(hit.hit.slot).second);
    ++counts[hit.component];
    // The rank is that among the component's candidates, four times the answer in all.
    CHECK(hit.rank < 120);
  }
  for (const InterestReport& interest : result.interests) {
    CHECK(interest.quota == plain.interests[interest.component].quota);
    CHECK(interest.returned == counts[interest.component]);
  }
  // Relevance alone: the nearest of all, by score.
  request.diversity = Diversity{Mmr{1.0}, 60};
  const auto nearest = retrieve_interests(request, 30, {}, searcher).value();
  for (std::size_t i = 1; i < nearest.hits.size(); ++i) {
    CHECK(searcher.precedes(nearest.hits[i - 1].hit, nearest.hits[i].hit));
  }
  CHECK(slots_of(retrieve_interests(request, 30, {}, searcher).value().hits) ==
        slots_of(nearest.hits));
}

TEST_CASE("diversity: the penalty spreads an answer over categories") {
  std::mt19937_64 random(8);
  FakeSearcher searcher(Metric::kDot, random_rows(random, Metric::kDot, 200, 3));
  for (std::size_t i = 0; i < 200; ++i) {
    searcher.categories.push_back(i % 10 == 0 ? std::vector<std::string>{}
                                              : std::vector<std::string>{i % 10 < 8 ? "a" : "b"});
  }
  auto request = two_interests(searcher);
  const auto count_of_a = [&](double lambda) {
    request.diversity = Diversity{CategoryPenalty{lambda}, 100};
    std::size_t count = 0;
    for (const auto& hit : retrieve_interests(request, 20, {}, searcher).value().hits) {
      const auto& categories = searcher.categories[hit.hit.slot];
      count += !categories.empty() && categories.front() == "a";
    }
    return count;
  };
  const std::size_t without = count_of_a(0);
  CHECK(count_of_a(1000) <= 10);
  CHECK(count_of_a(1000) < without);
}

TEST_CASE("diversity: wrong requests name the field, and a stop is obeyed") {
  using Catch::Contains;
  std::mt19937_64 random(9);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 50, 3));
  auto request = two_interests(searcher);
  const auto error_of = [&](const Diversity& diversity, std::size_t limit = 10) {
    request.diversity = diversity;
    const auto result = retrieve_interests(request, limit, {}, searcher);
    REQUIRE(result.has_error());
    CHECK(result.error().code() == Code::kInvalidArgument);
    return result.error().message();
  };
  CHECK_THAT(error_of({Mmr{1.5}, 0}), Contains("diversity.mmr.lambda"));
  CHECK_THAT(error_of({Mmr{std::nan("")}, 0}), Contains("diversity.mmr.lambda"));
  CHECK_THAT(error_of({CategoryPenalty{-1}, 0}), Contains("diversity.category.lambda"));
  CHECK_THAT(error_of({CategoryPenalty{INFINITY}, 0}), Contains("diversity.category.lambda"));
  CHECK_THAT(error_of({Mmr{}, kDiversityCandidatesMax + 1}), Contains("diversity.candidates"));
  CHECK_THAT(error_of({Mmr{}, 0}, kDiversityCandidatesMax + 1), Contains("diversity.candidates"));
  request.diversity = Diversity{};
  RefineRequest rounds;
  rounds.query = request;
  rounds.rounds = 2;
  const auto refined = retrieve_refined(rounds, 10, {}, searcher);
  REQUIRE(refined.has_error());
  CHECK_THAT(refined.error().message(), Contains("interests.diversity"));
  request.page = 4;
  request.diversity = Diversity{Mmr{1.5}, 0};
  rounds.query = request;
  CHECK_THAT(retrieve_refined(rounds, 10, {}, searcher).error().message(),
             Contains("diversity.mmr.lambda"));
  request.diversity.reset();
  request.page_blend = 1.5;
  const auto message_of = [&](std::size_t limit) {
    return retrieve_interests(request, limit, {}, searcher).error().message();
  };
  CHECK_THAT(message_of(10), Contains("page_blend: must be from 0 to 1"));
  request.page_blend = 0.5;
  CHECK_THAT(message_of(10), Contains("blend_with"));  // There is nothing to blend with.
  request.page_blend = 0;
  CHECK_THAT(message_of(kDiversityCandidatesMax + 1), Contains("page_blend: with it limit"));
  request.page = 0;
  CHECK_THAT(message_of(10), Contains("page_blend: goes together with `page` only"));
  request.page_blend.reset();
  request.diversity = Diversity{};
  searcher.status = Status(Code::kTimeout, "the deadline has passed");
  CHECK(retrieve_interests(request, 10, {}, searcher).error().code() == Code::kTimeout);
  CHECK(retrieve_interests(request, 0, {}, searcher).has_value());
}

TEST_CASE("diversity: with a page it chooses the order of the first hits, by turns") {
  std::size_t differing = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    FakeSearcher searcher = searcher_with_categories(random);
    auto request = two_interests(searcher);
    request.components.push_back({searcher.rows()[3], 1, -1});
    request.merge = static_cast<MergeOrder>(random() % 2);
    const std::size_t limit = 1 + random() % 60;
    const auto plain = retrieve_interests(request, limit, {}, searcher).value();
    std::vector<std::size_t> turns;
    if (request.merge == MergeOrder::kInterleave) {
      for (const InterestHit& hit : plain.hits) turns.push_back(hit.component);
    }
    request.page = static_cast<std::uint32_t>(1 + random() % 30);
    request.diversity = random_diversity(random);
    const auto page = std::min<std::size_t>(request.page, limit);
    const auto result = retrieve_interests(request, limit, {}, searcher).value();
    auto wanted = naive_choice(*request.diversity, plain.hits, page, searcher, turns);
    std::vector<InterestHit> rest;
    std::map<Slot, InterestHit> by_slot;
    for (const InterestHit& hit : plain.hits) {
      by_slot.emplace(hit.hit.slot, hit);
      if (std::find(wanted.begin(), wanted.end(), hit.hit.slot) == wanted.end()) {
        rest.push_back(hit);
      }
    }
    std::sort(rest.begin(), rest.end(),
              [&](const auto& a, const auto& b) { return searcher.precedes(a.hit, b.hit); });
    for (const InterestHit& hit : rest) wanted.push_back(hit.hit.slot);
    REQUIRE(slots_of(result.hits) == wanted);
    differing += slots_of(result.hits) != slots_of(plain.hits);
    // Who found an item, and at which place of its list, does not depend on the order.
    for (const InterestHit& hit : result.hits) {
      CHECK(hit.component == by_slot.at(hit.hit.slot).component);
      CHECK(hit.rank == by_slot.at(hit.hit.slot).rank);
    }
    for (std::size_t i = 0; i < result.interests.size(); ++i) {
      CHECK(result.interests[i].returned == plain.interests[i].returned);
    }
  }
  CHECK(differing > 150);
}

TEST_CASE("diversity: a page may go by interests of another blend than the search") {
  std::size_t differing = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    FakeSearcher searcher = searcher_with_categories(random);
    // Vectors that no item has: between items some would be equally near by construction.
    const Rows vectors_of_none = random_rows(random, searcher.metric(), 3, 4);
    InterestsRequest request;
    request.components = {{vectors_of_none[0], 2, -1}, {vectors_of_none[1], 1, -1}};
    request.vector = vectors_of_none[2];
    request.blend = 0.4;
    const std::size_t limit = 1 + random() % 60;
    const auto plain = retrieve_interests(request, limit, {}, searcher).value();
    std::vector<std::size_t> turns;
    for (const InterestHit& hit : plain.hits) turns.push_back(hit.component);
    request.page = static_cast<std::uint32_t>(1 + random() % 30);
    const bool has_rule = random() % 2 == 0;
    if (has_rule) request.diversity = random_diversity(random);
    const double share = static_cast<double>(random() % 5) / 4;
    request.page_blend = share;
    const auto result = retrieve_interests(request, limit, {}, searcher).value();

    std::vector<Vector> vectors;
    for (const GivenComponent& component : request.components) {
      Vector& vector = vectors.emplace_back();
      double squares = 0;
      for (std::size_t d = 0; d < component.vector.size(); ++d) {
        const double value = share * request.vector[d] + (1 - share) * component.vector[d];
        vector.push_back(static_cast<float>(value));
        squares += value * value;
      }
      if (searcher.metric() != Metric::kCosine) continue;
      if (squares == 0) {
        vector = component.vector;
        continue;
      }
      for (float& value : vector) value = static_cast<float>(value / std::sqrt(squares));
    }
    const Diversity rule = has_rule ? *request.diversity : Diversity{Mmr{1}, 0};
    const auto page = std::min<std::size_t>(request.page, limit);
    const auto wanted = naive_choice(rule, plain.hits, page, searcher, turns, vectors);
    const auto found = slots_of(result.hits);
    REQUIRE(std::vector<Slot>(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(
                                                                 wanted.size())) == wanted);
    CHECK(std::is_sorted(
        result.hits.begin() + static_cast<std::ptrdiff_t>(page), result.hits.end(),
        [&](const auto& a, const auto& b) { return searcher.precedes(a.hit, b.hit); }));
    auto same = slots_of(plain.hits), sorted = found;
    std::sort(same.begin(), same.end());
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == same);
    request.page_blend.reset();
    if (has_rule) {
      differing += slots_of(retrieve_interests(request, limit, {}, searcher).value().hits) != found;
    }
    // Its own blend changes nothing.
    const auto by_blend = retrieve_interests(request, limit, {}, searcher).value();
    request.page_blend = request.blend;
    CHECK(slots_of(retrieve_interests(request, limit, {}, searcher).value().hits) ==
          slots_of(by_blend.hits));
  }
  CHECK(differing > 40);
}

TEST_CASE("diversity: what comes from the plain query stays behind the page") {
  std::mt19937_64 random(11);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 60, 3));
  searcher.filters = {[](Slot slot) { return slot < 5; }, [](Slot slot) { return slot >= 55; }};
  InterestsRequest request;
  request.components = {{searcher.rows()[1], 2, 0}, {searcher.rows()[2], 1, 1}};
  request.vector = searcher.rows()[9];
  request.page = 40;
  request.diversity = Diversity{Mmr{0.5}, 0};
  const auto result = retrieve_interests(request, 30, {}, searcher).value();
  REQUIRE(result.hits.size() == 30);
  for (std::size_t i = 0; i < 30; ++i) {
    CHECK((result.hits[i].hit.slot < 5 || result.hits[i].hit.slot >= 55) == (i < 10));
  }
}

TEST_CASE("diversity: every round of several has its own page") {
  std::mt19937_64 random(12);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 300, 4));
  auto request = two_interests(searcher);
  RefineRequest rounds;
  rounds.rounds = 3;
  rounds.strategy = Explore{0};  // Keeps the query: the rounds find what one answer finds.
  rounds.query = request;
  const auto plain = retrieve_refined(rounds, 60, {}, searcher).value();
  request.page = 10;
  request.diversity = Diversity{Mmr{0.4}, 0};
  rounds.query = request;
  const auto paged = retrieve_refined(rounds, 60, {}, searcher).value();
  REQUIRE(paged.hits.size() == 60);
  for (std::size_t round = 0; round < 3; ++round) {
    CAPTURE(round);
    std::vector<InterestHit> before, after;
    for (std::size_t i = 20 * round; i < 20 * (round + 1); ++i) {
      before.push_back({plain.hits[i].hit, *plain.hits[i].component, plain.hits[i].rank});
      after.push_back({paged.hits[i].hit, *paged.hits[i].component, paged.hits[i].rank});
    }
    const auto by_turns = slots_of(before);
    std::vector<std::size_t> turns;
    for (const InterestHit& hit : before) turns.push_back(hit.component);
    auto wanted = naive_choice(*request.diversity, before, 10, searcher, turns);
    std::sort(before.begin(), before.end(),
              [&](const auto& x, const auto& y) { return searcher.precedes(x.hit, y.hit); });
    for (const InterestHit& hit : before) {
      const Slot slot = hit.hit.slot;
      if (std::find(wanted.begin(), wanted.end(), slot) == wanted.end()) wanted.push_back(slot);
    }
    CHECK(slots_of(after) == wanted);
    CHECK(slots_of(after) != by_turns);
  }
}

TEST_CASE("diversity: how a page is arranged does not change the rounds behind it") {
  std::mt19937_64 random(13);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 300, 4));
  const std::vector<Strategy> strategies = {Rocchio{0.6, 0.4, 2}, Explore{0.5}, Attention{0.5, 0.1},
                                            RelevanceFeedback{1, 1, 1}};
  for (const Strategy& strategy : strategies) {
    CAPTURE(strategy.index());
    auto request = two_interests(searcher);
    request.vector = searcher.rows()[7];
    request.blend = 0.4;
    RefineRequest rounds;
    rounds.rounds = 4;
    rounds.strategy = strategy;
    rounds.query = request;
    const auto plain = retrieve_refined(rounds, 48, {}, searcher).value();
    request.page = 12;
    request.page_blend = 0;
    request.diversity = Diversity{Mmr{0.2}, 0};
    rounds.query = request;
    const auto paged = retrieve_refined(rounds, 48, {}, searcher).value();
    CHECK(slots_of(paged.hits) != slots_of(plain.hits));
    REQUIRE(paged.rounds.size() == 4);
    for (std::size_t round = 0; round < 4; ++round) {
      CHECK(paged.rounds[round].shift == plain.rounds[round].shift);
    }
    const auto sorted = [](std::vector<Slot> slots) {
      std::sort(slots.begin(), slots.end());
      return slots;
    };
    CHECK(sorted(slots_of(paged.hits)) == sorted(slots_of(plain.hits)));
  }
}

TEST_CASE("diversity: turns are kept also where no value is finite") {
  std::mt19937_64 random(14);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 80, 4));
  searcher.categories.assign(80, {"same"});
  auto request = two_interests(searcher);
  const auto plain = retrieve_interests(request, 30, {}, searcher).value();
  request.page = 30;
  request.diversity = Diversity{CategoryPenalty{1e308}, 0};
  const auto result = retrieve_interests(request, 30, {}, searcher).value();
  REQUIRE(result.hits.size() == 30);
  for (std::size_t i = 0; i < 30; ++i) {
    CHECK(result.hits[i].component == plain.hits[i].component);
  }
}
