#include "api/binary_body.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/parameters.h"
#include "api/schema.h"

namespace tessera::api {

namespace {

static_assert(std::endian::native == std::endian::little, "bodies are little-endian");

constexpr std::string_view kPointsMagic = "TSRP";
constexpr std::string_view kQueryMagic = "TSRQ";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kDimMax = 65'536;
constexpr std::size_t kUuidBytes = 16;

Status bad(const std::string& field, const std::string& text) {
  return {Code::kFormat, "Format error in binary body: " + field + ": " + text};
}

/// What is left of a body. Thread rule: confined to one thread.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

  /// The next `count` bytes; the body ends too early otherwise.
  Result<std::string_view> take(std::uint64_t count, const std::string& field) {
    if (count > bytes_.size()) {
      return bad(field, "needs " + std::to_string(count) + " bytes, the body has " +
                            std::to_string(bytes_.size()) + " left");
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  template <class Integer>
  Result<Integer> number(const std::string& field) {
    TESSERA_ASSIGN_OR_RETURN(const std::string_view bytes, take(sizeof(Integer), field));
    Integer value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

 private:
  std::string_view bytes_;
};

Status check_beginning(Bytes& bytes, std::string_view magic) {
  TESSERA_ASSIGN_OR_RETURN(const std::string_view found, bytes.take(magic.size(), "magic"));
  if (found != magic) return bad("magic", "must be " + std::string(magic));
  TESSERA_ASSIGN_OR_RETURN(const auto version, bytes.number<std::uint32_t>("version"));
  if (version == kVersion) return {};
  return bad("version",
             std::to_string(version) + " is not known, must be " + std::to_string(kVersion));
}

Status check_end(const Bytes& bytes) {
  if (bytes.left() == 0) return {};
  return bad("end", std::to_string(bytes.left()) + " bytes are left over");
}

Status check_dim(std::uint32_t dim, const std::string& field) {
  if (dim >= 1 && dim <= kDimMax) return {};
  return bad(field, std::to_string(dim) + " is not from 1 to " + std::to_string(kDimMax));
}

Result<std::vector<float>> floats_of(std::string_view bytes, const std::string& field) {
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  const auto wrong = std::find_if_not(numbers.begin(), numbers.end(),
                                      [](float number) { return std::isfinite(number); });
  if (wrong == numbers.end()) return numbers;
  return bad(field + "[" + std::to_string(wrong - numbers.begin()) + "]", "is not finite");
}

struct VectorColumn {
  std::string name;
  std::uint32_t dim = 0;
};

struct PointsHeader {
  std::uint32_t point_count = 0;
  bool has_uuids = false;
  bool has_payloads = false;
  std::vector<VectorColumn> vectors;
};

Result<VectorColumn> read_column(Bytes& bytes, const std::string& field) {
  VectorColumn column;
  TESSERA_ASSIGN_OR_RETURN(column.dim, bytes.number<std::uint32_t>(field + ".dim"));
  TESSERA_RETURN_IF_ERROR(check_dim(column.dim, field + ".dim"));
  TESSERA_ASSIGN_OR_RETURN(const auto name_bytes,
                           bytes.number<std::uint16_t>(field + ".name_bytes"));
  TESSERA_ASSIGN_OR_RETURN(const auto name, bytes.take(name_bytes, field + ".name"));
  if (!is_utf8(name)) return bad(field + ".name", "is not valid UTF-8");
  column.name = name;
  return column;
}

Result<PointsHeader> read_points_header(Bytes& bytes) {
  PointsHeader header;
  TESSERA_RETURN_IF_ERROR(check_beginning(bytes, kPointsMagic));
  TESSERA_ASSIGN_OR_RETURN(header.point_count, bytes.number<std::uint32_t>("point_count"));
  TESSERA_ASSIGN_OR_RETURN(const auto vector_count, bytes.number<std::uint16_t>("vector_count"));
  if (vector_count == 0) return bad("vector_count", "must be 1 or larger");
  TESSERA_ASSIGN_OR_RETURN(const auto id_kind, bytes.number<std::uint8_t>("id_kind"));
  if (id_kind > 1) return bad("id_kind", "must be 0 (integers) or 1 (UUIDs)");
  TESSERA_ASSIGN_OR_RETURN(const auto has_payloads, bytes.number<std::uint8_t>("has_payloads"));
  if (has_payloads > 1) return bad("has_payloads", "must be 0 or 1");
  header.has_uuids = id_kind == 1;
  header.has_payloads = has_payloads == 1;
  std::set<std::string> names;
  for (std::size_t i = 0; i < vector_count; ++i) {
    const std::string field = "vectors[" + std::to_string(i) + "]";
    TESSERA_ASSIGN_OR_RETURN(VectorColumn column, read_column(bytes, field));
    if (!names.insert(column.name).second) {
      return bad(field + ".name", "\"" + column.name + "\" stands there twice");
    }
    header.vectors.push_back(std::move(column));
  }
  return header;
}

Status read_ids(Bytes& bytes, const PointsHeader& header, std::vector<engine::PointInput>& points) {
  const std::size_t id_bytes = header.has_uuids ? kUuidBytes : sizeof(std::uint64_t);
  TESSERA_ASSIGN_OR_RETURN(std::string_view ids,
                           bytes.take(std::uint64_t{header.point_count} * id_bytes, "ids"));
  points.resize(header.point_count);
  for (engine::PointInput& point : points) {
    if (header.has_uuids) {
      std::array<std::uint8_t, kUuidBytes> uuid{};
      std::memcpy(uuid.data(), ids.data(), uuid.size());
      point.id = PointId::from_uuid(uuid);
    } else {
      std::uint64_t number = 0;
      std::memcpy(&number, ids.data(), sizeof number);
      point.id = PointId(number);
    }
    point.vectors.reserve(header.vectors.size());
    ids.remove_prefix(id_bytes);
  }
  return {};
}

Status read_rows(Bytes& bytes, const VectorColumn& column, const std::string& field,
                 std::vector<engine::PointInput>& points) {
  const std::uint64_t row_bytes = std::uint64_t{column.dim} * sizeof(float);
  TESSERA_ASSIGN_OR_RETURN(std::string_view rows, bytes.take(points.size() * row_bytes, field));
  for (std::size_t i = 0; i < points.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(
        auto vector, floats_of(rows.substr(0, row_bytes), field + "[" + std::to_string(i) + "]"));
    points[i].vectors.emplace_back(column.name, std::move(vector));
    rows.remove_prefix(row_bytes);
  }
  return {};
}

/// Lengths, then the texts one behind the other. An empty text is no payload.
Status read_payloads(Bytes& bytes, std::vector<engine::PointInput>& points) {
  TESSERA_ASSIGN_OR_RETURN(std::string_view lengths,
                           bytes.take(points.size() * sizeof(std::uint32_t), "payload_bytes"));
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::uint32_t length = 0;
    std::memcpy(&length, lengths.data(), sizeof length);
    lengths.remove_prefix(sizeof length);
    const std::string field = "payloads[" + std::to_string(i) + "]";
    TESSERA_ASSIGN_OR_RETURN(const std::string_view text, bytes.take(length, field));
    if (text.empty()) continue;
    Issues issues;
    const Document document(text, 0, issues);
    if (document.ok()) points[i].payload = document.root().compact_object();
    if (const Status status = issues.status(); !status.ok()) {
      if (status.code() != Code::kFormat) return status;
      return bad(field, status.message());
    }
  }
  return {};
}

}  // namespace

bool is_content_type(std::string_view content_type, std::string_view type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ') || content_type.ends_with('\t')) content_type.remove_suffix(1);
  return std::equal(content_type.begin(), content_type.end(), type.begin(), type.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

Result<engine::UpsertPoints> decode_binary_points(std::string_view body) {
  Bytes bytes(body);
  TESSERA_ASSIGN_OR_RETURN(const PointsHeader header, read_points_header(bytes));
  // The smallest size of a point is known now; only a body that holds them all gets memory.
  std::uint64_t point_bytes = header.has_uuids ? kUuidBytes : sizeof(std::uint64_t);
  for (const VectorColumn& column : header.vectors) {
    point_bytes += std::uint64_t{column.dim} * sizeof(float);
  }
  if (header.point_count > bytes.left() / point_bytes) {
    return bad("point_count", std::to_string(header.point_count) + " points of " +
                                  std::to_string(point_bytes) + " bytes, the body has " +
                                  std::to_string(bytes.left()) + " left");
  }
  engine::UpsertPoints request;
  TESSERA_RETURN_IF_ERROR(read_ids(bytes, header, request.points));
  for (std::size_t i = 0; i < header.vectors.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(read_rows(bytes, header.vectors[i],
                                      "vectors[" + std::to_string(i) + "].rows", request.points));
  }
  if (header.has_payloads) TESSERA_RETURN_IF_ERROR(read_payloads(bytes, request.points));
  TESSERA_RETURN_IF_ERROR(check_end(bytes));
  return request;
}

Result<LiftedVectors> decode_binary_query(std::string_view body, VectorPlaces places) {
  Bytes bytes(body);
  TESSERA_RETURN_IF_ERROR(check_beginning(bytes, kQueryMagic));
  TESSERA_ASSIGN_OR_RETURN(const auto json_bytes, bytes.number<std::uint32_t>("json_bytes"));
  TESSERA_ASSIGN_OR_RETURN(const auto dim, bytes.number<std::uint32_t>("dim"));
  TESSERA_RETURN_IF_ERROR(check_dim(dim, "dim"));
  TESSERA_ASSIGN_OR_RETURN(std::string_view json, bytes.take(json_bytes, "json"));
  TESSERA_ASSIGN_OR_RETURN(const auto row,
                           bytes.take(std::uint64_t{dim} * sizeof(float), "vector"));
  TESSERA_RETURN_IF_ERROR(check_end(bytes));
  LiftedVectors lifted;
  TESSERA_ASSIGN_OR_RETURN(auto vector, floats_of(row, "vector"));
  lifted.vectors.push_back(std::move(vector));

  constexpr std::string_view kSpace = " \t\r\n";
  json.remove_prefix(std::min(json.find_first_not_of(kSpace), json.size()));
  if (!json.starts_with('{')) return bad("json", "must be an object");
  json.remove_prefix(1);
  json.remove_prefix(std::min(json.find_first_not_of(kSpace), json.size()));
  lifted.rest = places == VectorPlaces::kSearch ? R"({"vector":[0])" : R"({"query":[0])";
  if (!json.starts_with('}')) lifted.rest += ',';
  lifted.rest += json;
  return lifted;
}

}  // namespace tessera::api
