#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"

namespace tessera::test {

/// A file system in memory whose disk can fail and lose power.
///
/// It keeps two states: what running programs see, and what a power loss leaves. File bytes become
/// durable by WritableFile::sync, names by sync_directory of their directory.
/// Thread rule: confined to one thread.
class FaultFileSystem final : public FileSystem {
 public:
  FaultFileSystem();
  ~FaultFileSystem() override;

  // FileSystem
  Result<std::unique_ptr<WritableFile>> create(const std::string& path) override;
  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status truncate(const std::string& path, std::uint64_t size_bytes) override;
  Status remove_file(const std::string& path) override;
  Status create_directory(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path, FileLock::Mode mode) override;

  enum class Failure : std::uint8_t {
    kOnce,      ///< The call fails, those after it work.
    kFromThere  ///< The disk is gone: every call from that one on fails.
  };
  /// The n-th call from now (1 is the next) fails with `code`. A failing append writes half.
  void fail_call(std::uint64_t n, Failure failure, Code code = Code::kUnavailable);
  void fail_nothing();
  [[nodiscard]] bool has_failed() const;
  [[nodiscard]] std::uint64_t call_count() const;

  /// Drops everything that is not durable. Open files and locks must be gone.
  void lose_power();
  /// As above, but the disk had got to some of it: any 512-byte pieces of unsynced bytes, and the
  /// first few of the unsynced changes of names.
  void lose_power(std::mt19937_64& random);

  // What programs see, without counting as a call.
  [[nodiscard]] bool exists(const std::string& path) const;
  [[nodiscard]] std::string contents(const std::string& path) const;
  void set_contents(const std::string& path, const std::string& bytes);
  /// Paths of all files, ascending.
  [[nodiscard]] std::vector<std::string> files() const;

 private:
  struct Node;
  struct State;
  class File;
  class Lock;
  std::shared_ptr<State> state_;
};

}  // namespace tessera::test
