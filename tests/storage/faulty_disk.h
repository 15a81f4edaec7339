#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

namespace tessera::storage::test {

/// What RocksDB's files stand on in tests: the real files, with a disk that can fill up, fail and
/// lose power. Remembers how far each file was synced and which new names their directory holds for
/// sure. Thread rule: safe from any thread, but for lose_power.
class FaultyDisk final : public rocksdb::FileSystemWrapper {
 public:
  FaultyDisk();
  [[nodiscard]] const char* Name() const override { return "FaultyDisk"; }

  /// Appends fail with "no space" once this many more bytes were written.
  void fill_up_after(std::int64_t bytes);
  void free_space();
  /// The n-th call from now (1 is the next) that changes or reads the disk fails.
  void fail_call(std::int64_t n);
  [[nodiscard]] bool has_failed() const;
  /// Every change from now on fails: for closing a store whose power is gone.
  void cut_power();
  /// After cut_power, with no file open: what was not synced is gone; with `random`, a part of it
  /// stays, and sectors that had no time are zero.
  void lose_power(std::mt19937_64* random);

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

  // For the files.
  rocksdb::IOStatus step(const std::string& path);
  rocksdb::IOStatus take_space(const std::string& path, std::uint64_t bytes);
  void mark_synced(const std::string& path, std::uint64_t bytes);
  void mark_directory_synced(const std::string& path);

 private:
  mutable std::mutex mutex_;
  std::int64_t bytes_left_ = INT64_MAX;
  std::int64_t calls_left_ = INT64_MAX;
  bool has_failed_ = false;
  bool is_off_ = false;
  std::map<std::string, std::uint64_t> synced_bytes_;  ///< Of files written since the start.
  std::set<std::string> new_names_;                    ///< Not yet synced with their directory.
};

}  // namespace tessera::storage::test
