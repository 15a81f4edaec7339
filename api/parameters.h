#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tessera::api {

/// A request target taken apart: percent-decoded path segments (trailing slashes trimmed) and query
/// parameters in the order sent.
struct Target {
  std::vector<std::string> segments;
  std::vector<std::pair<std::string, std::string>> parameters;
};

/// kFormat "Deserialize error in path parameters: ..." or "... query parameters: ...": a broken
/// percent escape, or bytes that are not UTF-8.
Result<Target> parse_target(std::string_view target);

/// The query parameters that calls of the dialect share.
struct CallParameters {
  bool wait = false;
  std::optional<std::uint64_t> timeout_seconds;
};

/// kFormat "Deserialize error in query parameters: name: ...": a wrong type, an unknown `ordering`
/// or `consistency`, a known name given twice. kValidation "Validation error in query parameters:
/// [timeout: value 0 invalid, must be 1 or larger]". Unknown names are ignored.
Result<CallParameters> parse_call_parameters(const Target& target);

/// Whether `text` is well-formed UTF-8.
bool is_utf8(std::string_view text);

}  // namespace tessera::api
