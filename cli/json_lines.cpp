#include <algorithm>

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
    TESSERA_ASSIGN_OR_RETURN(row.id, id_from_json(object[options_.id_field]));
    TESSERA_RETURN_IF_ERROR(convert_vectors(object[options_.vector_field], row));
    TESSERA_ASSIGN_OR_RETURN(row.payload_json, payload_of(object));
    row.is_skipped = options_.skips_zero_rows &&
                     std::all_of(row.vectors.begin(), row.vectors.end(),
                                 [](const auto& vector) { return is_zero(vector.second); });
    return {};
  }

  static Status missing(const std::string& field) {
    return {Code::kInvalidArgument, "field \"" + field + "\" is missing"};
  }

  Status convert_vectors(const Json& given, ImportRow& row) const {
    if (!given.is_object()) {
      TESSERA_ASSIGN_OR_RETURN(auto vector, vector_from_json(given));
      row.vectors.emplace_back(options_.vector_name, std::move(vector));
      return {};
    }
    for (const auto& [name, value] : given.items()) {
      auto vector = vector_from_json(value);
      if (!vector) return vector.error().with_context("vector \"" + name + "\"");
      row.vectors.emplace_back(name, std::move(*vector));
    }
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
