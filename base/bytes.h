#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tessera {

/// Receives bytes in order; a file section behind it computes a checksum as they pass.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status append(std::span<const std::byte> bytes) = 0;
};

/// A sink that keeps everything in memory.
class StringSink final : public ByteSink {
 public:
  Status append(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  std::string text;
};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// CRC-32C (Castagnoli) of `bytes`, continuing from `crc` (0 to begin). Uses the CPU's instruction
/// where there is one.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes);

}  // namespace tessera
