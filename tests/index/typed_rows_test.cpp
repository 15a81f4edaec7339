#include "tests/index/typed_rows.h"

#include <cstring>
#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "index/kernel_table.h"

using namespace tessera;
using namespace tessera::index;
using testing::Matrix;

namespace {

constexpr std::uint64_t kSeed = 20'261'126;
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
constexpr ValueType kTypes[] = {ValueType::kFloat32, ValueType::kFloat16, ValueType::kUint8};

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

struct Expected {
  double distance = 0;
  double magnitude = 0;  ///< Sum of the absolute terms: what rounding errors are relative to.
};

Expected oracle(Metric metric, const float* query, const float* row, std::size_t dim) {
  Expected expected;
  for (std::size_t d = 0; d < dim; ++d) {
    const double x = query[d], y = row[d];
    double term = -x * y;
    if (metric == Metric::kEuclid) term = (x - y) * (x - y);
    if (metric == Metric::kManhattan) term = std::fabs(x - y);
    expected.distance += term;
    expected.magnitude += std::fabs(term);
  }
  return expected;
}

/// Of directions for Cosine.
Expected prefix_oracle(Metric metric, const float* query, const float* row, std::size_t dim) {
  Expected expected = oracle(metric, query, row, dim);
  if (metric != Metric::kCosine) return expected;
  double squares = 0;
  for (std::size_t d = 0; d < dim; ++d) squares += double{row[d]} * row[d];
  if (squares == 0) return {};
  expected.distance /= std::sqrt(squares);
  expected.magnitude /= std::sqrt(squares);
  return expected;
}

bool is_close(float found, const Expected& expected) {
  return std::fabs(found - expected.distance) <= 1e-5 * expected.magnitude + 1e-30;
}

std::vector<RowHit> search(const AnnIndex& index, const float* query, const SearchOptions& options,
                           const RowFilter& filter = {}) {
  std::vector<RowHit> hits;
  SearchStats stats;
  REQUIRE(index.search(query, options, filter, hits, stats).ok());
  return hits;
}

/// In order, each row once, allowed, with the distance of the row as it is stored.
void require_sound(const std::vector<RowHit>& hits, const TypedRows& rows, Metric metric,
                   const float* query, const RowFilter& filter) {
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    REQUIRE(hits[i].row < rows.values.row_count);
    REQUIRE(seen.insert(hits[i].row).second);
    REQUIRE(filter.allows(hits[i].row));
    if (i > 0) REQUIRE(hits[i - 1] < hits[i]);
    float exact = 0;
    distances_at(metric, query, rows.span(), {&hits[i].row, 1}, &exact);
    REQUIRE(same_bits(exact, hits[i].distance));
  }
}

std::vector<IndexSpec> every_spec() {
  std::vector<IndexSpec> specs;
  for (const IndexType type :
       {IndexType::kFlat, IndexType::kIvfFlat, IndexType::kIvfSq8, IndexType::kIvfPq}) {
    specs.emplace_back().type = type;
  }
  for (const CodeType codes : {CodeType::kNone, CodeType::kSq8, CodeType::kSq4, CodeType::kBinary,
                               CodeType::kPq, CodeType::kAuto}) {
    specs.emplace_back().codes = codes;
  }
  return specs;
}

}  // namespace

