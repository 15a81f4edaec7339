#include <chrono>
#include <random>
#include <thread>

#include <catch2/catch.hpp>
#include <rocksdb/env.h>

#include "storage/store.h"
#include "storage/store_options.h"
#include "tests/storage/faulty_disk.h"
#include "tests/storage/store_model.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::TemporaryDirectory;
using test::FaultyDisk;
using test::kMegabyte;
using test::Model;
using test::require_ok;
using test::require_same;
using test::small_options;
using test::Workload;

/// A store on a disk that fails, and what it must hold.
struct Bench {
  Bench() : disk(std::make_shared<FaultyDisk>()), env(rocksdb::NewCompositeEnv(disk)) {}

  Status open() {
    // The old one goes first: it holds the lock.
    store.reset();
    Result<std::unique_ptr<Store>> opened =
        open_store(directory.file("store"), small_options(), env.get());
    if (opened.has_error()) return opened.error();
    store = std::move(*opened);
    return {};
  }

  Status write(Workload& workload, Model& next, bool sync) {
    Batch batch;
    for (std::uint32_t i = 1 + workload.number(30); i > 0; --i) workload.change(batch, next);
    return store->write(std::move(batch), sync);
  }

  const TemporaryDirectory directory;
  const std::shared_ptr<FaultyDisk> disk;
  const std::unique_ptr<rocksdb::Env> env;
  std::unique_ptr<Store> store;
};

TEST_CASE("store on a full disk: writes say so, reads go on, and writes return by themselves",
          "[unit]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(0, 3));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Bench bench;
  require_ok(bench.open());
  Workload workload(seed);
  Model model;
  for (int round = 0; round < 3; ++round) {
    // Full at once, in the middle of the log, or while memory is written to a table.
    bench.disk->fill_up_after(round == 0 ? 0
                                         : static_cast<std::int64_t>(random() % (2 * kMegabyte)));
    Model next = model;
    Status status;
    for (int i = 0; i < 2000 && status.ok(); ++i) {
      model = next;
      status = bench.write(workload, next, true);
    }
    CAPTURE(round, status.to_string());
    REQUIRE(status.code() == Code::kDiskFull);
    require_same(*bench.store, model);
    next = model;
    REQUIRE(bench.write(workload, next, true).code() == Code::kDiskFull);
    require_same(*bench.store, model);

    bench.disk->free_space();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    do {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      next = model;
      status = bench.write(workload, next, true);
    } while (!status.ok() && std::chrono::steady_clock::now() < deadline);
    INFO(status.to_string());
    REQUIRE(status.ok());
    model = next;
    require_same(*bench.store, model);
  }
  require_ok(bench.open());
  require_same(*bench.store, model);
}

/// Opens, writes, loses power, again and again; the store must hold a prefix of what was sent that
/// has everything that was synced.
void lose_power_repeatedly(std::uint64_t seed, std::uint64_t unsynced_count_max, bool keep_parts) {
  std::mt19937_64 random(seed);
  Bench bench;
  Model model;
  std::uint64_t applied = 0;
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round, applied);
    require_ok(bench.open());
    require_same(*bench.store, model);
    const std::uint64_t synced = applied + random() % 60;
    const std::uint64_t sent = synced + random() % (unsynced_count_max + 1);
    Model ignored;
    for (std::uint64_t number = applied + 1; number <= sent; ++number) {
      require_ok(bench.store->write(test::make_operation(seed + number, number, ignored),
                                    number <= synced));
    }
    bench.disk->cut_power();
    bench.store.reset();
    bench.disk->lose_power(keep_parts ? &random : nullptr);

    require_ok(bench.open());
    const std::uint64_t found = test::last_operation(*bench.store);
    CAPTURE(synced, sent, found);
    REQUIRE(found >= synced);
    REQUIRE(found <= sent);
    for (; applied < found; ++applied) {
      test::make_operation(seed + applied + 1, applied + 1, model);
    }
    require_same(*bench.store, model);
    require_ok(bench.store->verify_checksums());
  }
}

TEST_CASE("store: a power loss that drops all unsynced bytes leaves every synced write",
          "[crash]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(0, 7));
  CAPTURE(seed);
  lose_power_repeatedly(seed, 20, false);
}

TEST_CASE("store: a power loss that keeps parts of the last write leaves every synced one",
          "[crash]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(100, 107));
  CAPTURE(seed);
  lose_power_repeatedly(seed, 1, true);
}

TEST_CASE("store: power losses of a thousand seeds", "[.][slow][crash]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(1000, 2000));
  CAPTURE(seed);
  lose_power_repeatedly(seed, seed % 2 == 0 ? 20 : 1, seed % 2 == 1);
}

/// Fails the n-th call for n = 1, 1 + stride, ... until a run has no failure.
void fail_calls(std::int64_t stride) {
  constexpr std::uint64_t kSeed = 9;
  constexpr std::uint64_t kOperationCount = 12;
  std::int64_t n = 1;
  for (bool clean = false; !clean; n += stride) {
    CAPTURE(n);
    Bench bench;
    Model ignored;
    bench.disk->fail_call(n);
    std::uint64_t acknowledged = 0;
    std::uint64_t sent = 0;
    Status status = bench.open();
    while (status.ok() && sent < kOperationCount) {
      ++sent;
      status = bench.store->write(test::make_operation(kSeed + sent, sent, ignored), true);
      if (!status.ok()) break;
      acknowledged = sent;
      // A second start in the middle: its calls are failed too.
      if (sent == kOperationCount / 2) status = bench.open();
    }
    clean = !bench.disk->has_failed();
    CAPTURE(acknowledged, sent, status.to_string());
    if (clean) REQUIRE(status.ok());

    bench.disk->fail_call(0);
    require_ok(bench.open());
    const std::uint64_t found = test::last_operation(*bench.store);
    REQUIRE(found >= acknowledged);
    REQUIRE(found <= sent);
    Model model;
    for (std::uint64_t number = 1; number <= found; ++number) {
      test::make_operation(kSeed + number, number, model);
    }
    require_same(*bench.store, model);
  }
  REQUIRE(n > 50);
}

TEST_CASE("store: failing one call in seven gives an error or success, never a wrong answer",
          "[unit]") {
  fail_calls(7);
}

TEST_CASE("store: failing each call in turn gives an error or success, never a wrong answer",
          "[.][slow]") {
  fail_calls(1);
}

}  // namespace
}  // namespace tessera::storage
