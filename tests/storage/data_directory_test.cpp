#include "storage/data_directory.h"

#include <random>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/section_file.h"
#include "tests/storage/store_support.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::FaultFileSystem;
using tessera::test::TemporaryDirectory;
using test::read_file;
using test::require_ok;
using test::write_file;

std::vector<std::string> tree_of(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    names.push_back(entry.path().string().substr(path.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST_CASE("data directory: opening makes it with its parents and says where things are", "[unit]") {
  const TemporaryDirectory temporary;
  const std::string path = temporary.file("a/b/data");
  const auto directory = *DataDirectory::open(path + "//");
  REQUIRE(directory->path() == path);
  REQUIRE(directory->store_path() == path + "/store");
  REQUIRE(directory->segment_directory(7) == path + "/segments/7");
  REQUIRE(directory->segment_path(7, 2, 1ULL << 40) == path + "/segments/7/2-1099511627776.seg");
  REQUIRE(tree_of(path) == std::vector<std::string>{"/FORMAT", "/LOCK", "/segments"});
  REQUIRE(read_file(path + "/FORMAT") == "1\n");
  REQUIRE(read_file(path + "/LOCK") == std::to_string(::getpid()) + "\n");
}

TEST_CASE("data directory: a second owner is refused with the first one's process", "[unit]") {
  const TemporaryDirectory temporary;
  const std::string path = temporary.file("data");
  int ready[2];
  int done[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto held = DataDirectory::open(path);
    char byte = held.has_value() ? '1' : '0';
    const bool told = ::write(ready[1], &byte, 1) == 1 && ::read(done[0], &byte, 1) == 1;
    ::_exit(told ? 0 : 1);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == '1');
  const std::string text = path + ": is in use by process " + std::to_string(child);
  REQUIRE(DataDirectory::open(path).error().message() == text);
  REQUIRE(DataDirectory::open(path).error().code() == Code::kUnavailable);
  REQUIRE(DataDirectory::open_read_only(path).error().message() == text);
  REQUIRE(::write(done[1], &byte, 1) == 1);
  int exit_status = -1;
  REQUIRE(::waitpid(child, &exit_status, 0) == child);
  REQUIRE(exit_status == 0);
  for (const int descriptor : {ready[0], ready[1], done[0], done[1]}) ::close(descriptor);
  REQUIRE(DataDirectory::open(path).has_value());
}

TEST_CASE("data directory: a reader changes nothing and keeps owners out", "[unit]") {
  const TemporaryDirectory temporary;
  const std::string path = temporary.file("data");
  REQUIRE(DataDirectory::open_read_only(path).error().code() == Code::kNotFound);
  REQUIRE_FALSE(std::filesystem::exists(path));
  DataDirectory::open(path)->reset();
  write_file(path + "/segments/x.tmp", "unfinished");
  const auto before = tree_of(path);
  {
    const auto reader = *DataDirectory::open_read_only(path);
    const auto other_reader = *DataDirectory::open_read_only(path);
    REQUIRE(tree_of(path) == before);
    const Status status = DataDirectory::open(path).error();
    REQUIRE(status.code() == Code::kUnavailable);
    REQUIRE(status.message() == path + ": is being read by an offline tool");
  }
  std::filesystem::remove(path + "/LOCK");
  REQUIRE(DataDirectory::open_read_only(path).has_value());
  REQUIRE_FALSE(std::filesystem::exists(path + "/LOCK"));
}

TEST_CASE("data directory: formats that this program does not know are refused untouched",
          "[unit]") {
  const TemporaryDirectory temporary;
  const std::string path = temporary.file("data");
  DataDirectory::open(path)->reset();
  const auto [text, message] = GENERATE(table<std::string, std::string>({
      {"2\n", "newer version (format 2; this program reads up to 1)"},
      {"4294967295\n", "newer version"},
      {"4294967296\n", "is not a format number"},
      {"0\n", "is not a format number"},
      {"-1\n", "is not a format number"},
      {"1", "is not a format number"},
      {"1\n\n", "is not a format number"},
      {" 1\n", "is not a format number"},
      {"", "is not a format number"},
      {std::string("\0\0", 2), "is not a format number"},
  }));
  CAPTURE(text);
  write_file(path + "/FORMAT", text);
  write_file(path + "/x.tmp", "kept");
  write_file(path + "/LOCK", "kept");
  for (const Status& status :
       {DataDirectory::open(path).error(), DataDirectory::open_read_only(path).error()}) {
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find(path + "/FORMAT: ") == 0);
    REQUIRE(status.message().find(message) != std::string::npos);
  }
  REQUIRE(read_file(path + "/FORMAT") == text);
  REQUIRE(read_file(path + "/LOCK") == "kept");
  REQUIRE(std::filesystem::exists(path + "/x.tmp"));
}

TEST_CASE("data directory: a directory with other files in it is left alone", "[unit]") {
  const TemporaryDirectory temporary;
  write_file(temporary.file("thesis.tmp"), "precious");
  const Status status = DataDirectory::open(temporary.path()).error();
  REQUIRE(status.code() == Code::kUnavailable);
  REQUIRE(status.message().find("thesis.tmp") != std::string::npos);
  REQUIRE(tree_of(temporary.path()) == std::vector<std::string>{"/thesis.tmp"});
}

TEST_CASE("data directory: paths that cannot hold one are refused with the reason", "[unit]") {
  REQUIRE(DataDirectory::open("").error().code() == Code::kInvalidArgument);
  const TemporaryDirectory temporary;
  write_file(temporary.file("file"), "x");
  const Status status = DataDirectory::open(temporary.file("file")).error();
  REQUIRE(status.code() == Code::kUnavailable);
  REQUIRE(status.message() == temporary.file("file") + ": exists and is not a directory");
  REQUIRE(DataDirectory::open("/proc/tessera").has_error());
}

TEST_CASE("data directory: unfinished files of a stopped process are removed", "[unit]") {
  const TemporaryDirectory temporary;
  const std::string path = temporary.file("data");
  {
    const auto directory = *DataDirectory::open(path);
    require_ok(create_directories(directory->segment_directory(3)));
    write_file(directory->segment_path(3, 0, 1), "kept");
    write_file(directory->segment_path(3, 0, 2) + ".tmp", "unfinished");
    write_file(path + "/FORMAT.tmp", "unfinished");
  }
  const auto directory = *DataDirectory::open(path);
  REQUIRE(tree_of(path) == std::vector<std::string>{"/FORMAT", "/LOCK", "/segments", "/segments/3",
                                                    "/segments/3/0-1.seg"});
}

TEST_CASE("data directory: failing each call of the start gives an error and the next start works",
          "[unit]") {
  std::uint64_t n = 1;
  for (bool clean = false; !clean; ++n) {
    CAPTURE(n);
    FaultFileSystem files;
    files.fail_call(n, FaultFileSystem::Failure::kOnce, Code::kDiskFull);
    const Status status = DataDirectory::open("/a/data", files).error();
    clean = !files.has_failed();
    REQUIRE(status.ok() == clean);
    files.fail_nothing();
    INFO(DataDirectory::open("/a/data", files).error().to_string());
    REQUIRE(DataDirectory::open("/a/data", files).has_value());
    REQUIRE(files.files() == std::vector<std::string>{"/a/data/FORMAT", "/a/data/LOCK"});
  }
  REQUIRE(n > 20);
}

TEST_CASE("data directory: a power loss during the first start is healed by the next", "[unit]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(0, 20));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uint64_t n = 1;
  for (bool clean = false; !clean; ++n) {
    CAPTURE(n);
    FaultFileSystem files;
    files.fail_call(n, FaultFileSystem::Failure::kFromThere);
    clean = DataDirectory::open("/a/data", files).has_value();
    files.fail_nothing();
    seed == 0 ? files.lose_power() : files.lose_power(random);
    if (clean) REQUIRE(files.contents("/a/data/FORMAT") == "1\n");
    INFO(DataDirectory::open("/a/data", files).error().to_string());
    REQUIRE(DataDirectory::open("/a/data", files).has_value());
  }
}

TEST_CASE("data directory: the probe names the call that a file system cannot do", "[unit]") {
  FaultFileSystem files;
  DataDirectory::open("/data", files)->reset();
  const std::uint64_t before = files.call_count();
  DataDirectory::open("/data", files)->reset();
  const std::uint64_t open_calls = files.call_count() - before;
  std::vector<std::string> calls;
  for (std::uint64_t n = 1; n <= open_calls; ++n) {
    files.fail_call(n, FaultFileSystem::Failure::kOnce);
    const std::string message = DataDirectory::open("/data", files).error().message();
    files.fail_nothing();
    const std::string prefix = "/data: cannot hold a data directory: ";
    if (message.find(prefix) != 0) continue;
    const std::string rest = message.substr(message.find(": ", prefix.size()) + 2);
    calls.push_back(rest.substr(0, rest.find(':')));
  }
  REQUIRE(calls == std::vector<std::string>{"open", "write", "fsync", "close", "rename", "fsync",
                                            "mmap", "unlink"});
}

TEST_CASE("directories: creating and removing them is durable", "[unit]") {
  FaultFileSystem files;
  require_ok(create_directories("/a/b/c", files));
  require_ok(create_directories("/a/b/c", files));
  files.lose_power();
  REQUIRE(files.exists("/a/b/c"));
  for (const char* path : {"/a/b/c/1", "/a/b/2", "/a/3"}) files.set_contents(path, "x");
  REQUIRE(*list_directory("/a/b", files) == std::vector<std::string>{"2", "c"});
  REQUIRE(list_directory("/a/none", files)->empty());

  require_ok(remove_all("/a/b/", files));
  files.lose_power();
  REQUIRE_FALSE(files.exists("/a/b"));
  REQUIRE_FALSE(files.exists("/a/b/c/1"));
  REQUIRE(files.exists("/a/3"));
  require_ok(remove_all("/a/3", files));
  files.lose_power();
  REQUIRE_FALSE(files.exists("/a/3"));
  require_ok(remove_all("/a/3", files));
  require_ok(remove_all("/none/3", files));
}

TEST_CASE("directories: a link inside a removed tree is removed, not followed", "[unit]") {
  const TemporaryDirectory temporary;
  write_file(temporary.file("precious"), "x");
  std::filesystem::create_directories(temporary.file("tree/sub"));
  std::filesystem::create_directory_symlink(temporary.path(), temporary.file("tree/sub/link"));
  require_ok(remove_all(temporary.file("tree")));
  REQUIRE(tree_of(temporary.path()) == std::vector<std::string>{"/precious"});
  REQUIRE(*free_bytes(temporary.path()) > 0);
  REQUIRE(free_bytes(temporary.file("none")).error().code() == Code::kNotFound);
}

}  // namespace
}  // namespace tessera::storage
