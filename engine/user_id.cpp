#include <charconv>

#include "base/name_uuid.h"
#include "engine/user_requests.h"

namespace tessera::engine {
namespace {

/// A text that is how an integer is written.
std::optional<PointId> integer_of(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return PointId(number);
}

/// U+0000 to U+001F, U+007F to U+009F.
bool has_control_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if (byte < 0x20 || byte == 0x7F) return true;
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<std::uint8_t>(text[i + 1]) < 0xA0) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<UserId> UserId::parse(std::string_view text) {
  if (text.empty()) return Status(Code::kInvalidArgument, "a user id must not be empty");
  if (const auto number = integer_of(text)) return UserId(*number);
  if (const auto uuid = PointId::parse_uuid(text)) return UserId(*uuid);
  if (text.size() > kUserIdBytesMax) {
    return Status(Code::kInvalidArgument, "a user id has " + std::to_string(text.size()) +
                                              " bytes, at most " + std::to_string(kUserIdBytesMax) +
                                              " are allowed");
  }
  if (has_control_characters(text)) {
    return Status(Code::kInvalidArgument, "a user id must not hold control characters");
  }
  UserId id(name_uuid(text));
  id.text = text;
  return id;
}

}  // namespace tessera::engine
