#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "storage/store.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::TemporaryDirectory;
using test::kMegabyte;
using test::open_or_fail;
using test::require_ok;
using test::vector_of;

/// The log is made of blocks of this size; a record that crosses a border is cut.
constexpr std::size_t kLogBlockBytes = 32 << 10;
constexpr std::uint32_t kRecordCount = 400;
constexpr std::size_t kDim = 128;

/// Keeps everything in the log.
StoreOptions log_only_options() {
  StoreOptions options = test::small_options();
  options.write_buffer_bytes = 64 * kMegabyte;
  return options;
}

using Files = std::map<std::string, std::string>;

Files read_directory(const std::string& path) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    files[entry.path().filename()] = test::read_file(entry.path());
  }
  return files;
}

void write_directory(const std::string& path, const Files& files) {
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  for (const auto& [name, bytes] : files) test::write_file(path + "/" + name, bytes);
}

void fill(Store& store, bool sync) {
  for (std::uint32_t slot = 0; slot < kRecordCount; ++slot) {
    Batch batch;
    batch.put_vector(1, 0, slot, slot, vector_of(slot, slot, kDim));
    require_ok(store.write(std::move(batch), sync));
  }
}

/// How many of the records are there, each with its own values, from the first on without a gap.
std::uint32_t prefix_length(const Store& store) {
  std::uint32_t count = 0;
  require_ok(store.visit_vectors(
      1, 0, [&](std::uint32_t slot, std::uint64_t version, std::span<const float> values) {
        REQUIRE(slot == count);
        REQUIRE(version == slot);
        REQUIRE(std::vector<float>(values.begin(), values.end()) == vector_of(slot, slot, kDim));
        ++count;
        return true;
      }));
  return count;
}

/// A store whose records are all in the log, and the bytes of that log.
struct LogSample {
  LogSample() {
    const TemporaryDirectory directory;
    fill(*open_or_fail(directory.file("store"), log_only_options()), true);
    files = read_directory(directory.file("store"));
    for (const auto& [name, bytes] : files) {
      if (name.ends_with(".log")) log_name = name;
    }
    REQUIRE(files.at(log_name).size() > 4 * kLogBlockBytes);
  }

  /// Opens a copy with other bytes in its log.
  Result<std::unique_ptr<Store>> open_with(const std::string& path, const std::string& log) const {
    Files changed = files;
    changed[log_name] = log;
    write_directory(path, changed);
    return Store::open(path, log_only_options());
  }

  Files files;
  std::string log_name;
};

std::string flipped(const std::string& bytes, std::size_t bit) {
  std::string damaged = bytes;
  damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
  return damaged;
}

TEST_CASE("store damage: a flipped bit anywhere in the log is refused, not forgotten", "[unit]") {
  const std::uint64_t seed = 1;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const LogSample sample;
  const TemporaryDirectory directory;
  const std::string& log = sample.files.at(sample.log_name);
  const std::size_t last_block = log.size() / kLogBlockBytes * kLogBlockBytes;
  for (int i = 0; i < 150; ++i) {
    // Half of them in the last block, where RocksDB itself takes a wrong length for a torn end.
    const std::size_t begin = i % 2 == 0 ? 0 : last_block;
    const std::size_t bit = begin * 8 + random() % ((log.size() - begin) * 8);
    CAPTURE(bit);
    const auto store = sample.open_with(directory.file("store"), flipped(log, bit));
    REQUIRE(store.error().code() == Code::kCorrupt);
    REQUIRE(store.error().message().find(sample.log_name + " is damaged at byte") !=
            std::string::npos);
  }
}

