#include "retrieval/interests.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "retrieval/vector_math.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;
using Vector = std::vector<float>;

namespace {

/// Two axes and the diagonal of a plane.
index::Clusters axes() {
  return {Metric::kCosine, 2, {1, 0, 0, 1, -1, 0}};
}

HistoryItem item(Vector vector, Slot slot, double weight = 1,
                 std::optional<double> at_seconds = std::nullopt) {
  return {std::move(vector), slot, weight, at_seconds};
}

InterestsRequest history_request(std::vector<HistoryItem> history,
                                 const index::Clusters& clusters) {
  InterestsRequest request;
  request.history = std::move(history);
  request.clusters = &clusters;
  return request;
}

double weight_sum(const std::vector<InterestReport>& interests) {
  double sum = 0;
  for (const auto& interest : interests) sum += interest.weight;
  return sum;
}

void check_near(const Vector& vector, const Vector& expected) {
  REQUIRE(vector.size() == expected.size());
  for (std::size_t i = 0; i < vector.size(); ++i) {
    CHECK(vector[i] == Approx(expected[i]).margin(1e-6));
  }
}

std::string error_of(const InterestsRequest& request, Metric metric = Metric::kCosine) {
  const auto components = make_components(request, metric);
  REQUIRE(components.has_error());
  CHECK(components.error().code() == Code::kInvalidArgument);
  return components.error().message();
}

InterestsRequest random_request(std::mt19937_64& random, const FakeSearcher& searcher,
                                const index::Clusters& clusters) {
  InterestsRequest request;
  const Rows& rows = searcher.rows();
  const std::size_t count = 1 + random() % 12;
  const bool is_given = random() % 3 == 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto slot = static_cast<Slot>(random() % rows.size());
    const double weight = random() % 20 == 0 ? 1e300 : 0.25 * static_cast<double>(1 + random() % 8);
    if (is_given) {
      request.components.push_back({rows[slot], weight, -1});
    } else {
      request.history.push_back({rows[slot], slot, weight, std::nullopt});
      if (random() % 4 == 0) request.history.back().slot.reset();
      if (random() % 2 == 0) {
        request.history.back().at_seconds = static_cast<double>(random() % 1000);
      }
    }
  }
  if (random() % 2 == 0) request.vector = rows[random() % rows.size()];
  request.clusters = &clusters;
  request.max_components = static_cast<std::uint32_t>(1 + random() % 6);
  request.min_quota = static_cast<std::uint32_t>(random() % 4);
  request.quota_power = random() % 2 == 0 ? 1 : static_cast<double>(random() % 5) / 2;
  request.represent = static_cast<Represent>(random() % 3);
  request.allocation = static_cast<Allocation>(random() % 3);
  request.merge = static_cast<MergeOrder>(random() % 2);
  if (random() % 3 == 0) request.page = static_cast<std::uint32_t>(random() % 20);
  request.exclude_history = random() % 4 != 0;
  if (random() % 3 == 0) request.half_life_seconds = 0.5 + static_cast<double>(random() % 500);
  const bool by_vector = !request.vector.empty();
  if (by_vector || !is_given) {
    request.blend = 0.25 * static_cast<double>(random() % 5);
    request.blend_with =
        by_vector && (is_given || random() % 2 == 0) ? BlendWith::kVector : BlendWith::kHistory;
  }
  return request;
}

}  // namespace

TEST_CASE("components: weights are the summed item weights of each cluster, heaviest first") {
  const auto clusters = axes();
  const auto request = history_request(
      {item({0, 1}, 1), item({1, 0}, 2, 2), item({0.6F, 0.8F}, 3), item({0.8F, 0.6F}, 4, 4)},
      clusters);
  const auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  CHECK(components[0].component == 0);
  CHECK(components[0].cluster == 0U);
  CHECK(components[0].weight == Approx(6.0 / 8));
  CHECK(components[1].cluster == 1U);
  CHECK(components[1].weight == Approx(2.0 / 8));
  // 2 (1, 0) + 4 (0.8, 0.6) = (5.2, 2.4), and (0, 1) + (0.6, 0.8) = (0.6, 1.8), to unit length.
  check_near(components[0].vector, {0.907959F, 0.419058F});
  check_near(components[1].vector, {0.316228F, 0.948683F});
  CHECK(components[0].medoid == 4U);
  CHECK(components[1].medoid == 3U);
}

