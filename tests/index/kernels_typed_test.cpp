#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "base/float16.h"
#include "index/kernel_table.h"
#include "index/kernels.h"

using namespace tessera;
using namespace tessera::index;

namespace {

constexpr std::uint32_t kSeed = 20241003;
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};

std::vector<std::size_t> tested_dims() {
  std::vector<std::size_t> dims(70);
  std::iota(dims.begin(), dims.end(), 1);
  for (const std::size_t dim : {96, 127, 128, 129, 768, 784, 1537}) dims.push_back(dim);
  return dims;
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

double to_double(Float16 value) {
  return to_float(value);
}
double to_double(std::uint8_t value) {
  return value;
}
double to_double(float value) {
  return value;
}

struct Expected {
  double value = 0;
  double magnitude = 0;  ///< Sum of the absolute terms: what rounding errors are relative to.
};

template <class Value>
Expected oracle(Metric metric, const float* query, const Value* row, std::size_t dim) {
  Expected expected;
  for (std::size_t i = 0; i < dim; ++i) {
    const double x = query[i], y = to_double(row[i]);
    double term = -x * y;
    if (metric == Metric::kEuclid) term = (x - y) * (x - y);
    if (metric == Metric::kManhattan) term = std::fabs(x - y);
    expected.value += term;
    expected.magnitude += std::fabs(term);
  }
  return expected;
}

/// Rounding of a sum in float: a handful of ulps of the absolute sum, plus the smallest denormals.
double tolerance(const Expected& expected, std::size_t dim) {
  return 4e-7 * (4 + std::sqrt(static_cast<double>(dim))) * expected.magnitude +
         1e-44 * static_cast<double>(dim);
}

/// All forms of one metric's kernels over `row_count` rows, at some distance from alignment.
template <class Value, class Make>
void check_kernels(const RowKernels<Value>& kernels, Metric metric, std::size_t dim,
                   std::mt19937& random, Make make) {
  constexpr std::size_t kRowCount = 11;
  std::normal_distribution<float> normal;
  for (const std::size_t misalignment : {0, 1, 3}) {
    std::vector<float> queries(dim + misalignment);
    for (float& value : queries) value = normal(random);
    std::vector<Value> values(kRowCount * dim + misalignment);
    for (Value& value : values) value = make();
    const float* query = queries.data() + misalignment;
    const Value* rows = values.data() + misalignment;
    std::vector<std::uint32_t> ids = {7, 0, 10, 10, 3, 1, 5};
    std::vector<float> batch(kRowCount), by_id(ids.size());
    kernels.rows(query, rows, kRowCount, dim, batch.data());
    kernels.rows_at(query, rows, ids.data(), ids.size(), dim, by_id.data());
    for (std::size_t i = 0; i < kRowCount; ++i) {
      const Value* row = rows + i * dim;
      const Expected expected = oracle(metric, query, row, dim);
      CAPTURE(misalignment, i, expected.value, batch[i]);
      REQUIRE(std::fabs(batch[i] - expected.value) <= tolerance(expected, dim));
      REQUIRE(same_bits(kernels.pair(query, row, dim), batch[i]));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) REQUIRE(same_bits(by_id[i], batch[ids[i]]));
  }
}

template <class Value, class Make>
void check_every_level(ByMetric<RowKernels<Value>> TypedKernels::*type, std::mt19937& random,
                       Make make) {
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : tested_dims()) {
      for (const Metric metric : kMetrics) {
        CAPTURE(table->level, dim, metric_name(metric));
        check_kernels<Value>((table->typed.*type).of(metric), metric, dim, random, make);
      }
    }
  }
}

}  // namespace

TEST_CASE("typed kernels: float16 rows agree with a double-precision oracle on every level") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  std::normal_distribution<float> normal;
  // Every bit pattern of a finite value, so denormals too; and values of ordinary size.
  const auto any_finite = [&] {
    for (;;) {
      const Float16 value = {static_cast<std::uint16_t>(random())};
      if (std::isfinite(to_float(value))) return value;
    }
  };
  check_every_level<Float16>(&TypedKernels::float16, random, any_finite);
  check_every_level<Float16>(&TypedKernels::float16, random,
                             [&] { return to_float16(normal(random)); });
  check_every_level<Float16>(&TypedKernels::float16, random, [&] {
    return Float16{static_cast<std::uint16_t>(random() & 0x83FFU)};  // zeros and denormals
  });
}

