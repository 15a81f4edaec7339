#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/float16.h"

namespace tessera {

/// How the values of dense vectors are stored. Stored on disk: never renumber.
enum class ValueType : std::uint8_t {
  kFloat32 = 0,
  kFloat16 = 1,  ///< IEEE 754 binary16.
  kUint8 = 2,    ///< Integers from 0 to 255.
};

/// The dialect's spelling: "float32", "float16", "uint8".
inline const char* value_type_name(ValueType type) {
  switch (type) {
    case ValueType::kFloat32:
      return "float32";
    case ValueType::kFloat16:
      return "float16";
    case ValueType::kUint8:
      return "uint8";
  }
  return "unknown";
}

inline std::optional<ValueType> value_type_of(std::uint8_t number) {
  if (number > static_cast<std::uint8_t>(ValueType::kUint8)) return std::nullopt;
  return static_cast<ValueType>(number);
}

constexpr std::size_t value_bytes(ValueType type) {
  switch (type) {
    case ValueType::kFloat32:
      return 4;
    case ValueType::kFloat16:
      return 2;
    case ValueType::kUint8:
      return 1;
  }
  return 4;
}

/// Whether a value can be stored: what overflows float16, and what is not an integer from 0 to 255
/// in uint8, cannot.
inline bool is_storable(ValueType type, float value) {
  constexpr float kFloat16Overflow = 65520;  // From here on the nearest float16 is infinity.
  switch (type) {
    case ValueType::kFloat32:
      return std::isfinite(value);
    case ValueType::kFloat16:
      return std::fabs(value) < kFloat16Overflow;
    case ValueType::kUint8:
      return value >= 0 && value <= 255 && value == std::floor(value);
  }
  return false;
}

/// Writes `count` storable values to `out`, which has count * value_bytes(type) bytes and need not
/// be aligned: float16 rounds to the nearest, ties to even.
inline void narrow_values(ValueType type, const float* values, std::size_t count, void* out) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  switch (type) {
    case ValueType::kFloat32:
      if (count > 0) std::memcpy(bytes, values, count * sizeof(float));
      return;
    case ValueType::kFloat16:
      for (std::size_t i = 0; i < count; ++i) {
        const Float16 half = to_float16(values[i]);
        std::memcpy(bytes + i * sizeof(half), &half, sizeof(half));
      }
      return;
    case ValueType::kUint8:
      for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(values[i]);
      return;
  }
}

/// The values as floats, exactly; `stored` need not be aligned.
inline void widen_values(ValueType type, const void* stored, std::size_t count, float* out) {
  const auto* bytes = static_cast<const std::uint8_t*>(stored);
  switch (type) {
    case ValueType::kFloat32:
      if (count > 0) std::memcpy(out, bytes, count * sizeof(float));
      return;
    case ValueType::kFloat16:
      for (std::size_t i = 0; i < count; ++i) {
        Float16 half;
        std::memcpy(&half, bytes + i * sizeof(half), sizeof(half));
        out[i] = to_float(half);
      }
      return;
    case ValueType::kUint8:
      for (std::size_t i = 0; i < count; ++i) out[i] = bytes[i];
      return;
  }
}

}  // namespace tessera
