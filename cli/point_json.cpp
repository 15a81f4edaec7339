#include "cli/point_json.h"

#include <algorithm>
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

std::string point_json(const ImportRow& row) {
  std::string out = "{\"id\":" + id_json(row.id) + ",\"vector\":";
  const bool is_map = row.vectors.size() != 1 || !row.vectors.front().first.empty();
  if (is_map) out += '{';
  for (std::size_t i = 0; i < row.vectors.size(); ++i) {
    const auto& [name, vector] = row.vectors[i];
    if (i > 0) out += ',';
    if (is_map) out += show_json(Json(name)) + ':';
    append_vector(out, vector);
  }
  if (is_map) out += '}';
  if (!row.payload_json.empty()) {
    out += ",\"payload\":";
    out += row.payload_json;
  }
  out += '}';
  return out;
}

Result<std::vector<float>> vector_from_json(const Json& value) {
  if (!value.is_array()) {
    return Status(Code::kInvalidArgument,
                  "vector is " + std::string(value.type_name()) + ", not a list of numbers");
  }
  if (value.empty()) return Status(Code::kInvalidArgument, "vector is empty");
  std::vector<float> values;
  values.reserve(value.size());
  for (const Json& number : value) {
    const auto wrong = [&values](const std::string& text) {
      return Status(Code::kInvalidArgument,
                    "vector value " + std::to_string(values.size()) + " is " + text);
    };
    if (!number.is_number()) return wrong(shortened(show_json(number), 40) + ", not a number");
    const auto as_float = static_cast<float>(number.get<double>());
    if (!std::isfinite(as_float)) return wrong("beyond the range of a 32-bit float");
    values.push_back(as_float);
  }
  return values;
}

Status check_finite(const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return {Code::kInvalidArgument, "vector value " + std::to_string(i) + " is " +
                                        (std::isnan(values[i]) ? "not a number" : "infinite")};
  }
  return {};
}

bool is_zero(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

}  // namespace tessera::cli
