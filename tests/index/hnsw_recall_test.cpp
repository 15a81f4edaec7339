#include <random>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::ClusterShape;
using testing::Matrix;

namespace {

constexpr std::size_t kK = 10;
constexpr std::size_t kEf = 128;

struct Bench {
  Metric metric;
  const Matrix& rows;
  const Matrix& queries;
};

std::unique_ptr<const AnnIndex> build(const Bench& bench) {
  BuildControl control;
  control.thread_count = 2;
  auto built = build_index({}, bench.metric, span_of(bench.rows), control);
  REQUIRE(built.has_value());
  return std::move(*built);
}

/// Mean recall@10 at ef 128; fails on an unsound or incomplete answer.
double mean_recall(const Bench& bench, const AnnIndex& index, const RowFilter& filter = {}) {
  double sum = 0;
  for (std::size_t q = 0; q < bench.queries.row_count; ++q) {
    const float* query = bench.queries.row(q);
    SearchOptions options;
    options.k = kK;
    options.ef = kEf;
    std::vector<RowHit> hits;
    SearchStats stats;
    REQUIRE(index.search(query, options, filter, hits, stats).ok());
    const auto truth = nearest_by_brute_force(bench.metric, bench.rows, query, kK, filter);
    REQUIRE(is_sound(bench.metric, bench.rows, query, hits, filter));
    REQUIRE(hits.size() == truth.size());
    sum += recall(truth, hits);
  }
  return sum / static_cast<double>(bench.queries.row_count);
}

void require_recall_with_filters(const Bench& bench, const AnnIndex& index) {
  REQUIRE(mean_recall(bench, index) >= 0.95);
  std::mt19937 random(99);
  for (const unsigned percent : {50U, 10U, 1U}) {
    FilterArrays arrays(bench.rows.row_count);
    for (std::uint32_t i = 0; i < bench.rows.row_count; ++i) {
      if (random() % 100 < percent) arrays.allow(i);
      if (random() % 100 < 50) arrays.kill(i);
    }
    CAPTURE(percent);
    REQUIRE(mean_recall(bench, index, arrays.slotted()) >= 0.95);
    REQUIRE(mean_recall(bench, index, arrays.both()) >= 0.95);
    if (percent == 50) REQUIRE(mean_recall(bench, index, arrays.dead()) >= 0.95);
  }
}

}  // namespace

TEST_CASE("hnsw: recall@10 at ef 128 is 0.95 or more on clustered rows, filtered or half dead") {
  ClusterShape shape;
  shape.row_count = 20000;
  shape.dim = 32;
  for (const Metric metric : {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan}) {
    CAPTURE(metric_name(metric), shape.seed);
    shape.is_unit = metric == Metric::kCosine;
    shape.row_count = 20000;
    shape.sample = 0;
    const Matrix rows = clustered_rows(shape);
    shape.row_count = 50;
    shape.sample = 1;
    const Matrix queries = clustered_rows(shape);
    const Bench bench = {metric, rows, queries};
    require_recall_with_filters(bench, *build(bench));
  }
}

TEST_CASE("hnsw: recall@10 on handwritten digits is 0.97 or more at ef 128") {
  const auto directory = testing::data_directory();
  if (!directory) {
    WARN("skipped: no data directory");
    return;
  }
  const auto rows = testing::read_idx_images(
      *directory / "mnist" / "train-images-reconstructed-idx3-ubyte.gz", 10000);
  const auto queries =
      testing::read_idx_images(*directory / "mnist" / "t10k-images-idx3-ubyte.gz", 50);
  if (rows.has_error() || queries.has_error()) {
    WARN("skipped: the mnist images are not there");
    return;
  }
  const Bench bench = {Metric::kEuclid, *rows, *queries};
  REQUIRE(mean_recall(bench, *build(bench)) >= 0.97);
}

TEST_CASE("hnsw: recall@10 on text embeddings is 0.95 or more, filtered or half dead") {
  const auto directory = testing::data_directory();
  if (!directory) {
    WARN("skipped: no data directory");
    return;
  }
  auto rows = testing::read_npy(*directory / "text-768" / "base.npy", 5000);
  const auto queries = testing::read_npy(*directory / "text-768" / "queries.npy", 30);
  if (rows.has_error() || queries.has_error()) {
    WARN("skipped: the text-768 vectors are not there");
    return;
  }
  for (std::size_t i = 0; i < rows->row_count; ++i) {
    REQUIRE(normalise({rows->row(i), rows->dim}));
  }
  const Bench bench = {Metric::kCosine, *rows, *queries};
  require_recall_with_filters(bench, *build(bench));
}
