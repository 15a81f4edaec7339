#include "retrieval/ward.h"

#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "fake_searcher.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;
using Vector = std::vector<float>;

namespace {

using Partition = std::set<std::set<std::size_t>>;

std::vector<float> flat(const Rows& rows) {
  std::vector<float> values;
  for (const Vector& row : rows) values.insert(values.end(), row.begin(), row.end());
  return values;
}

Partition partition_of(const std::vector<std::uint32_t>& clusters) {
  std::map<std::uint32_t, std::set<std::size_t>> members;
  for (std::size_t i = 0; i < clusters.size(); ++i) members[clusters[i]].insert(i);
  Partition partition;
  for (const auto& [cluster, rows] : members) partition.insert(rows);
  return partition;
}

Partition ward(const Rows& rows, const WardOptions& options) {
  const auto values = flat(rows);
  return partition_of(ward_clusters({values.data(), rows.size(), rows.front().size()}, options));
}

std::vector<double> mean_of(const Rows& rows, const std::set<std::size_t>& members) {
  std::vector<double> mean(rows.front().size(), 0);
  for (const std::size_t i : members) {
    for (std::size_t d = 0; d < mean.size(); ++d) mean[d] += double{rows[i][d]};
  }
  for (double& value : mean) value /= static_cast<double>(members.size());
  return mean;
}

double height_of(const Rows& rows, const std::set<std::size_t>& a, const std::set<std::size_t>& b) {
  const auto mean_a = mean_of(rows, a);
  const auto mean_b = mean_of(rows, b);
  double sum = 0;
  for (std::size_t d = 0; d < mean_a.size(); ++d) {
    sum += (mean_a[d] - mean_b[d]) * (mean_a[d] - mean_b[d]);
  }
  const auto size_a = static_cast<double>(a.size());
  const auto size_b = static_cast<double>(b.size());
  return std::sqrt(2 * size_a * size_b / (size_a + size_b) * sum);
}

/// Ward's method by its definition: the lowest of all unions, again and again. The partitions from
/// every row alone to all together, and the height of the union that made each.
std::vector<std::pair<Partition, double>> naive_ward(const Rows& rows) {
  std::vector<std::set<std::size_t>> clusters;
  for (std::size_t i = 0; i < rows.size(); ++i) clusters.push_back({i});
  std::vector<std::pair<Partition, double>> steps{{{clusters.begin(), clusters.end()}, 0}};
  while (clusters.size() > 1) {
    std::size_t first = 0;
    std::size_t second = 1;
    double least = height_of(rows, clusters[0], clusters[1]);
    for (std::size_t a = 0; a < clusters.size(); ++a) {
      for (std::size_t b = a + 1; b < clusters.size(); ++b) {
        const double height = height_of(rows, clusters[a], clusters[b]);
        if (height < least) {
          least = height;
          first = a;
          second = b;
        }
      }
    }
    clusters[first].insert(clusters[second].begin(), clusters[second].end());
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(second));
    steps.push_back({{clusters.begin(), clusters.end()}, least});
  }
  return steps;
}

HistoryItem item(Vector vector, Slot slot, double weight = 1,
                 std::optional<double> at_seconds = std::nullopt) {
  return {std::move(vector), slot, weight, at_seconds};
}

InterestsRequest ward_request(std::vector<HistoryItem> history) {
  InterestsRequest request;
  request.history = std::move(history);
  request.clustering = Clustering::kWard;
  return request;
}

}  // namespace

TEST_CASE("ward: is what merging the lowest of all pairs gives, at every count and threshold") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    Rows rows(2 + random() % 40, Vector(1 + random() % 6));
    for (Vector& row : rows) {
      for (float& value : row) value = 3 * static_cast<float>(random() % 4) + normal(random);
    }
    const auto steps = naive_ward(rows);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::size_t count = rows.size() - i;
      CHECK(ward(rows, {std::nullopt, count}) == steps[i].first);
      const double next = i + 1 < steps.size() ? steps[i + 1].second : steps[i].second + 2;
      if (next - steps[i].second < 1e-4) continue;
      CHECK(ward(rows, {(steps[i].second + next) / 2, 1}) == steps[i].first);
    }
  }
}

