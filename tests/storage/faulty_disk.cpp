#include "tests/storage/faulty_disk.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "tests/storage/store_support.h"

namespace tessera::storage::test {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class Writable final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Writable(std::string path, std::unique_ptr<rocksdb::FSWritableFile> file, FaultyDisk* disk)
      : FSWritableFileOwnerWrapper(std::move(file)), path_(std::move(path)), disk_(disk) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    if (IOStatus status = disk_->step(path_); !status.ok()) return status;
    if (IOStatus status = disk_->take_space(path_, data.size()); !status.ok()) {
      // A full disk takes what still fits.
      const rocksdb::Slice half(data.data(), data.size() / 2);
      written_bytes_ += half.size();
      target()->Append(half, options, debug).PermitUncheckedError();
      return status;
    }
    written_bytes_ += data.size();
    return target()->Append(data, options, debug);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus status = disk_->step(path_); !status.ok()) return status;
    IOStatus status = target()->Sync(options, debug);
    if (status.ok()) disk_->mark_synced(path_, written_bytes_);
    return status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }

 private:
  const std::string path_;
  FaultyDisk* const disk_;
  std::uint64_t written_bytes_ = 0;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(std::string path, std::unique_ptr<rocksdb::FSDirectory> directory, FaultyDisk* disk)
      : path_(std::move(path)), directory_(std::move(directory)), disk_(disk) {}
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus status = disk_->step(path_); !status.ok()) return status;
    IOStatus status = directory_->Fsync(options, debug);
    if (status.ok()) disk_->mark_directory_synced(path_);
    return status;
  }

 private:
  const std::string path_;
  const std::unique_ptr<rocksdb::FSDirectory> directory_;
  FaultyDisk* const disk_;
};

}  // namespace

FaultyDisk::FaultyDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

void FaultyDisk::fill_up_after(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_left_ = bytes;
}

void FaultyDisk::free_space() {
  const std::lock_guard lock(mutex_);
  bytes_left_ = INT64_MAX;
}

void FaultyDisk::fail_call(std::int64_t n) {
  const std::lock_guard lock(mutex_);
  calls_left_ = n;
  has_failed_ = false;
}

bool FaultyDisk::has_failed() const {
  const std::lock_guard lock(mutex_);
  return has_failed_;
}

void FaultyDisk::cut_power() {
  const std::lock_guard lock(mutex_);
  is_off_ = true;
}

IOStatus FaultyDisk::step(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (is_off_) return IOStatus::IOError(path, "the power is off");
  if (--calls_left_ != 0) return IOStatus::OK();
  has_failed_ = true;
  return IOStatus::IOError(path, "made to fail");
}

IOStatus FaultyDisk::take_space(const std::string& path, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes_left_ == INT64_MAX) return IOStatus::OK();
  bytes_left_ -= static_cast<std::int64_t>(bytes);
  if (bytes_left_ >= 0) return IOStatus::OK();
  bytes_left_ = 0;
  has_failed_ = true;
  return IOStatus::NoSpace(path, "made to fail");
}

void FaultyDisk::mark_synced(const std::string& path, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  synced_bytes_[path] = bytes;
}

void FaultyDisk::mark_directory_synced(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::erase_if(new_names_,
                [&path](const std::string& name) { return parent_directory(name) == path; });
}

IOStatus FaultyDisk::NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                     std::unique_ptr<rocksdb::FSWritableFile>* file,
                                     IODebugContext* debug) {
  if (IOStatus status = step(path); !status.ok()) return status;
  std::unique_ptr<rocksdb::FSWritableFile> real;
  IOStatus status = target()->NewWritableFile(path, options, &real, debug);
  if (!status.ok()) return status;
  {
    const std::lock_guard lock(mutex_);
    synced_bytes_[path] = 0;
    new_names_.insert(path);
  }
  *file = std::make_unique<Writable>(path, std::move(real), this);
  return status;
}

IOStatus FaultyDisk::NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                       IODebugContext* debug) {
  if (IOStatus status = step(path); !status.ok()) return status;
  return target()->NewSequentialFile(path, options, file, debug);
}

IOStatus FaultyDisk::NewRandomAccessFile(const std::string& path,
                                         const rocksdb::FileOptions& options,
                                         std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                         IODebugContext* debug) {
  if (IOStatus status = step(path); !status.ok()) return status;
  return target()->NewRandomAccessFile(path, options, file, debug);
}

IOStatus FaultyDisk::NewDirectory(const std::string& path, const IOOptions& options,
                                  std::unique_ptr<rocksdb::FSDirectory>* directory,
                                  IODebugContext* debug) {
  if (IOStatus status = step(path); !status.ok()) return status;
  std::unique_ptr<rocksdb::FSDirectory> real;
  IOStatus status = target()->NewDirectory(path, options, &real, debug);
  if (status.ok()) *directory = std::make_unique<Directory>(path, std::move(real), this);
  return status;
}

IOStatus FaultyDisk::RenameFile(const std::string& from, const std::string& to,
                                const IOOptions& options, IODebugContext* debug) {
  if (IOStatus status = step(to); !status.ok()) return status;
  IOStatus status = target()->RenameFile(from, to, options, debug);
  if (status.ok()) {
    const std::lock_guard lock(mutex_);
    if (const auto moved = synced_bytes_.extract(from); !moved.empty()) {
      synced_bytes_[to] = moved.mapped();
    }
    // A journal keeps the order of names, and the synced bytes go with this one.
    new_names_.erase(from);
  }
  return status;
}

IOStatus FaultyDisk::DeleteFile(const std::string& path, const IOOptions& options,
                                IODebugContext* debug) {
  if (IOStatus status = step(path); !status.ok()) return status;
  IOStatus status = target()->DeleteFile(path, options, debug);
  if (status.ok()) {
    const std::lock_guard lock(mutex_);
    synced_bytes_.erase(path);
    new_names_.erase(path);
  }
  return status;
}

void FaultyDisk::lose_power(std::mt19937_64* random) {
  constexpr std::uint64_t kSectorBytes = 512;
  for (const auto& [path, synced] : synced_bytes_) {
    if (!std::filesystem::exists(path)) continue;
    std::string bytes = read_file(path);
    const std::uint64_t kept =
        random == nullptr ? synced : synced + (*random)() % (bytes.size() - synced + 1);
    bytes.resize(kept);
    for (std::uint64_t begin = synced; begin < kept;) {
      const std::uint64_t end = std::min(begin - begin % kSectorBytes + kSectorBytes, kept);
      if ((*random)() % 2 == 0) bytes.replace(begin, end - begin, end - begin, '\0');
      begin = end;
    }
    write_file(path, bytes);
  }
  for (const std::string& path : new_names_) {
    const bool stays = random != nullptr && (*random)() % 2 == 0;
    if (!stays) std::filesystem::remove(path);
  }
  synced_bytes_.clear();
  new_names_.clear();
  bytes_left_ = INT64_MAX;
  calls_left_ = INT64_MAX;
  is_off_ = false;
}

}  // namespace tessera::storage::test
