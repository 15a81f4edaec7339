#include "index/product_words.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "index/kernels.h"
#include "index/rotation.h"
#include "tests/index/search_oracle.h"

namespace tessera::index {
namespace {

using testing::Matrix;

constexpr std::uint64_t kSeed = 20'261'128;
constexpr std::size_t kDim = 32, kSegments = 4;

/// Normal rows. With `is_skewed`, a few directions, none of them an axis, have most of the
/// variance.
Matrix rows_of(std::size_t row_count, bool is_skewed, std::uint64_t seed) {
  std::mt19937_64 shared(kSeed), random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> directions(kDim * kDim);
  for (float& value : directions) value = normal(shared);
  Matrix rows;
  rows.row_count = row_count;
  rows.dim = kDim;
  rows.values.assign(row_count * kDim, 0);
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t i = 0; i < kDim; ++i) {
      const float value = normal(random);
      if (!is_skewed) {
        rows.row(row)[i] = value;
        continue;
      }
      const float size = value * std::pow(0.85F, static_cast<float>(i));
      for (std::size_t d = 0; d < kDim; ++d) rows.row(row)[d] += size * directions[i * kDim + d];
    }
  }
  return rows;
}

/// The mean squared difference between rows and what their codes say, by the definition.
double error_of(const ProductWords& words, const Matrix& rows) {
  std::vector<float> values = rows.values;
  std::vector<std::uint8_t> codes(rows.row_count * words.segment_count);
  REQUIRE(ProductEncoder(words).encode(values, codes.data()).ok());
  double error = 0;
  for (std::size_t row = 0; row < rows.row_count; ++row) {
    for (std::size_t segment = 0; segment < words.segment_count; ++segment) {
      const float* const word = words.word(segment, codes[row * words.segment_count + segment]);
      for (std::size_t d = 0; d < words.segment_dim; ++d) {
        const double difference =
            double{values[row * words.dim() + segment * words.segment_dim + d]} - word[d];
        error += difference * difference;
      }
    }
  }
  return error / static_cast<double>(rows.row_count);
}

ProductWords train(const Matrix& rows, bool may_rotate) {
  auto words = train_product_words(
      rows.values, kDim, {.segment_count = kSegments, .seed = 7, .may_rotate = may_rotate}, {});
  REQUIRE(words.has_value());
  return std::move(*words);
}

