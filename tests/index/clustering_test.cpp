#include "index/clustering.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "index/centroid_assigner.h"
#include "index/kernels.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

struct Matrix {
  std::size_t dim = 0;
  std::vector<float> values;
  std::vector<std::uint32_t> blob_of;
  [[nodiscard]] VectorSpan span() const { return {values.data(), values.size() / dim, dim}; }
};

/// Rows around `blob_count` far-apart centres; unit length for Cosine.
Matrix blobs(std::size_t row_count, std::size_t dim, std::uint32_t blob_count, Metric metric,
             std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(blob_count * dim);
  for (float& value : centres) value = 4 * normal(random);
  Matrix matrix{dim, std::vector<float>(row_count * dim), std::vector<std::uint32_t>(row_count)};
  for (std::size_t i = 0; i < row_count; ++i) {
    const std::uint32_t blob = random() % blob_count;
    matrix.blob_of[i] = blob;
    float* const row = matrix.values.data() + i * dim;
    // Dot: the same direction at very different lengths.
    const float length = metric == Metric::kDot ? 0.1f + static_cast<float>(random() % 50) : 1.0f;
    for (std::size_t d = 0; d < dim; ++d) {
      row[d] = length * (centres[blob * dim + d] + 0.2f * normal(random));
    }
    if (metric == Metric::kCosine) normalise({row, dim});
  }
  return matrix;
}

Clusters train(VectorSpan rows, Metric metric, const ClusterOptions& options) {
  auto clusters = train_clusters(rows, metric, options, {});
  INFO((clusters.has_error() ? clusters.error().to_string() : ""));
  REQUIRE(clusters.has_value());
  return std::move(*clusters);
}

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};

}  // namespace

TEST_CASE("clustering: the blobs that rows were drawn from are recovered", "[unit]") {
  for (const Metric metric : kMetrics) {
    const std::uint32_t seed = 11;
    CAPTURE(metric_name(metric), seed);
    const Matrix matrix = blobs(3000, 24, 8, metric, seed);
    const Clusters clusters = train(matrix.span(), metric, {.count = 8, .seed = seed});
    REQUIRE(clusters.count() == 8);
    std::vector<std::uint32_t> assigned(3000);
    assign_clusters(clusters, matrix.span(), assigned.data());
    std::map<std::uint32_t, std::set<std::uint32_t>> clusters_of_blob;
    for (std::size_t i = 0; i < 3000; ++i) {
      clusters_of_blob[matrix.blob_of[i]].insert(assigned[i]);
    }
    std::set<std::uint32_t> used;
    for (const auto& [blob, found] : clusters_of_blob) {
      REQUIRE(found.size() == 1);
      used.insert(found.begin(), found.end());
    }
    REQUIRE(used.size() == 8);
  }
}

TEST_CASE("clustering: equal seeds give equal centroids, whatever the number of threads",
          "[unit]") {
  const Matrix matrix = blobs(5000, 16, 40, Metric::kEuclid, 3);
  for (const std::uint32_t count : {20u, 100u}) {
    const ClusterOptions options{.count = count, .iterations = 8, .seed = 77};
    const Clusters first = train(matrix.span(), Metric::kEuclid, options);
    REQUIRE(train(matrix.span(), Metric::kEuclid, options).centroids == first.centroids);
    BuildControl threaded;
    threaded.thread_count = 3;
    const auto third = train_clusters(matrix.span(), Metric::kEuclid, options, threaded);
    REQUIRE(third.has_value());
    REQUIRE(third->centroids == first.centroids);
    ClusterOptions other = options;
    other.seed = 78;
    REQUIRE(train(matrix.span(), Metric::kEuclid, other).centroids != first.centroids);
  }
}

TEST_CASE("clustering: centroids are of unit length for Cosine and Dot", "[unit]") {
  for (const Metric metric : {Metric::kCosine, Metric::kDot}) {
    const Matrix matrix = blobs(1500, 12, 5, metric, 9);
    // All rows as the sample, one row a centroid, and many rows a centroid.
    for (const std::size_t row_count : {std::size_t{1500}, std::size_t{5}}) {
      const VectorSpan rows{matrix.values.data(), row_count, 12};
      const Clusters clusters = train(rows, metric, {.count = 5});
      for (std::size_t i = 0; i < clusters.count(); ++i) {
        const float squared = inner_product(clusters.centroid(i), clusters.centroid(i), 12);
        REQUIRE(squared == Approx(1.0f).margin(1e-4));
      }
    }
  }
}

