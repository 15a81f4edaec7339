#include "cli/upsert_body.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "cli/point_json.h"

namespace tessera::cli {
namespace {

constexpr std::string_view kMagic = "TSRP";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kNameBytesMax = 1000;
constexpr std::size_t kVectorCountMax = 1000;

template <class Number>
void append(std::string& out, Number number) {
  static_assert(std::endian::native == std::endian::little, "bodies are little-endian");
  static_assert(std::is_arithmetic_v<Number>);
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

bool has_shape_of(const ImportRow& row, const ImportRow& other) {
  return row.id.is_uuid() == other.id.is_uuid() &&
         std::equal(row.vectors.begin(), row.vectors.end(), other.vectors.begin(),
                    other.vectors.end(), [](const auto& a, const auto& b) {
                      return a.first == b.first && a.second.size() == b.second.size();
                    });
}

bool is_uniform(std::span<const ImportRow> rows) {
  if (rows.empty() || rows.front().vectors.empty()) return false;
  if (rows.front().vectors.size() > kVectorCountMax) return false;
  for (const auto& [name, vector] : rows.front().vectors) {
    if (name.size() > kNameBytesMax || vector.empty()) return false;
  }
  return std::all_of(rows.begin(), rows.end(),
                     [&](const ImportRow& row) { return has_shape_of(row, rows.front()); });
}

void append_id(std::string& out, const PointId& id) {
  if (!id.is_uuid()) return append(out, id.number());
  for (const std::uint8_t byte : id.uuid_bytes()) append(out, byte);
}

std::string binary_body(std::span<const ImportRow> rows) {
  const auto& shape = rows.front().vectors;
  std::size_t payload_bytes = 0;
  for (const ImportRow& row : rows) payload_bytes += row.payload_json.size();
  std::size_t row_bytes = 20;
  for (const auto& [name, vector] : shape) row_bytes += vector.size() * sizeof(float);

  std::string out;
  out.reserve(256 + rows.size() * row_bytes + payload_bytes);
  out += kMagic;
  append(out, kVersion);
  append(out, static_cast<std::uint32_t>(rows.size()));
  append(out, static_cast<std::uint16_t>(shape.size()));
  append(out, static_cast<std::uint8_t>(rows.front().id.is_uuid()));
  append(out, static_cast<std::uint8_t>(payload_bytes > 0));
  for (const auto& [name, vector] : shape) {
    append(out, static_cast<std::uint32_t>(vector.size()));
    append(out, static_cast<std::uint16_t>(name.size()));
    out += name;
  }
  for (const ImportRow& row : rows) append_id(out, row.id);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    for (const ImportRow& row : rows) {
      const std::vector<float>& vector = row.vectors[i].second;
      out.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
    }
  }
  if (payload_bytes == 0) return out;
  for (const ImportRow& row : rows) {
    append(out, static_cast<std::uint32_t>(row.payload_json.size()));
  }
  for (const ImportRow& row : rows) out += row.payload_json;
  return out;
}

std::string json_body(std::span<const ImportRow> rows) {
  std::string out = "{\"points\":[";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) out += ',';
    out += point_json(rows[i]);
  }
  out += "]}";
  return out;
}

}  // namespace

UpsertBody make_upsert_body(std::span<const ImportRow> rows, bool is_binary) {
  if (is_binary && is_uniform(rows)) return {kBinaryPointsType, binary_body(rows)};
  return {"application/json", json_body(rows)};
}

}  // namespace tessera::cli
