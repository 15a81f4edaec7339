#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/point_id.h"
#include "storage/fixed.h"

/// Values of small records, one behind the other without padding.
namespace tessera::storage::packed {

inline constexpr std::size_t kUuidBytes = 16;

/// Little-endian base 128: seven bits a byte, the high bit set in all but the last.
inline void put_varint(std::string& bytes, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

inline std::uint64_t zigzag(std::int64_t value) {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}

inline std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
}

/// Of a float or a double.
template <class Float>
void put_float(std::string& bytes, Float value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// A varint, or 16 bytes: which of them the reader must know.
inline void put_id(std::string& bytes, const PointId& id) {
  if (!id.is_uuid()) return put_varint(bytes, id.number());
  const std::array<std::uint8_t, kUuidBytes> uuid = id.uuid_bytes();
  bytes.append(reinterpret_cast<const char*>(uuid.data()), uuid.size());
}

/// Takes values from the front of bytes; each gives nothing where they do not suffice.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

  std::optional<unsigned> byte() {
    if (bytes_.empty()) return std::nullopt;
    const auto value = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }
  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto next = byte();
      if (!next) return std::nullopt;
      const std::uint64_t bits = *next & 0x7F;
      if (shift == 63 && bits > 1) return std::nullopt;
      value |= bits << shift;
      if (*next < 0x80) return value;
    }
    return std::nullopt;
  }
  /// A float or a double, whatever its bits.
  template <class Float>
  std::optional<double> number() {
    if (bytes_.size() < sizeof(Float)) return std::nullopt;
    Float value;
    std::memcpy(&value, bytes_.data(), sizeof(value));
    bytes_.remove_prefix(sizeof(value));
    return value;
  }
  std::optional<PointId> id(bool is_uuid) {
    if (!is_uuid) {
      const auto value = varint();
      return value ? std::optional(PointId(*value)) : std::nullopt;
    }
    std::array<std::uint8_t, kUuidBytes> uuid{};
    if (bytes_.size() < uuid.size()) return std::nullopt;
    std::memcpy(uuid.data(), bytes_.data(), uuid.size());
    bytes_.remove_prefix(uuid.size());
    return PointId::from_uuid(uuid);
  }
  std::optional<std::string_view> text(std::size_t byte_count) {
    if (bytes_.size() < byte_count) return std::nullopt;
    const std::string_view taken = bytes_.substr(0, byte_count);
    bytes_.remove_prefix(byte_count);
    return taken;
  }

 private:
  std::string_view bytes_;
};

}  // namespace tessera::storage::packed
