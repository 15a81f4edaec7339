#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "storage/encoding.h"
#include "store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage::test {
namespace {

using Files = std::map<std::string, std::pair<std::uint64_t, std::string>>;

Files adapters_of(const Store& store, CollectionNumber collection) {
  Files files;
  std::string previous;
  require_ok(store.visit_adapters(collection, [&](std::string_view name, const auto& record) {
    CHECK(std::string(name) > previous);
    previous = name;
    REQUIRE(record.has_value());
    CHECK(record->created_at_us == -static_cast<std::int64_t>(record->version));
    files[previous] = {record->version, std::string(record->file)};
    return true;
  }));
  return files;
}

}  // namespace

TEST_CASE("store adapters: the last upload of each name is there after any restart", "[unit]") {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const tessera::test::TemporaryDirectory directory;
  const std::string path = directory.path() + "/store";
  auto store = open_or_fail(path);
  std::map<CollectionNumber, Files> model;
  std::uint64_t version = 0;
  for (int step = 0; step < 120; ++step) {
    const auto collection = static_cast<CollectionNumber>(1 + random() % 3);
    const std::string name = std::string(1 + random() % 2, static_cast<char>('a' + random() % 3));
    Batch batch;
    if (random() % 12 == 0) {
      batch.delete_collection(collection);
      model[collection].clear();
    } else if (random() % 4 == 0) {
      batch.delete_adapter(collection, name);
      model[collection].erase(name);
    } else {
      // Some are larger than a block of memory.
      std::string file(random() % 3 == 0 ? random() % 300'000 : random() % 50, '\0');
      for (char& byte : file) byte = static_cast<char>(random());
      ++version;
      batch.put_adapter(collection, name, {version, -static_cast<std::int64_t>(version), file});
      model[collection][name] = {version, file};
    }
    require_ok(store->write(std::move(batch), false));
    if (random() % 20 == 0) {
      store.reset();
      store = open_or_fail(path);
    }
    if (step % 10 != 0) continue;
    for (CollectionNumber number = 0; number < 5; ++number) {
      CHECK(adapters_of(*store, number) == model[number]);
    }
    std::vector<CollectionNumber> known;
    for (const auto& [number, files] : model) {
      if (!files.empty()) known.push_back(number);
    }
    CHECK(store->collections().value() == known);
  }
}

TEST_CASE("store adapters: a visitor that has seen enough ends the visit", "[unit]") {
  const tessera::test::TemporaryDirectory directory;
  const auto store = open_or_fail(directory.path() + "/store");
  Batch batch;
  for (const char* name : {"a", "b", "c"}) batch.put_adapter(1, name, {1, 0, "file"});
  require_ok(store->write(std::move(batch), true));
  int count = 0;
  require_ok(store->visit_adapters(1, [&](std::string_view, const auto&) { return ++count < 2; }));
  CHECK(count == 2);
}

TEST_CASE("store adapters: a record that no encoder wrote is damage", "[unit]") {
  // Nothing, a head cut off twice, and another format.
  std::vector<std::string> values(4);
  values[1].assign(1, '\1');
  values[2].assign(16, '\1');
  values[3].assign(21, '\2');
  for (const std::string& value : values) {
    const tessera::test::TemporaryDirectory directory;
    const std::string path = directory.path() + "/store";
    open_or_fail(path).reset();
    change_behind(path, [&](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(database.Put({}, handle_of(Family::kAdapters), encoding::adapter_key(1, "a"), value)
                  .ok());
    });
    const auto store = open_or_fail(path);
    Batch batch;
    batch.put_adapter(1, "b", {1, 0, "file"});
    require_ok(store->write(std::move(batch), true));
    std::map<std::string, bool> is_sound;
    require_ok(store->visit_adapters(1, [&](std::string_view name, const auto& record) {
      is_sound[std::string(name)] = record.has_value();
      return true;
    }));
    CHECK(is_sound == std::map<std::string, bool>{{"a", false}, {"b", true}});
  }
}

}  // namespace tessera::storage::test
