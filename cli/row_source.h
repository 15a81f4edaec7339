#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/point_id.h"
#include "base/status.h"

namespace tessera::cli {

enum class FileFormat : unsigned char { kJsonLines, kNpy, kFvecs, kBvecs, kCsv };

/// How the rows of a file become points; the flags of `tessera import`.
struct RowOptions {
  std::optional<FileFormat> format;       ///< Absent: by the file's extension.
  std::string vector_name;                ///< Vector that bare rows fill; "" is the unnamed one.
  std::optional<std::uint64_t> first_id;  ///< Rows are numbered from here where they have no id.
  bool skips_zero_rows = false;

  std::string id_field = "id";  ///< JSON lines and CSV.
  std::string vector_field = "vector";
  bool takes_rest_as_payload = false;  ///< JSON lines: fields beside id, vector and payload.

  std::string csv_vector_prefix = "v";           ///< v0, v1, ...
  std::optional<std::string> csv_vector_column;  ///< One column with a JSON list instead.

  std::optional<std::string> ids_file;       ///< npy and fvecs: a 1-D .npy of integers.
  std::optional<std::string> payloads_file;  ///< npy and fvecs: JSON lines.
  enum class PayloadMatch : unsigned char { kAuto, kByRow, kById };
  PayloadMatch payload_match = PayloadMatch::kAuto;
};

/// A place between two rows from which reading can go on.
struct RowPosition {
  std::uint64_t byte_offset = 0;
  std::uint64_t line_number = 1;
  std::uint64_t row_index = 0;
};

/// One row as it will be sent, or why it cannot be.
struct ImportRow {
  std::string where;  ///< "items.jsonl:17", "base.npy: row 5"
  PointId id;
  /// By name; "" is the unnamed one. None is empty, all values are finite.
  std::vector<std::pair<std::string, std::vector<float>>> vectors;
  std::string payload_json;  ///< An object, or empty.
  std::string problem;       ///< Not empty: a bad row; id, vectors and payload mean nothing then.
  bool is_skipped = false;   ///< An all-zero vector that was asked to be left out.
  RowPosition after;
};

/// Reads the rows of one file in order, in memory that does not grow with the file (but for the
/// index of payloads matched by id). Thread rule: confined to one thread.
class RowSource {
 public:
  virtual ~RowSource() = default;

  /// Replaces `row` by the next one. false at the end. A Status means that the file cannot be read
  /// on from here; a single bad row is an ImportRow with a problem.
  virtual Result<bool> next(ImportRow& row) = 0;
  virtual Status seek(const RowPosition& position) = 0;
  /// nullopt when the input is a pipe.
  [[nodiscard]] virtual std::optional<std::uint64_t> size_bytes() const = 0;
  /// What the rows left unused, to be said at the end; empty when there is nothing to say.
  [[nodiscard]] virtual std::string remark() const { return {}; }
};

/// Opens a file and checks what can be checked before the first row: header, size, columns.
/// `row_count_before` is the number of rows in the files imported before this one, for numbering.
Result<std::unique_ptr<RowSource>> open_row_source(const std::string& path,
                                                   const RowOptions& options,
                                                   std::uint64_t row_count_before);

/// "jsonl", "npy", "fvecs", "bvecs", "csv".
Result<FileFormat> parse_file_format(const std::string& text);
/// By extension; kInvalidArgument lists the known ones.
Result<FileFormat> file_format_of(const std::string& path);

// One opener a format, in the file of its name.
Result<std::unique_ptr<RowSource>> open_json_lines(const std::string& path,
                                                   const RowOptions& options);
Result<std::unique_ptr<RowSource>> open_npy(const std::string& path, const RowOptions& options,
                                            std::uint64_t row_count_before);
Result<std::unique_ptr<RowSource>> open_vecs(const std::string& path, FileFormat format,
                                             const RowOptions& options,
                                             std::uint64_t row_count_before);
Result<std::unique_ptr<RowSource>> open_csv(const std::string& path, const RowOptions& options,
                                            std::uint64_t row_count_before);

}  // namespace tessera::cli