TEST_CASE("typed kernels: uint8 rows agree with a double-precision oracle on every level") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  check_every_level<std::uint8_t>(&TypedKernels::uint8, random,
                                  [&] { return static_cast<std::uint8_t>(random()); });
}

TEST_CASE("typed kernels: a tail never reads the values behind the row") {
  const Float16 half_nan = to_float16(std::numeric_limits<float>::quiet_NaN());
  for (const KernelTable* table : supported_kernels()) {
    for (std::size_t dim = 1; dim <= 70; ++dim) {
      // NaN behind the end would spoil the sum.
      std::vector<float> query(dim + 64, std::numeric_limits<float>::quiet_NaN());
      std::fill_n(query.begin(), dim, 2.0F);
      std::vector<Float16> row(dim + 64, half_nan);
      std::fill_n(row.begin(), dim, to_float16(3.0F));
      CAPTURE(table->level, dim);
      REQUIRE(table->typed.float16.l2.pair(query.data(), row.data(), dim) == 1.0F * dim);
      REQUIRE(table->typed.float16.l1.pair(query.data(), row.data(), dim) == 1.0F * dim);
      REQUIRE(table->typed.float16.inner_product.pair(query.data(), row.data(), dim) ==
              -6.0F * dim);
    }
  }
}

TEST_CASE("typed kernels: infinite float16 values stay infinite and never give NaN") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : {1, 5, 16, 33, 130}) {
      CAPTURE(table->level, dim);
      const std::vector<float> ones(dim, 1.0F);
      std::vector<Float16> row(dim, to_float16(1.0F));
      row[dim - 1] = to_float16(infinity);
      REQUIRE(table->typed.float16.l2.pair(ones.data(), row.data(), dim) == infinity);
      REQUIRE(table->typed.float16.l1.pair(ones.data(), row.data(), dim) == infinity);
      REQUIRE(table->typed.float16.inner_product.pair(ones.data(), row.data(), dim) == -infinity);
      row[0] = to_float16(-infinity);
      if (dim > 1) {
        REQUIRE(table->typed.float16.inner_product.pair(ones.data(), row.data(), dim) == infinity);
      }
    }
  }
}

TEST_CASE("float16: every value survives the way to float32 and back") {
  for (std::uint32_t bits = 0; bits <= 0xFFFFU; ++bits) {
    const Float16 half = {static_cast<std::uint16_t>(bits)};
    CAPTURE(bits);
    if (std::isnan(to_float(half))) {
      REQUIRE(std::isnan(to_float(to_float16(to_float(half)))));
    } else {
      REQUIRE(to_float16(to_float(half)).bits == half.bits);
      const double value = bits % 1024, exponent = bits / 1024 % 32;
      double expected = exponent == 0 ? std::ldexp(value, -24)
                                      : std::ldexp(1024 + value, static_cast<int>(exponent) - 25);
      if (exponent == 31) expected = std::numeric_limits<double>::infinity();
      REQUIRE(to_double(half) == (bits < 0x8000U ? expected : -expected));
    }
  }
}

TEST_CASE("float16: rounding takes the nearest value, and the even one of two as near") {
  // Halfway between neighbours, and the float32 values next to that.
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t bits = 0; bits < 0x7BFFU; ++bits) {
    const Float16 low = {static_cast<std::uint16_t>(bits)};
    const Float16 high = {static_cast<std::uint16_t>(bits + 1)};
    const float middle = (to_float(low) + to_float(high)) / 2;
    CAPTURE(bits);
    REQUIRE(to_float16(middle).bits == (bits % 2 == 0 ? low.bits : high.bits));
    REQUIRE(to_float16(std::nextafter(middle, 0.0F)).bits == low.bits);
    REQUIRE(to_float16(std::nextafter(middle, infinity)).bits == high.bits);
    REQUIRE(to_float16(-middle).bits == (0x8000U | to_float16(middle).bits));
  }
  REQUIRE(to_float(to_float16(65519.0F)) == 65504.0F);
  REQUIRE(to_float(to_float16(65520.0F)) == infinity);
  REQUIRE(to_float(to_float16(std::numeric_limits<float>::max())) == infinity);
  REQUIRE(to_float16(std::numeric_limits<float>::denorm_min()).bits == 0);
}

