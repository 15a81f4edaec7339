#include "adapter/matrix.h"

#include <algorithm>

#include <cblas.h>

namespace tessera::adapter {
namespace {

int size(std::size_t value) {
  return static_cast<int>(value);
}

/// Rows `first` to `first + count` of W.
void apply_part(const Linear& linear, const float* rows, std::size_t row_count, std::size_t first,
                std::size_t count, Values& out) {
  out.resize(row_count * count);
  const float* const bias = linear.bias.data() + first;
  for (std::size_t row = 0; row < row_count; ++row) {
    std::copy(bias, bias + count, out.data() + row * count);
  }
  const float* const weight = linear.weight.data() + first * linear.in;
  if (row_count == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, size(count), size(linear.in), 1, weight,
                size(linear.in), rows, 1, 1, out.data(), 1);
  } else if (row_count > 1) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(row_count), size(count),
                size(linear.in), 1, rows, size(linear.in), weight, size(linear.in), 1, out.data(),
                size(count));
  }
}

}  // namespace

void multiply_transposed(const MatrixView& a, const MatrixView& b, float* out,
                         std::size_t out_stride) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(a.row_count), size(b.row_count),
              size(a.column_count), 1, a.values, size(a.stride), b.values, size(b.stride), 0, out,
              size(out_stride));
}

void multiply(const MatrixView& a, const MatrixView& b, float* out, std::size_t out_stride) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(a.row_count), size(b.column_count),
              size(a.column_count), 1, a.values, size(a.stride), b.values, size(b.stride), 0, out,
              size(out_stride));
}

void apply(const Linear& linear, const float* rows, std::size_t row_count, Values& out,
           std::size_t first) {
  apply_part(linear, rows, row_count, first, linear.out - first, out);
}

void apply_first(const Linear& linear, const float* rows, std::size_t row_count,
                 std::size_t out_count, Values& out) {
  apply_part(linear, rows, row_count, 0, out_count, out);
}

void keep_products_in_one_thread() {
  openblas_set_num_threads(1);
}

}  // namespace tessera::adapter
