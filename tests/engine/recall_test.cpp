#include <catch2/catch.hpp>

#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 16, kRows = 3000;

CollectionConfig config_of(std::uint64_t indexing_threshold) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = Metric::kEuclid;
  config.optimizers.indexing_threshold = indexing_threshold;
  return config;
}

RecallReport measured(const Collection& collection, const RecallRequest& request) {
  auto report = collection.recall(request, CancelToken());
  INFO((report.has_error() ? report.error().to_string() : std::string()));
  REQUIRE(report.has_value());
  return *report;
}

}  // namespace

TEST_CASE("recall: rows that are only scanned are all found; the same seed measures the same") {
  const Matrix rows = testing::clustered_rows({.row_count = kRows, .dim = kDim, .seed = 1});
  OpenDatabase database;
  auto collection = database.create(config_of(0));
  insert_rows(*collection, rows);
  RecallRequest request;
  request.sample = 50;
  const RecallReport report = measured(*collection, request);
  CHECK(report.recall == 1.0);
  CHECK(report.sample == 50);
  CHECK(report.limit == 10);
  CHECK(report.approximate.visited_mean == kRows);
  CHECK(report.exact.visited_mean == kRows);
  CHECK(report.exact.p99_us >= report.exact.p50_us);
  request.sample = 10 * kRows;
  CHECK(measured(*collection, request).sample == kRows);
}

TEST_CASE("recall: a walk visits less, a wider one finds more, and a seed decides the sample") {
  const Matrix rows = testing::clustered_rows(
      {.row_count = kRows, .dim = kDim, .cluster_count = 30, .spread = 0.8F, .seed = 2});
  OpenDatabase database;
  auto collection = database.create(config_of(1));
  insert_rows(*collection, rows);
  wait_until_indexed(*collection, kRows);
  RecallRequest request;
  request.sample = 100;
  request.params.hnsw_ef = 10;
  const RecallReport narrow = measured(*collection, request);
  const RecallReport again = measured(*collection, request);
  CHECK(narrow.recall == again.recall);
  CHECK(narrow.approximate.visited_mean == again.approximate.visited_mean);
  request.params.hnsw_ef = 64;
  const RecallReport wide = measured(*collection, request);
  CHECK(*wide.recall >= *narrow.recall);
  CHECK(*wide.recall >= 0.9);
  CHECK(narrow.approximate.visited_mean < narrow.exact.visited_mean);
  request.params.exact = true;
  CHECK(measured(*collection, request).recall == 1.0);
}

TEST_CASE("recall: a filter restricts what is found, and nothing to find is no recall") {
  const Matrix rows = testing::clustered_rows({.row_count = 300, .dim = kDim, .seed = 4});
  OpenDatabase database;
  auto collection = database.create(config_of(0));
  insert_rows(*collection, rows);
  RecallRequest request;
  request.sample = 20;
  request.filter.emplace();
  HasId some;
  for (std::uint64_t id = 0; id < 30; ++id) some.ids.emplace_back(id);
  request.filter->must.emplace_back(some);
  const RecallReport report = measured(*collection, request);
  CHECK(report.recall == 1.0);
  CHECK(report.exact.visited_mean == 30);
  request.filter->must.clear();
  request.filter->must.emplace_back(HasId{{PointId(99'999)}});
  CHECK_FALSE(measured(*collection, request).recall);
}

TEST_CASE("recall: what cannot be measured is refused, and a cancelled measurement ends") {
  OpenDatabase database;
  auto collection = database.create(config_of(0));
  RecallRequest request;
  CHECK(collection->recall(request, CancelToken()).error().code() == Code::kInvalidArgument);
  insert_rows(*collection, testing::clustered_rows({.row_count = 300, .dim = kDim, .seed = 4}));
  request.vector = "other";
  CHECK(collection->recall(request, CancelToken()).error().message() ==
        "Not existing vector name error: other");
  request.vector.clear();
  request.params.dims = kDim + 1;
  CHECK(collection->recall(request, CancelToken()).error().message().starts_with("params.dims"));
  request.params.dims.reset();
  CancelToken cancelled;
  cancelled.cancel();
  CHECK(collection->recall(request, cancelled).error().code() == Code::kCancelled);
}

}  // namespace tessera::engine
