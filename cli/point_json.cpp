#include "cli/point_json.h"

#include <charconv>
#include <cmath>

#include "cli/console.h"

namespace tessera::cli {

std::string id_json(const PointId& id) {
  return id.is_uuid() ? '"' + id.to_string() + '"' : id.to_string();
}

Result<PointId> id_from_json(const Json& value) {
  if (value.is_number_unsigned()) return PointId(value.get<std::uint64_t>());
  if (value.is_string()) {
    if (const auto uuid = PointId::parse_uuid(value.get_ref<const std::string&>())) return *uuid;
  }
  return Status(Code::kInvalidArgument, "id " + shortened(show_json(value), 60) +
                                            " is neither an unsigned integer nor a UUID");
}

Result<PointId> id_from_text(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end) return PointId(number);
  if (const auto uuid = PointId::parse_uuid(text)) return *uuid;
  return Status(Code::kInvalidArgument,
                "id \"" + shortened(text, 60) + "\" is neither an unsigned integer nor a UUID");
}

std::string point_json(const PointId& id, std::string_view vector_name,
                       std::string_view vector_json, std::string_view payload_json) {
  std::string out = "{\"id\":" + id_json(id) + ",\"vector\":";
  out.reserve(out.size() + vector_json.size() + payload_json.size() + 64);
  if (!vector_name.empty()) out += '{' + show_json(Json(std::string(vector_name))) + ':';
  out += vector_json;
  if (!vector_name.empty()) out += '}';
  if (!payload_json.empty()) {
    out += ",\"payload\":";
    out += payload_json;
  }
  out += '}';
  return out;
}

Status vector_from_json(const Json& value, std::string& out, std::size_t& dim, bool& is_not_zero) {
  if (!value.is_array()) {
    return {Code::kInvalidArgument,
            "vector is " + std::string(value.type_name()) + ", not a list of numbers"};
  }
  if (value.empty()) return {Code::kInvalidArgument, "vector is empty"};
  dim = value.size();
  out += '[';
  std::size_t i = 0;
  for (const Json& number : value) {
    if (!number.is_number()) {
      return {Code::kInvalidArgument, "vector value " + std::to_string(i) + " is " +
                                          shortened(show_json(number), 40) + ", not a number"};
    }
    const auto as_float = static_cast<float>(number.get<double>());
    if (!std::isfinite(as_float)) {
      return {Code::kInvalidArgument,
              "vector value " + std::to_string(i) + " is beyond the range of a 32-bit float"};
    }
    if (as_float != 0) is_not_zero = true;
    if (i++ != 0) out += ',';
    append_float(out, as_float);
  }
  out += ']';
  return {};
}

}  // namespace tessera::cli
