#include "cli/input_file.h"
#include "cli/point_json.h"
#include "cli/row_source.h"

namespace tessera::cli {
namespace {

/// {"id": .., "vector": [..] or {name: [..]}, "payload": {..}}, one object a line; blank lines are
/// allowed. Thread rule: confined to one thread.
class JsonLinesSource final : public RowSource {
 public:
  JsonLinesSource(InputFile file, RowOptions options)
      : reader_(std::move(file)), options_(std::move(options)) {}

  Result<bool> next(ImportRow& row) override {
    row = {};
    do {
      const std::uint64_t line_number = reader_.line_number();
      TESSERA_ASSIGN_OR_RETURN(const bool is_there, reader_.read_line(line_));
      if (!is_there) return false;
      row.where = reader_.file().path() + ":" + std::to_string(line_number);
      if (row_index_ == 0 && line_.starts_with("\xEF\xBB\xBF")) line_.erase(0, 3);
    } while (line_.find_first_not_of(" \t") == std::string::npos);
    row.after = {reader_.offset(), reader_.line_number(), ++row_index_};
    const Status status = reader_.is_too_long()
                              ? Status(Code::kInvalidArgument, "the line is longer than 16 MiB")
                              : convert(row);
    if (!status.ok()) row.problem = status.message();
    return true;
  }

  Status seek(const RowPosition& position) override {
    row_index_ = position.row_index;
    return reader_.seek(position.byte_offset, position.line_number);
  }

  std::optional<std::uint64_t> size_bytes() const override { return reader_.file().size_bytes(); }

 private:
  Status convert(ImportRow& row) {
    TESSERA_ASSIGN_OR_RETURN(Json object, parse_json(line_));
    if (!object.is_object()) {
      return {Code::kInvalidArgument,
              "the line is " + std::string(object.type_name()) + ", not a JSON object"};
    }
    if (!object.contains(options_.id_field)) return missing(options_.id_field);
    if (!object.contains(options_.vector_field)) return missing(options_.vector_field);
    TESSERA_ASSIGN_OR_RETURN(const PointId id, id_from_json(object[options_.id_field]));

    std::string vector;
    bool is_not_zero = false;
    const Json& given = object[options_.vector_field];
    TESSERA_RETURN_IF_ERROR(convert_vectors(given, row, vector, is_not_zero));
    TESSERA_ASSIGN_OR_RETURN(const std::string payload, payload_of(object));
    row.is_skipped = options_.skips_zero_rows && !is_not_zero;
    const std::string_view name = given.is_object() ? std::string_view() : options_.vector_name;
    row.point_json = point_json(id, name, vector, payload);
    return {};
  }

  static Status missing(const std::string& field) {
    return {Code::kInvalidArgument, "field \"" + field + "\" is missing"};
  }

  Status convert_vectors(const Json& given, ImportRow& row, std::string& out, bool& is_not_zero) {
    std::size_t dim = 0;
    if (!given.is_object()) {
      TESSERA_RETURN_IF_ERROR(vector_from_json(given, out, dim, is_not_zero));
      row.dims.emplace_back(options_.vector_name, dim);
      return {};
    }
    out += '{';
    for (const auto& [name, value] : given.items()) {
      if (out.size() > 1) out += ',';
      out += show_json(Json(name)) + ':';
      const Status status = vector_from_json(value, out, dim, is_not_zero);
      if (!status.ok()) return status.with_context("vector \"" + name + "\"");
      row.dims.emplace_back(name, dim);
    }
    out += '}';
    return {};
  }

  Result<std::string> payload_of(const Json& object) const {
    const Json& payload = member(object, "payload");
    if (!payload.is_null() && !payload.is_object()) {
      return Status(Code::kInvalidArgument,
                    "payload is " + std::string(payload.type_name()) + ", not a JSON object");
    }
    Json merged = payload.is_object() ? payload : Json::object();
    for (const auto& [name, value] : object.items()) {
      if (name == options_.id_field || name == options_.vector_field || name == "payload") continue;
      if (!options_.takes_rest_as_payload) {
        return Status(Code::kInvalidArgument, "field \"" + name +
                                                  "\" has no place in a point; with "
                                                  "--payload-rest it becomes payload");
      }
      if (merged.contains(name)) {
        return Status(Code::kInvalidArgument,
                      "field \"" + name + "\" is both in the payload and beside it");
      }
      merged[name] = value;
    }
    return merged.empty() ? std::string() : encode_json(merged);
  }

  TextReader reader_;
  const RowOptions options_;
  std::string line_;
  std::uint64_t row_index_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowSource>> open_json_lines(const std::string& path,
                                                   const RowOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  return std::unique_ptr<RowSource>(std::make_unique<JsonLinesSource>(std::move(file), options));
}

}  // namespace tessera::cli
