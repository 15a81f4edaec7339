#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "index/kernel_table.h"
#include "index/kernels_codes.h"
#include "index/kernels_typed.h"

// This file compiles itself once for each instruction set. SSE4 and the newest AVX-512 extensions
// add nothing to these loops; SVE has vectors of unknown size, which the tables do not need yet.
#define HWY_DISABLED_TARGETS \
  (HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels_simd.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "index/kernels_rows.inc"

HWY_BEFORE_NAMESPACE();
namespace tessera::index::HWY_NAMESPACE {
namespace {

/// A row of codes, each to be multiplied by the scale of its position.
struct CodeRow {
  using Value = std::uint8_t;
  const Value* values;
  const float* scale;

  HWY_INLINE CodeRow after(std::size_t count) const { return {values + count, scale}; }
  HWY_INLINE Vector load(std::size_t i) const {
    return hn::Mul(hn::LoadU(FloatTag(), scale + i), ByteRow{values}.load(i));
  }
  HWY_INLINE Vector load_tail(std::size_t i, std::size_t count) const {
    return hn::Mul(load_first(scale + i, count), ByteRow{values}.load_tail(i, count));
  }
};

template <class Op>
float pair(const float* a, const float* b, std::size_t dim) {
  const FloatRow row = {b};
  float result = 0;
  Summed<Op>::template measure<1>(a, &row, dim, &result);
  return result;
}

template <class Op>
void rows(const float* query, const float* rows, std::size_t row_count, std::size_t dim,
          float* out) {
  measure_all<Summed<Op>>(query, Consecutive<FloatRow>{{rows}, dim}, row_count, dim, out);
}

template <class Op>
void rows_at(const float* query, const float* rows, const std::uint32_t* row_ids,
             std::size_t row_count, std::size_t dim, float* out) {
  measure_all<Summed<Op>>(query, Scattered<FloatRow>{{rows}, dim, row_ids, row_count}, row_count,
                          dim, out);
}

template <class Op>
void codes(const float* query, const float* scale, const std::uint8_t* codes, std::size_t row_count,
           std::size_t dim, float* out) {
  measure_all<Summed<Op>>(query, Consecutive<CodeRow>{{codes, scale}, dim}, row_count, dim, out);
}

template <class Op>
constexpr MetricKernels metric_kernels() {
  return {&pair<Op>, &rows<Op>, &rows_at<Op>, &codes<Op>};
}

#if HWY_TARGET <= HWY_AVX3
#define TESSERA_LEVEL "avx512"
#elif HWY_TARGET == HWY_AVX2
#define TESSERA_LEVEL "avx2"
#elif HWY_TARGET == HWY_NEON
#define TESSERA_LEVEL "neon"
#else
#define TESSERA_LEVEL "baseline"
#endif
constexpr KernelTable kTable = {TESSERA_LEVEL,
                                metric_kernels<SquaredDifference>(),
                                metric_kernels<Product>(),
                                metric_kernels<AbsoluteDifference>(),
                                {},
                                {}};
#undef TESSERA_LEVEL

}  // namespace

const KernelTable* table() {
  return &kTable;
}

}  // namespace tessera::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::index {
namespace {

/// The float kernels of `table` with the others made for `target`.
KernelTable complete(KernelTable table, std::int64_t target) {
  table.codes = code_kernels_of(target);
  table.typed = typed_kernels_of(target);
  return table;
}

std::vector<KernelTable> make_tables() {
  std::vector<KernelTable> found;
  [[maybe_unused]] const std::int64_t cpu = hwy::SupportedTargets();
  // The static target is what the compiler may use anyway; it is the last resort.
#if HWY_TARGETS & HWY_AVX3
  if ((cpu & HWY_AVX3) != 0) {
    if (const CodeKernels* codes = vnni_code_kernels()) {
      found.push_back(complete(*N_AVX3::table(), HWY_AVX3));
      found.back().codes = *codes;
    }
    found.push_back(complete(*N_AVX3::table(), HWY_AVX3));
  }
#endif
#if HWY_TARGETS & HWY_AVX2
  if ((cpu & HWY_AVX2) != 0) {
    found.push_back(complete(*N_AVX2::table(), HWY_AVX2));
  }
#endif
#if HWY_TARGETS & HWY_NEON
  if ((cpu & HWY_NEON) != 0) {
    found.push_back(complete(*N_NEON::table(), HWY_NEON));
  }
#endif
#if HWY_TARGETS & HWY_SSSE3
  if ((cpu & HWY_SSSE3) != 0) {
    found.push_back(complete(*N_SSSE3::table(), HWY_SSSE3));
  }
#endif
  if (found.empty() || (HWY_STATIC_TARGET & (HWY_SCALAR | HWY_EMU128)) != 0) {
    found.push_back(complete(*HWY_STATIC_DISPATCH(table)(), HWY_STATIC_TARGET));
  }
  return found;
}

}  // namespace

const std::vector<const KernelTable*>& supported_kernels() {
  static const std::vector<KernelTable> tables = make_tables();
  static const std::vector<const KernelTable*> pointers = [] {
    std::vector<const KernelTable*> all;
    for (const KernelTable& table : tables) all.push_back(&table);
    return all;
  }();
  return pointers;
}

}  // namespace tessera::index
#endif  // HWY_ONCE
