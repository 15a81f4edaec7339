#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

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

HWY_BEFORE_NAMESPACE();
namespace tessera::index::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using ByteTag = hn::Rebind<std::uint8_t, FloatTag>;
using IntTag = hn::Rebind<std::int32_t, FloatTag>;
using Vector = hn::Vec<FloatTag>;
constexpr std::size_t kLanes = hn::MaxLanes(FloatTag());

// AVX2 masks loads of 32-bit lanes without touching what is masked out, although Highway says
// otherwise for the target as a whole (it means the narrower lanes).
#define TESSERA_MASKED_LOAD_IS_SAFE (!HWY_MEM_OPS_MIGHT_FAULT || HWY_TARGET == HWY_AVX2)

struct SquaredDifference {
  static HWY_INLINE Vector add(Vector a, Vector b, Vector sum) {
    const Vector difference = hn::Sub(a, b);
    return hn::MulAdd(difference, difference, sum);
  }
  static float finish(float sum) { return sum; }
};

struct Product {
  static HWY_INLINE Vector add(Vector a, Vector b, Vector sum) { return hn::MulAdd(a, b, sum); }
  static float finish(float sum) { return -sum; }
};

struct AbsoluteDifference {
  static HWY_INLINE Vector add(Vector a, Vector b, Vector sum) {
    return hn::Add(hn::Abs(hn::Sub(a, b)), sum);
  }
  static float finish(float sum) { return sum; }
};

/// `count` < kLanes values from `from`, then zeros.
HWY_INLINE Vector load_first(const float* from, std::size_t count) {
  const FloatTag d;
#if TESSERA_MASKED_LOAD_IS_SAFE
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
  HWY_ALIGN float values[kLanes] = {};
  std::memcpy(values, from, count * sizeof(float));
  return hn::Load(d, values);
#endif
}

/// The two operands of a float32 pair.
struct FloatRow {
  const float* row;
  HWY_INLINE Vector load(std::size_t i) const { return hn::LoadU(FloatTag(), row + i); }
  HWY_INLINE Vector load_tail(std::size_t i, std::size_t count) const {
    return load_first(row + i, count);
  }
};

/// A row of codes seen as floats.
struct CodeRow {
  const std::uint8_t* codes;
  const float* scale;
  static HWY_INLINE Vector widen(hn::Vec<ByteTag> bytes) {
    return hn::ConvertTo(FloatTag(), hn::PromoteTo(IntTag(), bytes));
  }
  HWY_INLINE Vector load(std::size_t i) const {
    return hn::Mul(hn::LoadU(FloatTag(), scale + i), widen(hn::LoadU(ByteTag(), codes + i)));
  }
  HWY_INLINE Vector load_tail(std::size_t i, std::size_t count) const {
    HWY_ALIGN std::uint8_t bytes[kLanes] = {};
    for (std::size_t j = 0; j < count; ++j) bytes[j] = codes[i + j];
    return hn::Mul(load_first(scale + i, count), widen(hn::Load(ByteTag(), bytes)));
  }
};

/// Sums over `dim` values in one fixed order: four running sums hide the latency of the additions.
template <class Op, class Row>
HWY_INLINE float accumulate(const float* query, Row row, std::size_t dim) {
  const FloatTag d;
  Vector sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  std::size_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    sum0 = Op::add(hn::LoadU(d, query + i), row.load(i), sum0);
    sum1 = Op::add(hn::LoadU(d, query + i + kLanes), row.load(i + kLanes), sum1);
    sum2 = Op::add(hn::LoadU(d, query + i + 2 * kLanes), row.load(i + 2 * kLanes), sum2);
    sum3 = Op::add(hn::LoadU(d, query + i + 3 * kLanes), row.load(i + 3 * kLanes), sum3);
  }
  if (i + kLanes <= dim) {
    sum0 = Op::add(hn::LoadU(d, query + i), row.load(i), sum0);
    i += kLanes;
  }
  if (i + kLanes <= dim) {
    sum1 = Op::add(hn::LoadU(d, query + i), row.load(i), sum1);
    i += kLanes;
  }
  if (i + kLanes <= dim) {
    sum2 = Op::add(hn::LoadU(d, query + i), row.load(i), sum2);
    i += kLanes;
  }
  if (i < dim) sum3 = Op::add(load_first(query + i, dim - i), row.load_tail(i, dim - i), sum3);
  const Vector sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  const float result = Op::finish(hn::GetLane(hn::SumOfLanes(d, sum)));
  return std::isnan(result) ? std::numeric_limits<float>::infinity() : result;
}

template <class Op>
float pair(const float* a, const float* b, std::size_t dim) {
  return accumulate<Op>(a, FloatRow{b}, dim);
}

template <class Op>
void rows(const float* query, const float* rows, std::size_t row_count, std::size_t dim,
          float* out) {
  for (std::size_t i = 0; i < row_count; ++i) {
    out[i] = accumulate<Op>(query, FloatRow{rows + i * dim}, dim);
  }
}

/// Asks for the beginning of a row; the hardware follows a longer one by itself.
HWY_INLINE void prefetch_row(const float* row, std::size_t dim) {
  constexpr std::size_t kFloatsPerLine = 16;
  constexpr std::size_t kFloatsMax = 32 * kFloatsPerLine;
  const std::size_t count = dim < kFloatsMax ? dim : kFloatsMax;
  for (std::size_t i = 0; i < count; i += kFloatsPerLine) hwy::Prefetch(row + i);
}

template <class Op>
void rows_at(const float* query, const float* rows, const std::uint32_t* row_ids,
             std::size_t row_count, std::size_t dim, float* out) {
  constexpr std::size_t kRowsAhead = 4;
  for (std::size_t i = 0; i < kRowsAhead && i < row_count; ++i) {
    prefetch_row(rows + row_ids[i] * dim, dim);
  }
  for (std::size_t i = 0; i < row_count; ++i) {
    if (i + kRowsAhead < row_count) prefetch_row(rows + row_ids[i + kRowsAhead] * dim, dim);
    out[i] = accumulate<Op>(query, FloatRow{rows + row_ids[i] * dim}, dim);
  }
}

template <class Op>
void codes(const float* query, const float* scale, const std::uint8_t* codes, std::size_t row_count,
           std::size_t dim, float* out) {
  for (std::size_t i = 0; i < row_count; ++i) {
    out[i] = accumulate<Op>(query, CodeRow{codes + i * dim, scale}, dim);
  }
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
#undef TESSERA_MASKED_LOAD_IS_SAFE

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
  const std::int64_t cpu = hwy::SupportedTargets();
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
