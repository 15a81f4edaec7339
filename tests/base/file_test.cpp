#include "base/file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/temporary_directory.h"

namespace tessera {
namespace {

using test::FaultFileSystem;
using test::TemporaryDirectory;

std::string read(FileSystem& files, const std::string& path) {
  const auto file = files.map(path);
  REQUIRE(file.has_value());
  const auto bytes = (*file)->bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write(FileSystem& files, const std::string& path, const std::string& text) {
  const auto file = *files.create(path);
  REQUIRE(file->append(as_bytes(text)).ok());
  REQUIRE(file->sync().ok());
  REQUIRE(file->close().ok());
}

/// What both file systems, the real one and the one of the tests, must do alike.
void require_contract(FileSystem& files, const std::string& root) {
  const std::string path = root + "/file";
  REQUIRE(files.map(path).error().code() == Code::kNotFound);
  REQUIRE(files.rename(path, root + "/other").code() == Code::kNotFound);
  REQUIRE(files.remove_file(path).code() == Code::kNotFound);
  REQUIRE(files.list(root + "/none").error().code() == Code::kNotFound);
  REQUIRE(files.sync_directory(root + "/none").code() == Code::kNotFound);
  REQUIRE(files.create(root + "/none/file").error().code() == Code::kNotFound);
  REQUIRE(files.create_directory(root + "/none/sub").code() == Code::kNotFound);
  REQUIRE(files.remove_directory(root + "/none").code() == Code::kNotFound);
  {
    const auto file = *files.create(path);
    REQUIRE(file->append(as_bytes("hello ")).ok());
    REQUIRE(file->append({}).ok());
    REQUIRE(file->append(as_bytes("world")).ok());
    REQUIRE(file->write_at(0, as_bytes("J")).ok());
    REQUIRE(file->append(as_bytes("!")).ok());
    REQUIRE(file->sync().ok());
    REQUIRE(file->close().ok());
  }
  REQUIRE(read(files, path) == "Jello world!");
  REQUIRE(files.truncate(path, 5).ok());
  REQUIRE(read(files, path) == "Jello");
  REQUIRE(files.truncate(root + "/none", 0).code() == Code::kNotFound);
  write(files, path, "");
  REQUIRE(read(files, path).empty());

  write(files, root + "/new", "new");
  REQUIRE(files.rename(root + "/new", path).ok());
  REQUIRE(read(files, path) == "new");
  REQUIRE(files.map(root + "/new").error().code() == Code::kNotFound);

  REQUIRE(files.create_directory(root + "/sub").ok());
  REQUIRE(files.create_directory(root + "/sub").code() == Code::kAlreadyExists);
  write(files, root + "/sub/x", "x");
  REQUIRE(files.remove_directory(root + "/sub").code() == Code::kUnavailable);
  REQUIRE(files.sync_directory(root).ok());
  auto entries = *files.list(root);
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  REQUIRE(entries.size() == 2);
  REQUIRE(entries[0].name == "file");
  REQUIRE_FALSE(entries[0].is_directory);
  REQUIRE(entries[1].name == "sub");
  REQUIRE(entries[1].is_directory);
  REQUIRE(files.remove_file(root + "/sub/x").ok());
  REQUIRE(files.remove_directory(root + "/sub").ok());
  REQUIRE(files.list(root)->size() == 1);
  REQUIRE(*files.free_bytes(root) > 0);
}

void require_locks(FileSystem& files, const std::string& root) {
  using Mode = FileLock::Mode;
  const std::string path = root + "/lock";
  REQUIRE(files.try_lock(path, Mode::kShared).error().code() == Code::kNotFound);
  {
    const auto owner = *files.try_lock(path, Mode::kExclusive);
    REQUIRE(owner != nullptr);
    REQUIRE(owner->write_owner("a long first owner").ok());
    REQUIRE(owner->write_owner("me").ok());
    REQUIRE(*files.try_lock(path, Mode::kExclusive) == nullptr);
    REQUIRE(*files.try_lock(path, Mode::kShared) == nullptr);
  }
  REQUIRE(read(files, path) == "me");
  const auto reader = *files.try_lock(path, Mode::kShared);
  REQUIRE(reader != nullptr);
  REQUIRE(*files.try_lock(path, Mode::kShared) != nullptr);
  REQUIRE(*files.try_lock(path, Mode::kExclusive) == nullptr);
}

TEST_CASE("files: the real file system and that of the tests keep the same contract", "[unit]") {
  SECTION("real") {
    const TemporaryDirectory directory;
    require_contract(posix_file_system(), directory.path());
    require_locks(posix_file_system(), directory.path());
  }
  SECTION("test") {
    FaultFileSystem files;
    REQUIRE(files.create_directory("/root").ok());
    require_contract(files, "/root");
    require_locks(files, "/root");
  }
}

TEST_CASE("files: what is not a regular file is not mapped", "[unit]") {
  const TemporaryDirectory directory;
  REQUIRE(posix_file_system().map(directory.path()).error().code() == Code::kUnavailable);
  REQUIRE(posix_file_system().map("/dev/null").error().code() == Code::kUnavailable);
  const auto below_file = posix_file_system().map("/dev/null/x");
  REQUIRE(below_file.error().code() == Code::kNotFound);
}

/// Bytes of a file's mappings that are in this process's memory now.
std::size_t resident_bytes(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool is_inside = false;
  std::size_t kibibytes = 0;
  while (std::getline(maps, line)) {
    // A mapping begins with its addresses and ends with its path; its lines begin with a name.
    const bool is_head = line.find('-') < line.find(' ');
    if (is_head) is_inside = line.ends_with(path);
    if (is_inside && line.starts_with("Rss:")) kibibytes += std::stoul(line.substr(4));
  }
  return kibibytes * 1024;
}

TEST_CASE("files: a released part leaves the memory and can still be read", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("vectors");
  constexpr std::size_t kBytes = 4 << 20;
  std::string content(kBytes, 'a');
  for (std::size_t i = 0; i < kBytes; i += 1000) content[i] = static_cast<char>('b' + i % 17);
  {
    const auto file = *posix_file_system().create(path);
    REQUIRE(file->append(as_bytes(content)).ok());
    REQUIRE(file->close().ok());
  }
  const auto mapped = *posix_file_system().map(path);
  const auto text = [&] {
    return std::string(reinterpret_cast<const char*>(mapped->bytes().data()), kBytes);
  };
  REQUIRE(text() == content);
  REQUIRE(resident_bytes(path) == kBytes);
  // Not whole pages at either end.
  mapped->release(mapped->bytes().subspan(100, kBytes - 200));
  REQUIRE(resident_bytes(path) <= 16 << 10);
  REQUIRE(text() == content);
  mapped->release({});
  mapped->release(mapped->bytes().first(10));
  REQUIRE(text() == content);
}

TEST_CASE("files: errors name the path and the call and keep their kind", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("missing");
  const Status missing = posix_file_system().map(path).error();
  REQUIRE(missing.message() == path + ": open: No such file or directory");

  // /dev/full answers every write as a full disk does.
  const auto full = *posix_file_system().create("/dev/full");
  const Status no_space = full->append(as_bytes("x"));
  REQUIRE(no_space.code() == Code::kDiskFull);
  REQUIRE(no_space.message().find("/dev/full: write: ") == 0);

  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none = {3, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const Status no_descriptor = posix_file_system().create(path).error();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(no_descriptor.code() == Code::kResourceExhausted);
}

TEST_CASE("files: the parent of a path is found without asking the disk", "[unit]") {
  REQUIRE(parent_directory("/a/b") == "/a");
  REQUIRE(parent_directory("/a/b/") == "/a");
  REQUIRE(parent_directory("/a//b") == "/a");
  REQUIRE(parent_directory("/a") == "/");
  REQUIRE(parent_directory("//a") == "/");
  REQUIRE(parent_directory("/") == "/");
  REQUIRE(parent_directory("a") == ".");
  REQUIRE(parent_directory("a/b") == "a");
  REQUIRE(parent_directory("a/") == ".");
  REQUIRE(parent_directory("") == ".");
}

}  // namespace
}  // namespace tessera