TEST_CASE("components: equal weights are ordered by cluster and cut at max_components") {
  const auto clusters = axes();
  auto request = history_request({item({-1, 0}, 1), item({0, 1}, 2), item({1, 0}, 3)}, clusters);
  request.max_components = 2;
  const auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  CHECK(components[0].cluster == 0U);
  CHECK(components[1].cluster == 1U);
  CHECK(weight_sum(components) == Approx(1));
}

TEST_CASE("components: a half-life halves weights by age; no time counts as newest") {
  const auto clusters = axes();
  auto request = history_request(
      {item({1, 0}, 1, 1, 0.0), item({0, 1}, 2, 1, 200.0), item({-1, 0}, 3, 1)}, clusters);
  request.half_life_seconds = 100;
  const auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 3);
  CHECK(components[0].cluster == 1U);
  CHECK(components[0].weight == Approx(1 / 2.25));
  CHECK(components[1].cluster == 2U);
  CHECK(components[1].weight == Approx(1 / 2.25));
  CHECK(components[2].cluster == 0U);
  CHECK(components[2].weight == Approx(0.25 / 2.25));
  request.half_life_seconds = 1e-3;
  CHECK(make_components(request, Metric::kCosine).value()[2].weight == 0);
}

TEST_CASE("components: represent chooses centroid, medoid or the cluster's own centroid") {
  const auto clusters = axes();
  auto request =
      history_request({item({1, 0}, 1), item({0.8F, 0.6F}, 2), item({0.8F, -0.6F}, 3)}, clusters);
  const auto vector = [&](Represent represent) {
    request.represent = represent;
    return make_components(request, Metric::kCosine).value().at(0).vector;
  };
  check_near(vector(Represent::kCentroid), {1, 0});
  check_near(vector(Represent::kMedoid), {1, 0});
  request.history[0].weight = 0.01;
  request.history[1].weight = 10;
  check_near(vector(Represent::kMedoid), {0.8F, 0.6F});
  check_near(vector(Represent::kCluster), {1, 0});
  CHECK(make_components(request, Metric::kCosine).value()[0].medoid == 2U);
  request.history[1].slot.reset();
  CHECK_FALSE(make_components(request, Metric::kCosine).value()[0].medoid.has_value());
}

TEST_CASE("components: only Cosine normalises the centroid") {
  const index::Clusters clusters{Metric::kEuclid, 2, {0, 0, 100, 100}};
  const auto request = history_request({item({2, 0}, 1, 1), item({0, 4}, 2, 3)}, clusters);
  for (const Metric metric : {Metric::kEuclid, Metric::kManhattan, Metric::kDot}) {
    check_near(make_components(request, metric).value()[0].vector, {0.5F, 3});
  }
}

TEST_CASE("components: the blend pulls every component towards the person") {
  const auto clusters = axes();
  auto request = history_request({item({1, 0}, 1), item({0, 1}, 2)}, clusters);
  request.vector = {0, -5};
  request.blend = 0.5;
  auto components = make_components(request, Metric::kCosine).value();
  check_near(components[0].vector, {0.707107F, -0.707107F});
  // (0, 1) and (0, -1) cancel out: the component stays.
  check_near(components[1].vector, {0, 1});
  request.blend = 1;
  components = make_components(request, Metric::kCosine).value();
  check_near(components[1].vector, {0, -1});
  request.blend = 0.25;
  request.blend_with = BlendWith::kHistory;
  components = make_components(request, Metric::kCosine).value();
  // 0.75 (1, 0) + 0.25 (0.7071, 0.7071), to unit length.
  check_near(components[0].vector, {0.9822903F, 0.1873656F});
  check_near(make_components(request, Metric::kDot).value()[0].vector, {0.875F, 0.125F});
}

