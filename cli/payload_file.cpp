#include "cli/payload_file.h"

#include "cli/console.h"
#include "cli/point_json.h"

namespace tessera::cli {
namespace {

bool is_blank(const std::string& line) {
  return line.find_first_not_of(" \t") == std::string::npos;
}

}  // namespace

Result<std::unique_ptr<PayloadFile>> PayloadFile::open(const std::string& path,
                                                       RowOptions::PayloadMatch match,
                                                       const std::string& id_field,
                                                       std::uint64_t row_count) {
  TESSERA_ASSIGN_OR_RETURN(InputFile input, InputFile::open(path));
  if (!input.size_bytes()) {
    return Status(Code::kInvalidArgument, path + ": payloads cannot be read from a pipe");
  }
  std::unique_ptr<PayloadFile> file(new PayloadFile(std::move(input), id_field));
  file->is_by_id_ = match == RowOptions::PayloadMatch::kById;
  if (match == RowOptions::PayloadMatch::kAuto) {
    TESSERA_ASSIGN_OR_RETURN(const bool is_any, file->reader_.read_line(file->line_));
    if (is_any) {
      TESSERA_ASSIGN_OR_RETURN(const Json first, parse_json(file->line_));
      file->is_by_id_ = first.is_object() && first.contains(id_field);
    }
    TESSERA_RETURN_IF_ERROR(file->reader_.seek(0, 1));
  }
  if (file->is_by_id_) {
    TESSERA_RETURN_IF_ERROR(file->index_ids());
    return file;
  }
  std::uint64_t line_count = 0;
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool is_there, file->reader_.read_line(file->line_));
    if (!is_there) break;
    ++line_count;
  }
  if (line_count != row_count) {
    return Status(Code::kInvalidArgument, path + ": has " + with_separators(line_count) +
                                              " lines for " + with_separators(row_count) +
                                              " rows of vectors");
  }
  TESSERA_RETURN_IF_ERROR(file->reader_.seek(0, 1));
  return file;
}

Status PayloadFile::index_ids() {
  while (true) {
    Place place{reader_.offset(), reader_.line_number(), false};
    TESSERA_ASSIGN_OR_RETURN(const bool is_there, reader_.read_line(line_));
    if (!is_there) return {};
    if (is_blank(line_)) continue;
    const std::string where = reader_.file().path() + ":" + std::to_string(place.line_number);
    const Result<Json> object = parse_json(line_);
    if (!object) return object.error().with_context(where);
    if (member(*object, id_field_).is_null()) {
      return {Code::kInvalidArgument, where + ": field \"" + id_field_ + "\" is missing"};
    }
    const Result<PointId> id = id_from_json(member(*object, id_field_));
    if (!id) return id.error().with_context(where);
    const auto [existing, is_new] = places_.emplace(*id, place);
    if (!is_new) {
      return {Code::kInvalidArgument, where + ": id " + id->to_string() + " stands in line " +
                                          std::to_string(existing->second.line_number) +
                                          " already"};
    }
  }
}

Result<std::string> PayloadFile::payload_of(std::uint64_t row_index, const PointId& id) {
  if (is_by_id_) {
    const auto found = places_.find(id);
    if (found == places_.end()) return std::string();
    Place& place = found->second;
    place.is_used = true;
    if (reader_.offset() != place.offset) {
      TESSERA_RETURN_IF_ERROR(reader_.seek(place.offset, place.line_number));
    }
    TESSERA_ASSIGN_OR_RETURN([[maybe_unused]] const bool is_there, reader_.read_line(line_));
    return convert(place.line_number);
  }
  if (row_index < next_row_) {
    TESSERA_RETURN_IF_ERROR(reader_.seek(0, 1));
    next_row_ = 0;
  }
  bool is_there = true;
  for (; is_there && next_row_ <= row_index; ++next_row_) {
    TESSERA_ASSIGN_OR_RETURN(is_there, reader_.read_line(line_));
  }
  if (!is_there) {
    return Status(Code::kUnavailable, reader_.file().path() + ": was shortened while it was read");
  }
  return convert(row_index + 1);
}

std::uint64_t PayloadFile::unused_count() const {
  std::uint64_t count = 0;
  for (const auto& [id, place] : places_) count += place.is_used ? 0 : 1;
  return count;
}

Result<std::string> PayloadFile::convert(std::uint64_t line_number) const {
  if (is_blank(line_)) return std::string();
  const std::string where = reader_.file().path() + ":" + std::to_string(line_number);
  if (reader_.is_too_long()) {
    return Status(Code::kInvalidArgument, where + ": the line is longer than 16 MiB");
  }
  Result<Json> object = parse_json(line_);
  if (!object) return object.error().with_context(where);
  if (!object->is_object()) {
    return Status(Code::kInvalidArgument,
                  where + ": is " + object->type_name() + ", not a JSON object");
  }
  // The id that found the row is the point's own id already.
  if (is_by_id_) object->erase(id_field_);
  return encode_json(*object);
}

}  // namespace tessera::cli
