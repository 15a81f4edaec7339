#include "index/bound_codes.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "index/kernels.h"

using namespace tessera;
using namespace tessera::index;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kEuclid};

std::vector<float> random_values(std::mt19937_64& random, std::size_t count, float scale,
                                 float offset) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = scale * normal(random) + offset;
  return values;
}

double norm_of(const float* values, std::size_t dim) {
  double squares = 0;
  for (std::size_t d = 0; d < dim; ++d) squares += double{values[d]} * values[d];
  return std::sqrt(squares);
}

struct Gap {
  double most = 0;  ///< Distance less bound, as a share of the norms' product or squares.
  std::size_t unknown_count = 0;
};

/// Checks that no distance is below its bound.
Gap check_bounds(Metric metric, std::size_t dim, const std::vector<float>& rows,
                 const std::vector<float>& query) {
  const std::size_t row_count = rows.size() / dim;
  BoundCodes codes(dim, row_count);
  for (std::size_t row = 0; row < row_count; ++row) codes.set(row, rows.data() + row * dim);
  BoundCodes::Query prepared;
  BoundCodes::prepare(metric, query.data(), dim, prepared);
  std::vector<float> bounds(row_count), distances_of(row_count);
  codes.lower_bounds(prepared, 0, row_count, bounds.data());
  distances(metric, query.data(), rows.data(), row_count, dim, distances_of.data());
  const double query_norm = norm_of(query.data(), dim);
  Gap gap;
  for (std::size_t row = 0; row < row_count; ++row) {
    CAPTURE(row, dim, bounds[row], distances_of[row]);
    if (!std::isfinite(bounds[row])) {
      ++gap.unknown_count;
      continue;
    }
    CHECK(bounds[row] <= distances_of[row]);
    const double norm = norm_of(rows.data() + row * dim, dim);
    const double size =
        metric == Metric::kEuclid ? norm * norm + query_norm * query_norm : norm * query_norm;
    gap.most = std::max(gap.most, (double{distances_of[row]} - bounds[row]) / size);
  }
  return gap;
}

}  // namespace

TEST_CASE("bound codes: no distance is below its bound, and bounds are near") {
  const std::uint64_t seed = 4711;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (const Metric metric : kMetrics) {
    for (const std::size_t dim : {48, 63, 64, 65, 128, 200, 768, 1536}) {
      for (const float scale : {1e-18F, 1e-3F, 1.F, 1e4F, 1e15F}) {
        for (const float offset : {0.F, 5.F}) {
          CAPTURE(metric_name(metric), scale, offset);
          const auto rows = random_values(random, 300 * dim, scale, offset * scale);
          auto query = random_values(random, dim, scale, offset * scale);
          // A row that is the query, the nearest of all.
          std::vector<float> with_query = rows;
          std::copy(query.begin(), query.end(), with_query.begin());
          const Gap gap = check_bounds(metric, dim, with_query, query);
          CHECK(gap.unknown_count == 0);
          CHECK(gap.most < 0.05);
        }
      }
    }
  }
}

TEST_CASE("bound codes: where numbers leave what a float holds nothing false is said") {
  std::mt19937_64 random(12);
  constexpr std::size_t kDim = 96;
  for (const Metric metric : kMetrics) {
    CAPTURE(metric_name(metric));
    for (const float scale : {1e-44F, 1e-38F, 1e18F, 1e30F, 3e37F}) {
      CAPTURE(scale);
      auto rows = random_values(random, 50 * kDim, scale, 0);
      const auto query = random_values(random, kDim, scale, 0);
      std::copy(query.begin(), query.end(), rows.begin());
      check_bounds(metric, kDim, rows, query);
    }
    // Zero rows, a zero query, one large value among small ones.
    std::vector<float> rows = random_values(random, 50 * kDim, 1, 0);
    std::fill_n(rows.begin(), kDim, 0.F);
    rows[kDim] = 1e20F;
    rows[3 * kDim + 5] = std::numeric_limits<float>::denorm_min();
    check_bounds(metric, kDim, rows, std::vector<float>(kDim, 0.F));
    check_bounds(metric, kDim, rows, random_values(random, kDim, 1, 0));
  }
}

TEST_CASE("bound codes are not for L1 distances nor for few dimensions") {
  CHECK_FALSE(BoundCodes::are_useful(Metric::kManhattan, 128));
  CHECK_FALSE(BoundCodes::are_useful(Metric::kCosine, 8));
  CHECK_FALSE(BoundCodes::are_useful(Metric::kCosine, 65'537));
  CHECK(BoundCodes::are_useful(Metric::kEuclid, 65'536));
}
