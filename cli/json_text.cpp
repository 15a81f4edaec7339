#include "cli/json_text.h"

#include <charconv>
#include <cmath>

namespace tessera::cli {
namespace {

/// Depth is checked on the text because nlohmann's parser itself has no limit.
bool is_nested_too_deeply(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

/// Without the library's own tag: "[json.exception.parse_error.101] parse error at ...".
std::string reason_of(const nlohmann::json::exception& error) {
  const std::string text = error.what();
  const std::size_t end = text.find("] ");
  return end == std::string::npos ? text : text.substr(end + 2);
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (is_nested_too_deeply(text)) {
    return Status(Code::kFormat,
                  "JSON is nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    return Status(Code::kFormat, reason_of(error));
  }
}

std::string show_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> encode_json(const Json& value) {
  try {
    return value.dump();
  } catch (const Json::exception& error) {
    return Status(Code::kFormat, reason_of(error));
  }
}

void append_float(std::string& out, float value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end.ptr);
}

void append_vector(std::string& out, const std::vector<float>& values) {
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ',';
    append_float(out, values[i]);
  }
  out += ']';
}

const Json& member(const Json& object, std::string_view name) {
  static const Json missing;
  if (!object.is_object()) return missing;
  const auto found = object.find(name);
  return found == object.end() ? missing : *found;
}

std::string member_text(const Json& object, std::string_view name) {
  const Json& value = member(object, name);
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : show_json(value);
}

std::uint64_t member_count(const Json& object, std::string_view name) {
  const Json& value = member(object, name);
  return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
}

}  // namespace tessera::cli