TEST_CASE("components: opposite and zero vectors give no NaN") {
  const index::Clusters one_cluster{Metric::kCosine, 2, {1, 0}};
  auto request = history_request({item({0, 1}, 1), item({0, -1}, 2)}, one_cluster);
  check_near(make_components(request, Metric::kCosine).value()[0].vector, {0, -1});
  request = history_request({item({0, 0}, 1), item({0, 0}, 2)}, one_cluster);
  check_near(make_components(request, Metric::kCosine).value()[0].vector, {0, 0});
  request.vector = {0, 0};
  request.blend = 0.5;
  check_near(make_components(request, Metric::kCosine).value()[0].vector, {0, 0});
  // Huge values overflow neither on the way nor in the result.
  request =
      history_request({item({3e38F, 3e38F}, 1, 1e308), item({3e38F, 0}, 2, 1e308)}, one_cluster);
  check_near(make_components(request, Metric::kCosine).value()[0].vector, {0.894427F, 0.447214F});
  CHECK(make_components(request, Metric::kDot).value()[0].vector[0] == 3e38F);
}

TEST_CASE("components: given ones keep their order, and all of them come") {
  InterestsRequest request;
  request.max_components = 1;
  request.components = {{{3, 0}, 1, -1}, {{0, 2}, 3, -1}};
  const auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  CHECK(components[0].weight == Approx(0.25));
  CHECK(components[1].weight == Approx(0.75));
  CHECK_FALSE(components[0].cluster.has_value());
  check_near(components[0].vector, {1, 0});
  check_near(make_components(request, Metric::kDot).value()[0].vector, {3, 0});
}

TEST_CASE("components: the items nearest to the centre are named, each once, the newer first") {
  const auto clusters = axes();
  auto request = history_request({item({0.8F, 0.6F}, 1), item({1, 0}, 2), item({1, 0}, 3),
                                  item({1, 0}, 2), item({0, 1}, 4), item({0.6F, 0.8F}, 5)},
                                 clusters);
  request.history.push_back({{1, 0}, std::nullopt, 1, std::nullopt});
  auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  CHECK(components[0].items == std::vector<Slot>{2, 3, 1});
  CHECK(components[1].items == std::vector<Slot>{5, 4});
  for (Slot slot = 10; slot < 20; ++slot) request.history.push_back(item({1, 0}, slot));
  components = make_components(request, Metric::kCosine).value();
  CHECK(components[0].items == std::vector<Slot>{19, 18, 17, 16, 15});
  CHECK(components[0].medoid == 19U);
}

TEST_CASE("components: inside clusters every component has one, that nearest to its vector") {
  const auto clusters = axes();
  InterestsRequest request;
  request.components = {{{-3, 1}, 1, -1}, {{1, 5}, 1, -1}};
  request.scope = Scope::kCluster;
  request.clusters = &clusters;
  auto components = make_components(request, Metric::kCosine).value();
  CHECK(components[0].cluster == 2U);
  CHECK(components[1].cluster == 1U);
  request.components.clear();
  request.vector = {2, 1};
  CHECK(make_components(request, Metric::kCosine).value()[0].cluster == 0U);
  request.clusters = nullptr;
  CHECK_THAT(error_of(request), Catch::Contains("interests.scope"));
}

