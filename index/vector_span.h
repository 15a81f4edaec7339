#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "base/value_type.h"

namespace tessera::index {

/// Row-major vectors that somebody else owns, of any value type. Row i stands for its values times
/// factors[i]: rows of bytes cannot be normalised, so for Cosine their factors are 1 / norm.
struct VectorSpan {
  const void* data = nullptr;
  std::size_t row_count = 0;
  std::size_t dim = 0;
  ValueType type = ValueType::kFloat32;
  const float* factors = nullptr;  ///< Null: all are 1.

  [[nodiscard]] bool is_float32() const { return type == ValueType::kFloat32; }
  [[nodiscard]] std::size_t row_bytes() const { return dim * value_bytes(type); }
  [[nodiscard]] const std::byte* bytes_of(std::size_t row) const {
    return static_cast<const std::byte*>(data) + row * row_bytes();
  }
  /// Of float32 rows only.
  [[nodiscard]] const float* float_row(std::size_t row) const {
    TESSERA_ASSERT(is_float32());
    return static_cast<const float*>(data) + row * dim;
  }
  /// Rows [first, first + count).
  [[nodiscard]] VectorSpan part(std::size_t first, std::size_t count) const {
    return {bytes_of(first), count, dim, type, factors == nullptr ? nullptr : factors + first};
  }
};

/// Whether rows of this type and metric have factors.
constexpr bool has_factors(Metric metric, ValueType type) {
  return metric == Metric::kCosine && type == ValueType::kUint8;
}
/// 1 / norm of a row of bytes, 1 where the norm is 0.
float factor_of(const std::uint8_t* row, std::size_t dim);

/// Rows as floats. Float32 rows are given as they lie. Thread rule: confined; copies are apart.
class RowReader {
 public:
  explicit RowReader(const VectorSpan& rows) : rows_(rows) {}

  /// The row times its factor; valid until the next call.
  const float* operator()(std::size_t row) {
    return rows_.is_float32() ? rows_.float_row(row) : widened(row);
  }

 private:
  const float* widened(std::size_t row);

  const VectorSpan rows_;
  std::vector<float> values_;
};

/// Writes rows [first, first + count), times their factors, to `out`.
void copy_rows(const VectorSpan& rows, std::size_t first, std::size_t count, float* out);

/// The distances of a query to all rows: those of index::distance to the row's values as floats,
/// with the same bits; times the row's factor where there are factors.
void distances(Metric metric, const float* query, const VectorSpan& rows, float* out);
/// The same for the rows of `row_ids`, with the same bits.
void distances_at(Metric metric, const float* query, const VectorSpan& rows,
                  std::span<const std::uint32_t> row_ids, float* out);

/// index::prefix_distances_at for rows of any type.
void prefix_distances_at(Metric metric, const float* query, const VectorSpan& rows,
                         std::size_t prefix_dim, std::span<const std::uint32_t> row_ids,
                         float* out);

}  // namespace tessera::index
