#include "index/code_grid.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::Matrix;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
constexpr float kHuge = std::numeric_limits<float>::max();

std::vector<std::uint32_t> all_of(const Matrix& rows) {
  std::vector<std::uint32_t> ids(rows.row_count);
  std::iota(ids.begin(), ids.end(), 0U);
  return ids;
}

bool train(Metric metric, const Matrix& rows, const GridOptions& options, CodeGrid& grid) {
  return train_grid(metric, span_of(rows), all_of(rows), options, grid);
}

Matrix constant_rows(std::size_t dim, float value) {
  Matrix rows;
  rows.row_count = 20;
  rows.dim = dim;
  rows.values.assign(rows.row_count * dim, value);
  return rows;
}

/// Where a value's code lies: the nearest level, or the outermost one of those beyond the grid.
struct Reach {
  double low, high;
  Reach(const CodeGrid& grid, std::size_t d)
      : low(grid.center[d] - grid.step * (grid.level_count / 2.0)),
        high(grid.center[d] + grid.step * (grid.level_count / 2.0 - 1)) {}
};

/// Checks every value of the rows; how many lie outside the grid.
std::size_t check_levels(const CodeGrid& grid, const Matrix& rows) {
  std::size_t outside_count = 0;
  std::vector<std::uint8_t> levels(rows.dim);
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    grid.encode(rows.row(i), levels.data());
    for (std::size_t d = 0; d < rows.dim; ++d) {
      const Reach reach(grid, d);
      const double value = rows.row(i)[d];
      const double decoded = reach.low + double{grid.step} * levels[d];
      const double nearest = std::clamp(value, reach.low, reach.high);
      const double rounding = 1e-5 * (std::fabs(value) + std::fabs(grid.center[d]) + grid.step);
      if (nearest != value) ++outside_count;
      if (levels[d] < grid.level_count &&
          std::fabs(decoded - nearest) <= grid.step / 2 + rounding) {
        continue;
      }
      CAPTURE(i, d, value, decoded, grid.step, int{levels[d]});
      FAIL("a value is not on its nearest level");
    }
  }
  return outside_count;
}

}  // namespace

TEST_CASE("code grid: every value is on its nearest level, in 8 and 4 bits, for every metric") {
  const unsigned seed = 5;
  CAPTURE(seed);
  for (const std::size_t dim : {1, 7, 64, 65, 130}) {
    const Matrix rows = clustered_rows({.row_count = 300, .dim = dim, .seed = seed});
    for (const Metric metric : kMetrics) {
      for (const std::uint32_t level_count : {256U, 16U}) {
        CAPTURE(dim, metric_name(metric), level_count);
        CodeGrid grid;
        REQUIRE(train(metric, rows, {level_count, 1}, grid));
        REQUIRE(grid.dim() == dim);
        REQUIRE(grid.level_count == level_count);
        const bool is_product = metric == Metric::kCosine || metric == Metric::kDot;
        for (const float center : grid.center) REQUIRE((!is_product || center == 0));
        const std::size_t outside_count = check_levels(grid, rows);
        // What is outside is there by choice: a thousandth at most, and the edges' rounding.
        REQUIRE(outside_count <= 2 * dim + rows.values.size() / 500);
      }
    }
  }
}

TEST_CASE("code grid: the quantile is the share of the values inside the grid") {
  const Matrix rows = clustered_rows({.row_count = 400, .dim = 40, .spread = 1, .seed = 11});
  for (const Metric metric : kMetrics) {
    double step_before = 0;
    for (const float quantile : {0.5F, 0.9F, 0.99F}) {
      CAPTURE(metric_name(metric), quantile);
      CodeGrid grid;
      REQUIRE(train(metric, rows, {256, quantile}, grid));
      const double outside = static_cast<double>(check_levels(grid, rows));
      const double share = 1 - outside / static_cast<double>(rows.values.size());
      // The outermost levels are half a step less, or one and a half, from the reach.
      REQUIRE(std::fabs(share - quantile) < 0.02);
      REQUIRE(grid.step > step_before);
      step_before = grid.step;
    }
  }
}

TEST_CASE("code grid: whole numbers that a byte holds are kept exactly") {
  std::mt19937 random(17);
  Matrix rows;
  rows.row_count = 200;
  rows.dim = 33;
  for (std::size_t i = 0; i < rows.row_count * rows.dim; ++i) {
    rows.values.push_back(static_cast<float>(random() % 256));
  }
  // Each dimension spans all bytes.
  for (std::size_t d = 0; d < rows.dim; ++d) {
    rows.row(0)[d] = 0;
    rows.row(1)[d] = 255;
  }
  for (const Metric metric : {Metric::kEuclid, Metric::kManhattan}) {
    CodeGrid grid;
    REQUIRE(train(metric, rows, {256, 1}, grid));
    REQUIRE(grid.step == 1);
    std::vector<std::uint8_t> levels(rows.dim);
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      grid.encode(rows.row(i), levels.data());
      for (std::size_t d = 0; d < rows.dim; ++d) {
        REQUIRE(double{grid.center[d]} + levels[d] - 128 == rows.row(i)[d]);
      }
    }
  }
}

