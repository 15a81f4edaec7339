#include "index/kernels_typed.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

// This file compiles itself once for each instruction set, the same ones as kernels_simd.cpp.
#define HWY_DISABLED_TARGETS \
  (HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels_typed.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "index/kernels_rows.inc"

HWY_BEFORE_NAMESPACE();
namespace tessera::index::HWY_NAMESPACE {
namespace {

using ShortTag = hn::Rebind<std::uint16_t, FloatTag>;
using WordTag = hn::Rebind<std::uint32_t, FloatTag>;
using ShortVector = hn::Vec<ShortTag>;

static_assert(sizeof(Float16) == sizeof(std::uint16_t));

struct Float16Row {
  using Value = Float16;
  const Value* values;

  static HWY_INLINE Vector widen(ShortVector shorts) {
#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
    const hn::Rebind<hwy::float16_t, FloatTag> half;
    return hn::PromoteTo(FloatTag(), hn::BitCast(half, shorts));
#else
    // As to_float: the exponents differ by 112, of denormal values too.
    const FloatTag floats;
    const WordTag words;
    const auto wide = hn::PromoteTo(words, shorts);
    const auto magnitude = hn::ShiftLeft<13>(hn::And(wide, hn::Set(words, 0x7FFFU)));
    const auto sign = hn::ShiftLeft<16>(hn::And(wide, hn::Set(words, 0x8000U)));
    const Vector scaled = hn::Mul(hn::BitCast(floats, magnitude), hn::Set(floats, 0x1p112F));
    const Vector special = hn::BitCast(floats, hn::Or(magnitude, hn::Set(words, 0x7F800000U)));
    const Vector value = hn::IfThenElse(hn::Ge(scaled, hn::Set(floats, 65536.0F)), special, scaled);
    return hn::Or(value, hn::BitCast(floats, sign));
#endif
  }
  HWY_INLINE Float16Row after(std::size_t count) const {
    return {values + count};
  }
  HWY_INLINE Vector load(std::size_t i) const {
    return widen(hn::LoadU(ShortTag(), reinterpret_cast<const std::uint16_t*>(values + i)));
  }
  HWY_INLINE Vector load_tail(std::size_t i, std::size_t count) const {
    HWY_ALIGN std::uint16_t shorts[kLanes] = {};
    std::memcpy(shorts, values + i, count * sizeof(Value));
    return widen(hn::Load(ShortTag(), shorts));
  }
};

template <class Op, class Row>
float pair(const float* query, const typename Row::Value* values, std::size_t dim) {
  const Row row = {values};
  float result = 0;
  Summed<Op>::template measure<1>(query, &row, dim, &result);
  return result;
}

template <class Op, class Row>
void rows(const float* query, const typename Row::Value* rows, std::size_t row_count,
          std::size_t dim, float* out) {
  measure_all<Summed<Op>>(query, Consecutive<Row>{{rows}, dim}, row_count, dim, out);
}

template <class Op, class Row>
void rows_at(const float* query, const typename Row::Value* rows, const std::uint32_t* row_ids,
             std::size_t row_count, std::size_t dim, float* out) {
  measure_all<Summed<Op>>(query, Scattered<Row>{{rows}, dim, row_ids, row_count}, row_count, dim,
                          out);
}

template <class Op, class Row>
constexpr RowKernels<typename Row::Value> row_kernels() {
  return {&pair<Op, Row>, &rows<Op, Row>, &rows_at<Op, Row>};
}

template <class Row>
constexpr ByMetric<RowKernels<typename Row::Value>> kernels_by_metric() {
  return {row_kernels<SquaredDifference, Row>(), row_kernels<Product, Row>(),
          row_kernels<AbsoluteDifference, Row>()};
}

/// The square of the row's value, whatever the query.
struct RowSquare {
  static constexpr bool kIsNegated = false;
  static HWY_INLINE Vector add(Vector /*a*/, Vector b, Vector sum) { return hn::MulAdd(b, b, sum); }
};

/// The norm of a row whose squares may vanish or overflow in float32.
HWY_INLINE double exact_norm(const float* row, std::size_t dim) {
  double squares = 0;
  for (std::size_t i = 0; i < dim; ++i) squares += static_cast<double>(row[i]) * row[i];
  return std::sqrt(squares);
}

/// The negative inner product over the norm of the row; 0 when that is 0.
struct RowCosine {
  template <std::size_t kCount>
  static HWY_INLINE void measure(const float* query, const FloatRow* rows, std::size_t dim,
                                 float* out) {
    constexpr float kSquaresMin = 1e-30F, kSquaresMax = 1e38F;
    float squares[kCount];
    Summed<Product>::measure<kCount>(query, rows, dim, out);
    // The row is in the first-level cache by now.
    Summed<RowSquare>::measure<kCount>(query, rows, dim, squares);
    for (std::size_t i = 0; i < kCount; ++i) {
      if (squares[i] >= kSquaresMin && squares[i] <= kSquaresMax) {
        out[i] /= std::sqrt(squares[i]);
      } else {
        const double norm = exact_norm(rows[i].values, dim);
        out[i] = norm > 0 ? static_cast<float>(out[i] / norm) : 0.0F;
      }
    }
  }
};

template <class Kernel>
void prefix_rows(const float* query, PrefixRows rows, std::size_t row_count, float* out) {
  measure_all<Kernel>(query, Consecutive<FloatRow>{{rows.data}, rows.dim}, row_count,
                      rows.prefix_dim, out);
}

template <class Kernel>
void prefix_rows_at(const float* query, PrefixRows rows, const std::uint32_t* row_ids,
                    std::size_t row_count, float* out) {
  measure_all<Kernel>(query, Scattered<FloatRow>{{rows.data}, rows.dim, row_ids, row_count},
                      row_count, rows.prefix_dim, out);
}

template <class Kernel>
constexpr PrefixKernels prefix_kernels() {
  return {&prefix_rows<Kernel>, &prefix_rows_at<Kernel>};
}

template <class Row>
void widen(const typename Row::Value* values, std::size_t count, float* out) {
  const Row row = {values};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(row.load(i), FloatTag(), out + i);
  if (i == count) return;
  HWY_ALIGN float tail[kLanes];
  hn::Store(row.load_tail(i, count - i), FloatTag(), tail);
  std::memcpy(out + i, tail, (count - i) * sizeof(float));
}

constexpr TypedKernels kKernels = {
    kernels_by_metric<Float16Row>(),
    kernels_by_metric<ByteRow>(),
    {prefix_kernels<Summed<SquaredDifference>>(), prefix_kernels<Summed<Product>>(),
     prefix_kernels<Summed<AbsoluteDifference>>(), prefix_kernels<RowCosine>()},
    &widen<Float16Row>,
    &widen<ByteRow>,
};

}  // namespace

const TypedKernels& typed_kernels() {
  return kKernels;
}

}  // namespace tessera::index::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::index {

const TypedKernels& typed_kernels_of([[maybe_unused]] std::int64_t target) {
#if HWY_TARGETS & HWY_AVX3
  if (target == HWY_AVX3) return N_AVX3::typed_kernels();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (target == HWY_AVX2) return N_AVX2::typed_kernels();
#endif
#if HWY_TARGETS & HWY_NEON
  if (target == HWY_NEON) return N_NEON::typed_kernels();
#endif
#if HWY_TARGETS & HWY_SSSE3
  if (target == HWY_SSSE3) return N_SSSE3::typed_kernels();
#endif
  return HWY_STATIC_DISPATCH(typed_kernels)();
}

}  // namespace tessera::index
#endif  // HWY_ONCE
