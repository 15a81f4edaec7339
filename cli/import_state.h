#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/row_source.h"

namespace tessera::cli {

/// What an input file looked like, to notice that it is no longer the same.
struct InputFingerprint {
  std::string path;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;
  std::uint32_t head_crc = 0;  ///< CRC-32C of the first 64 KiB.
  bool operator==(const InputFingerprint&) const = default;
};

/// How far an import has come: every row before this place was acknowledged by the daemon or
/// reported as bad. Stored as one small JSON file.
struct ImportState {
  std::string collection;
  std::string options;  ///< The flags that decide what a row becomes.
  std::vector<InputFingerprint> inputs;
  std::uint64_t file_index = 0;
  std::uint64_t row_count_before = 0;  ///< Rows of the files before file_index.
  RowPosition position;                ///< In the file of file_index.
  std::uint64_t imported_count = 0;
  std::uint64_t bad_count = 0;
  std::uint64_t skipped_count = 0;
};

/// nullopt for a pipe, which cannot be resumed.
Result<std::optional<InputFingerprint>> fingerprint_of(const std::string& path);

/// Replaces the file atomically.
Status save_import_state(const std::string& path, const ImportState& state);
/// nullopt when there is no such file; kCorrupt when it is none of ours or damaged.
Result<std::optional<ImportState>> load_import_state(const std::string& path);
Status remove_import_state(const std::string& path);

}  // namespace tessera::cli
