#include "adapter/matrix.h"

#include <cblas.h>

#include "adapter/kernels.h"

namespace tessera::adapter {
namespace {

int size(std::size_t value) {
  return static_cast<int>(value);
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

void fit(Values& values, std::size_t size) {
  if (size > values.capacity()) {
    values = {};
    values.reserve(size);
  }
  values.resize(size);
}

void apply(const Linear& linear, const float* rows, std::size_t row_count, Values& out) {
  fit(out, row_count * linear.out);
  kernels().apply(linear, rows, row_count, out.data());
}

void keep_products_in_one_thread() {
  openblas_set_num_threads(1);
}

}  // namespace tessera::adapter
