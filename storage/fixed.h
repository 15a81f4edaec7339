#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

namespace tessera::storage {

// Files are little-endian and mapped in place, so is every machine this runs on.
static_assert(std::endian::native == std::endian::little);

/// Appends a fixed-width little-endian integer.
template <class Integer>
requires std::is_unsigned_v<Integer>
void put_fixed(std::string& text, Integer value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// Reads a fixed-width little-endian integer; `bytes` must hold it, at any alignment.
template <class Integer>
requires std::is_unsigned_v<Integer>
[[nodiscard]] Integer get_fixed(const void* bytes) {
  Integer value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

}  // namespace tessera::storage
