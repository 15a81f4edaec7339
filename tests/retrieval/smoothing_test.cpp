#include <array>
#include <map>
#include <numeric>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "retrieval/interests.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;
using Vector = std::vector<float>;

namespace {

/// Clusters 0, 1 and 2 are the axes of space.
index::Clusters axes() {
  return {Metric::kCosine, 3, {1, 0, 0, 0, 1, 0, 0, 0, 1}};
}

HistoryItem item(Vector vector, Slot slot, double weight = 1) {
  return {std::move(vector), slot, weight, std::nullopt};
}

/// An item on each of the axes named.
std::vector<HistoryItem> items_on(const std::vector<std::size_t>& clusters) {
  std::vector<HistoryItem> history;
  for (const std::size_t cluster : clusters) {
    Vector vector(3, 0);
    vector[cluster] = 1;
    history.push_back(item(std::move(vector), static_cast<Slot>(10 * cluster + history.size())));
  }
  return history;
}

InterestsRequest smoothed_request(const index::Clusters& clusters, double lambda) {
  InterestsRequest request;
  request.clusters = &clusters;
  request.smoothing = lambda;
  request.neighbors = {{items_on({0, 1}), nullptr}, {items_on({1, 2}), nullptr}};
  return request;
}

/// Weight by cluster.
std::map<std::uint32_t, double> mixture_of(const InterestsRequest& request,
                                           Metric metric = Metric::kCosine) {
  std::map<std::uint32_t, double> mixture;
  for (const auto& report : make_components(request, metric).value()) {
    mixture[report.cluster.value()] = report.weight;
  }
  return mixture;
}

Vector vector_of(const InterestsRequest& request, std::uint32_t cluster, Metric metric) {
  for (const auto& report : make_components(request, metric).value()) {
    if (report.cluster == cluster) return report.vector;
  }
  return {};
}

void check_near(const Vector& vector, const Vector& expected) {
  REQUIRE(vector.size() == expected.size());
  for (std::size_t i = 0; i < vector.size(); ++i) {
    CHECK(vector[i] == Approx(expected[i]).margin(1e-6));
  }
}

/// A person's mixture as the equations have it: (1) and (3).
struct NaiveMixture {
  std::array<double, 8> count{};
  std::array<std::array<double, 4>, 8> mean{};
  double total = 0;
};

NaiveMixture naive_mixture(const std::vector<HistoryItem>& history,
                           const index::Clusters& clusters) {
  NaiveMixture mixture;
  for (const HistoryItem& entry : history) {
    std::uint32_t cluster = 0;
    index::assign_clusters(clusters, {entry.vector.data(), 1, 4}, &cluster);
    mixture.count.at(cluster) += entry.weight;
    mixture.total += entry.weight;
    for (std::size_t d = 0; d < 4; ++d) {
      mixture.mean.at(cluster).at(d) += entry.weight * static_cast<double>(entry.vector[d]);
    }
  }
  for (std::size_t c = 0; c < 8; ++c) {
    for (double& value : mixture.mean.at(c)) {
      if (mixture.count.at(c) > 0) value /= mixture.count.at(c);
    }
  }
  return mixture;
}

std::vector<HistoryItem> random_history(std::mt19937_64& random, const Rows& rows,
                                        std::size_t count) {
  std::vector<HistoryItem> history;
  for (std::size_t i = 0; i < count; ++i) {
    const auto slot = static_cast<Slot>(random() % rows.size());
    history.push_back(item(rows[slot], slot, 0.25 * static_cast<double>(1 + random() % 8)));
  }
  return history;
}

}  // namespace

TEST_CASE("smoothing: mixes the person's weights with the mean of the neighbours' (equation 4)") {
  const auto clusters = axes();
  auto request = smoothed_request(clusters, 0.5);
  request.history = items_on({0});
  // p(u) = (1, 0, 0) and a neighbour mean of (0.25, 0.5, 0.25).
  auto mixture = mixture_of(request);
  CHECK(mixture.at(0) == Approx(0.625));
  CHECK(mixture.at(1) == Approx(0.25));
  CHECK(mixture.at(2) == Approx(0.125));
  // The order is by weight, and cut after smoothing.
  request.max_components = 2;
  mixture = mixture_of(request);
  CHECK(mixture.size() == 2);
  CHECK(mixture.at(0) == Approx(0.625 / 0.875));
  CHECK(mixture.at(1) == Approx(0.25 / 0.875));
}

