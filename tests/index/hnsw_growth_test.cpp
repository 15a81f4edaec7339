#include "index/hnsw_growth.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "index/hnsw_build.h"
#include "index/kernels.h"
#include "index/node_scorer.h"
#include "tests/index/search_oracle.h"

namespace tessera::index {
namespace {

using testing::Matrix;

constexpr std::uint64_t kSeed = 20'261'128;
constexpr std::size_t kWanted = 10;

/// Uniform in a box of `intrinsic` dimensions, turned into space of `dim`: a plane of it.
Matrix plane_rows(std::size_t row_count, std::size_t dim, std::size_t intrinsic,
                  std::uint64_t seed) {
  std::mt19937_64 shared(kSeed), random(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> axes(intrinsic * dim);
  for (float& value : axes) value = normal(shared) / std::sqrt(static_cast<float>(dim));
  Matrix rows;
  rows.row_count = row_count;
  rows.dim = dim;
  rows.values.assign(row_count * dim, 0);
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t axis = 0; axis < intrinsic; ++axis) {
      const float along = uniform(random);
      for (std::size_t d = 0; d < dim; ++d) rows.row(row)[d] += along * axes[axis * dim + d];
    }
  }
  return rows;
}

void normalise(Matrix& rows) {
  for (std::size_t row = 0; row < rows.row_count; ++row) {
    float* const values = rows.row(row);
    const float norm = std::sqrt(inner_product(values, values, rows.dim));
    for (std::size_t d = 0; d < rows.dim; ++d) values[d] /= norm;
  }
}

HnswGraph graph_of(Metric metric, const Matrix& rows) {
  IndexSpec spec;
  spec.codes = CodeType::kNone;
  auto built = build_graph(spec, metric, span_of(rows), {});
  REQUIRE(built.has_value());
  return std::move(built->graph);
}

struct Walked {
  double recall = 0;
  double visited_mean = 0;
  double visited_least = 0;
  double visited_most = 0;
};

Walked walk_all(const HnswGraph& graph, Metric metric, const Matrix& rows, const Matrix& queries,
                std::size_t ef, bool is_by_distance) {
  std::vector<std::uint32_t> ids;
  RowScorer scorer(metric, span_of(rows), graph.rows, ids);
  Walked all;
  std::vector<double> visits;
  for (std::size_t q = 0; q < queries.row_count; ++q) {
    scorer.set_query(queries.row(q));
    WalkRequest request;
    request.ef = ef;
    if (is_by_distance) end_by_distance(graph, metric, kWanted, request);
    SearchStats stats;
    const auto found = walk_graph(graph, scorer, request, stats);
    REQUIRE(found.has_value());
    REQUIRE(found->size() >= kWanted);
    std::vector<float> exact(rows.row_count);
    for (std::size_t row = 0; row < rows.row_count; ++row) {
      exact[row] = distance(metric, queries.row(q), rows.row(row), rows.dim);
    }
    std::nth_element(exact.begin(), exact.begin() + (kWanted - 1), exact.end());
    for (const NodeHit& hit : found->first(kWanted)) {
      all.recall += hit.distance <= exact[kWanted - 1] ? 1 : 0;
    }
    visits.push_back(static_cast<double>(stats.visited_count));
  }
  const auto count = static_cast<double>(queries.row_count);
  all.recall /= count * kWanted;
  for (const double visited : visits) all.visited_mean += visited / count;
  all.visited_least = *std::min_element(visits.begin(), visits.end());
  all.visited_most = *std::max_element(visits.begin(), visits.end());
  return all;
}

TEST_CASE("hnsw growth: in m dimensions distances grow as the rank to the power of 1 / m") {
  INFO("seed " << kSeed);
  for (const std::size_t intrinsic : {3, 5}) {
    Matrix rows = plane_rows(6000, 24, intrinsic, 1);
    const double exponent = 1.0 / static_cast<double>(intrinsic);
    // The border of a box makes it seem a little less.
    CHECK(graph_of(Metric::kManhattan, rows).distance_growth == Approx(exponent).epsilon(0.2));
    CHECK(graph_of(Metric::kEuclid, rows).distance_growth == Approx(2 * exponent).epsilon(0.2));
    CHECK(graph_of(Metric::kDot, rows).distance_growth == 0);
    // Directions have a dimension less.
    normalise(rows);
    CHECK(graph_of(Metric::kCosine, rows).distance_growth ==
          Approx(2.0 / (static_cast<double>(intrinsic) - 1)).epsilon(0.25));
  }
  CHECK(graph_of(Metric::kEuclid, plane_rows(500, 24, 4, 1)).distance_growth == 0);
}

TEST_CASE(
    "hnsw growth: a walk that ends by distance takes as long as one by count, and finds more") {
  INFO("seed " << kSeed);
  // Crowded and empty regions: rows and queries lie in planes of few dimensions and of many.
  const auto mixed = [](std::size_t row_count, std::uint64_t sample) {
    Matrix rows = plane_rows(row_count / 2, 24, 5, sample);
    const Matrix wide = plane_rows(row_count / 2, 24, 12, sample + 1);
    rows.values.insert(rows.values.end(), wide.values.begin(), wide.values.end());
    rows.row_count += wide.row_count;
    return rows;
  };
  const Matrix rows = mixed(12'000, 1), queries = mixed(300, 3);
  for (const Metric metric : {Metric::kEuclid, Metric::kManhattan}) {
    CAPTURE(metric_name(metric));
    const HnswGraph graph = graph_of(metric, rows);
    const Walked by_count = walk_all(graph, metric, rows, queries, 40, false);
    const Walked by_distance = walk_all(graph, metric, rows, queries, 40, true);
    CAPTURE(by_count.recall, by_distance.recall, by_count.visited_mean, by_distance.visited_mean);
    CHECK(by_distance.recall > by_count.recall - 0.01);
    CHECK(by_distance.visited_mean < 1.6 * by_count.visited_mean);
    CHECK(by_distance.visited_mean > by_count.visited_mean / 1.6);
  }
}

TEST_CASE("hnsw growth: with an ef of all nodes a walk visits all of them") {
  const Matrix rows = plane_rows(2000, 8, 4, 1);
  const HnswGraph graph = graph_of(Metric::kEuclid, rows);
  REQUIRE(graph.distance_growth > 0);
  const Walked all = walk_all(graph, Metric::kEuclid, rows, plane_rows(5, 8, 4, 2), 2000, true);
  CHECK(all.visited_least >= 2000);
  CHECK(all.recall == 1);
}

}  // namespace
}  // namespace tessera::index
