#include "index/kernels_codes.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

// This file compiles itself once for each instruction set, and for AVX-512 once more with VNNI and
// VPOPCNTDQ, which Highway does not name apart. SSE4 would add nothing.
#if !defined(TESSERA_VNNI)
#define HWY_DISABLED_TARGETS (HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels_codes.cpp"
#endif
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#undef TESSERA_NAMESPACE
#if defined(TESSERA_VNNI)
#define TESSERA_NAMESPACE N_AVX3_VNNI
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni,avx512vpopcntdq")
#else
#define TESSERA_NAMESPACE HWY_NAMESPACE
HWY_BEFORE_NAMESPACE();
#endif

// Highway has no name for some x86 instructions; these say which width they have.
#undef TESSERA_X86
#if HWY_TARGET <= HWY_AVX3
#define TESSERA_X86(name) _mm512_##name
#elif HWY_TARGET == HWY_AVX2
#define TESSERA_X86(name) _mm256_##name
#elif HWY_TARGET == HWY_SSSE3
#define TESSERA_X86(name) _mm_##name
#endif

namespace tessera::index::TESSERA_NAMESPACE {
#if defined(TESSERA_X86) || HWY_TARGET == HWY_NEON
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Bytes = hn::ScalableTag<std::uint8_t>;
using SignedBytes = hn::ScalableTag<std::int8_t>;
using Shorts = hn::ScalableTag<std::int16_t>;
using Ints = hn::ScalableTag<std::int32_t>;
using Floats = hn::ScalableTag<float>;
using Longs = hn::ScalableTag<std::uint64_t>;
using ByteVector = hn::Vec<Bytes>;
using SignedVector = hn::Vec<SignedBytes>;
using ShortVector = hn::Vec<Shorts>;
using IntVector = hn::Vec<Ints>;

constexpr std::size_t kBlock = 64;
constexpr std::size_t kStep = hn::MaxLanes(Bytes());
static_assert(kBlock % kStep == 0);

// Each operation sums over kStep bytes of a row into 32-bit lanes; how it spreads them over the
// lanes is its own affair. `load` prepares what is the same for every row.

/// sum + the sums of neighbouring products, without saturation.
HWY_INLINE IntVector add_products(ShortVector a, ShortVector b, IntVector sum) {
  IntVector second = hn::Zero(Ints());
  sum = hn::ReorderWidenMulAccumulate(Ints(), a, b, sum, second);
  return hn::Add(sum, second);
}

HWY_INLINE ByteVector load_bytes(const std::uint8_t* from) {
  return hn::LoadU(Bytes(), from);
}

#if defined(TESSERA_VNNI)
HWY_INLINE IntVector add_byte_products(ByteVector row, SignedVector query, IntVector sum) {
  return IntVector{_mm512_dpbusd_epi32(sum.raw, row.raw, query.raw)};
}
#endif

struct DotU8 {
  using Query = std::int8_t;
#if defined(TESSERA_VNNI)
  SignedVector values;
  static HWY_INLINE DotU8 load(const Query* query, std::size_t i) {
    return {hn::LoadU(SignedBytes(), query + i)};
  }
  HWY_INLINE IntVector add(const std::uint8_t* row, IntVector sum) const {
    return add_byte_products(load_bytes(row), values, sum);
  }
#else
  // The 8-bit multiplication of older CPUs saturates: 16 bits it has to be.
  ShortVector low, high;
  static HWY_INLINE DotU8 load(const Query* query, std::size_t i) {
    const hn::Rebind<std::int8_t, Shorts> half;
    return {hn::PromoteTo(Shorts(), hn::LoadU(half, query + i)),
            hn::PromoteTo(Shorts(), hn::LoadU(half, query + i + kStep / 2))};
  }
  HWY_INLINE IntVector add(const std::uint8_t* row, IntVector sum) const {
    const hn::Rebind<std::uint8_t, Shorts> half;
    sum = add_products(hn::PromoteTo(Shorts(), hn::LoadU(half, row)), low, sum);
    return add_products(hn::PromoteTo(Shorts(), hn::LoadU(half, row + kStep / 2)), high, sum);
  }
#endif
};

struct SadU8 {
  using Query = std::uint8_t;
  ByteVector values;
  static HWY_INLINE SadU8 load(const Query* query, std::size_t i) {
    return {load_bytes(query + i)};
  }
  HWY_INLINE IntVector add(const std::uint8_t* row, IntVector sum) const {
    const ByteVector codes = load_bytes(row);
#if defined(TESSERA_X86)
    return hn::Add(sum, IntVector{TESSERA_X86(sad_epu8)(codes.raw, values.raw)});
#else
    const ByteVector difference =
        hn::Or(hn::SaturatedSub(codes, values), hn::SaturatedSub(values, codes));
    return hn::Add(sum, hn::BitCast(Ints(), hn::SumsOf8(difference)));
#endif
  }
};

struct DotU4 {
  using Query = std::int8_t;
  SignedVector low, high;
  static HWY_INLINE DotU4 load(const Query* query, std::size_t i) {
    const Query* from = query + i / kBlock * (2 * kBlock) + i % kBlock;
    return {hn::LoadU(SignedBytes(), from), hn::LoadU(SignedBytes(), from + kBlock)};
  }
  HWY_INLINE IntVector add(const std::uint8_t* row, IntVector sum) const {
    const ByteVector codes = load_bytes(row);
    const ByteVector low_codes = hn::And(codes, hn::Set(Bytes(), 15));
    const ByteVector high_codes = hn::ShiftRight<4>(codes);
#if defined(TESSERA_VNNI)
    return add_byte_products(high_codes, high, add_byte_products(low_codes, low, sum));
#elif defined(TESSERA_X86)
    // Four products of at most 15 * 128 are far from where 16 bits saturate.
    const ShortVector products =
        hn::Add(ShortVector{TESSERA_X86(maddubs_epi16)(low_codes.raw, low.raw)},
                ShortVector{TESSERA_X86(maddubs_epi16)(high_codes.raw, high.raw)});
    return add_products(products, hn::Set(Shorts(), 1), sum);
#else
    return add_widened(high_codes, high, add_widened(low_codes, low, sum));
#endif
  }
#if !defined(TESSERA_X86)
  static HWY_INLINE IntVector add_widened(ByteVector row, SignedVector query, IntVector sum) {
    const hn::Half<Bytes> half;
    const hn::Half<SignedBytes> signed_half;
    sum = add_products(hn::PromoteTo(Shorts(), hn::LowerHalf(half, row)),
                       hn::PromoteTo(Shorts(), hn::LowerHalf(signed_half, query)), sum);
    return add_products(hn::PromoteTo(Shorts(), hn::UpperHalf(half, row)),
                        hn::PromoteTo(Shorts(), hn::UpperHalf(signed_half, query)), sum);
  }
#endif
};

struct Hamming {
  using Query = std::uint8_t;
  ByteVector values;
  static HWY_INLINE Hamming load(const Query* query, std::size_t i) {
    return {load_bytes(query + i)};
  }
  HWY_INLINE IntVector add(const std::uint8_t* row, IntVector sum) const {
    const ByteVector different = hn::Xor(load_bytes(row), values);
#if defined(TESSERA_VNNI)
    return hn::Add(sum, IntVector{_mm512_popcnt_epi64(different.raw)});
#else
    return hn::Add(sum, hn::BitCast(Ints(), hn::SumsOf8(hn::PopulationCount(different))));
#endif
  }
};

#if HWY_TARGET <= HWY_AVX3
HWY_INLINE hn::Vec128<std::int32_t> fold(IntVector sum) {
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(sum.raw), _mm512_extracti64x4_epi64(sum.raw, 1));
  return hn::Vec128<std::int32_t>{
      _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1))};
}
#elif HWY_TARGET == HWY_AVX2
HWY_INLINE hn::Vec128<std::int32_t> fold(IntVector sum) {
  return hn::Vec128<std::int32_t>{
      _mm_add_epi32(_mm256_castsi256_si128(sum.raw), _mm256_extracti128_si256(sum.raw, 1))};
}
#else
HWY_INLINE IntVector fold(IntVector sum) {
  return sum;
}
#endif

