#include <algorithm>
#include <cmath>

#include <catch2/catch.hpp>

#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 24, kRows = 600;
constexpr std::uint64_t kSeed = 20'261'125;

/// Smaller is nearer; of directions where the metric is Cosine.
double distance(Metric metric, const float* a, const float* b, std::size_t dim) {
  double product = 0, squares_a = 0, squares_b = 0, squared = 0, absolute = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    const double x = a[d], y = b[d];
    product += x * y;
    squares_a += x * x;
    squares_b += y * y;
    squared += (x - y) * (x - y);
    absolute += std::fabs(x - y);
  }
  if (metric == Metric::kDot) return -product;
  if (metric == Metric::kEuclid) return squared;
  if (metric == Metric::kManhattan) return absolute;
  const double norms = std::sqrt(squares_a * squares_b);
  return norms > 0 ? -product / norms : 0;
}

/// What a search on the first `prefix` values should find: ids, nearest first.
std::vector<std::uint64_t> expected(Metric metric, const Matrix& rows, const float* query,
                                    std::size_t prefix, std::size_t limit,
                                    std::size_t candidate_count) {
  std::vector<std::uint64_t> ids(rows.row_count);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = i;
  const auto sort_by = [&](std::size_t dim) {
    std::stable_sort(ids.begin(), ids.end(), [&](std::uint64_t a, std::uint64_t b) {
      return distance(metric, query, rows.row(a), dim) < distance(metric, query, rows.row(b), dim);
    });
  };
  sort_by(prefix);
  ids.resize(std::min(ids.size(), candidate_count));
  std::sort(ids.begin(), ids.end());
  sort_by(rows.dim);
  ids.resize(std::min(ids.size(), limit));
  return ids;
}

CollectionConfig config_of(Metric metric, std::uint64_t indexing_threshold) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  config.optimizers.indexing_threshold = indexing_threshold;
  return config;
}

QueryRequest query_of(const float* vector, std::size_t dims) {
  QueryRequest query;
  query.query = VectorInput(std::vector<float>(vector, vector + kDim));
  query.limit = 10;
  query.params.exact = true;
  query.params.dims = dims;
  return query;
}

std::vector<std::uint64_t> ids_of(const Collection& collection, const QueryRequest& query) {
  const auto result = collection.query(query, CancelToken());
  REQUIRE(result.has_value());
  std::vector<std::uint64_t> ids;
  for (const ScoredPoint& point : result->points) ids.push_back(point.record.id.number());
  return ids;
}

}  // namespace

TEST_CASE("prefix search: candidates by the first values, then ranked as a whole") {
  INFO("seed " << kSeed);
  const Matrix rows = testing::clustered_rows(
      {.row_count = kRows, .dim = kDim, .cluster_count = 12, .spread = 0.5F, .seed = kSeed});
  const Matrix queries = testing::clustered_rows({.row_count = 15,
                                                  .dim = kDim,
                                                  .cluster_count = 12,
                                                  .spread = 0.5F,
                                                  .seed = kSeed,
                                                  .sample = 1});
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclid, Metric::kManhattan}) {
    // Fresh rows alone, and one segment with an index.
    for (const std::uint64_t threshold : {0, 1}) {
      CAPTURE(metric_name(metric), threshold);
      OpenDatabase database;
      auto collection = database.create(config_of(metric, threshold));
      insert_rows(*collection, rows);
      if (threshold > 0) wait_until_indexed(*collection, kRows);
      for (std::size_t q = 0; q < queries.row_count; ++q) {
        const float* const vector = queries.row(q);
        QueryRequest query = query_of(vector, 8);
        CHECK(ids_of(*collection, query) == expected(metric, rows, vector, 8, 10, 40));
        query.params.oversampling = 1.5;
        CHECK(ids_of(*collection, query) == expected(metric, rows, vector, 8, 10, 15));
        query.params.oversampling = 1e300;
        CHECK(ids_of(*collection, query) == expected(metric, rows, vector, kDim, 10, kRows));
        query.params.dims = kDim;
        query.params.oversampling = 1;
        CHECK(ids_of(*collection, query) == expected(metric, rows, vector, kDim, 10, 10));
        query.params.exact = false;
        query.params.dims = 16;
        CHECK(ids_of(*collection, query).size() == 10);
      }
    }
  }
}

TEST_CASE("prefix search: scores are those of whole vectors, also beside a filter") {
  const Matrix rows = testing::clustered_rows({.row_count = kRows, .dim = kDim, .seed = 3});
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kEuclid, 0));
  insert_rows(*collection, rows);
  QueryRequest query = query_of(rows.row(11), 4);
  query.params.oversampling = 100;
  query.filter.emplace();
  HasId some;
  for (std::uint64_t id = 0; id < kRows; id += 3) some.ids.emplace_back(id);
  query.filter->must.emplace_back(some);
  const auto narrow = collection->query(query, CancelToken());
  query.params.dims.reset();
  const auto whole = collection->query(query, CancelToken());
  REQUIRE(narrow.has_value());
  REQUIRE(whole.has_value());
  REQUIRE(narrow->points.size() == whole->points.size());
  for (std::size_t i = 0; i < whole->points.size(); ++i) {
    CHECK(narrow->points[i].record.id == whole->points[i].record.id);
    CHECK(narrow->points[i].score == whole->points[i].score);
  }
}

