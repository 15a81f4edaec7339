#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace tessera::storage {

/// What the name of an unpublished file ends with. Such files are removed when the data directory
/// is opened.
inline constexpr std::string_view kTemporarySuffix = ".tmp";

/// A file of named sections, each with its own CRC-32C, behind a header with magic, format version
/// and the file's kind. Used for everything derived: segment files, cluster files. The layout is in
/// docs/formats.md. Sections begin on 64-byte boundaries so that vectors can be used in place.
///
/// Publication: written to "<path>.tmp", synced, renamed to <path>, directory synced. A reader sees
/// the old file or the new one, never a part.
/// Errors: kDiskFull, kUnavailable with path and call; kInternal for a wrong name or order of
/// calls. Thread rule: confined to one thread; one writer a path.
class SectionFileWriter : public ByteSink {
 public:
  /// `kind` at most 16 characters, for example "segment".
  static Result<std::unique_ptr<SectionFileWriter>> create(const std::string& path,
                                                           std::string_view kind,
                                                           std::uint32_t kind_version,
                                                           FileSystem& files = posix_file_system());
  /// Removes the temporary file unless publish() succeeded.
  ~SectionFileWriter() override = default;

  /// Ends the section before and begins another; names are unique, at most 32 characters.
  virtual Status begin_section(std::string_view name) = 0;
  /// Appends to the current section.
  Status append(std::span<const std::byte> bytes) override = 0;
  /// Maps the file as far as it is written. The bytes are valid as long as the mapping, whatever
  /// becomes of the writer.
  virtual Result<std::unique_ptr<MappedFile>> map_written() = 0;
  /// Where the current section's first byte is in the file.
  [[nodiscard]] virtual std::uint64_t section_offset() const = 0;
  /// Writes the section table, syncs, renames and syncs the directory. After a failure the final
  /// name holds the old file or the complete new one; publish again under another writer.
  virtual Status publish() = 0;
};

/// A published file, mapped into memory read-only.
/// Thread rule: immutable.
class SectionFile {
 public:
  /// Maps the file and checks header, table and every section's checksum. kNotFound, or kCorrupt
  /// with the path and the field or section that is wrong. Never trusts a size before checking it.
  /// Reads the whole file once, at the speed of memory or disk.
  static Result<std::unique_ptr<const SectionFile>> open(const std::string& path,
                                                         std::string_view kind,
                                                         std::uint32_t kind_version_max,
                                                         FileSystem& files = posix_file_system());
  virtual ~SectionFile() = default;

  [[nodiscard]] virtual std::uint32_t kind_version() const = 0;
  /// The bytes of a section, valid as long as the file; kCorrupt when there is none of that name.
  [[nodiscard]] virtual Result<std::span<const std::byte>> section(std::string_view name) const = 0;
  [[nodiscard]] virtual std::vector<std::string> section_names() const = 0;
  /// Gives the memory of a section back; it is read from the file again where it is touched, page
  /// by page. Nothing happens when there is none of that name.
  virtual void release(std::string_view name) const = 0;
  [[nodiscard]] virtual std::uint64_t file_bytes() const = 0;
};

}  // namespace tessera::storage
