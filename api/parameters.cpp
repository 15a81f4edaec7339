#include "api/parameters.h"

#include <algorithm>
#include <charconv>

#include <simdjson.h>

namespace tessera::api {

namespace {

constexpr std::size_t kShownBytesMax = 60;

Status deserialize_error(std::string_view where, const std::string& text) {
  return {Code::kFormat, "Deserialize error in " + std::string(where) + ": " + text};
}

std::optional<unsigned> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return std::nullopt;
}

Result<std::string> decode_percent(std::string_view text, bool plus_is_space,
                                   std::string_view where) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      const auto high = i + 1 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
      const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
      if (!high || !low) return deserialize_error(where, "a percent sign without two hex digits");
      decoded += static_cast<char>(*high * 16 + *low);
      i += 2;
    }
  }
  if (!is_utf8(decoded)) return deserialize_error(where, "not valid UTF-8");
  return decoded;
}

/// Calls `visit` for every piece between separators.
template <class Visit>
Status for_each_piece(std::string_view text, char separator, Visit visit) {
  while (true) {
    const std::size_t end = text.find(separator);
    TESSERA_RETURN_IF_ERROR(visit(text.substr(0, end)));
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
}

Status parse_parameters(std::string_view query, Target& target) {
  return for_each_piece(query, '&', [&target](std::string_view pair) -> Status {
    if (pair.empty()) return {};
    const std::size_t equals = pair.find('=');
    const std::string_view raw_value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    TESSERA_ASSIGN_OR_RETURN(std::string name,
                             decode_percent(pair.substr(0, equals), true, "query parameters"));
    TESSERA_ASSIGN_OR_RETURN(std::string value,
                             decode_percent(raw_value, true, "query parameters"));
    target.parameters.emplace_back(std::move(name), std::move(value));
    return {};
  });
}

}  // namespace

bool is_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

Result<Target> parse_target(std::string_view text) {
  Target target;
  text = text.substr(0, text.find('#'));
  const std::size_t question = text.find('?');
  if (question != std::string_view::npos) {
    TESSERA_RETURN_IF_ERROR(parse_parameters(text.substr(question + 1), target));
    text = text.substr(0, question);
  }
  if (!text.empty() && text.front() == '/') text.remove_prefix(1);
  while (!text.empty() && text.back() == '/') text.remove_suffix(1);
  if (text.empty()) return target;
  TESSERA_RETURN_IF_ERROR(for_each_piece(text, '/', [&target](std::string_view piece) -> Status {
    TESSERA_ASSIGN_OR_RETURN(std::string segment, decode_percent(piece, false, "path parameters"));
    target.segments.push_back(std::move(segment));
    return {};
  }));
  return target;
}

namespace {

Status wrong_parameter(const std::string& name, const std::string& expected,
                       const std::string& found) {
  std::size_t end = std::min(found.size(), kShownBytesMax);
  while (end < found.size() && (static_cast<unsigned char>(found[end]) & 0xC0) == 0x80) --end;
  return deserialize_error("query parameters", name + ": expected " + expected + ", found \"" +
                                                   found.substr(0, end) + "\"");
}

std::optional<std::uint64_t> parse_unsigned(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Status parse_one(const std::string& name, const std::string& value, CallParameters& parameters) {
  const auto is_one_of = [&value](std::initializer_list<std::string_view> spellings) {
    return std::find(spellings.begin(), spellings.end(), value) != spellings.end();
  };
  if (name == "wait") {
    if (!is_one_of({"true", "false"})) return wrong_parameter(name, "true or false", value);
    parameters.wait = value == "true";
  } else if (name == "ordering") {
    if (!is_one_of({"weak", "medium", "strong"})) {
      return wrong_parameter(name, "weak, medium or strong", value);
    }
  } else if (name == "consistency") {
    const auto count = parse_unsigned(value);
    if (!is_one_of({"majority", "quorum", "all"}) && (!count || *count == 0)) {
      return wrong_parameter(name, "a number of replicas, majority, quorum or all", value);
    }
  } else if (name == "timeout") {
    parameters.timeout_seconds = parse_unsigned(value);
    if (!parameters.timeout_seconds) {
      return wrong_parameter(name, "a whole number of seconds", value);
    }
    if (*parameters.timeout_seconds == 0) {
      return {Code::kValidation,
              "Validation error in query parameters: [timeout: value 0 invalid, must be 1 or "
              "larger]"};
    }
  }
  return {};
}

}  // namespace

Result<CallParameters> parse_call_parameters(const Target& target) {
  CallParameters parameters;
  static constexpr std::string_view kKnown[] = {"wait", "ordering", "consistency", "timeout"};
  for (const std::string_view known : kKnown) {
    const auto count = std::count_if(target.parameters.begin(), target.parameters.end(),
                                     [&](const auto& pair) { return pair.first == known; });
    if (count > 1) {
      return deserialize_error("query parameters", "duplicate field `" + std::string(known) + "`");
    }
  }
  for (const auto& [name, value] : target.parameters) {
    TESSERA_RETURN_IF_ERROR(parse_one(name, value, parameters));
  }
  return parameters;
}

}  // namespace tessera::api
