#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace tessera::storage {

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
  /// kUnavailable "… is in use by process 123" when another daemon holds it; kCorrupt for a newer
  /// format; kUnavailable with the reason when the place cannot be written, renamed in or synced.
  static Result<std::unique_ptr<DataDirectory>> open(const std::string& path);
  /// Without the lock or any write, for offline reading; kUnavailable when a daemon holds the lock.
  static Result<std::unique_ptr<DataDirectory>> open_read_only(const std::string& path);
  ~DataDirectory();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string store_path() const;
  [[nodiscard]] std::string segment_directory(std::uint32_t collection) const;
  [[nodiscard]] std::string segment_path(std::uint32_t collection, std::uint16_t vector,
                                         std::uint64_t segment) const;

 private:
  DataDirectory() = default;
  std::string path_;
  int lock_descriptor_ = -1;
};

/// Creates a directory and its parents, durably. No error if it exists.
Status create_directories(const std::string& path);
/// Plain names in a directory; empty if it does not exist.
Result<std::vector<std::string>> list_directory(const std::string& path);
/// Removes a file or a whole tree; no error if it does not exist. The parent is synced.
Status remove_all(const std::string& path);
/// Free bytes of the file system that holds `path`.
Result<std::uint64_t> free_bytes(const std::string& path);

}  // namespace tessera::storage
