#include <atomic>
#include <random>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "index/hnsw_build.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::ClusterShape;
using testing::Matrix;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};

Matrix rows_of(std::size_t row_count, std::size_t dim, std::uint64_t sample = 0) {
  ClusterShape shape;
  shape.row_count = row_count;
  shape.dim = dim;
  shape.sample = sample;
  return clustered_rows(shape);
}

std::unique_ptr<const AnnIndex> build(Metric metric, const Matrix& rows,
                                      const IndexSpec& spec = {}) {
  auto built = build_index(spec, metric, span_of(rows), {});
  REQUIRE(built.has_value());
  return std::move(*built);
}

std::vector<RowHit> search(const AnnIndex& index, const float* query, std::size_t k,
                           std::size_t ef = 0, const RowFilter& filter = {}) {
  std::vector<RowHit> hits;
  SearchStats stats;
  SearchOptions options;
  options.k = k;
  options.ef = ef;
  REQUIRE(index.search(query, options, filter, hits, stats).ok());
  return hits;
}

std::string saved(const AnnIndex& index) {
  StringSink sink;
  REQUIRE(index.save(sink).ok());
  return sink.text;
}

}  // namespace

TEST_CASE("hnsw: one row, two rows and no rows can be indexed and searched") {
  for (const Metric metric : kMetrics) {
    for (const std::size_t row_count : {0, 1, 2}) {
      const Matrix rows = rows_of(row_count, 5);
      const auto index = build(metric, rows);
      const float query[5] = {1, 0, -1, 0.5F, 2};
      const auto hits = search(*index, query, 10);
      CAPTURE(metric_name(metric), row_count);
      REQUIRE(hits.size() == row_count);
      REQUIRE(is_sound(metric, rows, query, hits));
    }
  }
}

TEST_CASE("hnsw: k beyond ef and beyond the rows gives every row, whatever the metric") {
  const Matrix rows = rows_of(1500, 8);
  const Matrix queries = rows_of(3, 8, 1);
  for (const Metric metric : kMetrics) {
    const auto index = build(metric, rows);
    for (std::size_t q = 0; q < queries.row_count; ++q) {
      CAPTURE(metric_name(metric), q);
      const auto hits = search(*index, queries.row(q), 5000, 10);
      REQUIRE(hits.size() == rows.row_count);
      REQUIRE(is_sound(metric, rows, queries.row(q), hits));
    }
  }
}

TEST_CASE("hnsw: every row can be reached although insertion dropped all links to some") {
  // Rows of small norm are nobody's neighbours under the inner product.
  Matrix rows = rows_of(4000, 16);
  std::mt19937 random(7);
  std::uniform_real_distribution<float> scale(0.001F, 1);
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    const float factor = scale(random);
    for (std::size_t j = 0; j < rows.dim; ++j) rows.row(i)[j] *= factor;
  }
  const auto index = build(Metric::kDot, rows);
  const Matrix queries = rows_of(5, 16, 1);
  for (std::size_t q = 0; q < queries.row_count; ++q) {
    REQUIRE(search(*index, queries.row(q), rows.row_count).size() == rows.row_count);
  }
}

TEST_CASE("hnsw: thousands of equal rows are all found, first rows first, and hide nothing") {
  Matrix rows = rows_of(6000, 12);
  // Rows 500.. of three values each two thousand times, among ordinary rows.
  for (std::size_t i = 500; i < 5500; ++i) std::copy_n(rows.row(i % 3), rows.dim, rows.row(i));
  const auto index = build(Metric::kEuclid, rows);
  FilterArrays arrays(rows.row_count);
  for (std::uint32_t i = 0; i < rows.row_count; ++i) {
    if (i < 1000) arrays.kill(i);
  }
  const Matrix queries = rows_of(20, 12, 1);
  for (std::size_t q = 0; q < queries.row_count; ++q) {
    for (const RowFilter& filter : {RowFilter(), arrays.dead()}) {
      const auto hits = search(*index, queries.row(q), 50, 64, filter);
      const auto truth = nearest_by_brute_force(Metric::kEuclid, rows, queries.row(q), 50, filter);
      CAPTURE(q);
      REQUIRE(is_sound(Metric::kEuclid, rows, queries.row(q), hits, filter));
      REQUIRE(hits.size() == 50);
      REQUIRE(recall(truth, hits) >= 0.95);
    }
  }
  const auto same = search(*index, rows.row(1), 3000);
  REQUIRE(same.size() == 3000);
  REQUIRE(same[0].row == 1);
  for (std::size_t i = 1; i < 1600; ++i) {
    REQUIRE(same[i].distance == 0);
    REQUIRE(same[i].row > same[i - 1].row);
  }
}

