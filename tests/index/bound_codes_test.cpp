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

/// The places of the rows that may be at `farthest` or nearer, a flag for each row.
std::vector<bool> near_flags(const BoundCodes& codes, const BoundCodes::Query& query,
                             float farthest, std::size_t row_count) {
  std::vector<std::uint32_t> places(row_count);
  places.resize(codes.near_rows(query, farthest, 0, row_count, places.data()));
  std::vector<bool> flags(row_count, false);
  for (const std::uint32_t place : places) flags[place] = true;
  return flags;
}

/// Checks that every row is near at its own distance, and, where the numbers are ordinary ones,
/// that no row is near at a distance that is clearly less.
void check_bounds(Metric metric, std::size_t dim, const std::vector<float>& rows,
                  const std::vector<float>& query, bool is_ordinary) {
  const std::size_t row_count = rows.size() / dim;
  BoundCodes codes(dim, row_count);
  for (std::size_t row = 0; row < row_count; ++row) codes.set(row, rows.data() + row * dim);
  BoundCodes::Query prepared;
  BoundCodes::prepare(metric, query.data(), dim, prepared);
  std::vector<float> distances_of(row_count);
  distances(metric, query.data(), rows.data(), row_count, dim, distances_of.data());
  const double query_norm = norm_of(query.data(), dim);
  constexpr double kGapMax = 0.05;
  for (std::size_t row = 0; row < row_count; ++row) {
    CAPTURE(row, dim, distances_of[row]);
    CHECK(near_flags(codes, prepared, distances_of[row], row_count)[row]);
    if (!is_ordinary) continue;
    const double norm = norm_of(rows.data() + row * dim, dim);
    const double size =
        metric == Metric::kEuclid ? norm * norm + query_norm * query_norm : norm * query_norm;
    const auto less = static_cast<float>(distances_of[row] - kGapMax * size);
    CHECK_FALSE(near_flags(codes, prepared, less, row_count)[row]);
  }
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
          const auto rows = random_values(random, 75 * dim, scale, offset * scale);
          auto query = random_values(random, dim, scale, offset * scale);
          // A row that is the query, the nearest of all.
          std::vector<float> with_query = rows;
          std::copy(query.begin(), query.end(), with_query.begin());
          check_bounds(metric, dim, with_query, query, true);
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
      check_bounds(metric, kDim, rows, query, false);
    }
    // Zero rows, a zero query, one large value among small ones.
    std::vector<float> rows = random_values(random, 50 * kDim, 1, 0);
    std::fill_n(rows.begin(), kDim, 0.F);
    rows[kDim] = 1e20F;
    rows[3 * kDim + 5] = std::numeric_limits<float>::denorm_min();
    check_bounds(metric, kDim, rows, std::vector<float>(kDim, 0.F), false);
    check_bounds(metric, kDim, rows, random_values(random, kDim, 1, 0), false);
  }
}

TEST_CASE("bound codes: rows from the middle have the same bounds as rows from the first on") {
  const std::uint64_t seed = 815;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  constexpr std::size_t kDim = 70, kRowCount = 100;
  const auto rows = random_values(random, kRowCount * kDim, 1, 0);
  const auto query = random_values(random, kDim, 1, 0);
  BoundCodes codes(kDim, kRowCount);
  for (std::size_t row = 0; row < kRowCount; ++row) codes.set(row, rows.data() + row * kDim);
  BoundCodes::Query prepared;
  BoundCodes::prepare(Metric::kDot, query.data(), kDim, prepared);
  const auto all = near_flags(codes, prepared, -2, kRowCount);
  for (std::size_t first = 0; first < kRowCount; ++first) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, kRowCount - first}) {
      CAPTURE(first, count);
      std::vector<std::uint32_t> places(count);
      places.resize(codes.near_rows(prepared, -2, first, count, places.data()));
      std::vector<std::uint32_t> expected;
      for (std::size_t i = 0; i < count; ++i) {
        if (all[first + i]) expected.push_back(static_cast<std::uint32_t>(i));
      }
      CHECK(places == expected);
    }
  }
}

TEST_CASE("bound codes are not for L1 distances nor for few dimensions") {
  CHECK_FALSE(BoundCodes::are_useful(Metric::kManhattan, 128));
  CHECK_FALSE(BoundCodes::are_useful(Metric::kCosine, 8));
  CHECK_FALSE(BoundCodes::are_useful(Metric::kCosine, 65'537));
  CHECK(BoundCodes::are_useful(Metric::kEuclid, 65'536));
}