TEST_CASE("prefix search: more values than the vector has are refused by name") {
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kDot, 0));
  const std::vector<float> vector(kDim, 1.0F);
  const auto result = collection->query(query_of(vector.data(), kDim + 1), CancelToken());
  REQUIRE(result.has_error());
  CHECK(result.error().code() == Code::kInvalidArgument);
  CHECK(result.error().message() ==
        "params.dims: value 25 invalid, must be from 1 to 24, the size of the vector");
}

TEST_CASE("explain: contributions are the largest parts of the score, segments add up") {
  const Matrix rows = testing::clustered_rows({.row_count = kRows, .dim = kDim, .seed = 9});
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclid, Metric::kManhattan}) {
    CAPTURE(metric_name(metric));
    OpenDatabase database;
    CollectionConfig config = config_of(metric, 1);
    for (std::size_t d = 0; d < kDim; ++d) {
      config.vectors[""].dimension_names.push_back("d" + std::to_string(d));
    }
    auto collection = database.create(config);
    insert_rows(*collection, rows);
    wait_until_indexed(*collection, kRows);
    QueryRequest query = query_of(rows.row(5), kDim);
    query.params.exact = false;
    query.explain = true;
    query.with_vector.all = true;
    const auto name_of = [](std::uint32_t dim) { return "d" + std::to_string(dim); };
    const auto result = collection->query(query, CancelToken());
    REQUIRE(result.has_value());
    std::vector<float> normalised(rows.row(5), rows.row(5) + kDim);
    if (metric == Metric::kCosine) {
      double squares = 0;
      for (const float value : normalised) squares += static_cast<double>(value) * value;
      for (float& value : normalised) value = static_cast<float>(value / std::sqrt(squares));
    }
    for (const ScoredPoint& point : result->points) {
      const std::vector<float>& stored = point.record.vectors.front().second;
      std::vector<double> parts(kDim);
      for (std::size_t d = 0; d < kDim; ++d) {
        const double a = normalised[d], b = stored[d];
        parts[d] = higher_is_nearer(metric)    ? a * b
                   : metric == Metric::kEuclid ? (a - b) * (a - b)
                                               : std::fabs(a - b);
      }
      REQUIRE(point.contributions.size() == 5);
      std::vector<double> sorted = parts;
      std::sort(sorted.rbegin(), sorted.rend());
      for (std::size_t i = 0; i < 5; ++i) {
        CHECK(point.contributions[i].value == Approx(sorted[i]).margin(1e-5));
        CHECK(point.contributions[i].value ==
              Approx(parts[point.contributions[i].dim]).margin(1e-5));
        CHECK(point.contributions[i].name == name_of(point.contributions[i].dim));
      }
    }
    REQUIRE(result->plan);
    std::size_t visited = 0, live = 0;
    for (const SegmentPlan& segment : result->plan->segments) {
      visited += segment.visited_count;
      live += segment.live_count;
      CHECK(segment.match_count == segment.live_count);
    }
    CHECK(result->plan->segments.size() == 2);
    CHECK(std::string(result->plan->segments.front().type) == "hnsw");
    CHECK(std::string(result->plan->segments.back().type) == "fresh");
    CHECK(visited == result->plan->visited_count);
    CHECK(live == kRows);
  }
}

TEST_CASE("explain: what was compared as a whole after its code is counted") {
  const Matrix rows = testing::clustered_rows({.row_count = 2000, .dim = kDim, .seed = 12});
  OpenDatabase database;
  CollectionConfig config = config_of(Metric::kEuclid, 1);
  config.vectors[""].index = IndexConfig{IndexType::kIvfSq8, 8, 8, {}};
  auto collection = database.create(config);
  insert_rows(*collection, rows);
  wait_until_indexed(*collection, rows.row_count);
  ReindexRequest reindex;  // Into one segment.
  const std::uint64_t job = collection->start_reindex(reindex).value();
  for (int i = 0; i < 6000 && database->job(job)->state < JobState::kDone; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  QueryRequest query = query_of(rows.row(3), kDim);
  query.params.exact = false;
  query.limit = 3;
  query.explain = true;
  const auto result = collection->query(query, CancelToken());
  REQUIRE(result.has_value());
  REQUIRE(result->plan);
  const SegmentPlan& segment = result->plan->segments.front();
  CHECK(std::string(segment.type) == "ivf_sq8");
  if (std::string(segment.strategy) == "walk") {
    CHECK(segment.reranked_count >= query.limit);
    CHECK(segment.reranked_count <= segment.visited_count);
  } else {
    CHECK(segment.reranked_count == 0);
  }
  query.params.exact = true;
  CHECK(collection->query(query, CancelToken())->plan->segments.front().reranked_count == 0);
}

}  // namespace tessera::engine