TEST_CASE("typed rows: distances agree with a double-precision oracle, whatever the path") {
  CAPTURE(kSeed);
  for (const ValueType type : kTypes) {
    for (const Metric metric : kMetrics) {
      for (const std::size_t dim : {1, 3, 16, 67, 130}) {
        CAPTURE(value_type_name(type), metric_name(metric), dim);
        TypedRows rows = typed_rows(
            testing::clustered_rows({.row_count = 37, .dim = dim, .seed = kSeed}), type, metric);
        const Matrix queries = typed_queries(
            testing::clustered_rows({.row_count = 3, .dim = dim, .seed = kSeed, .sample = 1}), type,
            metric);
        const std::vector<std::uint32_t> ids = {36, 0, 5, 5, 17, 20, 1,  2, 3,
                                                4,  6, 7, 8, 9,  10, 11, 12};
        std::vector<float> all(37), picked(ids.size()), copied(37 * dim);
        copy_rows(rows.span(), 0, 37, copied.data());
        REQUIRE(copied == rows.values.values);
        RowReader row_of(rows.span());
        for (std::size_t q = 0; q < queries.row_count; ++q) {
          const float* const query = queries.row(q);
          distances(metric, query, rows.span(), all.data());
          distances_at(metric, query, rows.span(), ids, picked.data());
          for (std::size_t i = 0; i < 37; ++i) {
            CAPTURE(i, all[i]);
            REQUIRE(is_close(all[i], oracle(metric, query, rows.values.row(i), dim)));
            REQUIRE(std::memcmp(row_of(i), rows.values.row(i), dim * sizeof(float)) == 0);
            // Without factors a row is compared exactly as the floats it is.
            if (rows.factors.empty()) {
              REQUIRE(same_bits(all[i], distance(metric, query, rows.values.row(i), dim)));
            }
          }
          for (std::size_t i = 0; i < ids.size(); ++i) {
            REQUIRE(same_bits(picked[i], all[ids[i]]));
          }
          float alone = 0;
          distances(metric, query, rows.span().part(20, 1), &alone);
          REQUIRE(same_bits(alone, all[20]));
          for (const std::size_t prefix : {std::size_t{1}, (dim + 1) / 2, dim}) {
            prefix_distances_at(metric, query, rows.span(), prefix, ids, picked.data());
            for (std::size_t i = 0; i < ids.size(); ++i) {
              const float* const row = rows.values.row(ids[i]);
              CAPTURE(prefix, i, picked[i]);
              REQUIRE(is_close(picked[i], prefix_oracle(metric, query, row, prefix)));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("typed rows: a row of zeros has the cosine 0 with everything") {
  const std::vector<std::uint8_t> zeros(7, 0);
  const float factor = factor_of(zeros.data(), zeros.size());
  const VectorSpan rows{zeros.data(), 1, zeros.size(), ValueType::kUint8, &factor};
  const std::vector<float> query(7, 0.25F);
  float distance = 1;
  distances(Metric::kCosine, query.data(), rows, &distance);
  CHECK(distance == 0);
  // The largest norm that there is.
  const std::vector<std::uint8_t> most(65'536, 255);
  CHECK(factor_of(most.data(), most.size()) == Approx(1.0 / (255.0 * 256.0)));
}

TEST_CASE("typed rows: every instruction set widens exactly, up to the last value") {
  std::vector<Float16> halves(65'536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i].bits = static_cast<std::uint16_t>(i);
  std::vector<std::uint8_t> bytes(256);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  for (const KernelTable* table : supported_kernels()) {
    CAPTURE(table->level);
    std::vector<float> out(halves.size());
    table->typed.widen_float16(halves.data(), halves.size(), out.data());
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const float value = to_float(halves[i]);
      CAPTURE(i);
      REQUIRE((same_bits(out[i], value) || (std::isnan(out[i]) && std::isnan(value))));
    }
    for (std::size_t count = 0; count <= 40; ++count) {
      std::fill(out.begin(), out.end(), -7.0F);
      table->typed.widen_uint8(bytes.data() + 3, count, out.data());
      for (std::size_t i = 0; i < count; ++i) REQUIRE(out[i] == static_cast<float>(i + 3));
      REQUIRE(out[count] == -7.0F);
      std::fill(out.begin(), out.end(), -7.0F);
      table->typed.widen_float16(halves.data() + 3, count, out.data());
      for (std::size_t i = 0; i < count; ++i) REQUIRE(out[i] == to_float(halves[i + 3]));
      REQUIRE(out[count] == -7.0F);
    }
  }
}

TEST_CASE("typed rows: an index finds in them what it finds in the same floats, scored exactly") {
  CAPTURE(kSeed);
  constexpr std::size_t kRows = 2500, kDim = 48, kQueries = 25;
  for (const ValueType type : {ValueType::kFloat16, ValueType::kUint8}) {
    for (const Metric metric : kMetrics) {
      const TypedRows rows =
          typed_rows(testing::clustered_rows(
                         {.row_count = kRows, .dim = kDim, .cluster_count = 40, .seed = kSeed}),
                     type, metric);
      const Matrix queries = typed_queries(testing::clustered_rows({.row_count = kQueries,
                                                                    .dim = kDim,
                                                                    .cluster_count = 40,
                                                                    .seed = kSeed,
                                                                    .sample = 1}),
                                           type, metric);
      FilterArrays arrays(kRows);
      for (std::uint32_t row = 0; row < kRows; row += 3) arrays.kill(row);
      for (IndexSpec spec : every_spec()) {
        CAPTURE(value_type_name(type), metric_name(metric), index_type_name(spec.type),
                static_cast<int>(spec.codes));
        spec.pq_segment_count = 24;
        const auto built = build_index(spec, metric, rows.span(), {});
        REQUIRE(built.has_value());
        StringSink sink;
        REQUIRE((*built)->save(sink).ok());
        const auto loaded =
            load_index(spec, metric, rows.span(), std::as_bytes(std::span(sink.text)));
        REQUIRE(loaded.has_value());
        // The same values as float32, with the same index: as much is to be found.
        const auto floats = build_index(spec, metric, span_of(rows.values), {});
        REQUIRE(floats.has_value());
        double found = 0, found_in_floats = 0;
        SearchOptions options;
        options.ef = 200;
        options.oversampling = 4;
        for (std::size_t q = 0; q < kQueries; ++q) {
          const float* const query = queries.row(q);
          for (const RowFilter& filter : {RowFilter{}, arrays.dead()}) {
            const auto hits = search(**built, query, options, filter);
            require_sound(hits, rows, metric, query, filter);
            const auto truth = nearest_by_brute_force(metric, rows.values, query, 10, filter);
            found += recall(truth, hits) / 2;
            found_in_floats += recall(truth, search(**floats, query, options, filter)) / 2;
            const auto again = search(**loaded, query, options, filter);
            REQUIRE(again.size() == hits.size());
            for (std::size_t i = 0; i < hits.size(); ++i) REQUIRE(again[i].row == hits[i].row);
          }
          SearchOptions prefix = options;
          prefix.prefix_dim = 20;
          require_sound(search(**built, query, prefix), rows, metric, query, {});
        }
        CHECK(found / kQueries >= found_in_floats / kQueries - 0.03);
        if (spec.type == IndexType::kFlat) CHECK(found == Approx(kQueries));
      }
    }
  }
}

TEST_CASE("typed rows: equal rows are one node whatever the bytes of a row are") {
  CAPTURE(kSeed);
  // Rows of 7 bytes and of 14 are no whole words.
  for (const ValueType type : kTypes) {
    Matrix matrix = testing::clustered_rows({.row_count = 400, .dim = 7, .seed = kSeed});
    for (std::size_t i = 100; i < 300; ++i) std::copy_n(matrix.row(i % 4), 7, matrix.row(i));
    // Rows that differ in the last value alone.
    std::copy_n(matrix.row(0), 7, matrix.row(399));
    matrix.row(399)[6] = matrix.row(0)[6] + 1;
    const TypedRows rows = typed_rows(matrix, type, Metric::kEuclid);
    const auto index = build_index({}, Metric::kEuclid, rows.span(), {});
    REQUIRE(index.has_value());
    SearchOptions options;
    options.k = 51;
    const auto hits = search(**index, rows.values.row(2), options);
    REQUIRE(hits.size() == 51);
    for (const RowHit& hit : hits) {
      CHECK(hit.distance == 0);
      CHECK((hit.row == 2 || (hit.row >= 100 && hit.row < 300 && hit.row % 4 == 2)));
    }
    options.k = 400;
    CHECK(search(**index, rows.values.row(0), options).size() == 400);
  }
}
