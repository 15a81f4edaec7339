#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "engine/collection_impl.h"
#include "engine/database.h"
#include "engine/payload.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kDim = 4;

CollectionConfig config_of(Metric metric, std::uint64_t indexing_threshold = 1) {
  CollectionConfig config;
  config.vectors[""] = {kDim, metric, {}, {}, {}};
  config.optimizers.indexing_threshold = indexing_threshold;
  return config;
}

class Opened {
 public:
  Opened() {
    settings.storage.path = directory_.path() + "/data";
    settings.storage.free_bytes_min = 0;
    settings.index.build_thread_count = 1;
    settings.index.build_idle_ms = 0;
    open();
  }
  void open() {
    auto opened = Database::open(settings, registry_);
    INFO((opened.has_error() ? opened.error().to_string() : std::string()));
    REQUIRE(opened.has_value());
    database = std::move(*opened);
  }
  void reopen() {
    database.reset();
    open();
  }
  std::shared_ptr<Collection> create(const std::string& name, const CollectionConfig& config) {
    REQUIRE(database->create_collection(name, config).ok());
    return database->collection(name).value();
  }
  [[nodiscard]] std::string segments() const { return settings.storage.path + "/segments"; }

  config::Settings settings;

 private:
  test::TemporaryDirectory directory_;
  metrics::Registry registry_;

 public:
  std::unique_ptr<Database> database;  // After what it uses until its end.
};

void upsert(Collection& collection, std::uint64_t id, std::vector<float> vector,
            std::optional<std::string> payload = std::nullopt) {
  UpsertPoints operation;
  PointInput& point = operation.points.emplace_back();
  point.id = PointId(id);
  point.vectors.emplace_back("", std::move(vector));
  point.payload = std::move(payload);
  REQUIRE(collection.write(std::move(operation), true).has_value());
}

template <class Condition>
bool wait_for(Condition condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("engine: files of a collection whose deletion was cut short go at the next start") {
  Opened opened;
  (void)opened.create("kept", config_of(Metric::kEuclid));
  opened.database.reset();
  // What a kill between the store's commit and the removal of the files leaves.
  std::filesystem::create_directories(opened.segments() + "/77");
  std::ofstream(opened.segments() + "/77/0-1.seg") << "rows";
  opened.open();
  CHECK_FALSE(std::filesystem::exists(opened.segments() + "/77"));
}

TEST_CASE("engine: of two catalog entries of one name the newest counts") {
  Opened opened;
  for (int i = 0; i < 8; ++i) (void)opened.create("n" + std::to_string(i), config_of(Metric::kDot));
  auto first = opened.create("x", config_of(Metric::kDot));  // Number 9.
  first.reset();
  opened.database.reset();
  {
    // A deletion of number 9 whose store write failed, then number 10 created under the name.
    auto directory = storage::DataDirectory::open(opened.settings.storage.path).value();
    auto store = storage::Store::open(directory->store_path(), {}).value();
    CatalogEntry entry;
    entry.number = 10;
    entry.name = "x";
    entry.config = config_of(Metric::kEuclid);
    entry.vector_numbers[""] = 0;
    storage::Batch batch;
    batch.put_meta(CatalogEntry::key(10), entry.encode());
    batch.put_meta("next_collection", "11");
    REQUIRE(store->write(std::move(batch), true).ok());
  }
  opened.open();
  const auto info = opened.database->collection("x").value()->info();
  CHECK(info.config.vectors.at("").metric == Metric::kEuclid);
}

TEST_CASE("engine: rows that no point owns are not found") {
  Opened opened;
  auto collection = opened.create("c", config_of(Metric::kEuclid, 0));
  for (std::uint64_t id = 100; id < 104; ++id) upsert(*collection, id, {1, 1, 1, 1});
  collection.reset();
  opened.database.reset();
  {
    // A write that failed and appears after a restart, as the store's contract allows: slot 2's
    // point has had another slot since, or has been deleted.
    auto directory = storage::DataDirectory::open(opened.settings.storage.path).value();
    auto store = storage::Store::open(directory->store_path(), {}).value();
    storage::Batch batch;
    batch.delete_point(1, PointId(std::uint64_t{102}));
    REQUIRE(store->write(std::move(batch), true).ok());
  }
  opened.open();
  QueryRequest request;
  request.query = VectorInput{std::vector<float>{1, 1, 1, 1}};
  CancelToken cancel;
  const auto points =
      opened.database->collection("c").value()->query(request, cancel).value().points;
  CHECK(points.size() == 3);
  for (const ScoredPoint& point : points) {
    CHECK((PointId(std::uint64_t{99}) < point.record.id));
  }
}

TEST_CASE("engine: a float index answers a range over large integers as a scan does") {
  Opened opened;
  const auto collection = opened.create("f", config_of(Metric::kDot, 0));
  upsert(*collection, 1, {1, 0, 0, 0}, R"({"t":9007199254740993})");  // 2^53 + 1
  CountRequest request;
  request.filter.emplace();
  index::Range<double> range;
  range.gt = 9007199254740992.0;
  request.filter->must.emplace_back(
      FieldCondition{parse_payload_path("t").value(), NumberRange{range}, false});
  CancelToken cancel;
  const auto scanned = collection->count(request, cancel).value();
  REQUIRE(collection
              ->write(CreatePayloadIndex{parse_payload_path("t").value(), PayloadIndexType::kFloat,
                                         std::nullopt},
                      true)
              .has_value());
  CHECK(scanned == 1);
  CHECK(collection->count(request, cancel).value() == scanned);
}

TEST_CASE("engine: a build that fails is not begun again without a pause") {
  Opened opened;
  const auto collection = opened.create("c", config_of(Metric::kDot));
  // No file can be written here.
  std::ofstream(opened.segments() + "/1") << "in the way";
  UpsertPoints operation;
  for (std::uint64_t id = 0; id < 200; ++id) {
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    point.vectors.emplace_back("", std::vector<float>{1, 2, 3, static_cast<float>(id)});
  }
  REQUIRE(collection->write(std::move(operation), true).has_value());
  REQUIRE(wait_for([&] { return !opened.database->jobs().empty(); }));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  CHECK(opened.database->jobs().size() <= 3);
  CHECK(collection->info().optimizer_error != "");
}

TEST_CASE("engine: a setting that changes during a reindex is kept") {
  Opened opened;
  const auto collection = opened.create("c", config_of(Metric::kEuclid, 0));
  UpsertPoints operation;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (std::uint64_t id = 0; id < 5000; ++id) {
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    point.vectors.emplace_back(
        "", std::vector<float>{normal(random), normal(random), normal(random), normal(random)});
  }
  REQUIRE(collection->write(std::move(operation), true).has_value());
  REQUIRE(collection->start_reindex({"", std::nullopt, std::nullopt, std::nullopt}).has_value());
  REQUIRE(wait_for([&] {
    return opened.database->jobs().at(0).state == JobState::kRunning &&
           opened.database->jobs().at(0).total > 0;
  }));
  CollectionConfig changes;
  changes.vectors[""].on_disk = true;
  REQUIRE(opened.database->update_collection("c", changes).ok());
  REQUIRE(opened.database->jobs().at(0).state == JobState::kRunning);
  REQUIRE(wait_for([&] { return opened.database->jobs().at(0).state == JobState::kDone; }));
  CHECK(collection->info().config.vectors.at("").on_disk == true);
}

TEST_CASE("engine: a build's failure stays visible while another vector's builds succeed") {
  Opened opened;
  CollectionConfig config = config_of(Metric::kEuclid, 1);
  config.vectors["other"] = config.vectors[""];
  const auto collection = opened.create("c", config);
  for (int i = 1; i < 40; ++i) {
    // A directory in the place of every file of the first vector.
    std::filesystem::create_directories(opened.segments() + "/1/0-" + std::to_string(i) + ".seg/x");
  }
  UpsertPoints operation;
  for (std::uint64_t id = 0; id < 200; ++id) {
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    point.vectors.emplace_back("", std::vector<float>{1, 2, 3, static_cast<float>(id)});
    point.vectors.emplace_back("other", std::vector<float>{1, 2, 3, static_cast<float>(id)});
  }
  REQUIRE(collection->write(std::move(operation), true).has_value());
  REQUIRE(wait_for([&] { return collection->info().indexed_vector_count == 200; }));
  std::size_t hidden = 0;
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    hidden += collection->info().optimizer_error.empty();
  }
  CHECK(hidden == 0);
}

