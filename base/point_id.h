#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tessera {

/// A client's name for a point: an unsigned 64-bit integer or a UUID. Integers sort before UUIDs,
/// integers by value, UUIDs by their bytes. Thread rule: a value.
class PointId {
 public:
  constexpr PointId() = default;
  constexpr explicit PointId(std::uint64_t number) : low_(number) {}

  static PointId from_uuid(const std::array<std::uint8_t, 16>& bytes);
  /// Any standard spelling of a UUID: hyphenated, simple (32 digits), braced, or urn:uuid:.
  static std::optional<PointId> parse_uuid(std::string_view text);

  [[nodiscard]] constexpr bool is_uuid() const { return is_uuid_; }
  /// The integer. Requires !is_uuid().
  [[nodiscard]] constexpr std::uint64_t number() const { return low_; }
  /// The 16 bytes in network order. Requires is_uuid().
  [[nodiscard]] std::array<std::uint8_t, 16> uuid_bytes() const;
  /// Decimal digits, or the hyphenated lower-case UUID (without quotes).
  [[nodiscard]] std::string to_string() const;

  friend constexpr auto operator<=>(const PointId&, const PointId&) = default;

 private:
  // Member order is the sort order.
  bool is_uuid_ = false;
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
  friend struct std::hash<PointId>;
};

}  // namespace tessera

template <>
struct std::hash<tessera::PointId> {
  std::size_t operator()(const tessera::PointId& id) const noexcept {
    std::uint64_t mixed = (id.low_ + 0x9e3779b97f4a7c15ULL * (id.high_ + id.is_uuid_));
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
  }
};
