#include "storage/store.h"

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/storage/store_model.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::TemporaryDirectory;
using test::kMegabyte;
using test::Model;
using test::open_or_fail;
using test::require_ok;
using test::require_same;
using test::small_options;
using test::vector_of;
using test::Workload;

TEST_CASE("store: it holds what a map holds after random batches and reopening", "[unit]") {
  const std::uint64_t seed = 20240611;
  CAPTURE(seed);
  const TemporaryDirectory directory;
  Workload workload(seed);
  Model model;
  auto store = open_or_fail(directory.file("store"));
  for (int round = 0; round < 120; ++round) {
    CAPTURE(round);
    Batch batch;
    const std::uint32_t change_count = workload.number(120);
    for (std::uint32_t i = 0; i < change_count; ++i) workload.change(batch, model);
    require_ok(store->write(std::move(batch), round % 10 == 0));
    if (round % 5 == 0) require_same(*store, model);
    if (round % 15 == 14) {
      store.reset();
      store = open_or_fail(directory.file("store"));
      require_same(*store, model);
    }
  }
}

TEST_CASE("store: integers come before uuids and both in ascending order", "[unit]") {
  const TemporaryDirectory directory;
  const auto store = open_or_fail(directory.file("store"));
  std::vector<PointId> ids = {PointId(0), PointId(255), PointId(256), PointId(1ULL << 32),
                              PointId(~0ULL)};
  for (const char* text :
       {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-0000000000ff",
        "00ff0000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}) {
    ids.push_back(*PointId::parse_uuid(text));
  }
  Batch batch;
  for (std::size_t i = ids.size(); i-- > 0;) {
    batch.put_point(7, ids[i], {static_cast<std::uint32_t>(i), i});
    batch.put_point(8, ids[i], {0, 0});
    batch.put_point(6, ids[i], {0, 0});
  }
  require_ok(store->write(std::move(batch), false));
  for (std::size_t first = 0; first < ids.size(); ++first) {
    std::vector<PointId> found;
    require_ok(
        store->visit_points(7, ids[first], [&](const PointId& id, const PointRecord& record) {
          found.push_back(id);
          return ids[record.slot] == id;
        }));
    REQUIRE(found ==
            std::vector<PointId>(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end()));
    REQUIRE((*store->get_point(7, ids[first]))->version == first);
  }
  std::size_t visit_count = 0;
  require_ok(store->visit_points(
      7, std::nullopt, [&](const PointId&, const PointRecord&) { return ++visit_count < 3; }));
  REQUIRE(visit_count == 3);
  REQUIRE_FALSE((*store->get_point(7, PointId(1))).has_value());
}

TEST_CASE("store: many slots are looked up at once, in the order they were asked for", "[unit]") {
  const TemporaryDirectory directory;
  const auto store = open_or_fail(directory.file("store"));
  Batch batch;
  for (std::uint32_t slot = 0; slot < 3000; slot += 3) {
    batch.put_vector(1, 2, slot, slot + 1, vector_of(slot, 0, 128));
    batch.put_payload(1, slot, "{\"slot\":" + std::to_string(slot) + "}");
  }
  batch.put_payload(1, 3000, "");
  require_ok(store->write(std::move(batch), false));
  std::vector<std::uint32_t> slots(3001);
  for (std::uint32_t i = 0; i < slots.size(); ++i) slots[i] = 3000 - i;
  slots.push_back(0);

  const auto vectors = *store->get_vectors(1, 2, slots);
  const auto payloads = *store->get_payloads(1, slots);
  REQUIRE(vectors.size() == slots.size());
  REQUIRE(payloads.size() == slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    CAPTURE(slots[i]);
    const bool present = slots[i] % 3 == 0 && slots[i] < 3000;
    REQUIRE(vectors[i] == (present ? vector_of(slots[i], 0, 128) : std::vector<float>()));
    if (slots[i] == 3000) {
      REQUIRE(payloads[i] == "");
    } else {
      REQUIRE(payloads[i].has_value() == present);
      if (present) REQUIRE(*payloads[i] == "{\"slot\":" + std::to_string(slots[i]) + "}");
    }
  }
  REQUIRE(store->get_vectors(1, 2, {})->empty());
}

TEST_CASE("store: vectors of every value type are given as the floats that they are", "[unit]") {
  const TemporaryDirectory directory;
  const auto store = open_or_fail(directory.file("store"));
  // Long ones are in files of their own.
  for (const std::size_t dim : {1, 3, 700}) {
    CAPTURE(dim);
    std::vector<float> floats = vector_of(1, 1, dim), halves = floats, bytes(dim);
    for (float& value : halves) value = to_float(to_float16(value));
    for (std::size_t d = 0; d < dim; ++d) bytes[d] = static_cast<float>((37 * d + 255) % 256);
    Batch batch;
    batch.put_vector(1, 0, 5, 1, floats);
    batch.put_vector(1, 0, 6, 2, halves, ValueType::kFloat16);
    const std::size_t size_before = batch.size_bytes();
    batch.put_vector(1, 0, 7, 3, bytes, ValueType::kUint8);
    REQUIRE(batch.size_bytes() - size_before < dim + 200);
    require_ok(store->write(std::move(batch), true));
    const std::vector<std::uint32_t> slots = {7, 6, 5};
    const auto found = *store->get_vectors(1, 0, slots);
    REQUIRE(found == std::vector<std::vector<float>>{bytes, halves, floats});
    std::size_t visit_count = 0;
    require_ok(store->visit_vectors(
        1, 0, [&](std::uint32_t slot, std::uint64_t version, std::span<const float> values) {
          REQUIRE(version == slot - 4);
          REQUIRE(std::equal(values.begin(), values.end(), found[7 - slot].begin()));
          return ++visit_count < 10;
        }));
    REQUIRE(visit_count == 3);
  }
}

TEST_CASE("store: a visitor's failure stops a walk over meta entries and is handed on", "[unit]") {
  const TemporaryDirectory directory;
  const auto store = open_or_fail(directory.file("store"));
  Batch batch;
  for (const char* key : {"a/1", "b/1", "b/2", "c/1"}) batch.put_meta(key, std::string(key) + "!");
  require_ok(store->write(std::move(batch), true));
  std::vector<std::string> found;
  require_ok(store->visit_meta("b/", [&](std::string_view key, std::string_view value) {
    found.emplace_back(value);
    return value == std::string(key) + "!" ? ok_status() : Status(Code::kInternal, "other value");
  }));
  REQUIRE(found == std::vector<std::string>{"b/1!", "b/2!"});
  const Status status = store->visit_meta("", [](std::string_view key, std::string_view) {
    return Status(Code::kCancelled, std::string(key));
  });
  REQUIRE(status.code() == Code::kCancelled);
  REQUIRE(status.message() == "a/1");
  REQUIRE(*store->get_meta("c/1") == "c/1!");
  REQUIRE_FALSE((*store->get_meta("d/1")).has_value());
}

TEST_CASE("store: the size of a batch counts its bytes and moving it leaves nothing out",
          "[unit]") {
  Batch batch;
  REQUIRE(batch.empty());
  batch.put_vector(1, 0, 5, 1, std::vector<float>(1000));
  REQUIRE_FALSE(batch.empty());
  REQUIRE(batch.size_bytes() > 4000);
  REQUIRE(batch.size_bytes() < 5000);
  const TemporaryDirectory directory;
  const auto store = open_or_fail(directory.file("store"));
  Batch moved = std::move(batch);
  require_ok(store->write(std::move(moved), true));
  REQUIRE((*store->get_vectors(1, 0, std::vector<std::uint32_t>{5}))[0].size() == 1000);
  require_ok(store->write(Batch(), true));
}

TEST_CASE("store: threads that write at once lose nothing", "[unit]") {
  const TemporaryDirectory directory;
  constexpr std::uint32_t kThreadCount = 4;
  constexpr std::uint32_t kWriteCount = 100;
  {
    const auto store = open_or_fail(directory.file("store"));
    std::vector<std::thread> threads;
    std::vector<Status> statuses(kThreadCount);
    for (std::uint32_t t = 0; t < kThreadCount; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint32_t i = 0; i < kWriteCount && statuses[t].ok(); ++i) {
          Batch batch;
          const std::uint32_t slot = t * kWriteCount + i;
          batch.put_point(1, PointId(slot), {slot, i});
          batch.put_payload(1, slot, std::to_string(slot));
          statuses[t] = store->write(std::move(batch), i % 2 == 0);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Status& status : statuses) require_ok(status);
    require_ok(store->sync());
  }
  const auto store = open_or_fail(directory.file("store"));
  std::uint32_t count = 0;
  require_ok(store->visit_payloads(1, [&](std::uint32_t slot, std::string_view json) {
    return json == std::to_string(slot) && slot == count++;
  }));
  REQUIRE(count == kThreadCount * kWriteCount);
}

TEST_CASE("store: a read-only one sees the log's writes and changes no file", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  {
    const auto store = open_or_fail(path);
    for (std::uint32_t slot = 0; slot < 3000; ++slot) {
      Batch batch;
      batch.put_vector(1, 0, slot, slot, vector_of(slot, 0, 256));
      batch.put_payload(1, slot, std::to_string(slot));
      require_ok(store->write(std::move(batch), false));
    }
  }
  REQUIRE_FALSE(test::files_with(path, ".blob").empty());
  REQUIRE_FALSE(test::files_with(path, ".log").empty());
  const auto contents = [&path] {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      files[entry.path().filename()] = test::read_file(entry.path());
    }
    return files;
  };
  const auto before = contents();
  StoreOptions options = small_options();
  options.read_only = true;
  {
    const auto store = open_or_fail(path, options);
    std::uint32_t count = 0;
    require_ok(store->visit_vectors(
        1, 0, [&](std::uint32_t slot, std::uint64_t version, std::span<const float> values) {
          const std::vector<float> expected = vector_of(slot, 0, 256);
          return version == slot && slot == count++ &&
                 std::equal(values.begin(), values.end(), expected.begin(), expected.end());
        }));
    REQUIRE(count == 3000);
    require_ok(store->verify_checksums());
    Batch batch;
    batch.put_meta("a", "b");
    REQUIRE(store->write(std::move(batch), true).code() == Code::kInternal);
    REQUIRE(store->disk_bytes() > 3 * kMegabyte);
  }
  REQUIRE(contents() == before);
}

