#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/metric.h"

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

/// All kernels of one instruction set. Thread rule: immutable, lives for the whole process.
struct KernelTable {
  const char* level = nullptr;  ///< As cpu_level().
  MetricKernels l2, inner_product, l1;

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

/// Every table this CPU can run, best first.
const std::vector<const KernelTable*>& supported_kernels();

/// What TESSERA_CPU = `wanted` selects: the best table of at most that level; the best of all for
/// "". Null when `wanted` is no level's name.
const KernelTable* kernels_for(std::string_view wanted);

}  // namespace tessera::index
