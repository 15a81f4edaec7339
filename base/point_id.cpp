#include "base/point_id.h"

namespace tessera {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::string_view kUrnPrefix = "urn:uuid:";
constexpr std::size_t kSimpleLength = 32;
constexpr std::size_t kHyphenatedLength = 36;

bool is_hyphen_position(std::size_t index) {
  return index == 8 || index == 13 || index == 18 || index == 23;
}

}  // namespace

PointId PointId::from_uuid(const std::array<std::uint8_t, 16>& bytes) {
  PointId id;
  id.is_uuid_ = true;
  for (std::size_t i = 0; i < 8; ++i) {
    id.high_ = id.high_ << 8 | bytes[i];
    id.low_ = id.low_ << 8 | bytes[i + 8];
  }
  return id;
}

std::optional<PointId> PointId::parse_uuid(std::string_view text) {
  if (text.substr(0, kUrnPrefix.size()) == kUrnPrefix) {
    text.remove_prefix(kUrnPrefix.size());
    if (text.size() != kHyphenatedLength) return std::nullopt;
  } else if (text.size() == kHyphenatedLength + 2 && text.front() == '{' && text.back() == '}') {
    text = text.substr(1, kHyphenatedLength);
  }
  const bool hyphenated = text.size() == kHyphenatedLength;
  if (!hyphenated && text.size() != kSimpleLength) return std::nullopt;

  std::array<std::uint8_t, 16> bytes{};
  std::size_t digit_count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (hyphenated && is_hyphen_position(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int value = hex_value(text[i]);
    if (value < 0) return std::nullopt;
    bytes[digit_count / 2] = static_cast<std::uint8_t>(bytes[digit_count / 2] << 4 | value);
    ++digit_count;
  }
  return from_uuid(bytes);
}

std::array<std::uint8_t, 16> PointId::uuid_bytes() const {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::uint8_t>(high_ >> (56 - 8 * i));
    bytes[i + 8] = static_cast<std::uint8_t>(low_ >> (56 - 8 * i));
  }
  return bytes;
}

std::string PointId::to_string() const {
  if (!is_uuid_) return std::to_string(low_);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(kHyphenatedLength);
  for (const std::uint8_t byte : uuid_bytes()) {
    if (is_hyphen_position(text.size())) text += '-';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace tessera
