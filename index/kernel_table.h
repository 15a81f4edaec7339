#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/float16.h"
#include "base/metric.h"
#include "index/kernels.h"

namespace tessera::index {

/// The kernels of one metric for one instruction set. A row's value does not depend on which of
/// `rows` or `rows_at` computed it or on its neighbours: all add in the order of `pair`.
/// Never NaN for finite input: where infinities cancel the answer is +infinity, the farthest.
struct MetricKernels {
  float (*pair)(const float* a, const float* b, std::size_t dim) = nullptr;
  void (*rows)(const float* query, const float* rows, std::size_t row_count, std::size_t dim,
               float* out) = nullptr;
  void (*rows_at)(const float* query, const float* rows, const std::uint32_t* row_ids,
                  std::size_t row_count, std::size_t dim, float* out) = nullptr;
  /// Rows of 8-bit codes whose value is scale[d] * code[d].
  void (*codes)(const float* query, const float* scale, const std::uint8_t* codes,
                std::size_t row_count, std::size_t dim, float* out) = nullptr;
};

/// One query of the bounds of index/bound_codes.h. The bound of a row is
/// constant + norm (norm_factor + norm square_factor) + rest rest_factor +
/// scale product_factor (sum of the products of the codes - code_offset).
struct NearQuery {
  const std::int8_t* code = nullptr;  ///< `stride` values.
  std::int32_t code_offset = 0;
  float constant = 0, norm_factor = 0, square_factor = 0, rest_factor = 0, product_factor = 0;
  float farthest = 0;
};

/// Rows one after the other: their codes as in CodeKernels, and a column for each of their terms.
struct NearRows {
  const std::uint8_t* codes = nullptr;
  std::size_t stride = 0;
  const float* scales = nullptr;
  const float* rests = nullptr;
  const float* norms = nullptr;
  std::size_t row_count = 0;
};

/// Kernels over rows of small codes. Unless one says otherwise the results are exact integers, the
/// same on every level.
///
/// A row has `stride` bytes, a multiple of 64, padded with zeros as the query is; row i begins at
/// codes + i * stride. Rows that begin on cache lines are read fastest; the query need not be
/// aligned. A sum has to fit into 32 bits, which any row of at most 65,536 values does.
/// The `_at` forms give the rows of `row_ids`, ask the memory for rows ahead of their use, and are
/// for rows scattered over memory; the others are for rows one after the other.
struct CodeKernels {
  template <class Query>
  using Rows = void (*)(const Query* query, const std::uint8_t* codes, std::size_t stride,
                        std::size_t row_count, std::int32_t* out);
  template <class Query>
  using RowsAt = void (*)(const Query* query, const std::uint8_t* codes, std::size_t stride,
                          const std::uint32_t* row_ids, std::size_t row_count, std::int32_t* out);

  /// out[i] = sum of query[d] * code[d], for all d < stride.
  Rows<std::int8_t> dot_u8 = nullptr;
  RowsAt<std::int8_t> dot_u8_at = nullptr;
  /// out[i] = sum of |query[d] - code[d]|.
  Rows<std::uint8_t> sad_u8 = nullptr;
  RowsAt<std::uint8_t> sad_u8_at = nullptr;
  /// As dot_u8 with two 4-bit codes a byte: in byte b of 64-byte block k, the low bits are value
  /// 128 k + b and the high bits value 128 k + 64 + b. The query has 2 * stride values in order.
  Rows<std::int8_t> dot_u4 = nullptr;
  RowsAt<std::int8_t> dot_u4_at = nullptr;
  /// out[i] = number of bits in which query and row differ.
  Rows<std::uint8_t> hamming = nullptr;
  RowsAt<std::uint8_t> hamming_at = nullptr;
  /// The rows whose bound is not above query.farthest or says nothing, being infinite or no number:
  /// their places, ascending, into `out`, which has room for all. Returns their count. Bounds are
  /// rounded in ways that differ from level to level.
  std::size_t (*near_rows)(const NearQuery& query, const NearRows& rows,
                           std::uint32_t* out) = nullptr;
};

/// Kernels between a float32 query and rows of another type, with the contract of MetricKernels.
/// A value is converted exactly before it is compared.
template <class Value>
struct RowKernels {
  float (*pair)(const float* query, const Value* row, std::size_t dim) = nullptr;
  void (*rows)(const float* query, const Value* rows, std::size_t row_count, std::size_t dim,
               float* out) = nullptr;
  void (*rows_at)(const float* query, const Value* rows, const std::uint32_t* row_ids,
                  std::size_t row_count, std::size_t dim, float* out) = nullptr;
};

/// One member for each way to compare.
template <class Kernels>
struct ByMetric {
  Kernels l2, inner_product, l1;

  [[nodiscard]] const Kernels& of(Metric metric) const {
    switch (metric) {
      case Metric::kCosine:
      case Metric::kDot:
        return inner_product;
      case Metric::kEuclid:
        return l2;
      case Metric::kManhattan:
        return l1;
    }
    return l2;
  }
};

/// Kernels of one metric over the first values of rows: see prefix_distances.
struct PrefixKernels {
  void (*rows)(const float* query, PrefixRows rows, std::size_t row_count, float* out) = nullptr;
  void (*rows_at)(const float* query, PrefixRows rows, const std::uint32_t* row_ids,
                  std::size_t row_count, float* out) = nullptr;
};

struct PrefixKernelsByMetric {
  PrefixKernels l2, inner_product, l1, cosine;

  [[nodiscard]] const PrefixKernels& of(Metric metric) const {
    switch (metric) {
      case Metric::kCosine:
        return cosine;
      case Metric::kDot:
        return inner_product;
      case Metric::kEuclid:
        return l2;
      case Metric::kManhattan:
        return l1;
    }
    return l2;
  }
};

/// What there is beside whole rows of float32.
struct TypedKernels {
  ByMetric<RowKernels<Float16>> float16;
  ByMetric<RowKernels<std::uint8_t>> uint8;
  PrefixKernelsByMetric prefix;
  /// Exact conversions of `count` values.
  void (*widen_float16)(const Float16* values, std::size_t count, float* out) = nullptr;
  void (*widen_uint8)(const std::uint8_t* values, std::size_t count, float* out) = nullptr;
};

/// All kernels of one instruction set. Thread rule: immutable, lives for the whole process.
struct KernelTable {
  const char* level = nullptr;  ///< As cpu_level().
  MetricKernels l2, inner_product, l1;
  CodeKernels codes = {};
  TypedKernels typed = {};

  [[nodiscard]] const MetricKernels& of(Metric metric) const {
    switch (metric) {
      case Metric::kCosine:
      case Metric::kDot:
        return inner_product;
      case Metric::kEuclid:
        return l2;
      case Metric::kManhattan:
        return l1;
    }
    return l2;
  }
};

/// The table of the instruction set in use: chosen at the first call, kept for good.
const KernelTable& kernels();

/// Every table this CPU can run, best first. Two tables may have the same level, where the CPU has
/// instructions that others of the level lack.
const std::vector<const KernelTable*>& supported_kernels();

/// What TESSERA_CPU = `wanted` selects: the best table of at most that level; the best of all for
/// "". Null when `wanted` is no level's name.
const KernelTable* kernels_for(std::string_view wanted);

}  // namespace tessera::index