/// Of four sums: in each 128 bits a part of the total of each.
HWY_INLINE IntVector transpose(IntVector a, IntVector b, IntVector c, IntVector d) {
  const Ints ints;
  const IntVector ab = hn::Add(hn::InterleaveLower(ints, a, b), hn::InterleaveUpper(ints, a, b));
  const IntVector cd = hn::Add(hn::InterleaveLower(ints, c, d), hn::InterleaveUpper(ints, c, d));
  const Longs longs;
  const auto ab_pairs = hn::BitCast(longs, ab);
  const auto cd_pairs = hn::BitCast(longs, cd);
  return hn::Add(hn::BitCast(ints, hn::InterleaveLower(longs, ab_pairs, cd_pairs)),
                 hn::BitCast(ints, hn::InterleaveUpper(longs, ab_pairs, cd_pairs)));
}

/// Four rows at once: the query is loaded once for them, and their additions do not wait for each
/// other. In each 128 bits a part of the sum of each.
template <class Op>
HWY_INLINE IntVector four_sums(const typename Op::Query* query,
                               const std::uint8_t* const (&rows)[4], std::size_t stride) {
  IntVector sum0 = hn::Zero(Ints()), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  for (std::size_t i = 0; i < stride; i += kStep) {
    const Op op = Op::load(query, i);
    sum0 = op.add(rows[0] + i, sum0);
    sum1 = op.add(rows[1] + i, sum1);
    sum2 = op.add(rows[2] + i, sum2);
    sum3 = op.add(rows[3] + i, sum3);
  }
  return transpose(sum0, sum1, sum2, sum3);
}