TEST_CASE("hnsw: all rows equal") {
  Matrix rows;
  rows.row_count = 3000;
  rows.dim = 7;
  rows.values.assign(rows.row_count * rows.dim, 0.25F);
  for (const Metric metric : kMetrics) {
    const auto index = build(metric, rows);
    const auto hits = search(*index, rows.row(0), 100);
    REQUIRE(hits.size() == 100);
    for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(hits[i].row == i);
  }
}

TEST_CASE("hnsw: a tight group of nearly equal rows far away hides nothing") {
  Matrix rows = rows_of(3000, 12);
  std::mt19937 random(11);
  std::uniform_real_distribution<float> jitter(-1e-4F, 1e-4F);
  for (std::size_t i = 0; i < 1000; ++i) {
    for (std::size_t j = 0; j < rows.dim; ++j) rows.row(i)[j] = 50 + jitter(random);
  }
  const auto index = build(Metric::kEuclid, rows);
  std::size_t found_count = 0;
  for (std::size_t i = 0; i < rows.row_count; i += 10) {
    const auto hits = search(*index, rows.row(i), 1);
    found_count += hits.front().distance == 0 ? 1 : 0;
  }
  REQUIRE(found_count >= 297);
  REQUIRE(search(*index, rows.row(2500), rows.row_count).size() == rows.row_count);
}

TEST_CASE("hnsw: one thread and one seed give one graph; another seed gives another") {
  const Matrix rows = rows_of(1200, 10);
  IndexSpec spec;
  const std::string first = saved(*build(Metric::kEuclid, rows, spec));
  REQUIRE(first == saved(*build(Metric::kEuclid, rows, spec)));
  spec.seed = 43;
  REQUIRE(first != saved(*build(Metric::kEuclid, rows, spec)));
}

TEST_CASE("hnsw: building reports progress to the end and can be cancelled in the middle") {
  const Matrix rows = rows_of(3000, 10);
  for (const unsigned thread_count : {1U, 3U}) {
    std::atomic<std::size_t> call_count = 0, last = 0;
    BuildControl control;
    control.thread_count = thread_count;
    control.progress = [&](std::size_t done, std::size_t total) {
      ++call_count;
      last = done;
      if (total != rows.row_count || done > total) call_count = 1000000;
    };
    REQUIRE(build_index({}, Metric::kEuclid, span_of(rows), control).has_value());
    CAPTURE(thread_count);
    REQUIRE(call_count > 10);
    REQUIRE(call_count <= 400);
    REQUIRE(last == rows.row_count);

    CancelToken token;
    control.cancel = &token;
    control.progress = [&](std::size_t done, std::size_t) {
      last = done;
      if (done > 1000) token.cancel();
    };
    const auto cancelled = build_index({}, Metric::kEuclid, span_of(rows), control);
    REQUIRE(cancelled.has_error());
    REQUIRE(cancelled.error().code() == Code::kCancelled);
    REQUIRE(last < rows.row_count);
  }
}

TEST_CASE("hnsw: a cancelled search says so and returns nothing") {
  const Matrix rows = rows_of(500, 6);
  const auto index = build(Metric::kEuclid, rows);
  CancelToken token;
  token.cancel();
  SearchOptions options;
  options.cancel = &token;
  std::vector<RowHit> hits;
  SearchStats stats;
  REQUIRE(index->search(rows.row(0), options, {}, hits, stats).code() == Code::kCancelled);
  REQUIRE(hits.empty());
}

