#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/api_client.h"
#include "cli/json_text.h"
#include "cli/row_source.h"

namespace tessera::cli {

struct ImportOptions {
  std::string collection;
  std::vector<std::string> files;
  RowOptions rows;
  std::uint64_t batch_row_count = 256;
  std::uint64_t batch_bytes_max = 15ULL << 20;  ///< One larger row still travels alone.
  std::uint32_t connection_count = 2;
  bool skips_bad_rows = false;             ///< else: the first one ends the import.
  std::uint64_t bad_row_count_max = 1000;  ///< When skipping, more than this end the import.
  bool resumes = false;
  std::optional<std::string> state_path;  ///< Absent: first file + ".tessera-import".
  std::chrono::milliseconds retry_for{30'000};
  /// Parameters for a collection that is missing, without "size", which the first row tells:
  /// {"distance": "Cosine", "index": {...}}. Absent: a missing collection is an error.
  std::optional<Json> create;
};

struct ImportSummary {
  std::uint64_t imported_count = 0;  ///< With those of the interrupted run, when resumed.
  std::uint64_t bad_count = 0;
  std::uint64_t skipped_count = 0;  ///< All-zero rows.
  std::uint64_t resumed_count = 0;  ///< Of imported_count, by an earlier run.
  bool is_created = false;
  double seconds = 0;
};

struct ImportProgress {
  std::uint64_t imported_count = 0;
  std::uint64_t bad_count = 0;
  std::uint64_t resumed_count = 0;
  std::uint64_t done_bytes = 0;              ///< Of the files, read.
  std::uint64_t start_bytes = 0;             ///< Where a resumed import began.
  std::optional<std::uint64_t> total_bytes;  ///< Absent with a pipe.
  std::string retry_reason;
};

/// Calls made from the importing thread.
struct ImportListener {
  std::function<void(const ImportProgress&)> on_progress;  ///< About ten times a second.
  std::function<void(const std::string&)> on_message;      ///< Bad rows, remarks, outages.
};

/// Reads the files in order and sends their rows. Every file is opened and checked before the first
/// row is sent. On failure, rows before the place that the state file names have been imported;
/// rows behind it may have been. `summary` is filled in either case.
Status run_import(const DaemonUrl& url, const ImportOptions& options,
                  const ImportListener& listener, ImportSummary& summary);

}  // namespace tessera::cli
