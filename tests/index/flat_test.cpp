#include <chrono>
#include <cstring>
#include <string>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::ClusterShape;
using testing::Matrix;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
const IndexSpec kSpec = [] {
  IndexSpec spec;
  spec.type = IndexType::kFlat;
  return spec;
}();

std::unique_ptr<const AnnIndex> build(Metric metric, const Matrix& rows) {
  auto built = build_index(kSpec, metric, span_of(rows), {});
  REQUIRE(built.has_value());
  return std::move(*built);
}

std::vector<RowHit> search(const AnnIndex& index, const float* query, std::size_t k,
                           const RowFilter& filter = {}) {
  std::vector<RowHit> hits;
  SearchStats stats;
  SearchOptions options;
  options.k = k;
  REQUIRE(index.search(query, options, filter, hits, stats).ok());
  return hits;
}

bool same_rows(const std::vector<RowHit>& a, const std::vector<RowHit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const RowHit& x, const RowHit& y) { return x.row == y.row; });
}

}  // namespace

TEST_CASE("flat: the answer is brute force's, for every metric, with and without a filter") {
  ClusterShape shape;
  shape.row_count = 2000;
  shape.dim = 24;
  const Matrix rows = clustered_rows(shape);
  shape.sample = 1;
  shape.row_count = 20;
  const Matrix queries = clustered_rows(shape);
  FilterArrays arrays(rows.row_count);
  for (std::uint32_t i = 0; i < rows.row_count; ++i) {
    if (i % 3 == 0) arrays.allow(i);
    if (i % 5 == 0) arrays.kill(i);
  }
  for (const Metric metric : kMetrics) {
    const auto index = build(metric, rows);
    for (std::size_t q = 0; q < queries.row_count; ++q) {
      for (const RowFilter& filter :
           {RowFilter(), arrays.dead(), arrays.slotted(), arrays.both()}) {
        const auto hits = search(*index, queries.row(q), 25, filter);
        CAPTURE(metric_name(metric), q);
        REQUIRE(is_sound(metric, rows, queries.row(q), hits, filter));
        REQUIRE(same_rows(hits, nearest_by_brute_force(metric, rows, queries.row(q), 25, filter)));
      }
    }
  }
}

TEST_CASE("flat: k beyond the allowed rows gives all of them, and k = 0 none") {
  ClusterShape shape;
  shape.row_count = 700;
  shape.dim = 3;
  const Matrix rows = clustered_rows(shape);
  const auto index = build(Metric::kEuclid, rows);
  FilterArrays arrays(rows.row_count);
  for (std::uint32_t i = 0; i < rows.row_count; i += 100) arrays.allow(i);
  REQUIRE(search(*index, rows.row(0), 5000).size() == 700);
  REQUIRE(search(*index, rows.row(0), 5000, arrays.slotted()).size() == 7);
  REQUIRE(search(*index, rows.row(0), 0).empty());
}

TEST_CASE("flat: equal rows come in row order and hits are appended") {
  Matrix rows;
  rows.row_count = 1500;
  rows.dim = 2;
  rows.values.assign(3000, 1.0F);
  const auto index = build(Metric::kEuclid, rows);
  std::vector<RowHit> hits = {{-1, 77}};
  SearchStats stats;
  SearchOptions options;
  options.k = 3;
  REQUIRE(index->search(rows.row(0), options, {}, hits, stats).ok());
  REQUIRE(hits.size() == 4);
  REQUIRE(hits[0].row == 77);
  for (std::uint32_t i = 0; i < 3; ++i) REQUIRE(hits[i + 1].row == i);
  REQUIRE(stats.visited_count == 1500);
}

TEST_CASE("flat: no rows give no hits, and a cancelled search says so") {
  Matrix none;
  none.dim = 4;
  const auto empty = build(Metric::kDot, none);
  const float query[4] = {};
  REQUIRE(search(*empty, query, 10).empty());

  ClusterShape shape;
  shape.row_count = 100;
  shape.dim = 4;
  const Matrix rows = clustered_rows(shape);
  const auto index = build(Metric::kDot, rows);
  CancelToken token;
  token.cancel();
  std::vector<RowHit> hits;
  SearchStats stats;
  SearchOptions options;
  options.cancel = &token;
  REQUIRE(index->search(query, options, {}, hits, stats).code() == Code::kCancelled);
  REQUIRE(hits.empty());
}

TEST_CASE("flat: what was saved loads, and each damaged field is refused by name") {
  ClusterShape shape;
  shape.row_count = 100;
  shape.dim = 4;
  const Matrix rows = clustered_rows(shape);
  StringSink sink;
  REQUIRE(build(Metric::kEuclid, rows)->save(sink).ok());
  auto loaded = load_index(kSpec, Metric::kEuclid, span_of(rows), as_bytes(sink.text));
  REQUIRE(loaded.has_value());
  StringSink again;
  REQUIRE((*loaded)->save(again).ok());
  REQUIRE(again.text == sink.text);

  const auto refusal = [&](const std::string& bytes) {
    auto result = load_index(kSpec, Metric::kEuclid, span_of(rows), as_bytes(bytes));
    REQUIRE(result.has_error());
    REQUIRE(result.error().code() == Code::kCorrupt);
    return result.error().message();
  };
  const auto with_byte = [&](std::size_t offset) {
    std::string bytes = sink.text;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x40);
    return bytes;
  };
  REQUIRE_THAT(refusal(with_byte(0)), Catch::Contains("format_version"));
  REQUIRE_THAT(refusal(with_byte(4)), Catch::Contains("dim"));
  REQUIRE_THAT(refusal(with_byte(8)), Catch::Contains("row_count"));
  REQUIRE_THAT(refusal(sink.text + "x"), Catch::Contains("size"));
  for (std::size_t size = 0; size < sink.text.size(); ++size) {
    REQUIRE_THAT(refusal(sink.text.substr(0, size)), Catch::Contains("size"));
  }
}