TEST_CASE("hnsw: a walk that meets too few allowed rows gives up where it is told to") {
  const Matrix rows = rows_of(4000, 16);
  const auto index = build(Metric::kEuclid, rows);
  // Allowed are the 400 rows farthest from the query.
  const float* const query = rows.row(0);
  auto order = search(*index, query, rows.row_count, rows.row_count);
  REQUIRE(order.size() == rows.row_count);
  std::vector<std::uint32_t> slots(rows.row_count);
  std::vector<std::uint64_t> words(rows.row_count / 64 + 1, 0);
  for (std::uint32_t row = 0; row < rows.row_count; ++row) slots[row] = row;
  for (std::size_t i = rows.row_count - 400; i < rows.row_count; ++i) {
    words[order[i].row / 64] |= std::uint64_t{1} << (order[i].row % 64);
  }
  RowFilter filter;
  filter.slots = slots.data();
  filter.slot_words = words.data();
  filter.slot_word_count = words.size();

  SearchOptions options;
  options.ef = 64;
  const auto walk = [&](std::size_t visited_max) {
    options.visited_max = visited_max;
    std::vector<RowHit> hits;
    SearchStats stats;
    REQUIRE(index->search(query, options, filter, hits, stats).ok());
    return stats;
  };
  const SearchStats whole = walk(0);
  CHECK(!whole.gave_up);
  REQUIRE(whole.visited_count > 2000);
  const SearchStats bounded = walk(1000);
  CHECK(bounded.gave_up);
  // One node's neighbours more at most.
  CHECK(bounded.visited_count <= 1000 + 2 * index->spec().m);
  CHECK(!walk(whole.visited_count).gave_up);
}

TEST_CASE("hnsw: numbers out of range are refused by name") {
  const Matrix rows = rows_of(10, 3);
  const auto refusal = [&](const IndexSpec& spec) {
    const auto result = build_index(spec, Metric::kEuclid, span_of(rows), {});
    REQUIRE(result.has_error());
    REQUIRE(result.error().code() == Code::kInvalidArgument);
    return result.error().message();
  };
  IndexSpec spec;
  spec.m = 1;
  REQUIRE_THAT(refusal(spec), Catch::StartsWith("m:"));
  spec.m = kHnswMMax + 1;
  REQUIRE_THAT(refusal(spec), Catch::StartsWith("m:"));
  spec = {};
  spec.ef_construct = 0;
  REQUIRE_THAT(refusal(spec), Catch::StartsWith("ef_construct:"));
  spec = {};
  spec.type = static_cast<IndexType>(99);
  REQUIRE_THAT(refusal(spec), Catch::StartsWith("type:"));
}

TEST_CASE("hnsw: the smallest and a large m work") {
  const Matrix rows = rows_of(1000, 6);
  for (const std::uint32_t m : {kHnswMMin, 200U}) {
    IndexSpec spec;
    spec.m = m;
    const auto index = build(Metric::kEuclid, rows, spec);
    REQUIRE(search(*index, rows.row(3), 1000).size() == 1000);
  }
}

TEST_CASE("hnsw: threads search one index at the same time with the answers of one thread") {
  const Matrix rows = rows_of(2000, 10);
  const auto index = build(Metric::kEuclid, rows);
  const Matrix queries = rows_of(100, 10, 1);
  std::vector<std::vector<RowHit>> expected;
  for (std::size_t q = 0; q < queries.row_count; ++q) {
    expected.push_back(search(*index, queries.row(q), 10));
  }
  std::atomic<std::size_t> difference_count = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (std::size_t q = 0; q < queries.row_count; ++q) {
          std::vector<RowHit> hits;
          SearchStats stats;
          const Status status = index->search(queries.row(q), {}, {}, hits, stats);
          const bool is_same =
              status.ok() && std::equal(hits.begin(), hits.end(), expected[q].begin(),
                                        expected[q].end(), [](const RowHit& a, const RowHit& b) {
                                          return a.row == b.row && a.distance == b.distance;
                                        });
          if (!is_same) ++difference_count;
        }
      });
    }
  }
  REQUIRE(difference_count == 0);
}

TEST_CASE("index: type names can be parsed back, others are refused") {
  for (const char* name : {"flat", "hnsw", "ivf_flat", "ivf_sq8", "ivf_pq"}) {
    const auto type = parse_index_type(name);
    REQUIRE(type.has_value());
    REQUIRE(std::string(index_type_name(*type)) == name);
  }
  const auto unknown = parse_index_type("HNSW");
  REQUIRE(unknown.has_error());
  REQUIRE_THAT(unknown.error().message(), Catch::Contains("HNSW"));
}