TEST_CASE("clustering: the count follows the rows", "[unit]") {
  const Matrix matrix = blobs(20000, 4, 50, Metric::kEuclid, 5);
  const auto count_for = [&](std::size_t row_count, std::uint32_t count) {
    const VectorSpan rows{matrix.values.data(), row_count, 4};
    return train(rows, Metric::kEuclid, {.count = count, .iterations = 2}).count();
  };
  REQUIRE(count_for(20000, 0) == 20000 / 39);  // 4 sqrt(20000) = 566 would leave 35 rows each.
  REQUIRE(count_for(20000, 100) == 100);
  REQUIRE(count_for(20000, 3) == 3);
  REQUIRE(count_for(1000, 500) == 1000 / 39);
  REQUIRE(count_for(300, 0) == 16);
  REQUIRE(count_for(300, 40) == 16);
  REQUIRE(count_for(300, 7) == 7);
  REQUIRE(count_for(10, 0) == 10);
  REQUIRE(count_for(10, 16) == 10);
  REQUIRE(count_for(1, 0) == 1);
}

TEST_CASE("clustering: as many centroids as rows are the rows", "[unit]") {
  const Matrix matrix = blobs(6, 3, 6, Metric::kEuclid, 8);
  const Clusters clusters = train(matrix.span(), Metric::kEuclid, {.count = 6});
  std::vector<std::uint32_t> assigned(6);
  assign_clusters(clusters, matrix.span(), assigned.data());
  REQUIRE(std::set<std::uint32_t>(assigned.begin(), assigned.end()).size() == 6);
}

TEST_CASE("clustering: identical rows and zero rows end in finite centroids", "[unit]") {
  for (const Metric metric : kMetrics) {
    for (const float value : {0.5f, 0.0f}) {
      CAPTURE(metric_name(metric), value);
      // Unit length in four dimensions, or all zero.
      const std::vector<float> same(500 * 4, value);
      const Clusters clusters = train({same.data(), 500, 4}, metric, {.count = 7});
      REQUIRE(clusters.count() == 7);
      REQUIRE(std::all_of(clusters.centroids.begin(), clusters.centroids.end(),
                          [](float each) { return std::isfinite(each); }));
      std::vector<std::uint32_t> assigned(500);
      assign_clusters(clusters, {same.data(), 500, 4}, assigned.data());
      REQUIRE(std::set<std::uint32_t>(assigned.begin(), assigned.end()).size() == 1);
      REQUIRE(assigned[0] < 7);
    }
  }
}

TEST_CASE("clustering: wrong arguments are refused by name", "[unit]") {
  const std::vector<float> rows(40, 1.0f);
  const auto error_of = [&](VectorSpan span, const ClusterOptions& options) {
    const auto clusters = train_clusters(span, Metric::kCosine, options, {});
    REQUIRE(clusters.has_error());
    REQUIRE(clusters.error().code() == Code::kInvalidArgument);
    return clusters.error().message();
  };
  REQUIRE_THAT(error_of({rows.data(), 0, 4}, {}), Catch::StartsWith("rows:"));
  REQUIRE_THAT(error_of({nullptr, 10, 4}, {}), Catch::StartsWith("rows:"));
  REQUIRE_THAT(error_of({rows.data(), 10, 0}, {}), Catch::StartsWith("rows:"));
  REQUIRE_THAT(error_of({rows.data(), 10, 4}, {.iterations = 0}), Catch::StartsWith("iterations:"));
  REQUIRE_THAT(error_of({rows.data(), 10, 4}, {.count = 65537}), Catch::StartsWith("count:"));
}