TEST_CASE("prefix kernels: the distance is that of the first values alone on every level") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  std::normal_distribution<float> normal;
  constexpr std::size_t kRowCount = 11;
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : tested_dims()) {
      const PrefixRows shape = {nullptr, dim, 1 + random() % dim};
      std::vector<float> query(shape.prefix_dim), values(kRowCount * dim);
      for (float& value : query) value = normal(random);
      for (float& value : values) value = normal(random);
      const PrefixRows rows = {values.data(), dim, shape.prefix_dim};
      const std::vector<std::uint32_t> ids = {7, 0, 10, 10, 3, 1, 5};
      for (const Metric metric : kMetrics) {
        CAPTURE(table->level, dim, rows.prefix_dim, metric_name(metric));
        std::vector<float> batch(kRowCount), by_id(ids.size());
        table->typed.prefix.of(metric).rows(query.data(), rows, kRowCount, batch.data());
        table->typed.prefix.of(metric).rows_at(query.data(), rows, ids.data(), ids.size(),
                                               by_id.data());
        for (std::size_t i = 0; i < ids.size(); ++i) REQUIRE(same_bits(by_id[i], batch[ids[i]]));
        for (std::size_t i = 0; i < kRowCount; ++i) {
          const float* row = values.data() + i * dim;
          Expected expected = oracle(metric, query.data(), row, rows.prefix_dim);
          if (metric == Metric::kCosine) {
            const Expected squares = oracle(Metric::kDot, row, row, rows.prefix_dim);
            expected.value /= std::sqrt(squares.magnitude);
            expected.magnitude /= std::sqrt(squares.magnitude);
          } else {
            REQUIRE(
                same_bits(table->of(metric).pair(query.data(), row, rows.prefix_dim), batch[i]));
          }
          REQUIRE(std::fabs(batch[i] - expected.value) <= 2 * tolerance(expected, rows.prefix_dim));
        }
      }
    }
  }
}

TEST_CASE("prefix kernels: Cosine is 0 for a zero prefix and right for tiny and huge ones") {
  const std::vector<float> query = {0.6F, 0.8F};
  for (const KernelTable* table : supported_kernels()) {
    CAPTURE(table->level);
    const std::vector<float> values = {0, 0,     1,     3e-25F, 4e-25F, 1, 3e-38F, -4e-38F,
                                       1, 3e25F, 4e25F, 1,      3,      4, 1};
    std::vector<float> out(5);
    table->typed.prefix.cosine.rows(query.data(), {values.data(), 3, 2}, 5, out.data());
    REQUIRE(out[0] == 0);
    REQUIRE(out[1] == Approx(-1).epsilon(1e-5));
    REQUIRE(out[2] == Approx(0.28).epsilon(1e-5));
    REQUIRE(out[3] == Approx(-1).epsilon(1e-5));
    REQUIRE(out[4] == Approx(-1).epsilon(1e-5));
  }
}

TEST_CASE("prefix kernels: the public functions use the chosen level") {
  const std::vector<float> query = {1, 2};
  const std::vector<float> values = {1, 0, 9, 0, 1, 9};
  const std::vector<std::uint32_t> ids = {1, 0};
  for (const Metric metric : kMetrics) {
    std::vector<float> batch(2), by_id(2), expected(2);
    const PrefixRows rows = {values.data(), 3, 2};
    prefix_distances(metric, query.data(), rows, 2, batch.data());
    prefix_distances_at(metric, query.data(), rows, ids, by_id.data());
    kernels().typed.prefix.of(metric).rows(query.data(), rows, 2, expected.data());
    REQUIRE(batch == expected);
    REQUIRE(by_id == std::vector<float>{expected[1], expected[0]});
  }
}
