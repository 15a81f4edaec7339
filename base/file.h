#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace tessera {

/// A file being written. Bytes are durable only after sync(), and the file's name only after the
/// directory is synced. Closed by the destructor, unsynced. Thread rule: confined to one thread.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status append(std::span<const std::byte> bytes) = 0;
  /// Replaces bytes that were appended before.
  virtual Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual Status sync() = 0;
  /// Reports what a late write error would have hidden. No call may follow.
  virtual Status close() = 0;
};

/// A file's bytes, mapped read-only, aligned to 64 bytes or more. The file must not be shortened
/// while it is mapped: published files are replaced by rename, never rewritten.
/// Thread rule: immutable.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  [[nodiscard]] virtual std::span<const std::byte> bytes() const = 0;
  /// Says that a part of bytes() will be read here and there: its memory is given back, and what is
  /// touched later is read from the file, without its neighbours. Advice that cannot fail.
  virtual void release(std::span<const std::byte> /*part*/) const {}
};

/// An advisory lock on a file, held until destruction or the end of the process.
/// Thread rule: confined to one thread.
class FileLock {
 public:
  enum class Mode : unsigned char { kShared, kExclusive };
  virtual ~FileLock() = default;
  /// Replaces what the lock file says about its owner. Needs an exclusive lock.
  virtual Status write_owner(const std::string& text) = 0;
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
};

/// The file calls that durable formats are built from; tests put a failing disk in its place.
/// Errors carry the path and the call: kNotFound, kAlreadyExists, kDiskFull (no space or quota),
/// kResourceExhausted (descriptors, memory), else kUnavailable.
/// Thread rule: safe from any thread.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Creates the file, or empties the one that is there.
  virtual Result<std::unique_ptr<WritableFile>> create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<MappedFile>> map(const std::string& path) = 0;
  /// Replaces `to` atomically.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  /// Shortens a file. Nobody may have it mapped.
  virtual Status truncate(const std::string& path, std::uint64_t size_bytes) = 0;
  virtual Status remove_file(const std::string& path) = 0;
  virtual Status create_directory(const std::string& path) = 0;
  virtual Status remove_directory(const std::string& path) = 0;
  /// Makes creations, renames and removals inside the directory durable.
  virtual Status sync_directory(const std::string& path) = 0;
  /// Entries without "." and "..", in no order.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  /// Null when others hold it. Never waits. An exclusive lock creates the file if it is missing; a
  /// shared one writes nothing, so a missing file is kNotFound.
  virtual Result<std::unique_ptr<FileLock>> try_lock(const std::string& path,
                                                     FileLock::Mode mode) = 0;
};

/// The operating system's files.
FileSystem& posix_file_system();

/// The directory that holds `path`; "." for a plain name.
[[nodiscard]] std::string parent_directory(const std::string& path);

}  // namespace tessera
