#include "index/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "index/kernel_table.h"

using namespace tessera;
using namespace tessera::index;

namespace {

constexpr std::uint32_t kSeed = 20240611;
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};

std::vector<std::size_t> tested_dims() {
  std::vector<std::size_t> dims(70);
  std::iota(dims.begin(), dims.end(), 1);
  for (const std::size_t dim : {96, 100, 127, 128, 129, 768, 784, 1536, 1537}) dims.push_back(dim);
  return dims;
}

std::vector<float> random_values(std::mt19937& random, std::size_t count, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Expected {
  double value = 0;
  double magnitude = 0;  ///< Sum of the absolute terms: what rounding errors are relative to.
};

template <class Row>
Expected oracle(Metric metric, const float* a, Row b, std::size_t dim) {
  Expected expected;
  for (std::size_t i = 0; i < dim; ++i) {
    const double x = a[i], y = b(i);
    double term = 0;
    switch (metric) {
      case Metric::kCosine:
      case Metric::kDot:
        term = -x * y;
        break;
      case Metric::kEuclid:
        term = (x - y) * (x - y);
        break;
      case Metric::kManhattan:
        term = std::fabs(x - y);
        break;
    }
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

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

}  // namespace

TEST_CASE("kernels: every level, metric and dimension agrees with a double-precision oracle") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : tested_dims()) {
      for (const std::size_t misalignment : {0, 1, 3}) {
        const auto a = random_values(random, dim + misalignment);
        const auto b = random_values(random, dim + misalignment);
        const float* x = a.data() + misalignment;
        const float* y = b.data() + misalignment;
        for (const Metric metric : kMetrics) {
          const Expected expected = oracle(
              metric, x, [&](std::size_t i) { return y[i]; }, dim);
          const float got = table->of(metric).pair(x, y, dim);
          CAPTURE(table->level, dim, misalignment, metric_name(metric), expected.value, got);
          REQUIRE(std::fabs(got - expected.value) <= tolerance(expected, dim));
        }
      }
    }
  }
}

TEST_CASE("kernels: a tail never reads the values behind the vector") {
  for (const KernelTable* table : supported_kernels()) {
    for (std::size_t dim = 1; dim <= 70; ++dim) {
      // NaN behind the end would spoil the sum.
      std::vector<float> a(dim + 64, std::numeric_limits<float>::quiet_NaN());
      std::fill_n(a.begin(), dim, 2.0F);
      std::vector<float> b(dim + 64, std::numeric_limits<float>::quiet_NaN());
      std::fill_n(b.begin(), dim, 3.0F);
      CAPTURE(table->level, dim);
      REQUIRE(table->l2.pair(a.data(), b.data(), dim) == static_cast<float>(dim));
      REQUIRE(table->l1.pair(a.data(), b.data(), dim) == static_cast<float>(dim));
      REQUIRE(table->inner_product.pair(a.data(), b.data(), dim) == -6.0F * dim);
    }
  }
}

TEST_CASE("kernels: rows in a batch, rows by id and single pairs have the same bits") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : tested_dims()) {
      const std::size_t row_count = 19;
      const auto query = random_values(random, dim);
      const auto rows = random_values(random, dim * row_count);
      const std::vector<std::uint32_t> ids = {7, 0, 18, 18, 3, 1, 12};
      for (const Metric metric : kMetrics) {
        const MetricKernels& kernels = table->of(metric);
        std::vector<float> batch(row_count), by_id(ids.size());
        kernels.rows(query.data(), rows.data(), row_count, dim, batch.data());
        kernels.rows_at(query.data(), rows.data(), ids.data(), ids.size(), dim, by_id.data());
        CAPTURE(table->level, dim, metric_name(metric));
        for (std::size_t i = 0; i < row_count; ++i) {
          REQUIRE(same_bits(batch[i], kernels.pair(query.data(), rows.data() + i * dim, dim)));
        }
        for (std::size_t i = 0; i < ids.size(); ++i) REQUIRE(same_bits(by_id[i], batch[ids[i]]));
        // However many rows a call has, and so whichever rows are measured side by side.
        for (std::size_t count = 0; count < 10; ++count) {
          std::vector<float> some(count + 1, -1.0F);
          kernels.rows(query.data(), rows.data(), count, dim, some.data());
          for (std::size_t i = 0; i < count; ++i) REQUIRE(same_bits(some[i], batch[i]));
          REQUIRE(some[count] == -1.0F);
        }
      }
    }
  }
}

TEST_CASE("kernels: denormals, zeros and the largest values give the mathematical answer") {
  const float denormal = std::numeric_limits<float>::denorm_min();
  const float largest = std::numeric_limits<float>::max();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : {1, 5, 16, 33, 130}) {
      CAPTURE(table->level, dim);
      const std::vector<float> zero(dim, 0.0F), tiny(dim, denormal), huge(dim, largest),
          low(dim, -largest);
      for (const Metric metric : kMetrics) {
        REQUIRE(table->of(metric).pair(zero.data(), zero.data(), dim) == 0.0F);
      }
      REQUIRE(table->l2.pair(tiny.data(), zero.data(), dim) == 0.0F);
      REQUIRE(table->l1.pair(tiny.data(), zero.data(), dim) == denormal * static_cast<float>(dim));
      REQUIRE(table->l2.pair(huge.data(), huge.data(), dim) == 0.0F);
      REQUIRE(table->l2.pair(huge.data(), low.data(), dim) == infinity);
      REQUIRE(table->inner_product.pair(huge.data(), huge.data(), dim) == -infinity);
      std::vector<float> mixed = huge;
      mixed[0] = -largest;
      const float cancelled = table->inner_product.pair(huge.data(), mixed.data(), dim);
      REQUIRE_FALSE(std::isnan(cancelled));
      if (dim > 1) REQUIRE(cancelled == infinity);
    }
  }
}