TEST_CASE("smoothing: lambda 0 is the plain mixture, lambda 1 the neighbours' alone") {
  const auto clusters = axes();
  auto request = smoothed_request(clusters, 0);
  request.history = items_on({0, 0, 2});
  auto mixture = mixture_of(request);
  CHECK(mixture.size() == 2);
  CHECK(mixture.at(0) == Approx(2.0 / 3));
  CHECK(mixture.at(2) == Approx(1.0 / 3));
  request.smoothing = 1;
  request.neighbors = {{items_on({1, 1, 1, 2}), nullptr}};
  mixture = mixture_of(request);
  CHECK(mixture.size() == 2);
  CHECK(mixture.at(1) == Approx(0.75));
  CHECK(mixture.at(2) == Approx(0.25));
}

TEST_CASE("smoothing: the centroid mixes with those of the neighbours who have the cluster") {
  const auto clusters = axes();
  InterestsRequest request;
  request.clusters = &clusters;
  request.smoothing = 0.25;
  request.history = {item({2, 0, 0}, 1), item({4, 0, 0}, 2), item({0, 1, 0}, 3)};
  request.neighbors = {{{item({5, 4, 0}, 4, 3)}, nullptr},
                       {{item({3, 0, 2}, 5), item({0, 0, 6}, 6)}, nullptr}};
  // Cluster 0: 0.75 (3, 0, 0) + 0.25 ((5, 4, 0) + (3, 0, 2)) / 2.
  check_near(vector_of(request, 0, Metric::kDot), {3.25F, 0.5F, 0.25F});
  // Nobody else has cluster 1, so the mean is the person's; only the weight shrinks.
  check_near(vector_of(request, 1, Metric::kDot), {0, 1, 0});
  CHECK(mixture_of(request, Metric::kDot).at(1) == Approx(0.75 / 3));
  // The person has nothing in cluster 2: the neighbours' mean, not shrunk towards zero.
  check_near(vector_of(request, 2, Metric::kDot), {0, 0, 6});
  // For Cosine the mixed mean is scaled, not its parts.
  const auto length = std::sqrt(3.25F * 3.25F + 0.5F * 0.5F + 0.25F * 0.25F);
  check_near(vector_of(request, 0, Metric::kCosine),
             {3.25F / length, 0.5F / length, 0.25F / length});
}

TEST_CASE("smoothing: a medoid stays an item, the person's own where there is one") {
  const auto clusters = axes();
  InterestsRequest request;
  request.clusters = &clusters;
  request.represent = Represent::kMedoid;
  request.smoothing = 0.9;
  request.history = {item({0.8F, 0.6F, 0}, 1), item({0.8F, -0.6F, 0}, 2)};
  request.neighbors = {{{item({0.9F, -0.4F, 0}, 3), item({0, 0, 1}, 4)}, nullptr}};
  auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  // The neighbour's centroid pulls towards item 2.
  CHECK(components[0].medoid == 2U);
  check_near(components[0].vector, {0.8F, -0.6F, 0});
  CHECK(components[1].medoid == 4U);
  check_near(components[1].vector, {0, 0, 1});
  request.represent = Represent::kCluster;
  components = make_components(request, Metric::kCosine).value();
  check_near(components[0].vector, {1, 0, 0});
}

TEST_CASE("smoothing: without a history the interests are the neighbours', whatever lambda") {
  const auto clusters = axes();
  for (const double lambda : {0.0, 0.3, 1.0}) {
    CAPTURE(lambda);
    auto request = smoothed_request(clusters, lambda);
    const auto mixture = mixture_of(request);
    CHECK(mixture.at(0) == Approx(0.25));
    CHECK(mixture.at(1) == Approx(0.5));
    CHECK(mixture.at(2) == Approx(0.25));
    // There is no history to blend with: the vector takes its place.
    request.vector = {0, 0, 3};
    request.blend = 0.5;
    request.blend_with = BlendWith::kHistory;
    check_near(vector_of(request, 0, Metric::kCosine), {0.7071068F, 0, 0.7071068F});
    request.vector.clear();
    check_near(vector_of(request, 0, Metric::kCosine), {1, 0, 0});
  }
}

TEST_CASE("smoothing: neighbours without a history do not count, and none at all change nothing") {
  const auto clusters = axes();
  auto request = smoothed_request(clusters, 0.5);
  request.history = items_on({0});
  const auto expected = mixture_of(request);
  request.neighbors.insert(request.neighbors.begin(), 3, NeighborHistory{});
  CHECK(mixture_of(request) == expected);
  request.neighbors.resize(3);
  CHECK(mixture_of(request) == std::map<std::uint32_t, double>{{0, 1.0}});
}

