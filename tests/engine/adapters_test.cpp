#include "engine/adapters.h"

#include <atomic>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "open_database.h"
#include "storage/store.h"
#include "tests/adapter/made_adapter.h"

namespace tessera::engine {
namespace {

using adapter::testing::MadeShape;

constexpr std::uint32_t kDim = 8;

std::string file_of(std::uint64_t seed, std::size_t max_history = 50, std::size_t dim = kDim) {
  std::mt19937_64 random(seed);
  MadeShape shape;
  shape.dim = dim;
  shape.max_history = max_history;
  return write_adapter(make_adapter(shape, random));
}

CollectionConfig config_of(Metric metric) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  return config;
}

testing::Matrix random_rows(std::size_t count) {
  testing::Matrix rows;
  rows.row_count = count;
  rows.dim = kDim;
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < count * kDim; ++i) rows.values.push_back(normal(random));
  return rows;
}

QueryRequest refinement(const std::vector<std::uint64_t>& history, std::size_t limit) {
  RefineQuery refine;
  refine.query = std::monostate();
  refine.adapter = "a";
  for (const std::uint64_t id : history) refine.history.push_back({PointId(id), 1, std::nullopt});
  QueryRequest request;
  request.query = refine;
  request.limit = limit;
  request.params.exact = true;
  return request;
}

std::vector<std::string> ids_of(const QueryResult& result) {
  std::vector<std::string> ids;
  for (const ScoredPoint& point : result.points) ids.push_back(point.record.id.to_string());
  return ids;
}

}  // namespace

TEST_CASE("adapters: uploads count up, are durable and belong to their collection", "[unit]") {
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kDot));
  const auto first = collection->adapters().put("a", file_of(1, 5));
  REQUIRE(first.has_value());
  CHECK(first->version == 1);
  CHECK(first->max_history == 5);
  CHECK(first->file_bytes == file_of(1, 5).size());
  const auto second = collection->adapters().put("a", file_of(2, 6));
  REQUIRE(second.has_value());
  CHECK(second->version == 2);
  CHECK(second->created_at_us >= first->created_at_us);
  REQUIRE(collection->adapters().put("b", file_of(3)).has_value());

  database.reopen();
  collection = database->collection("c").value();
  const auto listed = collection->adapters().list().value();
  REQUIRE(listed.size() == 2);
  CHECK(listed[0].name == "a");
  CHECK(listed[0].version == 2);
  CHECK(listed[0].max_history == 6);
  CHECK(listed[0].created_at_us == second->created_at_us);
  CHECK(listed[1].name == "b");

  REQUIRE(collection->adapters().remove("a").has_value());
  CHECK(collection->adapters().remove("a").error().code() == Code::kNotFound);
  CHECK(collection->adapters().get("a").error().message() == "No adapter `a` found");
  database.reopen();
  collection = database->collection("c").value();
  CHECK(collection->adapters().list().value().size() == 1);

  REQUIRE(database->delete_collection("c").value());
  CHECK(collection->adapters().list().error().code() == Code::kNotFound);
  CHECK(collection->adapters().put("a", file_of(1)).error().code() == Code::kNotFound);
  collection = database.create(config_of(Metric::kDot));
  CHECK(collection->adapters().list().value().empty());
}

TEST_CASE("adapters: a damaged one does not keep its collection from loading", "[unit]") {
  OpenDatabase database;
  auto collection = database.create(config_of(Metric::kDot));
  insert_rows(*collection, random_rows(300));
  for (const char* name : {"a", "b", "c"}) {
    REQUIRE(collection->adapters().put(name, file_of(1)).has_value());
  }
  const auto before = ids_of(collection->query(refinement({1, 2}, 20), CancelToken()).value());
  collection.reset();
  database.close();
  {
    const auto store = storage::Store::open(database.data_path() + "/store", {}).value();
    storage::Batch batch;
    for (const auto number : store->collections().value()) {
      batch.put_adapter(number, "b", {4, 7, file_of(1).substr(0, 900)});
    }
    REQUIRE(store->write(std::move(batch), true).ok());
  }
  database.reopen();
  collection = database->collection("c").value();
  CHECK(ids_of(collection->query(refinement({1, 2}, 20), CancelToken()).value()) == before);
  const auto listed = collection->adapters().list().value();
  REQUIRE(listed.size() == 3);
  CHECK(listed[0].error.empty());
  CHECK(listed[1].name == "b");
  CHECK(listed[1].error.starts_with("adapter: "));
  QueryRequest request = refinement({1, 2}, 20);
  std::get<RefineQuery>(request.query).adapter = "b";
  const auto failed = collection->query(request, CancelToken());
  REQUIRE(failed.has_error());
  CHECK(failed.error().code() == Code::kCorrupt);
  CHECK(failed.error().message().starts_with(
      "query.refine.strategy.adapter: adapter `b` is damaged"));
  // It can be replaced and removed.
  CHECK(collection->adapters().put("b", file_of(2)).value().version == 5);
  CHECK(collection->query(request, CancelToken()).has_value());
  REQUIRE(collection->adapters().remove("b").has_value());
}

