#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "cli/console.h"
#include "cli/csv_reader.h"
#include "cli/point_json.h"
#include "cli/row_source.h"

namespace tessera::cli {
namespace {

/// Whether a cell is a number in JSON's grammar: "007" and "1." are labels, not numbers.
bool is_json_number(std::string_view text) {
  const auto digits = [&text] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool begins_with_zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (begins_with_zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

/// Which column of the file is what.
struct Columns {
  std::vector<std::string> names;
  std::optional<std::size_t> id;
  std::optional<std::size_t> vector;    ///< One column with a JSON list, or:
  std::vector<std::size_t> components;  ///< one column a dimension, in order.
  std::vector<std::size_t> payload;
};

Result<std::vector<std::size_t>> component_columns(const std::vector<std::string>& names,
                                                   const std::string& prefix) {
  std::map<std::uint64_t, std::size_t> by_number;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!names[i].starts_with(prefix)) continue;
    const char* const begin = names[i].data() + prefix.size();
    const char* const end = names[i].data() + names[i].size();
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number);
    if (error != std::errc() || stop != end) continue;
    if (!by_number.emplace(number, i).second) {
      return Status(Code::kInvalidArgument, "two columns mean dimension " + std::to_string(number));
    }
  }
  std::vector<std::size_t> columns;
  if (by_number.empty()) return columns;
  std::uint64_t expected = by_number.begin()->first;
  if (expected > 1) {
    return Status(Code::kInvalidArgument, "column " + prefix + "0 is missing");
  }
  for (const auto& [number, column] : by_number) {
    if (number != expected++) {
      return Status(Code::kInvalidArgument,
                    "column " + prefix + std::to_string(expected - 1) + " is missing");
    }
    columns.push_back(column);
  }
  return columns;
}

Result<Columns> assign_columns(std::vector<std::string> names, const RowOptions& options) {
  Columns columns;
  columns.names = std::move(names);
  const auto find = [&columns](const std::string& name) -> std::optional<std::size_t> {
    const auto found = std::find(columns.names.begin(), columns.names.end(), name);
    if (found == columns.names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - columns.names.begin());
  };
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    if (find(columns.names[i]) != i) {
      return Status(Code::kInvalidArgument,
                    "column \"" + columns.names[i] + "\" stands there twice");
    }
  }
  if (!options.first_id) {
    columns.id = find(options.id_field);
    if (!columns.id) {
      return Status(Code::kInvalidArgument, "there is no column \"" + options.id_field +
                                                "\" for the id; name it with --id-column, or "
                                                "number the rows with --first-id");
    }
  }
  if (options.csv_vector_column) {
    columns.vector = find(*options.csv_vector_column);
    if (!columns.vector) {
      return Status(Code::kInvalidArgument,
                    "there is no column \"" + *options.csv_vector_column + "\" for the vector");
    }
  } else {
    TESSERA_ASSIGN_OR_RETURN(columns.components,
                             component_columns(columns.names, options.csv_vector_prefix));
    if (columns.components.empty()) {
      return Status(Code::kInvalidArgument,
                    "there are no columns " + options.csv_vector_prefix + "0, " +
                        options.csv_vector_prefix +
                        "1, ... for the vector; see --vector-prefix and --vector-column");
    }
  }
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    const bool is_component = std::find(columns.components.begin(), columns.components.end(), i) !=
                              columns.components.end();
    if (i != columns.id && i != columns.vector && !is_component) columns.payload.push_back(i);
  }
  return columns;
}

/// A header record, then one point a record. Thread rule: confined to one thread.
class CsvSource final : public RowSource {
 public:
  CsvSource(CsvReader reader, Columns columns, RowOptions options, std::uint64_t row_count_before)
      : reader_(std::move(reader)),
        columns_(std::move(columns)),
        options_(std::move(options)),
        row_count_before_(row_count_before) {}

  Result<bool> next(ImportRow& row) override {
    row = {};
    TESSERA_ASSIGN_OR_RETURN(const bool is_there, reader_.read_record(fields_, row.problem));
    if (!is_there) return false;
    row.where = reader_.text().file().path() + ":" + std::to_string(reader_.record_line());
    const std::uint64_t index = row_index_++;
    row.after = {reader_.text().offset(), reader_.text().line_number(), row_index_};
    if (!row.problem.empty()) return true;
    const Status status = convert(index, row);
    if (!status.ok()) row.problem = status.message();
    return true;
  }