template <class Op>
HWY_INLINE void four_rows(const typename Op::Query* query, const std::uint8_t* const (&rows)[4],
                          std::size_t stride, std::int32_t* out) {
  hn::StoreU(fold(four_sums<Op>(query, rows, stride)), hn::Full128<std::int32_t>(), out);
}

template <class Op>
HWY_INLINE std::int32_t one_row(const typename Op::Query* query, const std::uint8_t* row,
                                std::size_t stride) {
  IntVector even = hn::Zero(Ints()), odd = even;
  std::size_t i = 0;
  for (; i + 2 * kStep <= stride; i += 2 * kStep) {
    even = Op::load(query, i).add(row + i, even);
    odd = Op::load(query, i + kStep).add(row + i + kStep, odd);
  }
  if (i < stride) even = Op::load(query, i).add(row + i, even);
  return hn::GetLane(hn::SumOfLanes(Ints(), hn::Add(even, odd)));
}

template <class Op>
void rows(const typename Op::Query* query, const std::uint8_t* codes, std::size_t stride,
          std::size_t row_count, std::int32_t* out) {
  std::size_t i = 0;
  for (; i + 4 <= row_count; i += 4) {
    const std::uint8_t* first = codes + i * stride;
    four_rows<Op>(query, {first, first + stride, first + 2 * stride, first + 3 * stride}, stride,
                  out + i);
  }
  for (; i < row_count; ++i) out[i] = one_row<Op>(query, codes + i * stride, stride);
}

/// Asks for a row; the hardware follows the end of a very long one by itself.
HWY_INLINE void prefetch_row(const std::uint8_t* row, std::size_t stride) {
  constexpr std::size_t kBytesMax = 32 * kBlock;
  const std::size_t count = stride < kBytesMax ? stride : kBytesMax;
  for (std::size_t i = 0; i < count; i += kBlock) hwy::Prefetch(row + i);
}

