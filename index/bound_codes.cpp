#include "index/bound_codes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tessera::index {
namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kDimMin = 48, kDimMax = 65'536;
constexpr float kLevelMax = 127;
constexpr int kZeroLevel = 128;  ///< What a code's byte is for zero.
/// For the rounding of what is computed here and kept as float.
constexpr double kRoundUp = 1 + 1e-6;

/// A bound on the relative rounding error of a distance that is added up in at least four lanes.
double rounding_of(std::size_t dim) {
  return (static_cast<double>(dim) / 4 + 16) * std::numeric_limits<float>::epsilon();
}

std::size_t padded(std::size_t dim) {
  return (dim + kLineBytes - 1) / kLineBytes * kLineBytes;
}

/// A vector as levels of one scale.
struct Levels {
  float scale = 0;
  double norm = 0;
  double rest = 0;
  std::int32_t sum = 0;
};

/// `put(d, level)` is called for every dimension.
template <class Put>
Levels to_levels(const float* values, std::size_t dim, Put&& put) {
  float largest = 0;
  for (std::size_t d = 0; d < dim; ++d) largest = std::max(largest, std::fabs(values[d]));
  Levels made;
  made.scale = largest / kLevelMax;
  // The scale of tiny values is no number with which one can divide.
  const float inverse = made.scale > std::numeric_limits<float>::min() ? 1 / made.scale : 0;
  double squares = 0, rest_squares = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    const auto level = static_cast<std::int32_t>(std::lrintf(values[d] * inverse));
    const double rest = double{values[d]} - double{made.scale} * level;
    squares += double{values[d]} * values[d];
    rest_squares += rest * rest;
    made.sum += level;
    put(d, level);
  }
  made.norm = std::sqrt(squares);
  made.rest = std::sqrt(rest_squares);
  return made;
}

}  // namespace

bool BoundCodes::are_useful(Metric metric, std::size_t dim) {
  return metric != Metric::kManhattan && dim >= kDimMin && dim <= kDimMax;
}

std::size_t BoundCodes::row_bytes(std::size_t dim) {
  return padded(dim) + 3 * sizeof(float);
}

BoundCodes::BoundCodes(std::size_t dim, std::size_t row_capacity)
    : dim_(dim),
      stride_(padded(dim)),
      codes_(row_capacity * stride_),
      scales_(std::make_unique<float[]>(row_capacity)),
      rests_(std::make_unique<float[]>(row_capacity)),
      norms_(std::make_unique<float[]>(row_capacity)) {}

void BoundCodes::set(std::size_t row, const float* vector) {
  std::uint8_t* const code = codes_.data() + row * stride_;
  const Levels made = to_levels(vector, dim_, [&](std::size_t d, std::int32_t level) {
    code[d] = static_cast<std::uint8_t>(level + kZeroLevel);
  });
  scales_[row] = made.scale;
  rests_[row] = static_cast<float>(made.rest * kRoundUp);
  norms_[row] = static_cast<float>(made.norm);
}

void BoundCodes::prepare(Metric metric, const float* query, std::size_t dim, Query& prepared) {
  prepared.code.assign(padded(dim), 0);
  const Levels made = to_levels(query, dim, [&](std::size_t d, std::int32_t level) {
    prepared.code[d] = static_cast<std::int8_t>(level);
  });
  NearQuery& terms = prepared.terms;
  terms.code = prepared.code.data();
  terms.code_offset = kZeroLevel * made.sum;
  const double rest = made.rest * kRoundUp, norm = made.norm * kRoundUp;
  const double rounding = rounding_of(dim);
  // Of the inner product: how far it may be from the product of the codes.
  const double rest_factor = norm + rest, norm_factor = rest * kRoundUp + rounding * norm;
  if (metric == Metric::kEuclid) {
    // (|y| - |x|)^2 loses as much as its terms are rounded.
    terms.constant = static_cast<float>(made.norm * made.norm * (1 - 2 * rounding));
    terms.square_factor = static_cast<float>(1 - 2 * rounding);
    terms.norm_factor = static_cast<float>(-2 * norm_factor);
    terms.rest_factor = static_cast<float>(-2 * rest_factor);
    terms.product_factor = -2 * made.scale;
  } else {
    terms.constant = 0;
    terms.square_factor = 0;
    terms.norm_factor = static_cast<float>(-norm_factor);
    terms.rest_factor = static_cast<float>(-rest_factor);
    terms.product_factor = -made.scale;
  }
}

std::size_t BoundCodes::near_rows(const Query& query, float farthest, std::size_t first,
                                  std::size_t row_count, std::uint32_t* out) const {
  NearQuery terms = query.terms;
  terms.farthest = farthest;
  const NearRows rows{codes_.data() + first * stride_,
                      stride_,
                      scales_.get() + first,
                      rests_.get() + first,
                      norms_.get() + first,
                      row_count};
  return kernels().codes.near_rows(terms, rows, out);
}

}  // namespace tessera::index