  Status seek(const RowPosition& position) override {
    row_index_ = position.row_index;
    return reader_.seek(position.byte_offset, position.line_number);
  }

  std::optional<std::uint64_t> size_bytes() const override {
    return reader_.text().file().size_bytes();
  }

 private:
  Status convert(std::uint64_t index, ImportRow& row) {
    if (fields_.size() != columns_.names.size()) {
      return {Code::kInvalidArgument, "has " + std::to_string(fields_.size()) +
                                          " fields, the header has " +
                                          std::to_string(columns_.names.size())};
    }
    row.id = PointId(options_.first_id.value_or(0) + row_count_before_ + index);
    if (columns_.id) {
      TESSERA_ASSIGN_OR_RETURN(row.id, id_from_text(fields_[*columns_.id]));
    }
    TESSERA_ASSIGN_OR_RETURN(auto vector, convert_vector());
    row.is_skipped = options_.skips_zero_rows && is_zero(vector);
    row.vectors.emplace_back(options_.vector_name, std::move(vector));
    TESSERA_ASSIGN_OR_RETURN(row.payload_json, payload_of());
    return {};
  }

  Result<std::vector<float>> convert_vector() const {
    if (columns_.vector) {
      const std::string& name = columns_.names[*columns_.vector];
      const Result<Json> list = parse_json(fields_[*columns_.vector]);
      if (!list) return list.error().with_context("column \"" + name + "\"");
      return vector_from_json(*list);
    }
    std::vector<float> values;
    values.reserve(columns_.components.size());
    for (const std::size_t column : columns_.components) {
      std::string_view cell = fields_[column];
      while (cell.starts_with(' ')) cell.remove_prefix(1);
      while (cell.ends_with(' ')) cell.remove_suffix(1);
      if (cell.starts_with('+')) cell.remove_prefix(1);
      float value = 0;
      const char* const end = cell.data() + cell.size();
      const auto [stop, error] = std::from_chars(cell.data(), end, value);
      // Digits too small for a float come as out of range; the nearest float is then 0.
      if (cell.empty() || stop != end || (error != std::errc() && !is_tiny(cell))) {
        return Status(Code::kInvalidArgument, "column \"" + columns_.names[column] + "\": \"" +
                                                  shortened(cell, 40) + "\" is not a number");
      }
      values.push_back(value);
    }
    TESSERA_RETURN_IF_ERROR(check_finite(values));
    return values;
  }

  static bool is_tiny(std::string_view cell) {
    double value = 0;
    const auto [stop, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    return error == std::errc() && std::abs(value) < 1;
  }

  Result<std::string> payload_of() const {
    if (columns_.payload.empty()) return std::string();
    Json payload = Json::object();
    for (const std::size_t column : columns_.payload) {
      const std::string& cell = fields_[column];
      if (cell.empty()) continue;
      if (is_json_number(cell)) {
        Result<Json> number = parse_json(cell);
        payload[columns_.names[column]] = number ? std::move(*number) : Json(cell);
      } else {
        payload[columns_.names[column]] = cell;
      }
    }
    return payload.empty() ? std::string() : encode_json(payload);
  }

  CsvReader reader_;
  const Columns columns_;
  const RowOptions options_;
  const std::uint64_t row_count_before_;
  std::uint64_t row_index_ = 0;
  std::vector<std::string> fields_;
};

}  // namespace

Result<std::unique_ptr<RowSource>> open_csv(const std::string& path, const RowOptions& options,
                                            std::uint64_t row_count_before) {
  TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  const std::string name = file.path();
  CsvReader reader(std::move(file));
  std::vector<std::string> header;
  std::string problem;
  TESSERA_ASSIGN_OR_RETURN(const bool is_there, reader.read_record(header, problem));
  if (!is_there) return Status(Code::kInvalidArgument, name + ": is empty; expected a header row");
  if (!problem.empty()) return Status(Code::kInvalidArgument, name + ":1: " + problem);
  if (header[0].starts_with("\xEF\xBB\xBF")) header[0].erase(0, 3);
  Result<Columns> columns = assign_columns(std::move(header), options);
  if (!columns) return columns.error().with_context(name);
  return std::unique_ptr<RowSource>(std::make_unique<CsvSource>(
      std::move(reader), std::move(*columns), options, row_count_before));
}

}  // namespace tessera::cli
