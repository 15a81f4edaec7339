#pragma once

#include <cstddef>

#include "adapter/weights.h"

namespace tessera::adapter {

/// Matrix products by OpenBLAS in the calling thread. A matrix is row-major; `stride` is the number
/// of values from one row to the next.
struct MatrixView {
  const float* values = nullptr;
  std::size_t row_count = 0;
  std::size_t column_count = 0;
  std::size_t stride = 0;
};

/// out = a b^T; out has a.row_count rows of b.row_count values, `out_stride` apart.
void multiply_transposed(const MatrixView& a, const MatrixView& b, float* out,
                         std::size_t out_stride);
/// out = a b.
void multiply(const MatrixView& a, const MatrixView& b, float* out, std::size_t out_stride);

/// Resizes what need not keep its values, and takes no more memory than that.
void fit(Values& values, std::size_t size);

/// Every row x becomes W x + b, by our own kernel over panels: OpenBLAS would copy the weights into
/// such an order for every product, and a row's bits would depend on the number of rows.
void apply(const Linear& linear, const float* rows, std::size_t row_count, Values& out);

/// Keeps OpenBLAS in the thread that calls it. Once a process, before the first product.
void keep_products_in_one_thread();

}  // namespace tessera::adapter
