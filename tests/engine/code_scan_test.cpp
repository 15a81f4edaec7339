#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "index/kernels.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 96, kRows = 3000;
constexpr std::uint64_t kSeed = 20'261'126;

Matrix rows_of(std::size_t row_count, std::uint64_t sample) {
  return testing::clustered_rows({.row_count = row_count,
                                  .dim = kDim,
                                  .cluster_count = 20,
                                  .spread = 0.4F,
                                  .seed = kSeed,
                                  .sample = sample});
}

std::vector<std::uint64_t> nearest(Metric metric, const Matrix& rows, const float* query,
                                   const std::set<std::uint64_t>& gone, std::size_t limit) {
  std::vector<std::pair<float, std::uint64_t>> all;
  for (std::uint64_t i = 0; i < rows.row_count; ++i) {
    if (gone.count(i) == 0) {
      all.emplace_back(index::distance(metric, query, rows.row(i), kDim), i);
    }
  }
  std::sort(all.begin(), all.end());
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < std::min(limit, all.size()); ++i) ids.push_back(all[i].second);
  return ids;
}

/// What the rows are when they are searched.
enum class State { kFresh, kSealed, kReopened };

/// Searches for many queries; returns the share of the rows whose vectors were compared.
double search_all(Collection& collection, Metric metric, const Matrix& rows, const Matrix& queries,
                  const std::set<std::uint64_t>& gone, const std::string& strategy) {
  std::size_t compared = 0, visited = 0;
  for (std::size_t q = 0; q < queries.row_count; ++q) {
    for (const std::size_t limit : {1, 10, 600}) {
      QueryRequest query;
      query.query = VectorInput(std::vector<float>(queries.row(q), queries.row(q) + kDim));
      query.limit = limit;
      query.explain = true;
      const auto result = collection.query(query, CancelToken());
      REQUIRE(result.has_value());
      std::vector<std::uint64_t> found;
      for (const ScoredPoint& point : result->points) found.push_back(point.record.id.number());
      CHECK(found == nearest(metric, rows, queries.row(q), gone, limit));
      if (limit > 10) continue;
      const SegmentPlan& plan = result->plan->segments.front();
      CHECK(plan.row_count > kRows / 2);
      CHECK(plan.strategy == strategy);
      compared += plan.reranked_count;
      visited += plan.visited_count;
    }
  }
  return static_cast<double>(compared) / static_cast<double>(visited);
}

}  // namespace

TEST_CASE("scans: codes leave out only rows that are not among the nearest") {
  INFO("seed " << kSeed);
  const Matrix rows = rows_of(kRows, 0), queries = rows_of(20, 1);
  const State state = GENERATE(State::kFresh, State::kSealed, State::kReopened);
  for (const Metric metric : {Metric::kDot, Metric::kEuclid, Metric::kManhattan}) {
    CAPTURE(metric_name(metric), static_cast<int>(state));
    OpenDatabase database;
    CollectionConfig config;
    config.vectors[""].dim = kDim;
    config.vectors[""].metric = metric;
    config.vectors[""].on_disk = state == State::kReopened;
    config.hnsw.m = 0;  // Sealed rows are scanned.
    config.optimizers.indexing_threshold = state == State::kFresh ? 0 : 1;
    auto collection = database.create(config);
    insert_rows(*collection, rows);
    if (state != State::kFresh) wait_until_indexed(*collection, kRows);
    std::set<std::uint64_t> gone;
    DeletePoints removal;
    std::vector<PointId> ids;
    for (std::uint64_t id = 0; id < kRows; id += 7) {
      gone.insert(id);
      ids.emplace_back(id);
    }
    removal.selector = ids;
    REQUIRE(collection->write(std::move(removal), true).has_value());
    if (state == State::kReopened) {
      collection.reset();
      database.reopen();
      collection = database->collection("c").value();
    }
    // Manhattan distances have no such bounds.
    const bool has_codes = metric != Metric::kManhattan;
    const double compared = search_all(*collection, metric, rows, queries, gone,
                                       has_codes ? "code_scan" : "exact_scan");
    // Codes that left out nothing would be of no use.
    if (has_codes) CHECK(compared < 0.5);
  }
}

}  // namespace tessera::engine