TEST_CASE("components: wrong requests name the field") {
  const auto clusters = axes();
  const auto good = history_request({item({1, 0}, 1), item({0, 1}, 2)}, clusters);
  const auto broken = [&](const std::function<void(InterestsRequest&)>& change) {
    InterestsRequest request = good;
    change(request);
    return error_of(request);
  };
  using Catch::Contains;
  using Request = InterestsRequest;
  const float nan = std::nanf("");
  CHECK_THAT(error_of(Request{}), Contains("query.interests"));
  CHECK_THAT(broken([](Request& r) {
               r.components = {{{1, 0}, 1, -1}};
             }),
             Contains("exactly one of history and components"));
  CHECK_THAT(broken([](Request& r) { r.clusters = nullptr; }), Contains("interests.history"));
  CHECK_THAT(broken([](Request& r) { r.history[1].vector = {1}; }), Contains("history[1]"));
  CHECK_THAT(broken([](Request& r) { r.history[0].vector = {}; }), Contains("history[0]"));
  CHECK_THAT(broken([&](Request& r) { r.history[1].vector[0] = nan; }), Contains("history[1]"));
  CHECK_THAT(broken([](Request& r) { r.history[1].weight = 0; }), Contains("history[1].weight"));
  CHECK_THAT(broken([&](Request& r) { r.history[1].weight = nan; }), Contains("history[1].weight"));
  CHECK_THAT(broken([](Request& r) { r.history[0].at_seconds = INFINITY; }),
             Contains("history[0].at"));
  CHECK_THAT(broken([](Request& r) { r.vector = {1, 2, 3}; }), Contains("interests.vector"));
  CHECK_THAT(broken([](Request& r) { r.max_components = 0; }), Contains("max_components"));
  CHECK_THAT(broken([](Request& r) { r.half_life_seconds = 0; }), Contains("half_life"));
  CHECK_THAT(broken([](Request& r) { r.blend = 1.5; }), Contains("interests.blend"));
  CHECK_THAT(broken([&](Request& r) { r.blend = nan; }), Contains("interests.blend"));
  CHECK_THAT(broken([](Request& r) { r.blend = 0.1; }), Contains("interests.blend_with"));
  InterestsRequest given;
  given.components = {{{1, 0}, 1, -1}, {{1, 0}, -1, -1}};
  CHECK_THAT(error_of(given), Contains("components[1].weight"));
  given.components[1] = {{1, 0, 0}, 1, -1};
  CHECK_THAT(error_of(given), Contains("components[1].vector"));
  given.components.pop_back();
  given.blend = 0.5;
  given.blend_with = BlendWith::kHistory;
  CHECK_THAT(error_of(given), Contains("interests.blend_with"));
  const index::Clusters wide{Metric::kCosine, 3, {1, 0, 0}};
  CHECK_THAT(error_of(history_request({item({1, 0}, 1)}, wide)), Contains("interests.history"));
  FakeSearcher searcher(Metric::kCosine, {{1, 0, 0}});
  const auto result = retrieve_interests(good, 3, {}, searcher);
  REQUIRE(result.has_error());
  CHECK_THAT(result.error().message(), Contains("interests.history"));
}

TEST_CASE("interests: the quotas are those of the mixture and every hit names its interest") {
  std::mt19937_64 random(3);
  FakeSearcher searcher(Metric::kDot, random_rows(random, Metric::kDot, 300, 3));
  InterestsRequest request;
  request.components = {{{1, 0, 0}, 46, -1}, {{0, 1, 0}, 31, -1}, {{0, 0, 1}, 23, -1}};
  const auto result = retrieve_interests(request, 10, {}, searcher).value();
  REQUIRE(result.interests.size() == 3);
  CHECK(result.interests[0].quota == 5);
  CHECK(result.interests[1].quota == 3);
  CHECK(result.interests[2].quota == 2);
  CHECK(result.interests[0].returned == 5);
  std::vector<std::uint32_t> order;
  for (const auto& hit : result.hits) order.push_back(hit.component);
  CHECK(order == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 0, 2, 0, 1, 0});
}

TEST_CASE("interests: one component equals a plain query") {
  std::mt19937_64 random(4);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 100, 5));
  InterestsRequest request;
  request.components = {{searcher.rows()[7], 1, -1}};
  for (const MergeOrder merge : {MergeOrder::kInterleave, MergeOrder::kScore}) {
    request.merge = merge;
    auto plain = searcher.ranking(make_components(request, Metric::kCosine).value()[0].vector);
    plain.resize(20);
    CHECK(slots_of(retrieve_interests(request, 20, {}, searcher).value().hits) == slots_of(plain));
  }
}

