#include "storage/store.h"

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::TemporaryDirectory;
using test::kMegabyte;
using test::open_or_fail;
using test::require_ok;
using test::small_options;
using test::vector_of;

/// What the store must hold.
struct Model {
  struct Row {
    std::uint64_t version = 0;
    std::vector<float> values;
    bool operator==(const Row&) const = default;
  };
  std::map<std::pair<CollectionNumber, PointId>, std::pair<std::uint32_t, std::uint64_t>> points;
  std::map<std::pair<CollectionNumber, std::uint32_t>, std::string> payloads;
  std::map<std::tuple<CollectionNumber, VectorNumber, std::uint32_t>, Row> rows;
  std::map<std::string, std::string> meta;
};

constexpr CollectionNumber kCollections[] = {0, 1, 255, 256, 0xfffffffe, 0xffffffff};
constexpr VectorNumber kVectors[] = {0, 1, 255, 0xffff};

void require_points(const Store& store, const Model& model, CollectionNumber collection) {
  std::vector<PointId> expected;
  std::vector<PointId> found;
  for (const auto& [key, record] : model.points) {
    if (key.first == collection) expected.push_back(key.second);
  }
  require_ok(store.visit_points(collection, std::nullopt,
                                [&](const PointId& id, const PointRecord& record) {
                                  found.push_back(id);
                                  const auto known = model.points.find({collection, id});
                                  return known != model.points.end() &&
                                         known->second == std::pair(record.slot, record.version);
                                }));
  REQUIRE(found == expected);
}

void require_payloads(const Store& store, const Model& model, CollectionNumber collection) {
  std::vector<std::pair<std::uint32_t, std::string>> expected;
  std::vector<std::pair<std::uint32_t, std::string>> found;
  for (const auto& [key, json] : model.payloads) {
    if (key.first == collection) expected.emplace_back(key.second, json);
  }
  require_ok(store.visit_payloads(collection, [&](std::uint32_t slot, std::string_view json) {
    found.emplace_back(slot, json);
    return true;
  }));
  REQUIRE(found == expected);
}

void require_rows(const Store& store, const Model& model, CollectionNumber collection,
                  VectorNumber vector) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> expected;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> rows;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> vectors;
  for (const auto& [key, row] : model.rows) {
    if (std::get<0>(key) == collection && std::get<1>(key) == vector) {
      expected.emplace_back(std::get<2>(key), row.version);
    }
  }
  require_ok(store.visit_rows(collection, vector, [&](std::uint32_t slot, std::uint64_t version) {
    rows.emplace_back(slot, version);
    return true;
  }));
  require_ok(store.visit_vectors(
      collection, vector,
      [&](std::uint32_t slot, std::uint64_t version, std::span<const float> values) {
        const auto& known = model.rows.at({collection, vector, slot}).values;
        REQUIRE(std::equal(values.begin(), values.end(), known.begin(), known.end()));
        vectors.emplace_back(slot, version);
        return true;
      }));
  REQUIRE(rows == expected);
  REQUIRE(vectors == expected);
}

void require_same(const Store& store, const Model& model) {
  std::vector<CollectionNumber> used;
  for (const auto& [key, record] : model.points) used.push_back(key.first);
  for (const auto& [key, json] : model.payloads) used.push_back(key.first);
  for (const auto& [key, row] : model.rows) used.push_back(std::get<0>(key));
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  REQUIRE(*store.collections() == used);

  for (const CollectionNumber collection : kCollections) {
    require_points(store, model, collection);
    require_payloads(store, model, collection);
    std::vector<VectorNumber> used_vectors;
    for (const VectorNumber vector : kVectors) {
      require_rows(store, model, collection, vector);
      const auto first = model.rows.lower_bound({collection, vector, 0});
      const bool has_rows = first != model.rows.end() && std::get<0>(first->first) == collection &&
                            std::get<1>(first->first) == vector;
      if (has_rows) used_vectors.push_back(vector);
    }
    REQUIRE(*store.vectors(collection) == used_vectors);
  }
  std::map<std::string, std::string> meta;
  require_ok(store.visit_meta("", [&](std::string_view key, std::string_view value) {
    meta.emplace(key, value);
    return ok_status();
  }));
  REQUIRE(meta == model.meta);
}

/// Random changes, applied to a batch and to the model.
class Workload {
 public:
  explicit Workload(std::uint64_t seed) : random_(seed) {}

  template <class Values>
  auto pick(const Values& values) {
    return values[number(static_cast<std::uint32_t>(std::size(values)))];
  }

  void change(Batch& batch, Model& model) {
    const CollectionNumber collection = pick(kCollections);
    const VectorNumber vector = pick(kVectors);
    const std::uint32_t slot = number(2) == 0 ? number(40) : 0xffffffff - number(3);
    switch (number(40)) {
      case 0:
        batch.delete_collection(collection);
        std::erase_if(model.points, [&](const auto& e) { return e.first.first == collection; });
        std::erase_if(model.payloads, [&](const auto& e) { return e.first.first == collection; });
        std::erase_if(model.rows,
                      [&](const auto& e) { return std::get<0>(e.first) == collection; });
        return;
      case 1:
        batch.delete_vectors(collection, vector);
        std::erase_if(model.rows, [&](const auto& e) {
          return std::get<0>(e.first) == collection && std::get<1>(e.first) == vector;
        });
        return;
      default:
        change_record(batch, model, {collection, vector, slot});
    }
  }

  std::uint32_t number(std::uint32_t bound) {
    return static_cast<std::uint32_t>(random_() % bound);
  }

 private:
  PointId id() {
    if (number(2) == 0) return PointId(number(2) == 0 ? number(50) : ~0ULL - number(3));
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = static_cast<std::uint8_t>(number(2) * 255);
    bytes[15] = static_cast<std::uint8_t>(number(20));
    return PointId::from_uuid(bytes);
  }

  void change_record(Batch& batch, Model& model,
                     std::tuple<CollectionNumber, VectorNumber, std::uint32_t> row) {
    const auto [collection, vector, slot] = row;
    const std::uint64_t version = random_();
    const std::string text(number(300), static_cast<char>('a' + number(26)));
    const PointId point = id();
    switch (number(8)) {
      case 0:
        batch.delete_point(collection, point);
        model.points.erase({collection, point});
        return;
      case 1:
        batch.delete_payload(collection, slot);
        model.payloads.erase({collection, slot});
        return;
      case 2:
        batch.delete_vector(collection, vector, slot);
        model.rows.erase(row);
        return;
      case 3:
        batch.put_meta("key/" + std::to_string(slot), text);
        model.meta["key/" + std::to_string(slot)] = text;
        return;
      case 4:
        batch.delete_meta("key/" + std::to_string(slot));
        model.meta.erase("key/" + std::to_string(slot));
        return;
      case 5:
        batch.put_point(collection, point, {slot, version});
        model.points[{collection, point}] = {slot, version};
        return;
      case 6:
        batch.put_payload(collection, slot, text);
        model.payloads[{collection, slot}] = text;
        return;
      default: {
        // Both sides of the length from which on vectors go to blob files.
        const std::vector<float> values = vector_of(slot, version % 1000, 1 + number(200));
        batch.put_vector(collection, vector, slot, version, values);
        model.rows[row] = {version, values};
      }
    }
  }

  std::mt19937_64 random_;
};

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
