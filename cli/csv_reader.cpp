#include "cli/csv_reader.h"

namespace tessera::cli {

Result<bool> CsvReader::skip_blank_lines() {
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const int c, reader_.peek());
    if (c == -1) return false;
    if (c != '\n' && c != '\r') return true;
    reader_.take();
  }
}

void CsvReader::keep(std::string& field, int c) {
  if (++record_bytes_ <= TextReader::kRecordBytesMax) field += static_cast<char>(c);
}

Status CsvReader::read_quoted(std::string& field) {
  const std::uint64_t quote_line = reader_.line_number();
  reader_.take();
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(int c, reader_.peek());
    if (c == -1) {
      return {Code::kCorrupt, reader_.file().path() + ":" + std::to_string(quote_line) +
                                  ": a quote opens here and is never closed"};
    }
    reader_.take();
    if (c == '"') {
      TESSERA_ASSIGN_OR_RETURN(c, reader_.peek());
      if (c != '"') return {};
      reader_.take();
    }
    keep(field, c);
  }
}

Result<bool> CsvReader::read_record(std::vector<std::string>& fields, std::string& problem) {
  fields.clear();
  problem.clear();
  record_bytes_ = 0;
  TESSERA_ASSIGN_OR_RETURN(const bool is_there, skip_blank_lines());
  if (!is_there) return false;
  record_line_ = reader_.line_number();
  fields.emplace_back();
  bool is_field_start = true;
  bool was_quoted = false;
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const int c, reader_.peek());
    if (c == '"' && is_field_start) {
      TESSERA_RETURN_IF_ERROR(read_quoted(fields.back()));
      is_field_start = false;
      was_quoted = true;
      continue;
    }
    if (c != -1) reader_.take();
    if (c == -1 || c == '\n') break;
    if (c == '\r') {
      TESSERA_ASSIGN_OR_RETURN(const int after, reader_.peek());
      if (after == '\n' || after == -1) continue;
    }
    if (c == ',') {
      fields.emplace_back();
      is_field_start = true;
      was_quoted = false;
      continue;
    }
    const std::string place = "field " + std::to_string(fields.size());
    if (was_quoted) {
      problem = place + " goes on after its closing quote";
    } else if (c == '"') {
      problem = place + " has a quote inside, but does not begin with one";
    }
    keep(fields.back(), c);
    is_field_start = false;
  }
  if (record_bytes_ > TextReader::kRecordBytesMax) problem = "the record is longer than 16 MiB";
  return true;
}

}  // namespace tessera::cli