TEST_CASE("interests: a component below min_quota is left out, a given one with weight 0") {
  std::mt19937_64 random(4);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 100, 2));
  InterestsRequest given;
  given.components = {{{1, 0}, 1, -1}, {{0, 1}, 99, -1}};
  const auto result = retrieve_interests(given, 10, {}, searcher).value();
  REQUIRE(result.interests.size() == 2);
  CHECK(result.interests[0].weight == 0);
  CHECK(result.interests[0].returned == 0);
  CHECK(result.interests[1].weight == 1);
  for (const auto& hit : result.hits) CHECK(hit.component == 1);
  const auto clusters = axes();
  const auto history = history_request({item({1, 0}, 1), item({0, 1}, 2, 99)}, clusters);
  CHECK(retrieve_interests(history, 10, {}, searcher).value().interests.size() == 1);
  CHECK(retrieve_interests(history, 100, {}, searcher).value().interests.size() == 2);
}

TEST_CASE("interests: a limit of 0 gives the whole profile without a search") {
  std::mt19937_64 random(4);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 10, 2));
  const auto clusters = axes();
  auto request =
      history_request({item({1, 0}, 1, 98), item({0, 1}, 2), item({-1, 0}, 3)}, clusters);
  for (const auto allocation :
       {Allocation::kProportional, Allocation::kEqual, Allocation::kSampled}) {
    request.allocation = allocation;
    const auto result = retrieve_interests(request, 0, {}, searcher).value();
    CHECK(result.hits.empty());
    REQUIRE(result.interests.size() == 3);
    CHECK(result.interests[0].weight == Approx(0.98));
    CHECK(result.interests[0].items == std::vector<Slot>{1});
    for (const auto& interest : result.interests) CHECK(interest.quota == 0);
  }
  CHECK(searcher.search_count == 0);
}

TEST_CASE("interests: inside clusters a component finds the nearest rows of its cluster") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    FakeSearcher searcher(metric, random_rows(random, metric, 120, 4));
    index::Clusters clusters{metric, 4, {}};
    for (const Vector& row : random_rows(random, Metric::kCosine, 6, 4)) {
      clusters.centroids.insert(clusters.centroids.end(), row.begin(), row.end());
    }
    for (const Vector& row : searcher.rows()) {
      index::assign_clusters(clusters, {row.data(), 1, 4}, &searcher.clusters.emplace_back());
    }
    auto request = random_request(random, searcher, clusters);
    request.scope = Scope::kCluster;
    request.min_quota = 0;
    const std::size_t limit = 1 + random() % 60;
    const auto result = retrieve_interests(request, limit, {}, searcher).value();
    SlotSet known;
    for (const auto& entry : request.history) {
      if (entry.slot && request.exclude_history) known.add(*entry.slot);
    }
    const std::size_t all = searcher.ranking(searcher.rows()[0], -1, &known).size();
    const bool has_person = !request.vector.empty() || !request.history.empty();
    if (has_person) REQUIRE(result.hits.size() == std::min(limit, all));

    std::map<std::uint32_t, std::vector<Slot>> inside;
    std::set<std::uint32_t> distinct;
    for (const InterestReport& interest : result.interests) distinct.insert(*interest.cluster);
    bool is_outside = false;
    for (const InterestHit& hit : result.hits) {
      const auto& interest = result.interests.at(hit.component);
      // What no cluster has comes at the end.
      if (searcher.clusters[hit.hit.slot] != *interest.cluster) is_outside = true;
      if (is_outside) continue;
      inside[hit.component].push_back(hit.hit.slot);
    }
    if (is_outside) {
      std::size_t in_clusters = 0;
      for (const auto& [component, slots] : inside) in_clusters += slots.size();
      std::size_t expected = 0;
      for (const std::uint32_t cluster : distinct) {
        expected += searcher.ranking(searcher.rows()[0], -1, &known, cluster).size();
      }
      REQUIRE(in_clusters >= expected);
    }
    // Given components may share a cluster and then compete for its rows.
    if (distinct.size() < result.interests.size()) continue;
    for (const auto& [component, slots] : inside) {
      const auto& interest = result.interests[component];
      auto nearest = searcher.ranking(interest.vector, -1, &known, interest.cluster);
      REQUIRE(slots.size() >= std::min(nearest.size(), interest.quota));
      nearest.resize(std::min(nearest.size(), slots.size()));
      REQUIRE(slots == slots_of(nearest));
    }
  }
}