TEST_CASE("smoothing: a person of whom only the vector is known gets one plain query") {
  std::mt19937_64 random(11);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 100, 3));
  InterestsRequest request;
  request.smoothing = 0.5;
  request.neighbors.resize(2);
  request.vector = {3, 0, 4};
  request.blend = 0.25;
  const auto result = retrieve_interests(request, 20, {}, searcher).value();
  REQUIRE(result.interests.size() == 1);
  CHECK_FALSE(result.interests[0].cluster.has_value());
  CHECK_FALSE(result.interests[0].medoid.has_value());
  CHECK(result.interests[0].weight == 1);
  auto plain = searcher.ranking(Vector{0.6F, 0, 0.8F});
  plain.resize(20);
  CHECK(slots_of(result.hits) == slots_of(plain));
}

TEST_CASE("smoothing: wrong requests name the field") {
  using Catch::Contains;
  const auto clusters = axes();
  const auto error_of = [](const InterestsRequest& request) {
    const auto components = make_components(request, Metric::kCosine);
    REQUIRE(components.has_error());
    CHECK(components.error().code() == Code::kInvalidArgument);
    return components.error().message();
  };
  auto request = smoothed_request(clusters, 0.5);
  request.history = items_on({0});
  for (const double lambda : {-0.1, 1.1, std::nan("")}) {
    request.smoothing = lambda;
    CHECK_THAT(error_of(request), Contains("interests.smoothing.lambda"));
  }
  request = smoothed_request(clusters, 0.5);
  request.neighbors[1].history[0].vector = {1, 0};
  CHECK_THAT(error_of(request), Contains("smoothing.neighbors[1][0]"));
  request = smoothed_request(clusters, 0.5);
  request.components = {{{1, 0, 0}, 1, -1}};
  CHECK_THAT(error_of(request), Contains("interests.smoothing"));
  request = smoothed_request(clusters, 0.5);
  request.clusters = nullptr;
  CHECK_THAT(error_of(request), Contains("no item clusters"));
  request = InterestsRequest{};
  request.smoothing = 0.5;
  request.neighbors.resize(4);
  CHECK_THAT(error_of(request), Contains("nothing to search with"));
}

TEST_CASE("smoothing: agrees with the equations on random people") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Rows rows = random_rows(random, Metric::kDot, 60, 4);
    index::Clusters clusters{Metric::kDot, 4, {}};
    for (const Vector& row : random_rows(random, Metric::kCosine, 8, 4)) {
      clusters.centroids.insert(clusters.centroids.end(), row.begin(), row.end());
    }
    InterestsRequest request;
    request.clusters = &clusters;
    request.max_components = 8;
    request.smoothing = 0.125 * static_cast<double>(1 + random() % 8);
    request.history = random_history(random, rows, random() % 6);
    const std::size_t neighbor_count = 1 + random() % 5;
    std::vector<NaiveMixture> neighbors;
    for (std::size_t i = 0; i < neighbor_count; ++i) {
      request.neighbors.push_back({random_history(random, rows, 1 + random() % 6), nullptr});
      neighbors.push_back(naive_mixture(request.neighbors.back().history, clusters));
    }
    const auto own = naive_mixture(request.history, clusters);
    const double lambda = request.history.empty() ? 1 : request.smoothing;
    const auto components = make_components(request, Metric::kDot).value();
    double sum = 0;
    for (std::size_t i = 0; i < components.size(); ++i) {
      if (i > 0) REQUIRE(components[i - 1].weight >= components[i].weight);
      sum += components[i].weight;
    }
    REQUIRE(sum == Approx(1));

    for (std::uint32_t c = 0; c < 8; ++c) {
      double weight = request.history.empty() ? 0 : (1 - lambda) * own.count.at(c) / own.total;
      std::array<double, 4> theirs{};
      std::size_t having = 0;
      for (const NaiveMixture& neighbor : neighbors) {
        weight += lambda * neighbor.count.at(c) / neighbor.total / double(neighbor_count);
        if (neighbor.count.at(c) == 0) continue;
        ++having;
        for (std::size_t d = 0; d < 4; ++d) theirs.at(d) += neighbor.mean.at(c).at(d);
      }
      const auto found = std::find_if(components.begin(), components.end(),
                                      [c](const auto& report) { return report.cluster == c; });
      REQUIRE((found != components.end()) == (weight > 0));
      if (weight == 0) continue;
      REQUIRE(found->weight == Approx(weight));
      double length = 0;
      std::array<double, 4> expected{};
      for (std::size_t d = 0; d < 4; ++d) {
        const double own_part = own.mean.at(c).at(d);
        const double their_part = having > 0 ? theirs.at(d) / static_cast<double>(having) : 0;
        const double share = having == 0 ? 0 : own.count.at(c) == 0 ? 1 : lambda;
        expected.at(d) = (1 - share) * own_part + share * their_part;
        length += expected.at(d) * expected.at(d);
      }
      if (length == 0) continue;
      for (std::size_t d = 0; d < 4; ++d) {
        REQUIRE(found->vector[d] == Approx(expected.at(d)).margin(1e-5));
      }
    }
  }
}
