#include "base/file.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tessera {
namespace {

Code code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
      return Code::kDiskFull;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kResourceExhausted;
    default:
      return Code::kUnavailable;
  }
}

Status failure_of(const std::string& path, const char* call, int error) {
  return {code_of(error), path + ": " + call + ": " + std::generic_category().message(error)};
}

Status last_failure(const std::string& path, const char* call) {
  return failure_of(path, call, errno);
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  for (;;) {
    const auto outcome = call();
    if (outcome != -1 || errno != EINTR) return outcome;
  }
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  Status append(std::span<const std::byte> bytes) override {
    TESSERA_RETURN_IF_ERROR(write_at(size_bytes_, bytes));
    size_bytes_ += bytes.size();
    return {};
  }

  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = uninterrupted([&] {
        return ::pwrite(descriptor_.number(), bytes.data(), bytes.size(),
                        static_cast<off_t>(offset));
      });
      if (written < 0) return last_failure(path_, "write");
      // POSIX allows a write of nothing; without this check it would loop for ever.
      if (written == 0) return failure_of(path_, "write", EIO);
      offset += static_cast<std::uint64_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  Status sync() override {
    if (uninterrupted([&] { return ::fsync(descriptor_.number()); }) != 0) {
      return last_failure(path_, "fsync");
    }
    return {};
  }

  Status close() override {
    // On Linux the descriptor is gone even when close() reports an interruption.
    if (::close(descriptor_.release()) != 0 && errno != EINTR) return last_failure(path_, "close");
    return {};
  }

 private:
  const std::string path_;
  Descriptor descriptor_;
  std::uint64_t size_bytes_ = 0;
};

class PosixMappedFile final : public MappedFile {
 public:
  PosixMappedFile(void* address, std::size_t size) : address_(address), size_(size) {}
  ~PosixMappedFile() override {
    if (size_ > 0) ::munmap(address_, size_);
  }
  PosixMappedFile(const PosixMappedFile&) = delete;
  PosixMappedFile& operator=(const PosixMappedFile&) = delete;
  [[nodiscard]] std::span<const std::byte> bytes() const override {
    return {static_cast<const std::byte*>(address_), size_};
  }
  void release(std::span<const std::byte> part) const override {
    if (part.empty()) return;
    const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto offset =
        static_cast<std::size_t>(part.data() - static_cast<const std::byte*>(address_));
    // Whole pages only: others hold something else too.
    const std::size_t begin = (offset + page_bytes - 1) / page_bytes * page_bytes;
    const std::size_t end = (offset + part.size()) / page_bytes * page_bytes;
    if (begin >= end) return;
    void* const first = static_cast<std::byte*>(address_) + begin;
    static_cast<void>(::madvise(first, end - begin, MADV_RANDOM));
    static_cast<void>(::madvise(first, end - begin, MADV_DONTNEED));
  }

 private:
  void* const address_;
  const std::size_t size_;
};

class PosixFileLock final : public FileLock {
 public:
  PosixFileLock(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  Status write_owner(const std::string& text) override {
    const int number = descriptor_.number();
    if (::ftruncate(number, 0) != 0) return last_failure(path_, "truncate");
    const ssize_t written =
        uninterrupted([&] { return ::pwrite(number, text.data(), text.size(), 0); });
    if (written < 0) return last_failure(path_, "write");
    if (static_cast<std::size_t>(written) != text.size()) return failure_of(path_, "write", ENOSPC);
    return {};
  }

 private:
  const std::string path_;
  const Descriptor descriptor_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> create(const std::string& path) override {
    const int number = uninterrupted(
        [&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644); });
    if (number < 0) return last_failure(path, "open");
    return std::unique_ptr<WritableFile>(std::make_unique<PosixWritableFile>(path, number));
  }

  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override {
    const Descriptor descriptor(
        uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    if (descriptor.number() < 0) return last_failure(path, "open");
    struct stat about {};
    if (::fstat(descriptor.number(), &about) != 0) return last_failure(path, "stat");
    if (!S_ISREG(about.st_mode)) {
      return Status(Code::kUnavailable, path + ": open: not a regular file");
    }
    const auto size = static_cast<std::size_t>(about.st_size);
    void* address = nullptr;
    if (size > 0) {
      address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.number(), 0);
      if (address == MAP_FAILED) return last_failure(path, "mmap");
    }
    return std::unique_ptr<MappedFile>(std::make_unique<PosixMappedFile>(address, size));
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return last_failure(to, "rename");
    return {};
  }

  Status truncate(const std::string& path, std::uint64_t size_bytes) override {
    if (uninterrupted([&] { return ::truncate(path.c_str(), static_cast<off_t>(size_bytes)); }) !=
        0) {
      return last_failure(path, "truncate");
    }
    return {};
  }

  Status remove_file(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return last_failure(path, "unlink");
    return {};
  }

  Status create_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) != 0) return last_failure(path, "mkdir");
    return {};
  }

  Status remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return last_failure(path, "rmdir");
    return {};
  }

  Status sync_directory(const std::string& path) override {
    const Descriptor descriptor(
        uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (descriptor.number() < 0) return last_failure(path, "open");
    if (uninterrupted([&] { return ::fsync(descriptor.number()); }) != 0) {
      return last_failure(path, "fsync");
    }
    return {};
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (directory == nullptr) return last_failure(path, "opendir");
    std::vector<DirectoryEntry> entries;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) {
        if (errno != 0) return last_failure(path, "readdir");
        return entries;
      }
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat about {};
      // Links are reported as plain entries: what they point to is not part of the directory.
      if (::fstatat(::dirfd(directory.get()), name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return last_failure(path + "/" + name, "stat");
      }
      entries.push_back({name, S_ISDIR(about.st_mode)});
    }
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs about {};
    if (::statvfs(path.c_str(), &about) != 0) return last_failure(path, "statvfs");
    return static_cast<std::uint64_t>(about.f_bavail) * about.f_frsize;
  }

  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path,
                                             FileLock::Mode mode) override {
    const bool exclusive = mode == FileLock::Mode::kExclusive;
    const int flags = exclusive ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC;
    Descriptor descriptor(uninterrupted([&] { return ::open(path.c_str(), flags, 0644); }));
    if (descriptor.number() < 0) return last_failure(path, "open");
    const int operation = (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
    if (uninterrupted([&] { return ::flock(descriptor.number(), operation); }) != 0) {
      if (errno == EWOULDBLOCK) return std::unique_ptr<FileLock>();
      return last_failure(path, "flock");
    }
    return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(path, descriptor.release()));
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem files;
  return files;
}

std::string parent_directory(const std::string& path) {
  const std::size_t last = path.find_last_not_of('/');
  if (last == std::string::npos) return path.empty() ? "." : "/";
  const std::size_t slash = path.find_last_of('/', last);
  if (slash == std::string::npos) return ".";
  const std::size_t end = path.find_last_not_of('/', slash);
  return end == std::string::npos ? "/" : path.substr(0, end + 1);
}

}  // namespace tessera