TEST_CASE("interests: when all filters run out the person's vector fills the rest at the end") {
  Rows rows;
  for (int i = 0; i < 30; ++i) rows.push_back({static_cast<float>(i), 1});
  FakeSearcher searcher(Metric::kDot, rows);
  searcher.filters = {[](Slot slot) { return slot < 3; }, [](Slot slot) { return slot == 5; }};
  InterestsRequest request;
  request.components = {{{1, 0}, 1, 0}, {{0, 1}, 2, 1}};
  auto result = retrieve_interests(request, 8, {}, searcher).value();
  CHECK(result.hits.size() == 4);
  request.vector = {1, 0};
  result = retrieve_interests(request, 8, {}, searcher).value();
  CHECK(slots_of(result.hits) == std::vector<Slot>{5, 2, 1, 0, 29, 28, 27, 26});
  CHECK(result.hits.back().component == 1);
  CHECK(result.hits.back().rank == 4);
  CHECK(result.interests[0].returned == 3);
  CHECK(result.interests[1].returned == 5);
}

TEST_CASE("interests: promises hold on random requests") {
  for (unsigned seed = 1; seed <= 600; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    const std::size_t count = seed % 7 == 0 ? 1 + random() % 4 : 20 + random() % 180;
    FakeSearcher searcher(metric, random_rows(random, metric, count, 4));
    if (random() % 3 == 0) searcher.matches = [](Slot slot) { return slot % 3 != 0; };
    index::Clusters clusters{metric, 4, {}};
    for (const Vector& row : random_rows(random, Metric::kCosine, 8, 4)) {
      clusters.centroids.insert(clusters.centroids.end(), row.begin(), row.end());
    }
    const auto request = random_request(random, searcher, clusters);
    const std::size_t limit = seed % 5 == 0 ? 1 : 1 + random() % 60;
    SlotSet excluded;
    for (Slot slot = 0; slot < count; ++slot) {
      if (random() % 12 == 0) excluded.add(slot);
    }
    const auto result = retrieve_interests(request, limit, excluded, searcher).value();

    SlotSet forbidden = excluded;
    if (request.exclude_history) {
      for (const auto& item : request.history) {
        if (item.slot) forbidden.add(*item.slot);
      }
    }
    const std::size_t match_count = searcher.ranking(searcher.rows()[0], -1, &forbidden).size();
    REQUIRE(result.hits.size() == std::min(limit, match_count));
    REQUIRE(weight_sum(result.interests) == Approx(1));
    std::size_t quota_sum = 0;
    std::size_t returned_sum = 0;
    for (std::size_t i = 0; i < result.interests.size(); ++i) {
      REQUIRE(result.interests[i].component == i);
      for (const float value : result.interests[i].vector) REQUIRE(std::isfinite(value));
      quota_sum += result.interests[i].quota;
      returned_sum += result.interests[i].returned;
    }
    REQUIRE(quota_sum == limit);
    REQUIRE(returned_sum == result.hits.size());
    std::set<Slot> seen;
    std::map<std::uint32_t, std::vector<Hit>> by_component;
    for (const InterestHit& hit : result.hits) {
      REQUIRE(seen.insert(hit.hit.slot).second);
      REQUIRE_FALSE(forbidden.contains(hit.hit.slot));
      auto& list = by_component[hit.component];
      REQUIRE(hit.rank == list.size());
      if (!list.empty()) REQUIRE(searcher.precedes(list.back(), hit.hit));
      list.push_back(hit.hit);
    }
    for (const auto& [component, list] : by_component) {
      REQUIRE(result.interests.at(component).returned == list.size());
    }
    if (request.merge == MergeOrder::kScore) {
      for (std::size_t i = 1; i < result.hits.size(); ++i) {
        REQUIRE(searcher.precedes(result.hits[i - 1].hit, result.hits[i].hit));
      }
    }
    const auto again = retrieve_interests(request, limit, excluded, searcher).value();
    REQUIRE(slots_of(again.hits) == slots_of(result.hits));
  }
}