TEST_CASE("store damage: a log cut anywhere opens with everything before the cut", "[unit]") {
  const std::uint64_t seed = 2;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const LogSample sample;
  const TemporaryDirectory directory;
  const std::string& log = sample.files.at(sample.log_name);
  // A record is a little more than its floats; the first ones make up for the store's own.
  const double record_bytes = static_cast<double>(log.size()) / kRecordCount;
  for (int i = 0; i < 60; ++i) {
    const std::size_t size =
        i < 10 ? log.size() - static_cast<std::size_t>(i) - 1 : random() % (log.size() - 400) + 400;
    CAPTURE(size);
    const auto store = sample.open_with(directory.file("store"), log.substr(0, size));
    INFO(store.error().to_string());
    REQUIRE(store.has_value());
    const double expected = static_cast<double>(size) / record_bytes;
    const std::uint32_t found = prefix_length(**store);
    REQUIRE(found < kRecordCount);
    REQUIRE(std::abs(expected - found) < 3);
  }
}

TEST_CASE("store damage: a last record of which a sector is missing is dropped alone", "[unit]") {
  const LogSample sample;
  const TemporaryDirectory directory;
  std::string log = sample.files.at(sample.log_name);
  const std::size_t sector = (log.size() - 1) / 512 * 512;
  log.replace(sector, log.size() - sector, log.size() - sector, '\0');
  const auto store = sample.open_with(directory.file("store"), log);
  INFO(store.error().to_string());
  REQUIRE(store.has_value());
  REQUIRE(prefix_length(**store) == kRecordCount - 1);
}

TEST_CASE("store damage: each flipped byte of the MANIFEST is refused and nothing is deleted",
          "[unit]") {
  const LogSample sample;
  const TemporaryDirectory directory;
  const auto manifest =
      std::find_if(sample.files.begin(), sample.files.end(),
                   [](const auto& file) { return file.first.find("MANIFEST-") == 0; });
  REQUIRE(manifest != sample.files.end());
  for (std::size_t byte = 0; byte < manifest->second.size(); ++byte) {
    CAPTURE(byte);
    Files changed = sample.files;
    changed[manifest->first] = flipped(manifest->second, byte * 8 + byte % 8);
    write_directory(directory.file("store"), changed);
    const auto store = Store::open(directory.file("store"), log_only_options());
    REQUIRE(store.error().code() == Code::kCorrupt);
    REQUIRE(read_directory(directory.file("store")) == changed);
  }
}

TEST_CASE("store damage: a log or a table that is missing is refused", "[unit]") {
  const LogSample sample;
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  write_directory(path, sample.files);
  // Opening writes the log's records to tables.
  REQUIRE(prefix_length(*open_or_fail(path)) == kRecordCount);
  const Files files = read_directory(path);
  for (const auto& [name, bytes] : files) {
    if (!name.ends_with(".sst") && !name.ends_with(".blob")) continue;
    CAPTURE(name);
    Files changed = files;
    changed.erase(name);
    write_directory(path, changed);
    const auto store = Store::open(path, test::small_options());
    const bool refused = store.has_error() || (*store)->verify_checksums().code() != Code::kOk;
    REQUIRE(refused);
  }
}

TEST_CASE("store damage: a flipped bit in any table or vector file is found by checking them",
          "[unit]") {
  const std::uint64_t seed = 3;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const LogSample sample;
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  write_directory(path, sample.files);
  REQUIRE(prefix_length(*open_or_fail(path)) == kRecordCount);
  const Files files = read_directory(path);
  int found_count = 0;
  for (const auto& [name, bytes] : files) {
    if (!name.ends_with(".sst") && !name.ends_with(".blob")) continue;
    for (int i = 0; i < 20; ++i) {
      const std::size_t bit = random() % (bytes.size() * 8);
      CAPTURE(name, bit);
      Files changed = files;
      changed[name] = flipped(bytes, bit);
      write_directory(path, changed);
      const auto store = Store::open(path, test::small_options());
      const Status status = store.has_error() ? store.error() : (*store)->verify_checksums();
      REQUIRE(status.code() == Code::kCorrupt);
      ++found_count;
    }
  }
  REQUIRE(found_count >= 60);
}

}  // namespace
}  // namespace tessera::storage