TEST_CASE("engine: the last of several versions of a point in one request is the one kept") {
  // The indexes are built while the request is being applied.
  std::size_t stale = 0;
  for (int round = 0; round < 3 && stale == 0; ++round) {
    Opened opened;
    opened.database.reset();
    opened.settings.index.growing_bytes_max = 1;  // 256 rows.
    opened.open();
    CollectionConfig config = config_of(Metric::kEuclid, 1);
    config.vectors[""].index = IndexConfig{};
    config.vectors[""].index->type = IndexType::kFlat;
    const auto collection = opened.create("c", config);
    constexpr std::uint64_t kPoints = 300'000, kAgain = 20'000;
    UpsertPoints operation;
    operation.points.reserve(kPoints + kAgain);
    for (std::uint64_t i = 0; i < kPoints + kAgain; ++i) {
      PointInput& point = operation.points.emplace_back();
      point.id = PointId(i % kPoints);
      point.vectors.emplace_back(
          "", std::vector<float>{static_cast<float>(i), i < kPoints ? 0.F : 1.F, 0, 0});
    }
    REQUIRE(collection->write(std::move(operation), true).has_value());
    REQUIRE(wait_for([&] { return !collection->info().is_optimizing; }));
    opened.database.reset();
    opened.open();
    const auto again = opened.database->collection("c").value();
    CancelToken cancel;
    for (std::uint64_t id = 0; id < kAgain; id += 997) {
      QueryRequest request;
      request.query = VectorInput{std::vector<float>{static_cast<float>(kPoints + id), 1, 0, 0}};
      request.limit = 1;
      request.params.exact = true;
      const auto points = again->query(request, cancel).value().points;
      stale += points.empty() || points[0].record.id != PointId(id) || points[0].score > 0.5;
    }
  }
  CHECK(stale == 0);
}

TEST_CASE("engine: a database closes while a job is at work in one of its collections") {
  // Under valgrind or the address sanitiser this tells whether the job outlives its collection.
  for (int round = 0; round < 3; ++round) {
    Opened opened;
    {
      const auto collection = opened.create("c", config_of(Metric::kEuclid, 0));
      UpsertPoints operation;
      std::mt19937 random(7);
      std::normal_distribution<float> normal;
      for (std::uint64_t id = 0; id < 4000; ++id) {
        PointInput& point = operation.points.emplace_back();
        point.id = PointId(id);
        point.vectors.emplace_back(
            "", std::vector<float>{normal(random), normal(random), normal(random), normal(random)});
      }
      REQUIRE(collection->write(std::move(operation), true).has_value());
      REQUIRE(
          collection->start_reindex({"", std::nullopt, std::nullopt, std::nullopt}).has_value());
      REQUIRE(wait_for([&] { return opened.database->jobs().at(0).done > 100; }));
    }
    opened.database.reset();
  }
}

}  // namespace tessera::engine
