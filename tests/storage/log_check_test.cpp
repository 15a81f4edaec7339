#include "storage/log_check.h"

#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "storage/fixed.h"

namespace tessera::storage {
namespace {

constexpr std::size_t kBlockBytes = 32 << 10;
constexpr std::size_t kHeaderBytes = 7;

/// Writes a log as db/log_writer.cc of RocksDB does.
class LogMaker {
 public:
  void add(std::string_view payload) {
    record_begins.push_back(bytes.size());
    bool first = true;
    do {
      std::size_t left = kBlockBytes - bytes.size() % kBlockBytes;
      if (left < kHeaderBytes) {
        bytes.append(left, '\0');
        if (first) record_begins.back() = bytes.size();
        left = kBlockBytes;
      }
      const std::size_t size = std::min(payload.size(), left - kHeaderBytes);
      const bool last = size == payload.size();
      add_fragment(first ? (last ? 1 : 2) : (last ? 4 : 3), payload.substr(0, size));
      payload.remove_prefix(size);
      first = false;
    } while (!payload.empty());
  }

  std::string bytes;
  std::vector<std::size_t> record_begins;

 private:
  void add_fragment(std::uint8_t type, std::string_view payload) {
    const std::string body = std::string(1, static_cast<char>(type)) + std::string(payload);
    const std::uint32_t crc = crc32c(0, as_bytes(body));
    put_fixed(bytes, (crc >> 15 | crc << 17) + 0xa282ead8);
    put_fixed(bytes, static_cast<std::uint16_t>(payload.size()));
    bytes += body;
  }
};

/// Records of many lengths, the last one over several blocks when `long_end`.
LogMaker sample_log(bool long_end) {
  std::mt19937_64 random(5);
  LogMaker log;
  const auto add = [&](std::size_t size) {
    std::string payload(size, '\0');
    for (char& c : payload) c = static_cast<char>(random() | 1);
    log.add(payload);
  };
  for (int i = 0; i < 60; ++i) add(random() % 3000 + 1);
  add(100000);
  for (int i = 0; i < 20; ++i) add(random() % 3000 + 1);
  add(long_end ? 100000 : 1000);
  return log;
}

LogCheck check(const std::string& bytes) {
  return check_log(as_bytes(bytes));
}

TEST_CASE("log check: whole logs are whole", "[unit]") {
  REQUIRE(check("").state == LogCheck::State::kWhole);
  for (const bool long_end : {false, true}) {
    REQUIRE(check(sample_log(long_end).bytes).state == LogCheck::State::kWhole);
  }
  // Every way for a record to end near a block's border.
  for (std::size_t left = 0; left < 20; ++left) {
    LogMaker log;
    log.add(std::string(kBlockBytes - kHeaderBytes - left, 'x'));
    log.add("after");
    CAPTURE(left);
    REQUIRE(check(log.bytes).state == LogCheck::State::kWhole);
  }
}

TEST_CASE("log check: a cut log is torn at the record that was cut", "[unit]") {
  const std::uint64_t seed = 6;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const LogMaker log = sample_log(true);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t size = random() % log.bytes.size();
    CAPTURE(size);
    const LogCheck found = check(log.bytes.substr(0, size));
    const auto next = std::upper_bound(log.record_begins.begin(), log.record_begins.end(), size);
    const std::size_t begin = next == log.record_begins.begin() ? 0 : *(next - 1);
    // A cut between records, or inside a block's empty end, leaves a whole log.
    if (found.state == LogCheck::State::kWhole) {
      const bool at_border = size == begin || size % kBlockBytes == 0 ||
                             kBlockBytes - size % kBlockBytes < kHeaderBytes;
      REQUIRE(at_border);
    } else {
      REQUIRE(found.state == LogCheck::State::kTorn);
      REQUIRE(found.offset == begin);
    }
  }
}

TEST_CASE("log check: every flipped bit but in a block's empty end is damage", "[unit]") {
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (const bool long_end : {false, true}) {
    const LogMaker log = sample_log(long_end);
    for (int i = 0; i < 1500; ++i) {
      const std::size_t byte =
          i % 3 == 0 ? log.bytes.size() - 1 - random() % 1007 : random() % log.bytes.size();
      if (log.bytes[byte] == '\0' && kBlockBytes - byte % kBlockBytes < kHeaderBytes) continue;
      const std::size_t bit = random() % 8;
      CAPTURE(long_end, byte, bit);
      std::string damaged = log.bytes;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      REQUIRE(check(damaged).state == LogCheck::State::kDamaged);
    }
  }
}

TEST_CASE("log check: each length of the last record is damage when its checksum tells", "[unit]") {
  const LogMaker log = sample_log(false);
  const std::size_t last = log.record_begins.back();
  const auto good = get_fixed<std::uint16_t>(&log.bytes[last + 4]);
  for (std::uint32_t length = 0; length < 65536; length += 7) {
    if (length == good) continue;
    std::string damaged = log.bytes;
    const auto value = static_cast<std::uint16_t>(length);
    std::memcpy(damaged.data() + last + 4, &value, sizeof(value));
    const LogCheck found = check(damaged);
    CAPTURE(length);
    REQUIRE(found.state == LogCheck::State::kDamaged);
    REQUIRE(found.offset == last);
  }
}

TEST_CASE("log check: missing sectors of the last record are a tear, of others damage", "[unit]") {
  const std::uint64_t seed = 8;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const LogMaker log = sample_log(true);
  const std::size_t last = log.record_begins.back();
  const auto without_sector = [&log](std::size_t begin, std::size_t from) {
    std::string bytes = log.bytes;
    const std::size_t end = std::min(begin + 512, bytes.size());
    const std::size_t start = std::max(begin, from);
    bytes.replace(start, end - start, end - start, '\0');
    return bytes;
  };
  for (std::size_t begin = last / 512 * 512; begin + 12 < log.bytes.size(); begin += 512) {
    CAPTURE(begin);
    const LogCheck found = check(without_sector(begin, last));
    REQUIRE(found.state == LogCheck::State::kTorn);
    REQUIRE(found.offset == last);
  }
  for (int i = 0; i < 200; ++i) {
    const std::size_t begin = random() % (last - 3000) / 512 * 512;
    CAPTURE(begin);
    REQUIRE(check(without_sector(begin, 0)).state == LogCheck::State::kDamaged);
  }
}

TEST_CASE("log check: a last record of which the file has only zeros is a tear", "[unit]") {
  // The file grew by a few bytes and none of them arrived; or the sector of the header's first
  // bytes arrived and the next one did not.
  for (std::size_t at = 490; at < 530; ++at) {
    LogMaker log;
    log.add(std::string(at - kHeaderBytes, 'x'));
    log.add(std::string(300, 'y'));
    for (std::size_t kept = 1; kept < 40; ++kept) {
      std::string bytes = log.bytes.substr(0, at + kept);
      std::size_t missing = at;
      if (at < 512 && at + kept > 512 && kept % 2 == 0) missing = 512;
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(missing), bytes.end(), '\0');
      CAPTURE(at, kept, missing);
      const LogCheck found = check(bytes);
      REQUIRE(found.state == LogCheck::State::kTorn);
      REQUIRE(found.offset == at);
    }
  }
}

}  // namespace
}  // namespace tessera::storage