TEST_CASE("adapters: a file that fits no vector changes nothing", "[unit]") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kDot));
  REQUIRE(collection->adapters().put("a", file_of(1)).has_value());
  const auto error_of = [&](const std::string& file) {
    const auto result = collection->adapters().put("a", file);
    REQUIRE(result.has_error());
    CHECK(result.error().code() == Code::kInvalidArgument);
    return result.error().message();
  };
  CHECK(error_of(file_of(1, 50, 4)) ==
        "adapter: tensor 'filter.linear.weight': is for vectors of 4 values, and vector `` has 8");
  CHECK(error_of("").starts_with("adapter: "));
  CHECK(error_of(file_of(1).substr(0, 500)).starts_with("adapter: "));
  CHECK(collection->adapters().get("a").value().version == 1);
}

TEST_CASE("adapters: queries keep their weights while these are replaced and removed", "[unit]") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kDot));
  insert_rows(*collection, random_rows(300));
  std::vector<std::vector<std::string>> answers;
  const QueryRequest request = refinement({1, 2, 3}, 40);
  const CancelToken cancel;
  for (const std::uint64_t seed : {1, 2}) {
    REQUIRE(collection->adapters().put("a", file_of(seed)).has_value());
    answers.push_back(ids_of(collection->query(request, cancel).value()));
    CHECK(answers.back().size() == 40);
  }
  CHECK(answers[0] != answers[1]);
  std::atomic<bool> is_done = false;
  std::atomic<int> wrong = 0, met = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!is_done) {
        const auto result = collection->query(request, cancel);
        if (result.has_error()) {
          if (result.error().code() != Code::kNotFound) ++wrong;
          continue;
        }
        const auto ids = ids_of(*result);
        if (ids != answers[0] && ids != answers[1]) ++wrong;
        ++met;
      }
    });
  }
  for (int step = 0; step < 30; ++step) {
    if (step % 5 == 4) (void)collection->adapters().remove("a");
    REQUIRE(collection->adapters().put("a", file_of(1 + step % 2)).has_value());
  }
  while (met < 10 && wrong == 0) std::this_thread::yield();
  is_done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
}

TEST_CASE("adapters: an answer under writes and deletions never shows what is gone", "[unit]") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kCosine));
  insert_rows(*collection, random_rows(200));
  REQUIRE(collection->adapters().put("a", file_of(1)).has_value());
  const CancelToken cancel;
  const auto before = ids_of(collection->query(refinement({1, 2}, 30), cancel).value());
  REQUIRE(
      collection->write(DeletePoints{std::vector<PointId>{PointId(std::stoull(before[3]))}}, true)
          .has_value());
  const auto after = ids_of(collection->query(refinement({1, 2}, 30), cancel).value());
  CHECK(after.size() == 30);
  CHECK(std::find(after.begin(), after.end(), before[3]) == after.end());
  // All that is left, when that is asked for.
  const auto all = collection->query(refinement({1, 2}, 500), cancel).value();
  CHECK(all.points.size() == 197);
  const CancelToken expired(std::chrono::steady_clock::now() - std::chrono::seconds(1));
  CHECK(collection->query(refinement({1, 2}, 30), expired).error().code() == Code::kTimeout);
}

}  // namespace tessera::engine
