#pragma once

#include <optional>
#include <string>
#include <string_view>

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

/// {"id":..,"vector":..,"payload":..}; a named vector becomes {"name":[..]}; an empty payload text
/// is left out.
std::string point_json(const PointId& id, std::string_view vector_name,
                       std::string_view vector_json, std::string_view payload_json);

/// Checks a JSON list of numbers and writes it with the shortest digits. false for an all-zero one
/// in `is_not_zero`. kInvalidArgument names the value at fault.
Status vector_from_json(const Json& value, std::string& out, std::size_t& dim, bool& is_not_zero);

}  // namespace tessera::cli
