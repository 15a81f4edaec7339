#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/input_file.h"

namespace tessera::cli {

/// Splits a file into the records of RFC 4180: comma-separated fields, quotes around fields with
/// commas, quotes (doubled) or newlines; records end with LF or CRLF; blank lines are no records.
/// Thread rule: confined to one thread.
class CsvReader {
 public:
  explicit CsvReader(InputFile file) : reader_(std::move(file)) {}

  /// Replaces `fields` by those of the next record; false at the end of the file. `problem` says
  /// what is wrong with this record alone (the next call goes on behind it). A quote that is never
  /// closed is kCorrupt, since it swallows the rest of the file.
  Result<bool> read_record(std::vector<std::string>& fields, std::string& problem);

  /// Line in which the record last read begins.
  [[nodiscard]] std::uint64_t record_line() const { return record_line_; }
  [[nodiscard]] const TextReader& text() const { return reader_; }
  Status seek(std::uint64_t offset, std::uint64_t line_number) {
    return reader_.seek(offset, line_number);
  }

 private:
  Status read_quoted(std::string& field);
  /// Takes a byte into the field, but for what is beyond the size limit.
  void keep(std::string& field, int c);
  Result<bool> skip_blank_lines();

  TextReader reader_;
  std::uint64_t record_line_ = 0;
  std::size_t record_bytes_ = 0;
};

}  // namespace tessera::cli
