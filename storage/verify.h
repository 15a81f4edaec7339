#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"

namespace tessera::storage {

enum class Severity : std::uint8_t {
  kWarning,  ///< Nothing is lost: something is left over, or can be rebuilt from the store.
  kError     ///< Stored data is damaged or contradicts itself.
};
[[nodiscard]] const char* severity_name(Severity severity);

struct Problem {
  Severity severity = Severity::kError;
  std::string where;  ///< A file, or "collection 3, vector 0, slot 17".
  std::string what;
};

struct VerifyReport {
  /// At most kProblemCountMax; `error_count` and `warning_count` count the others too.
  std::vector<Problem> problems;
  std::uint64_t error_count = 0;
  std::uint64_t warning_count = 0;

  std::vector<std::string> meta_keys;
  std::uint64_t collection_count = 0;
  std::uint64_t point_count = 0;
  std::uint64_t payload_count = 0;
  std::uint64_t event_count = 0;
  std::uint64_t adapter_count = 0;
  std::uint64_t session_count = 0;
  std::uint64_t row_count = 0;
  std::uint64_t segment_file_count = 0;
  /// Rows of segment files that are current, and those that are deleted or were replaced.
  std::uint64_t live_segment_row_count = 0;
  std::uint64_t stale_segment_row_count = 0;
  /// Row records that are in no readable segment file. They live in the growing segment.
  std::uint64_t unsegmented_row_count = 0;
  /// Bytes read of segment files.
  std::uint64_t segment_bytes = 0;

  [[nodiscard]] bool ok() const { return error_count == 0; }
};

inline constexpr std::size_t kProblemCountMax = 1000;

/// Told what is checked next: "store checksums", "collection 3", or a segment file's path.
using VerifyProgress = std::function<void(std::string_view step)>;

/// Checks a data directory that no daemon uses, and changes nothing in it:
///  - every checksum of the store and of the segment files;
///  - store: slots are not shared by points; payloads, rows and events belong to points; a row is
///    not newer than its point; each row record has its vector, of the same version and length;
///    events are in order, each in the block where it is looked for; adapters have a version;
///    sessions are whole, return no point twice, and have feedback only for what they returned;
///  - segment files against the store: a row whose (slot, version) is current has the stored bytes,
///    none is newer than the store, and header and path agree.
/// Damage ends in the report. The Status fails only when nothing can be checked: kUnavailable when
/// a daemon runs, kNotFound, kCorrupt for a newer format; kCancelled, kTimeout. Memory: about 32
/// bytes a point of the largest collection. Reads everything once, current vectors twice.
Result<VerifyReport> verify_data_directory(const std::string& path, const VerifyProgress& progress,
                                           const CancelToken& cancel);

}  // namespace tessera::storage
