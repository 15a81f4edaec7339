#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "index/kernel_table.h"
#include "index/kernels_codes.h"

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

/// A row of codes seen as floats.
struct CodeRow {
  using Value = std::uint8_t;
  const Value* values;
  const float* scale;
  using ByteTag = hn::Rebind<Value, FloatTag>;

  static HWY_INLINE Vector widen(hn::Vec<ByteTag> bytes) {
    return hn::ConvertTo(FloatTag(), hn::PromoteTo(IntTag(), bytes));
  }
  HWY_INLINE CodeRow after(std::size_t count) const { return {values + count, scale}; }
  HWY_INLINE Vector load(std::size_t i) const {
    return hn::Mul(hn::LoadU(FloatTag(), scale + i), widen(hn::LoadU(ByteTag(), values + i)));
  }
  HWY_INLINE Vector load_tail(std::size_t i, std::size_t count) const {
    HWY_ALIGN Value bytes[kLanes] = {};
    for (std::size_t j = 0; j < count; ++j) bytes[j] = values[i + j];
    return hn::Mul(load_first(scale + i, count), widen(hn::Load(ByteTag(), bytes)));
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

KernelTable with_codes(KernelTable table, const CodeKernels& codes) {
  table.codes = codes;
  return table;
}

std::vector<KernelTable> make_tables() {
  std::vector<KernelTable> found;
  [[maybe_unused]] const std::int64_t cpu = hwy::SupportedTargets();
  // The static target is what the compiler may use anyway; it is the last resort.
#if HWY_TARGETS & HWY_AVX3
  if ((cpu & HWY_AVX3) != 0) {
    if (const CodeKernels* codes = vnni_code_kernels()) {
      found.push_back(with_codes(*N_AVX3::table(), *codes));
    }
    found.push_back(with_codes(*N_AVX3::table(), code_kernels_of(HWY_AVX3)));
  }
#endif
#if HWY_TARGETS & HWY_AVX2
  if ((cpu & HWY_AVX2) != 0) {
    found.push_back(with_codes(*N_AVX2::table(), code_kernels_of(HWY_AVX2)));
  }
#endif
#if HWY_TARGETS & HWY_NEON
  if ((cpu & HWY_NEON) != 0) {
    found.push_back(with_codes(*N_NEON::table(), code_kernels_of(HWY_NEON)));
  }
#endif
#if HWY_TARGETS & HWY_SSSE3
  if ((cpu & HWY_SSSE3) != 0) {
    found.push_back(with_codes(*N_SSSE3::table(), code_kernels_of(HWY_SSSE3)));
  }
#endif
  if (found.empty() || (HWY_STATIC_TARGET & (HWY_SCALAR | HWY_EMU128)) != 0) {
    found.push_back(with_codes(*HWY_STATIC_DISPATCH(table)(), code_kernels_of(HWY_STATIC_TARGET)));
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
