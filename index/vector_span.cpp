#include "index/vector_span.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "index/kernel_table.h"
#include "index/kernels.h"

namespace tessera::index {
namespace {

/// `values` of the span's type, exactly, as floats.
void widen(ValueType type, const std::byte* values, std::size_t count, float* out) {
  switch (type) {
    case ValueType::kFloat32:
      std::copy_n(reinterpret_cast<const float*>(values), count, out);
      return;
    case ValueType::kFloat16:
      kernels().typed.widen_float16(reinterpret_cast<const Float16*>(values), count, out);
      return;
    case ValueType::kUint8:
      kernels().typed.widen_uint8(reinterpret_cast<const std::uint8_t*>(values), count, out);
      return;
  }
}

template <class Value>
void typed_distances(const RowKernels<Value>& kernels, const float* query, const VectorSpan& rows,
                     float* out) {
  kernels.rows(query, static_cast<const Value*>(rows.data), rows.row_count, rows.dim, out);
  if (rows.factors == nullptr) return;
  for (std::size_t i = 0; i < rows.row_count; ++i) out[i] *= rows.factors[i];
}

template <class Value>
void typed_distances_at(const RowKernels<Value>& kernels, const float* query,
                        const VectorSpan& rows, std::span<const std::uint32_t> row_ids,
                        float* out) {
  kernels.rows_at(query, static_cast<const Value*>(rows.data), row_ids.data(), row_ids.size(),
                  rows.dim, out);
  if (rows.factors == nullptr) return;
  for (std::size_t i = 0; i < row_ids.size(); ++i) out[i] *= rows.factors[row_ids[i]];
}

}  // namespace

float factor_of(const std::uint8_t* row, std::size_t dim) {
  std::uint64_t squares = 0;
  for (std::size_t d = 0; d < dim; ++d) squares += std::uint32_t{row[d]} * row[d];
  return squares == 0 ? 1 : static_cast<float>(1 / std::sqrt(static_cast<double>(squares)));
}

const float* RowReader::widened(std::size_t row) {
  values_.resize(rows_.dim);
  copy_rows(rows_, row, 1, values_.data());
  return values_.data();
}

void copy_rows(const VectorSpan& rows, std::size_t first, std::size_t count, float* out) {
  widen(rows.type, rows.bytes_of(first), count * rows.dim, out);
  if (rows.factors == nullptr) return;
  for (std::size_t i = 0; i < count; ++i) {
    const float factor = rows.factors[first + i];
    for (std::size_t d = 0; d < rows.dim; ++d) out[i * rows.dim + d] *= factor;
  }
}

void distances(Metric metric, const float* query, const VectorSpan& rows, float* out) {
  const KernelTable& table = kernels();
  switch (rows.type) {
    case ValueType::kFloat32:
      return table.of(metric).rows(query, static_cast<const float*>(rows.data), rows.row_count,
                                   rows.dim, out);
    case ValueType::kFloat16:
      return typed_distances(table.typed.float16.of(metric), query, rows, out);
    case ValueType::kUint8:
      return typed_distances(table.typed.uint8.of(metric), query, rows, out);
  }
}

void distances_at(Metric metric, const float* query, const VectorSpan& rows,
                  std::span<const std::uint32_t> row_ids, float* out) {
  const KernelTable& table = kernels();
  switch (rows.type) {
    case ValueType::kFloat32:
      return table.of(metric).rows_at(query, static_cast<const float*>(rows.data), row_ids.data(),
                                      row_ids.size(), rows.dim, out);
    case ValueType::kFloat16:
      return typed_distances_at(table.typed.float16.of(metric), query, rows, row_ids, out);
    case ValueType::kUint8:
      return typed_distances_at(table.typed.uint8.of(metric), query, rows, row_ids, out);
  }
}

void prefix_distances_at(Metric metric, const float* query, const VectorSpan& rows,
                         std::size_t prefix_dim, std::span<const std::uint32_t> row_ids,
                         float* out) {
  if (rows.is_float32()) {
    prefix_distances_at(metric, query, {static_cast<const float*>(rows.data), rows.dim, prefix_dim},
                        row_ids, out);
    return;
  }
  // A row's factor changes nothing: Cosine compares directions, and other metrics have none.
  constexpr std::size_t kBlock = 16;
  thread_local std::vector<float> values;
  values.resize(kBlock * prefix_dim);
  for (std::size_t begin = 0; begin < row_ids.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, row_ids.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      widen(rows.type, rows.bytes_of(row_ids[begin + i]), prefix_dim,
            values.data() + i * prefix_dim);
    }
    prefix_distances(metric, query, {values.data(), prefix_dim, prefix_dim}, count, out + begin);
  }
}

}  // namespace tessera::index