TEST_CASE("kernels: 8-bit codes agree with the oracle, one at a time and in a batch") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  std::uniform_int_distribution<int> byte(0, 255);
  for (const KernelTable* table : supported_kernels()) {
    for (const std::size_t dim : tested_dims()) {
      const std::size_t row_count = 5;
      const auto query = random_values(random, dim);
      auto scale = random_values(random, dim, 0.01F);
      for (float& value : scale) value = std::fabs(value);
      std::vector<std::uint8_t> codes(row_count * dim);
      for (auto& code : codes) code = static_cast<std::uint8_t>(byte(random));
      for (const Metric metric : kMetrics) {
        const MetricKernels& kernels = table->of(metric);
        std::vector<float> batch(row_count);
        kernels.codes(query.data(), scale.data(), codes.data(), row_count, dim, batch.data());
        for (std::size_t i = 0; i < row_count; ++i) {
          const std::uint8_t* code = codes.data() + i * dim;
          const Expected expected = oracle(
              metric, query.data(),
              [&](std::size_t j) { return static_cast<double>(scale[j]) * code[j]; }, dim);
          CAPTURE(table->level, dim, metric_name(metric), i, expected.value, batch[i]);
          REQUIRE(std::fabs(batch[i] - expected.value) <=
                  tolerance(expected, dim) + 1e-6 * expected.magnitude);
          float single = 0;
          kernels.codes(query.data(), scale.data(), code, 1, dim, &single);
          REQUIRE(same_bits(single, batch[i]));
        }
      }
    }
  }
}

TEST_CASE("kernels: the public functions use the chosen level") {
  std::mt19937 random(kSeed);
  const std::size_t dim = 77;
  const auto a = random_values(random, dim), b = random_values(random, dim);
  REQUIRE(std::string(cpu_level()) == kernels().level);
  for (const Metric metric : kMetrics) {
    const float expected = kernels().of(metric).pair(a.data(), b.data(), dim);
    float row = 0, at = 0;
    const std::uint32_t id = 0;
    distances(metric, a.data(), b.data(), 1, dim, &row);
    distances_at(metric, a.data(), b.data(), {&id, 1}, dim, &at);
    REQUIRE(same_bits(distance(metric, a.data(), b.data(), dim), expected));
    REQUIRE(same_bits(row, expected));
    REQUIRE(same_bits(at, expected));
  }
  REQUIRE(same_bits(inner_product(a.data(), b.data(), dim),
                    -distance(Metric::kDot, a.data(), b.data(), dim)));
}

TEST_CASE("kernels: a level can be lowered by name, and an unknown name is told apart") {
  REQUIRE(kernels_for("") == supported_kernels().front());
  // What every CPU of the architecture has: on ARM that is NEON, and there is nothing below it.
  REQUIRE(std::string(kernels_for("baseline")->level) == supported_kernels().back()->level);
  REQUIRE(kernels_for("sse9") == nullptr);
  REQUIRE(kernels_for("avx512") == supported_kernels().front());
  for (const KernelTable* table : supported_kernels()) {
    REQUIRE(std::string(kernels_for(table->level)->level) == table->level);
  }
}

TEST_CASE("kernels: scores and distances are each other's inverse and keep their order") {
  for (const Metric metric : kMetrics) {
    CAPTURE(metric_name(metric));
    float previous = score_of(metric, 0.25F);
    for (const float distance : {0.5F, 1.0F, 4.0F, 900.0F}) {
      const float score = score_of(metric, distance);
      REQUIRE(distance_of(metric, score) == Approx(distance));
      REQUIRE((higher_is_nearer(metric) ? score < previous : score > previous));
      previous = score;
    }
  }
  REQUIRE(score_of(Metric::kEuclid, 9) == 3);
  REQUIRE(score_of(Metric::kDot, -9) == 9);
  // No distance is negative, so nothing is within a negative threshold.
  REQUIRE(distance_of(Metric::kEuclid, -2) == -4);
  REQUIRE(distance_of(Metric::kManhattan, -2) == -2);
}

TEST_CASE("kernels: normalise gives unit length at any scale and leaves zero alone") {
  for (const float scale : {1e-40F, 1e-20F, 1.0F, 1e20F, 1e38F}) {
    std::vector<float> vector = {1 * scale, -2 * scale, 2 * scale};
    CAPTURE(scale);
    REQUIRE(normalise(vector));
    REQUIRE(vector[0] == Approx(1.0 / 3).epsilon(1e-4));
    REQUIRE(vector[1] == Approx(-2.0 / 3).epsilon(1e-4));
    REQUIRE(vector[2] == Approx(2.0 / 3).epsilon(1e-4));
  }
  std::vector<float> zero = {0, 0, -0.0F};
  REQUIRE_FALSE(normalise(zero));
  REQUIRE(zero == std::vector<float>{0, 0, 0});
  REQUIRE_FALSE(normalise(std::span<float>{}));
}
