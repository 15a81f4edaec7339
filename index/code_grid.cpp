#include "index/code_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace tessera::index {
namespace {

// Adding it to a float of at most 2^22 leaves the rounded value in the low bits: rounding that the
// compiler turns into vector instructions.
constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23
constexpr std::size_t kErrorValuesMax = 1 << 20;
constexpr std::array<double, 4> kQuantiles = {1, 0.99999, 0.9999, 0.999};

std::int32_t round_small(float value) {
  const float shifted = value + kRounder;
  std::int32_t bits = 0;
  std::memcpy(&bits, &shifted, sizeof(bits));
  constexpr std::int32_t kRounderBits = 0x4B400000;
  return bits - kRounderBits;
}

/// Rows of the sample, as many as give about kErrorValuesMax values.
std::span<const std::uint32_t> part_of(std::span<const std::uint32_t> sample, std::size_t dim) {
  return sample.first(std::min(sample.size(), std::max<std::size_t>(1, kErrorValuesMax / dim)));
}

/// How far codes shift the similarity of near rows: the squared product of a row, less the centre,
/// with its own error. The plain squared error would cut off the few large values that decide.
double similarity_error(const CodeGrid& grid, VectorSpan rows,
                        std::span<const std::uint32_t> sample) {
  std::vector<std::uint8_t> levels(rows.dim);
  const auto half = static_cast<double>(grid.level_count / 2);
  double total = 0;
  RowReader row_of(rows);
  for (const std::uint32_t row : sample) {
    const float* const values = row_of(row);
    grid.encode(values, levels.data());
    double product = 0;
    for (std::size_t d = 0; d < rows.dim; ++d) {
      const double value = double{values[d]} - grid.center[d];
      product += value * (grid.step * (levels[d] - half) - value);
    }
    total += product * product;
  }
  return total;
}

/// The middle of each dimension's range.
std::vector<double> middles_of(VectorSpan rows, std::span<const std::uint32_t> sample) {
  std::vector<float> low(rows.dim, std::numeric_limits<float>::infinity());
  std::vector<float> high(rows.dim, -std::numeric_limits<float>::infinity());
  RowReader row_of(rows);
  for (const std::uint32_t row : sample) {
    const float* const values = row_of(row);
    for (std::size_t d = 0; d < rows.dim; ++d) {
      low[d] = std::min(low[d], values[d]);
      high[d] = std::max(high[d], values[d]);
    }
  }
  std::vector<double> middles(rows.dim);
  for (std::size_t d = 0; d < rows.dim; ++d) middles[d] = (double{low[d]} + high[d]) / 2;
  return middles;
}

/// A grid whose outermost levels are about `reach` from the middles.
CodeGrid grid_of(const std::vector<double>& middles, double reach, std::uint32_t level_count) {
  CodeGrid grid;
  grid.level_count = level_count;
  grid.center.resize(middles.size());
  const double step = 2 * reach / (level_count - 1);
  grid.step = step > 0 ? static_cast<float>(step) : 1;
  // Centres on multiples of the step keep values that are multiples of it, such as bytes, exact.
  for (std::size_t d = 0; d < middles.size(); ++d) {
    const double multiple = std::floor(middles[d] / grid.step + 0.5) * grid.step;
    grid.center[d] = static_cast<float>(std::isfinite(multiple) ? multiple : middles[d]);
  }
  return grid;
}

/// Smaller steps have no inverse, and products of them vanish.
bool has_inverse(const CodeGrid& grid) {
  constexpr float kStepMin = 1e-30F;
  return std::isfinite(grid.step) && grid.step > kStepMin;
}

}  // namespace

void CodeGrid::encode(const float* row, std::uint8_t* levels) const {
  const float inverse = 1 / step;
  const float half = static_cast<float>(level_count / 2);
  for (std::size_t d = 0; d < center.size(); ++d) {
    const float level = (row[d] - center[d]) * inverse;
    const float inside = std::min(std::max(level, -half), half - 1);
    levels[d] = static_cast<std::uint8_t>(round_small(inside + half));
  }
}

bool train_grid(Metric metric, VectorSpan rows, std::span<const std::uint32_t> sample,
                const GridOptions& options, CodeGrid& grid) {
  const bool is_product = metric == Metric::kCosine || metric == Metric::kDot;
  const std::vector<double> middles =
      is_product ? std::vector<double>(rows.dim, 0.0) : middles_of(rows, sample);
  const std::span<const std::uint32_t> part = part_of(sample, rows.dim);
  std::vector<double> reaches;
  reaches.reserve(part.size() * rows.dim);
  RowReader row_of(rows);
  for (const std::uint32_t row : part) {
    const float* const values = row_of(row);
    for (std::size_t d = 0; d < rows.dim; ++d) {
      reaches.push_back(std::fabs(values[d] - middles[d]));
    }
  }
  double reach_max = 0;
  for (const std::uint32_t row : sample) {
    const float* const values = row_of(row);
    for (std::size_t d = 0; d < rows.dim; ++d) {
      reach_max = std::max(reach_max, std::fabs(values[d] - middles[d]));
    }
  }
  // Sums of squares must stay floats too.
  if (!(reach_max * reach_max * static_cast<double>(rows.dim) < 1e36)) return false;
  const auto reach_at = [&](double quantile) {
    if (quantile >= 1 || reaches.empty()) return reach_max;
    const auto nth = reaches.begin() + static_cast<std::ptrdiff_t>(
                                           quantile * static_cast<double>(reaches.size() - 1));
    std::nth_element(reaches.begin(), nth, reaches.end());
    // Of rows that are mostly the middle, a quantile may hold nothing else.
    return *nth > 0 ? *nth : reach_max;
  };
  if (options.quantile < 1) {
    grid = grid_of(middles, reach_at(options.quantile), options.level_count);
    return has_inverse(grid);
  }
  double least = std::numeric_limits<double>::infinity();
  for (const double quantile : kQuantiles) {
    CodeGrid candidate = grid_of(middles, reach_at(quantile), options.level_count);
    if (!has_inverse(candidate)) continue;
    const double error = similarity_error(candidate, rows, part);
    if (!(error < least)) continue;
    least = error;
    grid = std::move(candidate);
  }
  return std::isfinite(least);
}

bool to_signed_bytes(const float* values, const float* center, std::size_t dim, std::int8_t* bytes,
                     SignedBytes& result) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> greatest = {}, squares = {};
  std::size_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[d + lane] - center[d + lane];
      greatest[lane] = std::max(greatest[lane], std::fabs(value));
      squares[lane] += value * value;
    }
  }
  for (; d < dim; ++d) {
    const float value = values[d] - center[d];
    greatest[0] = std::max(greatest[0], std::fabs(value));
    squares[0] += value * value;
  }
  float most = 0;
  result.squared_norm = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    most = std::max(most, greatest[lane]);
    result.squared_norm += squares[lane];
  }
  if (!(result.squared_norm < 1e37)) return false;
  constexpr float kByteMax = 127;
  result.scale = most > 0 ? most / kByteMax : 1;
  const float inverse = 1 / result.scale;
  if (!std::isfinite(inverse)) return false;
  std::int32_t sum = 0;
  for (d = 0; d < dim; ++d) {
    const std::int32_t byte = round_small((values[d] - center[d]) * inverse);
    sum += byte;
    bytes[d] = static_cast<std::int8_t>(byte);
  }
  result.sum = sum;
  return true;
}

}  // namespace tessera::index