TEST_CASE("interests: behind the first page hits come by score") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    FakeSearcher searcher(metric, random_rows(random, metric, 80, 4));
    InterestsRequest request;
    for (std::size_t i = 0; i < 3; ++i) {
      request.components.push_back({searcher.rows()[i], 1.0 + static_cast<double>(i), -1});
    }
    const std::size_t limit = 1 + random() % 60;
    const auto by_turns = retrieve_interests(request, limit, {}, searcher).value();
    request.page = static_cast<std::uint32_t>(1 + random() % 70);
    const auto paged = retrieve_interests(request, limit, {}, searcher).value();
    auto wanted = by_turns.hits;
    const auto page_end =
        wanted.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(request.page, limit));
    std::sort(page_end, wanted.end(),
              [&](const auto& a, const auto& b) { return searcher.precedes(a.hit, b.hit); });
    REQUIRE(slots_of(paged.hits) == slots_of(wanted));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      CHECK(paged.hits[i].component == wanted[i].component);
      CHECK(paged.hits[i].rank == wanted[i].rank);
    }
    // By score there is no other order to begin with.
    request.merge = MergeOrder::kScore;
    const auto scored = retrieve_interests(request, limit, {}, searcher).value();
    request.page = 0;
    CHECK(slots_of(scored.hits) ==
          slots_of(retrieve_interests(request, limit, {}, searcher).value().hits));
  }
}

TEST_CASE("interests: a page's turns go by the weights, whatever the power of the quotas") {
  std::mt19937_64 random(21);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 300, 4));
  InterestsRequest request;
  for (std::size_t i = 0; i < 3; ++i) {
    request.components.push_back({searcher.rows()[i], std::pow(2.0, 2.0 - i), -1});  // 4, 2, 1
  }
  request.page = 7;
  const auto plain = retrieve_interests(request, 42, {}, searcher).value();
  request.quota_power = 2;
  const auto sharpened = retrieve_interests(request, 42, {}, searcher).value();
  const auto quotas_of = [](const InterestsResult& result) {
    std::vector<std::size_t> quotas;
    for (const InterestReport& interest : result.interests) quotas.push_back(interest.quota);
    return quotas;
  };
  CHECK(quotas_of(plain) == std::vector<std::size_t>{24, 12, 6});
  CHECK(quotas_of(sharpened) == std::vector<std::size_t>{32, 8, 2});
  for (std::size_t i = 0; i < 7; ++i) {
    CHECK(sharpened.hits[i].component == plain.hits[i].component);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(sharpened.interests[i].weight == plain.interests[i].weight);
  }
  // Without a page the turns are those of the quotas.
  request.page = 0;
  const auto by_turns = retrieve_interests(request, 42, {}, searcher).value();
  const auto of_first = std::count_if(by_turns.hits.begin(), by_turns.hits.begin() + 21,
                                      [](const InterestHit& hit) { return hit.component == 0; });
  CHECK(of_first == 16);
  request.quota_power = 10.5;
  CHECK_THAT(retrieve_interests(request, 42, {}, searcher).error().message(),
             Catch::Contains("query.interests.quota_power: must be from 0 to 10"));
}

TEST_CASE("interests: of nearly equal ones that are all too small one is left") {
  std::mt19937_64 random(22);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 50, 4));
  for (const double apart : {-2e-9, -1e-9, -4e-10, 0.0, 4e-10, 1e-9, 2e-9}) {
    for (const Allocation allocation : {Allocation::kProportional, Allocation::kSampled}) {
      CAPTURE(apart, static_cast<int>(allocation));
      InterestsRequest request;
      request.clustering = Clustering::kWard;
      request.history = {{searcher.rows()[1], 1, 1, {}},
                         {searcher.rows()[2], 2, 1 + apart, {}},
                         {searcher.rows()[3], 3, 1 + 2 * apart, {}}};
      request.max_components = 2;
      request.quota_power = 10;
      request.allocation = allocation;
      const auto result = retrieve_interests(request, 1, {}, searcher).value();
      REQUIRE(result.hits.size() == 1);
      REQUIRE(result.interests.size() == 1);
      CHECK(result.interests[0].component == 0);
      CHECK(result.interests[0].weight == 1);
    }
  }
}
