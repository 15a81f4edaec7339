#pragma once

#include <cstddef>

#include "adapter/weights.h"

namespace tessera::adapter {

/// One head of causal attention: rows of `dim` values, `stride` apart from each other. The last
/// query sees all keys, the one before it all but the last, and so on. Values have to be finite:
/// one that is not may also spoil the queries that do not see it.
struct AttentionHead {
  const float* query = nullptr;
  std::size_t query_stride = 0;
  std::size_t query_count = 0;
  const float* key = nullptr;
  const float* value = nullptr;
  std::size_t key_stride = 0;  ///< Of the values, too.
  std::size_t key_count = 0;
  std::size_t dim = 0;
  float* out = nullptr;  ///< A row a query.
  std::size_t out_stride = 0;
};

/// The loops between the matrix products, for the widest instruction set of this CPU. Rows are
/// row-major and behind each other. The same input gives the same bits on the same CPU.
struct Kernels {
  /// Every row of `values` becomes norm(row + its row of `added`), times gain, plus bias.
  void (*add_and_norm)(float* values, const float* added, const float* gain, const float* bias,
                       std::size_t row_count, std::size_t dim, double eps);
  /// softmax(scale * values), in place; count >= 1.
  void (*softmax)(float* values, std::size_t count, float scale);
  void (*activate)(Activation activation, float* values, std::size_t count);
  /// One step of a GRU: `input` and `state_gates` are the two products with their biases, 3H
  /// values each; `state` is moved on.
  void (*gru_step)(const float* input, const float* state_gates, float* state, std::size_t hidden);
  /// z[n] = sum over m of kernel[(n - m) mod K] * items[m], element by element, for the first
  /// `item_count` n; items from there on are zero. item_count <= K.
  void (*convolve)(const float* kernel, std::size_t context_size, const float* items,
                   std::size_t item_count, std::size_t dim, float* z);
  /// Every row x (in values each) becomes W x + b; rows of `out` values. What a row becomes does
  /// not depend on the others.
  void (*apply)(const Linear& linear, const float* rows, std::size_t row_count, float* out);
  /// softmax(query key^T / sqrt(dim)) value. Such products are too small for a library's call
  /// each.
  void (*attend)(const AttentionHead& head, Values& scratch);
  /// a += b.
  void (*add)(float* a, const float* b, std::size_t count);
};

const Kernels& kernels();

}  // namespace tessera::adapter
