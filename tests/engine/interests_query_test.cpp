#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "index/kernels.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 8, kRows = 600;

CollectionConfig config_of(Metric metric) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  return config;
}

std::string genre_of(std::size_t point) {
  return point % 10 == 0 ? "" : point % 3 == 0 ? "rare" : "common";
}

/// Points with a genre, but every tenth.
void insert_films(Collection& collection, const Matrix& rows) {
  UpsertPoints operation;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(i);
    point.vectors.emplace_back("", std::vector<float>(rows.row(i), rows.row(i) + rows.dim));
    if (!genre_of(i).empty()) {
      point.payload = R"({"film":{"genre":[")" + genre_of(i) + R"("]}})";
    }
  }
  REQUIRE(collection.write(std::move(operation), true).has_value());
}

QueryResult answer_of(const Collection& collection, const QueryRequest& request) {
  auto result = collection.query(request, CancelToken());
  INFO((result.has_error() ? result.error().to_string() : std::string()));
  REQUIRE(result.has_value());
  return std::move(*result);
}

/// One interest that the client gives: what it finds is what a plain query finds.
InterestsQuery one_interest(const Matrix& rows, std::size_t row) {
  InterestsQuery interests;
  interests.components.push_back({{rows.row(row), rows.row(row) + rows.dim}, 1, std::nullopt});
  return interests;
}

std::vector<std::uint64_t> ids_of(const QueryResult& result) {
  std::vector<std::uint64_t> ids;
  for (const ScoredPoint& point : result.points) ids.push_back(point.record.id.number());
  return ids;
}

}  // namespace

TEST_CASE("interests query: a history is clustered by itself, without trained clusters") {
  const Matrix rows = testing::clustered_rows(
      {.row_count = kRows, .dim = kDim, .cluster_count = 3, .spread = 0.1F, .seed = 3});
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kCosine));
  insert_films(*collection, rows);
  InterestsQuery interests;
  for (std::uint64_t id = 0; id < 30; ++id) interests.history.push_back({PointId(id), 1, {}});
  QueryRequest request;
  request.query = interests;
  REQUIRE(collection->query(request, CancelToken()).has_error());

  interests.clustering = retrieval::Clustering::kWard;
  interests.ward_threshold = 1.0;
  request.query = interests;
  request.limit = 60;
  const QueryResult result = answer_of(*collection, request);
  REQUIRE(result.points.size() == 60);
  REQUIRE(result.interests.size() == 3);
  for (const InterestInfo& interest : result.interests) {
    CHECK_FALSE(interest.cluster.has_value());
    REQUIRE(interest.items.size() == 5);
    CHECK(interest.medoid == interest.items.front());
    for (const PointId& item : interest.items) CHECK(item.number() < 30);
  }
  // The profile is the same without the hits.
  request.limit = 0;
  request.offset = 3;
  const QueryResult profile = answer_of(*collection, request);
  CHECK(profile.points.empty());
  REQUIRE(profile.interests.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(profile.interests[i].weight == result.interests[i].weight);
    CHECK(profile.interests[i].items == result.interests[i].items);
    CHECK(profile.interests[i].quota == 0);
  }
}

TEST_CASE("interests query: categories come from the named payload field") {
  const Matrix rows = testing::clustered_rows({.row_count = kRows, .dim = kDim, .seed = 4});
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kEuclid));
  insert_films(*collection, rows);
  InterestsQuery interests = one_interest(rows, 5);
  QueryRequest request;
  request.params.exact = true;
  request.limit = 100;
  request.query = interests;
  const QueryResult candidates = answer_of(*collection, request);

  constexpr double kLambda = 0.2;
  interests.diversity = retrieval::Diversity{retrieval::CategoryPenalty{kLambda}, 100};
  interests.category_field = parse_payload_path("film.genre").value();
  request.query = interests;
  request.limit = 40;
  const QueryResult result = answer_of(*collection, request);

  std::vector<std::uint64_t> expected;
  std::map<std::string, int> taken;
  auto left = candidates.points;
  while (expected.size() < 40) {
    const auto value = [&](const ScoredPoint& point) {
      const std::string genre = genre_of(point.record.id.number());
      return -static_cast<double>(point.score) - (genre.empty() ? 0 : kLambda * taken[genre]);
    };
    const auto best = std::max_element(left.begin(), left.end(), [&](const auto& a, const auto& b) {
      return value(a) < value(b);
    });
    expected.push_back(best->record.id.number());
    ++taken[genre_of(expected.back())];
    left.erase(best);
  }
  CHECK(ids_of(result) == expected);
  CHECK(ids_of(answer_of(*collection, request)) == expected);
  CHECK(result.interests[0].returned == 40);
  for (const ScoredPoint& point : result.points) {
    REQUIRE(point.interest.has_value());
    CHECK(candidates.points[point.interest->rank].record.id == point.record.id);
    CHECK(candidates.points[point.interest->rank].score == point.score);
  }
}

TEST_CASE("interests query: maximal marginal relevance compares the stored vectors") {
  const Matrix rows =
      testing::clustered_rows({.row_count = kRows, .dim = kDim, .is_unit = true, .seed = 6});
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kCosine));
  insert_films(*collection, rows);
  InterestsQuery interests = one_interest(rows, 9);
  QueryRequest request;
  request.params.exact = true;
  request.limit = 60;
  request.query = interests;
  const QueryResult candidates = answer_of(*collection, request);
  interests.diversity = retrieval::Diversity{retrieval::Mmr{0.4}, 60};
  request.query = interests;
  request.limit = 20;
  const std::vector<std::uint64_t> found = ids_of(answer_of(*collection, request));
  REQUIRE(found.size() == 20);

  // Every choice is the best of what was left, up to rounding.
  std::set<std::uint64_t> chosen;
  for (std::size_t i = 0; i < found.size(); ++i) {
    double best = -2;
    double actual = -2;
    for (const ScoredPoint& point : candidates.points) {
      const std::uint64_t id = point.record.id.number();
      if (chosen.contains(id)) continue;
      double nearest = -2;
      for (const std::uint64_t other : chosen) {
        nearest =
            std::max(nearest, double{index::inner_product(rows.row(id), rows.row(other), kDim)});
      }
      const double score = double{point.score};
      const double value = chosen.empty() ? score : 0.4 * score - 0.6 * nearest;
      best = std::max(best, value);
      if (id == found[i]) actual = value;
    }
    CHECK(actual == Approx(best).margin(1e-5));
    chosen.insert(found[i]);
  }
}

}  // namespace tessera::engine
