#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace tessera::cli {

/// JSON in the order in which it was written, so that what is shown looks like what was answered.
using Json = nlohmann::ordered_json;

/// Deepest nesting that is read or written: nlohmann writes recursively, so depth is stack.
inline constexpr int kJsonDepthMax = 256;

/// kFormat with the parser's reason; also for text that is nested too deeply.
Result<Json> parse_json(std::string_view text);
/// Compact text. Bytes that are no UTF-8 become U+FFFD: for showing, not for storing.
std::string show_json(const Json& value);
/// Compact text for sending; kFormat when a string is not UTF-8.
Result<std::string> encode_json(const Json& value);

/// The shortest decimal that reads back as the same float. Requires a finite value.
void append_float(std::string& out, float value);
/// A JSON list of floats. Requires finite values.
void append_vector(std::string& out, const std::vector<float>& values);

/// Member `name` of an object, or a null that outlives the call. Never throws.
const Json& member(const Json& object, std::string_view name);
/// Text of a scalar member ("-" when it is missing): a string without its quotes.
std::string member_text(const Json& object, std::string_view name);
/// A whole number, 0 when missing or of another type.
std::uint64_t member_count(const Json& object, std::string_view name);

}  // namespace tessera::cli
