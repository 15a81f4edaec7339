#pragma once

#include <bit>
#include <cstdint>

namespace tessera {

/// IEEE 754 binary16: 11 significant bits, magnitudes up to 65504.
struct Float16 {
  std::uint16_t bits = 0;
};

/// Rounded to the nearest, ties to even. Magnitudes from 65520 on become infinity.
inline Float16 to_float16(float value) {
  constexpr std::uint32_t kInfinity = 0x7F800000U;
  // Above this, 65520, nothing rounds to a finite value.
  constexpr std::uint32_t kOverflow = 0x477FF000U;
  constexpr std::uint32_t kSmallestNormal = 0x38800000U;  // 2^-14
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > kInfinity) {
    half = 0x7E00U;
  } else if (magnitude >= kOverflow) {
    half = 0x7C00U;
  } else if (magnitude < kSmallestNormal) {
    // Adding 0.5 leaves the value in units of 2^-24, rounded, in the last bits.
    const float sum = std::bit_cast<float>(magnitude) + 0.5F;
    half = std::bit_cast<std::uint32_t>(sum) - std::bit_cast<std::uint32_t>(0.5F);
  } else {
    constexpr std::uint32_t kExponentShift = (127U - 15U) << 23U;
    const std::uint32_t is_odd = (magnitude >> 13U) & 1U;
    half = (magnitude - kExponentShift + 0xFFFU + is_odd) >> 13U;
  }
  return {static_cast<std::uint16_t>(sign | half)};
}

/// Exact.
inline float to_float(Float16 value) {
  const std::uint32_t sign = (value.bits & 0x8000U) << 16U;
  const std::uint32_t magnitude = (value.bits & 0x7FFFU) << 13U;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112F);
  if (magnitude >= 0x0F800000U) bits = magnitude | 0x7F800000U;
  return std::bit_cast<float>(sign | bits);
}

}  // namespace tessera
