#include <atomic>
#include <cmath>
#include <filesystem>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "engine/query_run.h"
#include "open_database.h"
#include "tests/adapter/made_adapter.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kDim = 8;
constexpr std::size_t kRows = 600;
constexpr std::uint64_t kSeed = 20'261'128;

CollectionConfig config_of(Metric metric) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  return config;
}

testing::Matrix random_rows() {
  testing::Matrix rows;
  rows.row_count = kRows;
  rows.dim = kDim;
  std::mt19937_64 random(kSeed);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < kRows * kDim; ++i) rows.values.push_back(normal(random));
  return rows;
}

void put_adapter(Collection& collection, const std::string& name, std::uint64_t seed,
                 const std::string& backbone) {
  std::mt19937_64 random(seed);
  adapter::testing::MadeShape shape;
  shape.backbone = backbone;
  shape.dim = kDim;
  REQUIRE(collection.adapters().put(name, write_adapter(make_adapter(shape, random))).has_value());
}

QueryRequest plain(const PointId& id) {
  QueryRequest request;
  request.query = VectorInput(id);
  request.params.exact = true;
  return request;
}

QueryRequest refinement(std::mt19937_64& random, const std::string& adapter) {
  RefineQuery refine;
  refine.query = std::monostate();
  if (random() % 4 == 0) refine.query = VectorInput(PointId(random() % kRows));
  refine.adapter = adapter;
  refine.rounds = static_cast<std::uint32_t>(1 + random() % 5);
  refine.context_includes_history = random() % 4 == 0;
  for (std::size_t i = 0; i <= random() % 20; ++i) {
    refine.history.push_back({PointId(random() % kRows), 1, std::nullopt});
  }
  QueryRequest request;
  request.query = refine;
  request.limit = 1 + random() % 40;
  request.params.exact = true;
  return request;
}

std::size_t thread_count() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

TEST_CASE("query batch: adapters of many people answer as they do one by one", "[unit]") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kDot));
  insert_rows(*collection, random_rows());
  put_adapter(*collection, "a", 1, "sasrec");
  put_adapter(*collection, "b", 2, "gru4rec");
  std::vector<QueryRequest> requests;
  for (int i = 0; i < 90; ++i) {
    const std::uint64_t kind = random() % 5;
    requests.push_back(kind == 0 ? plain(PointId(random() % kRows))
                                 : refinement(random, kind < 3 ? "a" : "b"));
  }
  const CancelToken cancel;
  const auto together = collection->query_many(requests, cancel);
  INFO((together.has_error() ? together.error().to_string() : std::string()));
  REQUIRE(together.has_value());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CAPTURE(i);
    const auto alone = collection->query(requests[i], cancel);
    REQUIRE(alone.has_value());
    REQUIRE((*together)[i].points.size() == alone->points.size());
    REQUIRE((*together)[i].rounds.size() == alone->rounds.size());
    for (std::size_t j = 0; j < alone->points.size(); ++j) {
      CHECK((*together)[i].points[j].record.id == alone->points[j].record.id);
      CHECK(std::abs((*together)[i].points[j].score - alone->points[j].score) <= 1e-5);
    }
  }
}

TEST_CASE("query batch: the first query that fails is named, whatever fails after it", "[unit]") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kDot));
  insert_rows(*collection, random_rows());
  put_adapter(*collection, "a", 1, "mean");
  const CancelToken cancel;
  std::mt19937_64 random(kSeed);
  for (const std::size_t first : {0, 3, 40, 99}) {
    std::vector<QueryRequest> requests;
    for (std::size_t i = 0; i < 100; ++i) {
      requests.push_back(i % 2 == 0 ? plain(PointId(i)) : refinement(random, "a"));
    }
    requests[first] = plain(PointId(kRows + first));
    for (std::size_t i = first + 1; i < 100; i += 7) requests[i] = refinement(random, "none");
    const auto result = collection->query_many(requests, cancel);
    REQUIRE(result.has_error());
    CHECK(result.error().code() == Code::kNotFound);
    CHECK(result.error().message() == "searches[" + std::to_string(first) + "]: No point with id " +
                                          std::to_string(kRows + first) + " found");
  }
  QueryRequest nested = plain(PointId(1));
  nested.prefetch = {plain(PointId(2)), plain(PointId(9999))};
  const auto failed = collection->query_many(std::vector<QueryRequest>{nested}, cancel);
  CHECK(failed.error().message() == "searches[0]: prefetch[1]: No point with id 9999 found");
  QueryRequest wrong = refinement(random, "a");
  std::get<RefineQuery>(wrong.query).history = {{PointId(1), 1, {}},
                                                {std::vector<float>{1, 2}, 1, {}}};
  CHECK(collection->query(wrong, cancel).error().message() ==
        "query.refine.history[1]: Vector dimension error: expected dim: 8, got 2");
  CHECK(collection->query(refinement(random, "none"), cancel).error().message() ==
        "query.refine.strategy.adapter: No adapter `none` found");
}

TEST_CASE("query batch: many batches at a time have few more threads than callers", "[slow]") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kDot));
  insert_rows(*collection, random_rows());
  std::vector<QueryRequest> requests;
  for (std::size_t i = 0; i < 320; ++i) requests.push_back(plain(PointId(i)));
  constexpr std::size_t kCallers = 8;
  const std::size_t before = thread_count();
  std::atomic<std::size_t> running = kCallers;
  std::vector<std::jthread> callers;
  for (std::size_t i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        if (!collection->query_many(requests, CancelToken()).has_value()) break;
      }
      --running;
    });
  }
  std::size_t most = 0;
  while (running > 0) most = std::max(most, thread_count());
  CHECK(most <= before + kCallers + std::max(1U, std::thread::hardware_concurrency()) - 1);
}

}  // namespace tessera::engine