TEST_CASE("code grid: rows that are all the same are on a level, for small and large values") {
  for (const Metric metric : kMetrics) {
    for (const std::size_t dim : {1, 64, 100}) {
      for (const float value : {0.0F, 0.3F, -7.0F, 1e6F}) {
        CAPTURE(metric_name(metric), dim, value);
        const Matrix rows = constant_rows(dim, value);
        for (const float quantile : {1.0F, 0.9F}) {
          CodeGrid grid;
          REQUIRE(train(metric, rows, {256, quantile}, grid));
          REQUIRE(std::isfinite(grid.step));
          REQUIRE(grid.step > 0);
          check_levels(grid, rows);
        }
      }
    }
  }
}

TEST_CASE("code grid: a quantile that holds nothing but the middle gives way to all values") {
  Matrix rows = constant_rows(50, 0);
  for (std::size_t i = 0; i < rows.row_count; ++i) rows.row(i)[i] = 0.01F;
  for (const Metric metric : kMetrics) {
    CodeGrid grid;
    REQUIRE(train(metric, rows, {256, 0.9F}, grid));
    REQUIRE(grid.step <= 0.01F);
  }
}

TEST_CASE("code grid: values that squares of floats cannot hold are refused, not made NaN") {
  for (const Metric metric : kMetrics) {
    for (const float quantile : {1.0F, 0.9F}) {
      for (const float value : {kHuge, -kHuge, 1e20F}) {
        CAPTURE(metric_name(metric), quantile, value);
        Matrix rows = constant_rows(64, 1);
        rows.row(3)[5] = value;
        CodeGrid grid;
        REQUIRE_FALSE(train(metric, rows, {256, quantile}, grid));
      }
      CAPTURE(metric_name(metric), quantile);
      // Far from zero and near each other: only products are lost.
      const bool is_product = metric == Metric::kCosine || metric == Metric::kDot;
      CodeGrid grid;
      REQUIRE(train(metric, constant_rows(64, kHuge), {256, quantile}, grid) == !is_product);
      if (!is_product) {
        for (const float center : grid.center) REQUIRE(std::isfinite(center));
      }
    }
  }
}

TEST_CASE("code grid: values too small for a step are refused") {
  for (const Metric metric : kMetrics) {
    for (const float quantile : {1.0F, 0.99F}) {
      for (const float value : {1e-44F, 1e-38F, 1e-30F}) {
        CAPTURE(metric_name(metric), quantile, value);
        Matrix rows = constant_rows(64, 0);
        for (std::size_t i = 0; i < rows.values.size(); ++i) {
          rows.values[i] = value * static_cast<float>(1 + i % 5);
        }
        CodeGrid grid;
        REQUIRE_FALSE(train(metric, rows, {256, quantile}, grid));
      }
    }
  }
}

TEST_CASE("signed bytes: a vector is its bytes times the scale, within half a scale") {
  const unsigned seed = 23;
  CAPTURE(seed);
  for (const std::size_t dim : {1, 15, 16, 17, 64, 200}) {
    CAPTURE(dim);
    const Matrix rows = clustered_rows({.row_count = 50, .dim = dim, .spread = 2, .seed = seed});
    const std::vector<float> center(rows.row(49), rows.row(49) + dim);
    std::vector<std::int8_t> bytes(dim);
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      SignedBytes made;
      REQUIRE(to_signed_bytes(rows.row(i), center.data(), dim, bytes.data(), made));
      std::int32_t sum = 0;
      double squares = 0;
      int greatest = 0;
      for (std::size_t d = 0; d < dim; ++d) {
        greatest = std::max(greatest, std::abs(bytes[d]));
        const double value = double{rows.row(i)[d]} - center[d];
        REQUIRE(std::fabs(value - double{made.scale} * bytes[d]) <= made.scale * 0.501);
        sum += bytes[d];
        squares += value * value;
      }
      REQUIRE(greatest == (squares > 0 ? 127 : 0));
      REQUIRE(made.sum == sum);
      REQUIRE(made.squared_norm == Approx(squares).epsilon(1e-5).margin(1e-12));
      REQUIRE(made.scale > 0);
    }
  }
}

TEST_CASE("signed bytes: what is too large or too small to scale is refused") {
  const std::vector<float> center(40, 0), far(40, -kHuge);
  std::vector<std::int8_t> bytes(40);
  SignedBytes made;
  for (const float value : {kHuge, -kHuge, 1e19F, 1e-44F}) {
    CAPTURE(value);
    for (const std::size_t at : {0, 20, 39}) {
      std::vector<float> values(40, 0);
      values[at] = value;
      REQUIRE_FALSE(to_signed_bytes(values.data(), center.data(), 40, bytes.data(), made));
    }
  }
  const std::vector<float> zeros(40, 0);
  REQUIRE_FALSE(to_signed_bytes(zeros.data(), far.data(), 40, bytes.data(), made));
  REQUIRE(to_signed_bytes(zeros.data(), center.data(), 40, bytes.data(), made));
  REQUIRE(made.sum == 0);
  REQUIRE(made.scale > 0);
}