TEST_CASE("store: what cannot be opened says why", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  StoreOptions read_only = small_options();
  read_only.read_only = true;
  REQUIRE(Store::open(path, read_only).error().code() == Code::kNotFound);
  {
    const auto store = open_or_fail(path);
    const Status status = Store::open(path, small_options()).error();
    INFO(status.to_string());
    REQUIRE(status.code() == Code::kUnavailable);
  }
  SECTION("a place below a file") {
    test::write_file(directory.file("file"), "x");
    const Status status = Store::open(directory.file("file/store"), small_options()).error();
    INFO(status.to_string());
    REQUIRE(status.code() == Code::kUnavailable);
  }
  SECTION("CURRENT is missing while tables or logs are there") {
    std::filesystem::remove(path + "/CURRENT");
    const Status status = Store::open(path, small_options()).error();
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find("CURRENT is missing") != std::string::npos);
    REQUIRE_FALSE(test::files_with(path, ".log").empty());
  }
}

TEST_CASE("store: one that a newer version wrote is refused and left alone", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  open_or_fail(path).reset();
  SECTION("a family that is not known") {
    test::change_behind(path, [](rocksdb::DB& database, const auto&) {
      rocksdb::ColumnFamilyHandle* handle = nullptr;
      REQUIRE(database.CreateColumnFamily({}, "graphs", &handle).ok());
      REQUIRE(database.DestroyColumnFamilyHandle(handle).ok());
    });
    const auto before = test::files_with(path, "");
    const Status status = Store::open(path, small_options()).error();
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find("newer version (family \"graphs\")") != std::string::npos);
    REQUIRE(test::files_with(path, "") == before);
  }
  SECTION("a higher format number") {
    test::change_behind(path, [](rocksdb::DB& database, const auto&) {
      REQUIRE(database.Put({}, "format", "2").ok());
    });
    const Status status = Store::open(path, small_options()).error();
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find("newer version (format 2") != std::string::npos);
  }
  SECTION("a format that is no number") {
    test::change_behind(path, [](rocksdb::DB& database, const auto&) {
      REQUIRE(database.Put({}, "format", "1x").ok());
    });
    const Status status = Store::open(path, small_options()).error();
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find("format is not a number") != std::string::npos);
  }
}

}  // namespace
}  // namespace tessera::storage