std::string saved(const AnnIndex& index) {
  StringSink sink;
  REQUIRE(index.save(sink).ok());
  return sink.text;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

TEST_CASE("rotation: distances and products stay, and the segments' variances are alike") {
  INFO("seed " << kSeed);
  const Matrix rows = rows_of(4000, true, 1);
  const Rotation rotation = Rotation::of_principal_axes(rows.values, kDim, kSegments);
  REQUIRE_FALSE(rotation.is_none());
  std::vector<float> turned(rows.values.size());
  rotation.apply(rows.values.data(), rows.row_count, turned.data());
  std::vector<float> alone(kDim);
  for (std::size_t row = 0; row + 1 < 200; ++row) {
    const float* const a = turned.data() + row * kDim;
    const float* const b = a + kDim;
    for (const Metric metric : {Metric::kEuclid, Metric::kDot}) {
      const float before = distance(metric, rows.row(row), rows.row(row + 1), kDim);
      CHECK(distance(metric, a, b, kDim) == Approx(before).epsilon(1e-4).margin(1e-2));
    }
    rotation.apply(rows.row(row), 1, alone.data());
    for (std::size_t d = 0; d < kDim; ++d) CHECK(alone[d] == Approx(a[d]).margin(1e-4));
  }
  std::vector<double> logs(kSegments);
  for (std::size_t d = 0; d < kDim; ++d) {
    double squares = 0;
    for (std::size_t row = 0; row < rows.row_count; ++row) {
      squares += double{turned[row * kDim + d]} * turned[row * kDim + d];
    }
    logs[d / (kDim / kSegments)] += std::log(squares);
  }
  for (const double value : logs) CHECK(value == Approx(logs.front()).epsilon(0.1));
}

TEST_CASE("rotation: none where the axes cannot be told") {
  const Matrix few = rows_of(4 * kDim - 1, true, 1);
  CHECK(Rotation::of_principal_axes(few.values, kDim, kSegments).is_none());
  Matrix huge = rows_of(4000, true, 1);
  huge.row(17)[3] = 1e30F;
  CHECK(Rotation::of_principal_axes(huge.values, kDim, kSegments).is_none());
  Matrix equal = rows_of(4000, true, 1);
  std::fill(equal.values.begin(), equal.values.end(), 1.0F);
  const Rotation any = Rotation::of_principal_axes(equal.values, kDim, kSegments);
  if (!any.is_none()) {  // Any axes do: what counts is that distances stay.
    std::vector<float> turned(kDim);
    any.apply(equal.row(0), 1, turned.data());
    CHECK(inner_product(turned.data(), turned.data(), kDim) == Approx(kDim));
  }
}

TEST_CASE("product words: vectors are rotated where that lowers the error, and only there") {
  INFO("seed " << kSeed);
  const Matrix skewed = rows_of(6000, true, 1), even = rows_of(6000, false, 1);
  const Matrix others = rows_of(500, true, 2);
  const ProductWords plain = train(skewed, false), rotated = train(skewed, true);
  CHECK(plain.rotation.is_none());
  REQUIRE_FALSE(rotated.rotation.is_none());
  CHECK(error_of(rotated, others) < 0.9 * error_of(plain, others));
  CHECK(train(even, true).rotation.is_none());
  CHECK(train(even, true).words == train(even, false).words);
}

TEST_CASE("product words: indexes of rotated codes find more, and are the same after loading") {
  INFO("seed " << kSeed);
  const Matrix rows = rows_of(6000, true, 1), queries = rows_of(50, true, 2);
  for (const bool is_graph : {true, false}) {
    for (const Metric metric : {Metric::kEuclid, Metric::kDot, Metric::kManhattan}) {
      CAPTURE(is_graph, metric_name(metric));
      IndexSpec spec;
      spec.type = is_graph ? IndexType::kHnsw : IndexType::kIvfPq;
      spec.codes = CodeType::kPq;
      spec.pq_segment_count = kSegments;
      const auto built = build_index(spec, metric, span_of(rows), {});
      REQUIRE(built.has_value());
      const std::string file = saved(**built);
      const auto loaded = load_index(spec, metric, span_of(rows), bytes_of(file));
      REQUIRE(loaded.has_value());
      CHECK(saved(**loaded) == file);
      std::size_t found_count = 0;
      for (std::size_t q = 0; q < queries.row_count; ++q) {
        std::vector<RowHit> first, second;
        SearchStats stats;
        SearchOptions options;
        options.ef = 200;
        options.probe_count = 1000;
        REQUIRE((*built)->search(queries.row(q), options, {}, first, stats).ok());
        REQUIRE((*loaded)->search(queries.row(q), options, {}, second, stats).ok());
        REQUIRE(first.size() == second.size());
        const auto exact = nearest_by_brute_force(metric, rows, queries.row(q), 10);
        for (std::size_t i = 0; i < first.size(); ++i) {
          CHECK(first[i].row == second[i].row);
          CHECK(first[i].distance ==
                distance(metric, queries.row(q), rows.row(first[i].row), kDim));
          for (const RowHit& hit : exact) found_count += hit.row == first[i].row ? 1 : 0;
        }
      }
      const double recall = static_cast<double>(found_count) / 500;
      // Four bytes for 32 values; sums of absolute differences are not rotated.
      CHECK(recall > (metric == Metric::kManhattan ? 0.5 : 0.75));

      // The axes of the rotation lie before the words; one of them is bent.
      if (metric == Metric::kManhattan && is_graph) continue;
      const std::size_t word_bytes = sizeof(float) * ProductWords::kCount * kDim;
      const std::size_t axes =
          file.size() - rows.row_count * kSegments - word_bytes - sizeof(float) * kDim * kDim;
      std::string bent = file;
      const float wrong = 3;
      std::memcpy(bent.data() + axes, &wrong, sizeof(wrong));
      const auto refused = load_index(spec, metric, span_of(rows), bytes_of(bent));
      REQUIRE(refused.has_error());
      CHECK(refused.error().code() == Code::kCorrupt);
      CHECK_THAT(refused.error().message(), Catch::Contains("rotation"));
    }
  }
}

}  // namespace tessera::index
