#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "index/vector_span.h"
#include "tests/index/search_oracle.h"

namespace tessera::index {

/// Rows as one value type stores them, and what they stand for as floats.
struct TypedRows {
  ValueType type = ValueType::kFloat32;
  std::vector<std::byte> bytes;
  std::vector<float> factors;  ///< Empty where the rows have none.
  testing::Matrix values;      ///< Times their factors.

  [[nodiscard]] VectorSpan span() const {
    return {bytes.data(), values.row_count, values.dim, type,
            factors.empty() ? nullptr : factors.data()};
  }
};

/// `matrix` in the type: bytes are rounded 32 v + 128. Cosine: other types are normalised before.
inline TypedRows typed_rows(testing::Matrix matrix, ValueType type, Metric metric) {
  const std::size_t dim = matrix.dim;
  TypedRows rows;
  rows.type = type;
  rows.bytes.resize(matrix.values.size() * value_bytes(type));
  for (float& value : matrix.values) {
    if (type == ValueType::kUint8) value = std::clamp(std::round(32 * value + 128), 0.0F, 255.0F);
  }
  for (std::size_t i = 0; i < matrix.row_count && type != ValueType::kUint8; ++i) {
    if (metric == Metric::kCosine) (void)normalise({matrix.row(i), dim});
  }
  narrow_values(type, matrix.values.data(), matrix.values.size(), rows.bytes.data());
  widen_values(type, rows.bytes.data(), matrix.values.size(), matrix.values.data());
  for (std::size_t i = 0; i < matrix.row_count && has_factors(metric, type); ++i) {
    const auto* row = reinterpret_cast<const std::uint8_t*>(rows.bytes.data()) + i * dim;
    rows.factors.push_back(factor_of(row, dim));
    for (std::size_t d = 0; d < dim; ++d) matrix.row(i)[d] *= rows.factors.back();
  }
  rows.values = std::move(matrix);
  return rows;
}

/// A query for such rows around the same centres.
inline testing::Matrix typed_queries(testing::Matrix matrix, ValueType type, Metric metric) {
  for (float& value : matrix.values) value = type == ValueType::kUint8 ? 32 * value + 128 : value;
  for (std::size_t i = 0; i < matrix.row_count && metric == Metric::kCosine; ++i) {
    (void)normalise({matrix.row(i), matrix.dim});
  }
  return matrix;
}

}  // namespace tessera::index
