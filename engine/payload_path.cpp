#include <charconv>

#include <simdjson.h>

#include "engine/payload.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kPathBytesMax = 4096;

/// Letters outside ASCII arrive as UTF-8, all of whose bytes have the high bit set.
bool is_raw_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || (static_cast<unsigned char>(c) & 0x80U) != 0;
}

class PathParser {
 public:
  explicit PathParser(std::string_view text) : text_(text) {}

  Result<PayloadPath> parse() {
    if (text_.size() > kPathBytesMax) return failure("it is longer than 4096 bytes");
    // A key that is not UTF-8 could be put into a payload, which could then not be written.
    if (!simdjson::validate_utf8(text_)) {
      return Status(Code::kInvalidArgument, "Invalid payload path: it is not valid UTF-8");
    }
    path_.text = std::string(text_);
    TESSERA_RETURN_IF_ERROR(parse_key());
    while (at_ < text_.size()) {
      if (path_.steps.size() >= kPayloadDepthMax) return failure("it has more than 64 steps");
      const char c = text_[at_++];
      if (c == '.') {
        TESSERA_RETURN_IF_ERROR(parse_key());
      } else if (c == '[') {
        TESSERA_RETURN_IF_ERROR(parse_element());
      } else {
        return failure("unexpected character at byte " + std::to_string(at_ - 1));
      }
    }
    return std::move(path_);
  }

 private:
  [[nodiscard]] Status failure(const std::string& why) const {
    return {Code::kInvalidArgument,
            "Invalid payload path \"" + std::string(text_.substr(0, 100)) + "\": " + why};
  }

  Status parse_key() {
    PayloadPath::Step step;
    if (at_ < text_.size() && text_[at_] == '"') {
      const std::size_t end = text_.find('"', at_ + 1);
      if (end == std::string_view::npos) return failure("a quoted key does not end");
      step.key = std::string(text_.substr(at_ + 1, end - at_ - 1));
      at_ = end + 1;
    } else {
      const std::size_t begin = at_;
      while (at_ < text_.size() && is_raw_key_char(text_[at_])) ++at_;
      if (at_ == begin) return failure("a key is missing at byte " + std::to_string(begin));
      step.key = std::string(text_.substr(begin, at_ - begin));
    }
    path_.steps.push_back(std::move(step));
    return {};
  }

  /// After the opening bracket.
  Status parse_element() {
    PayloadPath::Step step;
    const std::size_t end = text_.find(']', at_);
    if (end == std::string_view::npos) return failure("a bracket does not close");
    if (end == at_) {
      step.kind = PayloadPath::Step::Kind::kEveryElement;
    } else {
      step.kind = PayloadPath::Step::Kind::kElement;
      const char* const last = text_.data() + end;
      const auto [stop, error] = std::from_chars(text_.data() + at_, last, step.element);
      if (error != std::errc() || stop != last) {
        return failure("between brackets stands nothing or an element's number");
      }
    }
    at_ = end + 1;
    path_.steps.push_back(std::move(step));
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  PayloadPath path_;
};

}  // namespace

Result<PayloadPath> parse_payload_path(std::string_view text) {
  return PathParser(text).parse();
}

}  // namespace tessera::engine