TEST_CASE("clustering: a cancel token stops training at once and on the way", "[unit]") {
  const Matrix matrix = blobs(20000, 16, 10, Metric::kEuclid, 4);
  CancelToken token;
  BuildControl control;
  control.cancel = &token;
  std::size_t call_count = 0;
  std::size_t last_done = 0;
  control.progress = [&](std::size_t done, std::size_t total) {
    REQUIRE(done <= total);
    REQUIRE(done >= last_done);
    last_done = done;
    ++call_count;
  };
  REQUIRE(train_clusters(matrix.span(), Metric::kEuclid, {.count = 50}, control).has_value());
  REQUIRE(call_count > 20);
  REQUIRE(call_count <= 500);

  std::size_t calls_until_cancel = 30;
  control.progress = [&](std::size_t, std::size_t) {
    if (--calls_until_cancel == 0) token.cancel();
  };
  const auto stopped = train_clusters(matrix.span(), Metric::kEuclid, {.count = 50}, control);
  REQUIRE(stopped.has_error());
  REQUIRE(stopped.error().code() == Code::kCancelled);

  const auto refused = train_clusters(matrix.span(), Metric::kEuclid, {.count = 50}, control);
  REQUIRE(refused.has_error());
  REQUIRE(refused.error().code() == Code::kCancelled);

  const CancelToken expired(CancelToken::Clock::now() - std::chrono::seconds(1));
  control.cancel = &expired;
  const auto late = train_clusters(matrix.span(), Metric::kEuclid, {.count = 50}, control);
  REQUIRE(late.has_error());
  REQUIRE(late.error().code() == Code::kTimeout);
}

TEST_CASE("clustering: every row is assigned to a centroid that brute force finds nearest",
          "[unit]") {
  for (const Metric metric : kMetrics) {
    for (const float shift : {0.0f, 1000.0f}) {
      CAPTURE(metric_name(metric), shift);
      Matrix matrix = blobs(3000, 19, 30, metric, 21);
      const bool by_angle = higher_is_nearer(metric);
      if (!by_angle) {
        for (float& value : matrix.values) value += shift;
      }
      const Clusters clusters =
          train(matrix.span(), metric, {.count = 70, .iterations = 4, .seed = 2});
      std::vector<std::uint32_t> exact(3000);
      assign_clusters(clusters, matrix.span(), exact.data());
      std::vector<std::uint32_t> by_blocks(3000);
      const CentroidAssigner assigner(metric, clusters.centroids.data(), clusters.count(), 19);
      BuildControl control;
      control.thread_count = 2;
      REQUIRE(assigner
                  .assign(matrix.span(), control,
                          [&](std::size_t row, std::uint32_t found) { by_blocks[row] = found; })
                  .ok());
      for (std::size_t row = 0; row < 3000; ++row) {
        const auto distance_to = [&](std::size_t centroid) {
          double sum = 0;
          for (std::size_t d = 0; d < 19; ++d) {
            const double a = matrix.values[row * 19 + d];
            const double b = clusters.centroid(centroid)[d];
            sum += by_angle ? -a * b : (a - b) * (a - b);
          }
          return sum;
        };
        double least = distance_to(0);
        for (std::size_t i = 1; i < clusters.count(); ++i) least = std::min(least, distance_to(i));
        const double tolerance = 1e-4 * (1 + std::abs(least));
        REQUIRE(distance_to(exact[row]) <= least + tolerance);
        REQUIRE(distance_to(by_blocks[row]) <= least + tolerance);
      }
    }
  }
}

TEST_CASE("row sample: distinct, ascending, within range, and every row is as likely", "[unit]") {
  std::vector<std::size_t> drawn(20);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const auto ids = sample_row_ids(20, 5, seed);
    REQUIRE(ids.size() == 5);
    REQUIRE(std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end());
    for (const std::uint32_t id : ids) ++drawn.at(id);
  }
  // Expected 1000 each with a standard deviation of 27.
  for (const std::size_t count : drawn) REQUIRE(std::abs(static_cast<double>(count) - 1000) < 150);
  REQUIRE(sample_row_ids(3, 10, 1) == std::vector<std::uint32_t>{0, 1, 2});
  REQUIRE(sample_row_ids(0, 10, 1).empty());
}

}  // namespace tessera::index
