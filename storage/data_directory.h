#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace tessera::storage {

inline constexpr std::uint32_t kDirectoryFormat = 1;

/// Owns a data directory: creates it, holds its lock for the process's life, knows its layout.
///
///   <path>/LOCK             flock; holds the owner's process id
///   <path>/FORMAT           format number of the directory
///   <path>/store/           RocksDB
///   <path>/segments/<collection number>/<vector number>-<segment>.seg
///
/// Thread rule: immutable after open.
class DataDirectory {
 public:
  /// Creates what is missing, removes "*.tmp" files that a stopped process left, and tries every
  /// file operation that the daemon needs. kUnavailable "… is in use by process 123" when another
  /// daemon holds it, or is not a data directory, or with the call that fails there; kDiskFull;
  /// kCorrupt for a newer or unreadable format. A directory that is refused for its format, its
  /// owner or its foreign content is not changed.
  static Result<std::unique_ptr<DataDirectory>> open(const std::string& path,
                                                     FileSystem& files = posix_file_system());
  /// Writes nothing, for offline reading; kUnavailable when a daemon holds the lock, kNotFound when
  /// there is no data directory. No daemon can start while this object lives.
  static Result<std::unique_ptr<DataDirectory>> open_read_only(
      const std::string& path, FileSystem& files = posix_file_system());

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string store_path() const { return path_ + "/store"; }
  [[nodiscard]] std::string segments_path() const { return path_ + "/segments"; }
  [[nodiscard]] std::string segment_directory(std::uint32_t collection) const;
  [[nodiscard]] std::string segment_path(std::uint32_t collection, std::uint16_t vector,
                                         std::uint64_t segment) const;

 private:
  DataDirectory(std::string path, std::unique_ptr<FileLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  std::unique_ptr<FileLock> lock_;  ///< Null only for a reader of a directory without LOCK.
};

/// Creates a directory and its parents, durably. No error if it exists.
Status create_directories(const std::string& path, FileSystem& files = posix_file_system());
/// Plain names in a directory, ascending; empty if it does not exist.
Result<std::vector<std::string>> list_directory(const std::string& path,
                                                FileSystem& files = posix_file_system());
/// Removes a file or a whole tree; no error if it does not exist. The parent is synced.
Status remove_all(const std::string& path, FileSystem& files = posix_file_system());
/// Free bytes of the file system that holds `path`.
Result<std::uint64_t> free_bytes(const std::string& path, FileSystem& files = posix_file_system());

}  // namespace tessera::storage