TEST_CASE("ward: equal rows are one cluster, whatever the count") {
  const Rows rows = {{1, 2}, {5, 5}, {1, 2}, {1, 2}, {5, 5}};
  CHECK(ward(rows, {std::nullopt, 4}) == Partition{{0, 2, 3}, {1, 4}});
  CHECK(ward(rows, {0.0, 1}) == Partition{{0, 2, 3}, {1, 4}});
  CHECK(ward({{7, 7}}, {std::nullopt, 5}) == Partition{{0}});
  // Ties everywhere: it ends, with as many clusters as asked for, the same every time.
  const Rows grid = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}, {2, 0}, {2, 2}, {1, 2}, {2, 1}};
  CHECK(ward(grid, {std::nullopt, 3}).size() == 3);
  CHECK(ward(grid, {std::nullopt, 3}) == ward(grid, {std::nullopt, 3}));
  // Squares of these overflow.
  const Rows huge = {{3e38F, 0}, {-3e38F, 0}, {0, 3e38F}, {1, 1}};
  CHECK(ward(huge, {std::nullopt, 2}).size() == 2);
}

TEST_CASE("ward: a history is clustered by itself, without clusters of the collection") {
  auto request = ward_request({item({1, 0.1F}, 1), item({0.1F, 1}, 2, 3), item({1, 0}, 3),
                               item({5, 0.4F}, 4), item({0, 7}, 5)});
  request.max_components = 2;
  const auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  // By direction, not by length: {2, 5} weighs 4, {1, 3, 4} 3.
  CHECK(components[0].weight == Approx(4.0 / 7));
  CHECK(components[1].weight == Approx(3.0 / 7));
  CHECK_FALSE(components[0].cluster.has_value());
  CHECK(components[0].items.size() == 2);
  CHECK(std::set<Slot>(components[1].items.begin(), components[1].items.end()) ==
        std::set<Slot>{1, 3, 4});
  CHECK(components[1].medoid == 4U);
  request.max_components = 5;
  request.ward_threshold = 0.5;
  CHECK(make_components(request, Metric::kCosine).value().size() == 2);
  // Beyond max_components the lightest are left out.
  request.max_components = 1;
  CHECK(make_components(request, Metric::kCosine).value()[0].weight == 1);
}

TEST_CASE("ward: importance decays with time") {
  auto request = ward_request(
      {item({1, 0}, 1, 1, 0.0), item({1, 0.1F}, 2, 1, 0.0), item({0, 1}, 3, 1, 100.0)});
  request.half_life_seconds = 50;
  request.max_components = 2;
  const auto components = make_components(request, Metric::kCosine).value();
  REQUIRE(components.size() == 2);
  CHECK(components[0].medoid == 3U);
  CHECK(components[0].weight == Approx(1 / 1.5));
}

TEST_CASE("ward: of a long history the newest are clustered, and the older ones join them") {
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  std::vector<HistoryItem> history;
  for (Slot slot = 0; slot < kWardItemsMax + 500; ++slot) {
    Vector vector{0.05F * normal(random), 0.05F * normal(random), 0.05F * normal(random)};
    vector[slot % 3] += 1;
    history.push_back(item(std::move(vector), slot));
  }
  const auto groups = group_by_ward(history, std::nullopt, Metric::kCosine, {std::nullopt, 3});
  REQUIRE(groups.size() == 3);
  double weight = 0;
  std::size_t count = 0;
  for (const InterestGroup& group : groups) {
    weight += group.weight;
    count += group.items.size();
    const Slot kind = *group.items.front()->slot % 3;
    for (const HistoryItem* member : group.items) CHECK(*member->slot % 3 == kind);
  }
  CHECK(weight == Approx(1));
  CHECK(count == history.size());
}

TEST_CASE("ward: wrong requests name the field") {
  using Catch::Contains;
  const auto error_of = [](const InterestsRequest& request) {
    const auto components = make_components(request, Metric::kCosine);
    REQUIRE(components.has_error());
    CHECK(components.error().code() == Code::kInvalidArgument);
    return components.error().message();
  };
  const auto good = ward_request({item({1, 0}, 1)});
  auto request = good;
  request.ward_threshold = -1;
  CHECK_THAT(error_of(request), Contains("clustering.ward.threshold"));
  request = good;
  request.smoothing = 0.5;
  CHECK_THAT(error_of(request), Contains("interests.clustering"));
  request = good;
  request.represent = Represent::kCluster;
  CHECK_THAT(error_of(request), Contains("interests.represent"));
  request = good;
  request.scope = Scope::kCluster;
  CHECK_THAT(error_of(request), Contains("interests.scope"));
  request = ward_request({});
  request.components = {{{1, 0}, 1, -1}};
  CHECK_THAT(error_of(request), Contains("interests.clustering"));
}
