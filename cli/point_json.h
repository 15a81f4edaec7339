#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/point_id.h"
#include "cli/json_text.h"
#include "cli/row_source.h"

namespace tessera::cli {

/// An id as JSON: a number, or a quoted UUID.
std::string id_json(const PointId& id);
/// An unsigned integer, or a UUID in a string; kInvalidArgument shows what was found.
Result<PointId> id_from_json(const Json& value);
/// The same from plain text, as in a CSV cell or on the command line.
Result<PointId> id_from_text(std::string_view text);

/// {"id":..,"vector":..,"payload":..}; named vectors become {"name":[..]}; an empty payload text is
/// left out.
std::string point_json(const ImportRow& row);

/// A JSON list of numbers that fit 32-bit floats. kInvalidArgument names the value at fault.
Result<std::vector<float>> vector_from_json(const Json& value);
/// kInvalidArgument names the first value that is not finite.
Status check_finite(const std::vector<float>& values);
bool is_zero(const std::vector<float>& values);

}  // namespace tessera::cli