template <class Op>
void rows_at(const typename Op::Query* query, const std::uint8_t* codes, std::size_t stride,
             const std::uint32_t* row_ids, std::size_t row_count, std::int32_t* out) {
  constexpr std::size_t kRowsAhead = 8;
  std::size_t asked = 0;
  const auto prefetch_until = [&](std::size_t end) {
    for (; asked < end && asked < row_count; ++asked) {
      prefetch_row(codes + row_ids[asked] * stride, stride);
    }
  };
  std::size_t i = 0;
  for (; i + 4 <= row_count; i += 4) {
    prefetch_until(i + 4 + kRowsAhead);
    four_rows<Op>(query,
                  {codes + row_ids[i] * stride, codes + row_ids[i + 1] * stride,
                   codes + row_ids[i + 2] * stride, codes + row_ids[i + 3] * stride},
                  stride, out + i);
  }
  prefetch_until(row_count);
  for (; i < row_count; ++i) out[i] = one_row<Op>(query, codes + row_ids[i] * stride, stride);
}

/// Rows whose bounds are computed at once.
constexpr std::size_t kGroup = 16;

/// A group's terms, in columns.
struct Terms {
  const float* scales;
  const float* rests;
  const float* norms;
};

/// The sums of a group.
struct GroupSums {
  static constexpr std::size_t kLanes = hn::MaxLanes(Ints());
  static_assert(kGroup % kLanes == 0);
  IntVector parts[kGroup / kLanes];

  static HWY_INLINE GroupSums load(const std::int32_t* sums) {
    GroupSums loaded = {{hn::Zero(Ints())}};
    for (std::size_t i = 0; i < kGroup; i += kLanes) {
      loaded.parts[i / kLanes] = hn::LoadU(Ints(), sums + i);
    }
    return loaded;
  }
};

#if HWY_TARGET <= HWY_AVX3
/// The totals of four times four_sums(): the 128-bit parts transposed, then added. By way of the
/// memory it would wait for the stores.
HWY_INLINE IntVector totals_of(IntVector a, IntVector b, IntVector c, IntVector d) {
  constexpr int kEven = 0x88, kOdd = 0xDD;
  const auto add_pairs = [](__m512i low, __m512i high) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(low, high, kEven),
                            _mm512_shuffle_i32x4(low, high, kOdd));
  };
  return IntVector{add_pairs(add_pairs(a.raw, b.raw), add_pairs(c.raw, d.raw))};
}
HWY_INLINE GroupSums group_sums(const std::int8_t* query, const std::uint8_t* first,
                                std::size_t stride) {
  const auto quarter = [&](std::size_t row) {
    const std::uint8_t* const from = first + row * stride;
    return four_sums<DotU8>(query, {from, from + stride, from + 2 * stride, from + 3 * stride},
                            stride);
  };
  return {{totals_of(quarter(0), quarter(4), quarter(8), quarter(12))}};
}
HWY_INLINE std::uint32_t bits_of(hn::Mask<Floats> mask) {
  return mask.raw;
}
#else
HWY_INLINE GroupSums group_sums(const std::int8_t* query, const std::uint8_t* first,
                                std::size_t stride) {
  std::int32_t sums[kGroup];
  for (std::size_t row = 0; row < kGroup; row += 4) {
    const std::uint8_t* const from = first + row * stride;
    four_rows<DotU8>(query, {from, from + stride, from + 2 * stride, from + 3 * stride}, stride,
                     sums + row);
  }
  return GroupSums::load(sums);
}
HWY_INLINE std::uint32_t bits_of(hn::Mask<Floats> mask) {
  std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(Floats(), mask, bytes);
  return bytes[0];
}
#endif

/// A bit for each row of a group whose bound is not above query.farthest, or says nothing.
HWY_INLINE std::uint32_t near_bits(const NearQuery& query, const GroupSums& sums,
                                   const Terms& terms) {
  const Floats floats;
  const Ints ints;
  constexpr std::size_t kLanes = GroupSums::kLanes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kGroup; i += kLanes) {
    const IntVector sum = hn::Sub(sums.parts[i / kLanes], hn::Set(ints, query.code_offset));
    const auto norm = hn::LoadU(floats, terms.norms + i);
    auto bound =
        hn::MulAdd(norm, hn::Set(floats, query.square_factor), hn::Set(floats, query.norm_factor));
    bound = hn::MulAdd(norm, bound, hn::Set(floats, query.constant));
    bound =
        hn::MulAdd(hn::LoadU(floats, terms.rests + i), hn::Set(floats, query.rest_factor), bound);
    const auto product = hn::Mul(hn::LoadU(floats, terms.scales + i), hn::ConvertTo(floats, sum));
    bound = hn::MulAdd(product, hn::Set(floats, query.product_factor), bound);
    const auto is_far = hn::And(hn::Gt(bound, hn::Set(floats, query.farthest)),
                                hn::Le(bound, hn::Set(floats, std::numeric_limits<float>::max())));
    constexpr std::uint32_t kAll = (1U << kLanes) - 1;
    bits |= (~bits_of(is_far) & kAll) << i;
  }
  return bits;
}

