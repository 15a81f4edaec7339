#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/point_id.h"
#include "cli/input_file.h"
#include "cli/row_source.h"

namespace tessera::cli {

/// JSON lines that belong to the rows of another file, found by row number or by their id.
/// By id it keeps one table entry a line in memory; by row nothing. Thread rule: confined to one
/// thread.
class PayloadFile {
 public:
  /// Goes through the file once: counts its lines, or notes where every id is. With kAuto, lines
  /// are matched by id when the first one has the field `id_field`. By row, kInvalidArgument when
  /// the number of lines is not `row_count`.
  static Result<std::unique_ptr<PayloadFile>> open(const std::string& path,
                                                   RowOptions::PayloadMatch match,
                                                   const std::string& id_field,
                                                   std::uint64_t row_count);

  /// Payload of a row as JSON text, empty when there is none. kUnavailable when the file cannot be
  /// read; other codes say what is wrong with this one line. Cheapest in ascending row order.
  Result<std::string> payload_of(std::uint64_t row_index, const PointId& id);

  /// Lines that no row asked for, when matched by id.
  [[nodiscard]] std::uint64_t unused_count() const;

 private:
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t line_number = 0;
    bool is_used = false;
  };
  PayloadFile(InputFile file, std::string id_field)
      : reader_(std::move(file)), id_field_(std::move(id_field)) {}
  Status index_ids();
  Result<std::string> convert(std::uint64_t line_number) const;

  TextReader reader_;
  const std::string id_field_;
  bool is_by_id_ = false;
  std::unordered_map<PointId, Place> places_;
  std::uint64_t next_row_ = 0;
  std::string line_;
};

}  // namespace tessera::cli