std::size_t near_rows(const NearQuery& given, const NearRows& rows, std::uint32_t* out) {
  const NearQuery query = given;  // Nothing that is written changes it.
  std::size_t count = 0;
  const auto take = [&](std::uint32_t bits, std::size_t first) {
    for (; bits != 0; bits &= bits - 1) {
      out[count++] =
          static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(__builtin_ctz(bits));
    }
  };
  std::size_t i = 0;
  for (; i + kGroup <= rows.row_count; i += kGroup) {
    const GroupSums sums = group_sums(query.code, rows.codes + i * rows.stride, rows.stride);
    take(near_bits(query, sums, {rows.scales + i, rows.rests + i, rows.norms + i}), i);
  }
  const std::size_t rest = rows.row_count - i;
  if (rest == 0) return count;
  // A group that is not full: what follows its rows is not theirs to read.
  std::int32_t sums[kGroup] = {};
  float scales[kGroup] = {}, rests[kGroup] = {}, norms[kGroup] = {};
  for (std::size_t row = 0; row < rest; ++row) {
    sums[row] = one_row<DotU8>(query.code, rows.codes + (i + row) * rows.stride, rows.stride);
    scales[row] = rows.scales[i + row];
    rests[row] = rows.rests[i + row];
    norms[row] = rows.norms[i + row];
  }
  take(near_bits(query, GroupSums::load(sums), {scales, rests, norms}) & ((1U << rest) - 1), i);
  return count;
}

constexpr CodeKernels kKernels = {&rows<DotU8>,    &rows_at<DotU8>,   &rows<SadU8>,
                                  &rows_at<SadU8>, &rows<DotU4>,      &rows_at<DotU4>,
                                  &rows<Hamming>,  &rows_at<Hamming>, &near_rows};

}  // namespace

const CodeKernels& code_kernels() {
  return kKernels;
}
#else
const CodeKernels& code_kernels() {
  return plain_code_kernels();
}
#endif

}  // namespace tessera::index::TESSERA_NAMESPACE
#if defined(TESSERA_VNNI)
HWY_POP_ATTRIBUTES
#else
HWY_AFTER_NAMESPACE();
#endif

#if HWY_TARGET == HWY_AVX3 && !defined(TESSERA_VNNI)
#define TESSERA_VNNI
#include "index/kernels_codes.cpp"
#undef TESSERA_VNNI
#endif

#if HWY_ONCE && !defined(TESSERA_VNNI)
namespace tessera::index {

const CodeKernels& code_kernels_of(std::int64_t target) {
#if HWY_TARGETS & HWY_AVX3
  if (target == HWY_AVX3) return N_AVX3::code_kernels();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (target == HWY_AVX2) return N_AVX2::code_kernels();
#endif
#if HWY_TARGETS & HWY_SSSE3
  if (target == HWY_SSSE3) return N_SSSE3::code_kernels();
#endif
#if HWY_TARGETS & HWY_NEON
  if (target == HWY_NEON) return N_NEON::code_kernels();
#endif
  return plain_code_kernels();
}

const CodeKernels* vnni_code_kernels() {
#if HWY_TARGETS & HWY_AVX3
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq")) {
    return &N_AVX3_VNNI::code_kernels();
  }
#endif
  return nullptr;
}

}  // namespace tessera::index
#endif  // HWY_ONCE
