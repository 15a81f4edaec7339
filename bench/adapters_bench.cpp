// What rounds by a trained adapter cost beside one plain query of the same limit: one collection of
// 64-dimensional vectors (Dot), asked over one connection, and in the engine by one thread.
//
// --help names all arguments, docs/benchmarks.md says what the figures mean. Exit status 0, 1
// (failed or stopped) or 2 (wrong arguments).

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/support/arguments.h"
#include "bench/support/connection.h"
#include "bench/support/curve.h"
#include "bench/support/http_collection.h"
#include "bench/support/report.h"
#include "bench/support/watch.h"
#include "engine/database.h"
#include "tests/adapter/made_adapter.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr const char* kProgram = "adapters_bench";
constexpr std::size_t kDim = 64;
constexpr std::size_t kLimit = 100;
constexpr std::size_t kHistories[] = {9, 50};
constexpr std::size_t kCentreCount = 300;

struct Arguments {
  std::filesystem::path daemon;
  std::size_t row_count = 12'101;
  std::size_t query_count = 400;
  std::size_t rounds = 5;
  std::size_t inner = 512;
  std::string adapter_path;
  std::string json_path;
  bool is_quick = false;
};

Arguments parse(int argc, const char* const* argv) {
  Arguments arguments;
  ArgumentParser parser(kProgram, "What rounds by a trained adapter cost beside one plain query.");
  parser.add_number("--rows", "vectors (12101)", arguments.row_count, 1000);
  parser.add_number("--queries", "of each kind and history (400, quick 50)", arguments.query_count);
  parser.add_number("--rounds", "of a refinement (5)", arguments.rounds);
  parser.add_number("--inner", "inner size of the made-up transformer (512)", arguments.inner);
  parser.add_text("--adapter", "FILE",
                  "a trained one; else sasrec of 2 layers with made-up weights",
                  arguments.adapter_path);
  parser.add_switch("--quick", "less time: whether it works, not how fast", arguments.is_quick);
  parser.add_text("--json", "FILE", "write the results there too", arguments.json_path);
  std::string daemon = (std::filesystem::canonical(argv[0]).parent_path() / "tesserad").string();
  parser.add_text("--daemon", "FILE", "the tesserad to start (the one beside this program)",
                  daemon);
  parser.parse(argc, argv);
  arguments.daemon = daemon;
  if (arguments.is_quick) arguments.query_count = std::min<std::size_t>(arguments.query_count, 50);
  return arguments;
}

void require(const Status& status) {
  if (!status.ok()) throw Failure(status.to_string());
}
template <class T>
T require(Result<T> result) {
  if (result.has_error()) throw Failure(result.error().to_string());
  return std::move(*result);
}

std::string adapter_file(const Arguments& arguments) {
  if (!arguments.adapter_path.empty()) {
    std::ifstream file(arguments.adapter_path, std::ios::binary);
    if (!file) throw Failure(arguments.adapter_path + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::mt19937_64 random(5);
  adapter::testing::MadeShape shape;
  shape.backbone = "sasrec";
  shape.dim = kDim;
  shape.context_size = kLimit / 5;
  shape.inner = arguments.inner;
  shape.head_count = 4;
  return write_adapter(make_adapter(shape, random));
}

/// Vectors around some centres, as those of items are.
std::vector<std::vector<float>> make_rows(std::size_t count) {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal;
  const auto vector = [&](float scale) {
    std::vector<float> values(kDim);
    for (float& value : values) value = scale * normal(random);
    return values;
  };
  std::vector<std::vector<float>> centres;
  while (centres.size() < kCentreCount) centres.push_back(vector(1));
  std::vector<std::vector<float>> rows;
  while (rows.size() < count) {
    std::vector<float> row = vector(0.7F);
    const auto& centre = centres[random() % kCentreCount];
    for (std::size_t d = 0; d < kDim; ++d) row[d] += centre[d];
    rows.push_back(std::move(row));
  }
  return rows;
}

void load(engine::Collection& collection, const std::vector<std::vector<float>>& rows,
          const Watch& watch) {
  constexpr std::size_t kBatch = 5000;
  for (std::size_t begin = 0; begin < rows.size(); begin += kBatch) {
    watch.check();
    engine::UpsertPoints operation;
    for (std::size_t i = begin; i < std::min(rows.size(), begin + kBatch); ++i) {
      engine::PointInput& point = operation.points.emplace_back();
      point.id = PointId(i);
      point.vectors.emplace_back("", rows[i]);
    }
    require(collection.write(std::move(operation), false));
  }
  // A small collection has no index: its rows are scanned.
  while (collection.info().is_optimizing) watch.wait(std::chrono::milliseconds(20));
}

double clock_us(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}
double cpu_us() {
  return clock_us(CLOCK_THREAD_CPUTIME_ID);
}
double process_cpu_us() {
  return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

double time_of(const engine::Collection& collection, const engine::QueryRequest& request) {
  const CancelToken cancel;
  const double start = cpu_us();
  const auto result = require(collection.query(request, cancel));
  const double taken = cpu_us() - start;
  if (result.points.size() != kLimit) throw Failure("an answer is short");
  return taken;
}

engine::QueryRequest refinement(const Arguments& arguments, std::size_t row_count,
                                std::size_t history, std::mt19937_64& random) {
  engine::QueryRequest request;
  request.limit = kLimit;
  engine::RefineQuery refine;
  refine.query = std::monostate();
  refine.adapter = "bench";
  refine.rounds = static_cast<std::uint32_t>(arguments.rounds);
  // Of one neighbourhood mostly: what a person engages with.
  const std::size_t first = random() % row_count;
  for (std::size_t i = 0; i < history; ++i) {
    const std::size_t row = i % 3 == 0 ? random() % row_count : (first + i) % row_count;
    refine.history.push_back({PointId(row), 1, std::nullopt});
  }
  request.query = refine;
  return request;
}

double wall_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(now).count();
}

/// Many people at once: one by one, and as one batch.
void measure_batch(const Arguments& arguments, const engine::Collection& collection,
                   std::size_t row_count, std::size_t history, const Watch& watch, Report& report) {
  std::mt19937_64 random(13);
  const std::size_t count = arguments.is_quick ? 100 : 1000;
  std::vector<engine::QueryRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back(refinement(arguments, row_count, history, random));
  }
  std::vector<double> batch_us, single_us, batch_cpu_us, single_cpu_us;
  for (int turn = 0; turn < (arguments.is_quick ? 1 : 3); ++turn) {
    watch.check();
    const CancelToken cancel;
    double start = wall_us();
    double cpu_start = process_cpu_us();
    for (const engine::QueryRequest& request : requests) require(collection.query(request, cancel));
    single_us.push_back((wall_us() - start) / static_cast<double>(count));
    single_cpu_us.push_back((process_cpu_us() - cpu_start) / static_cast<double>(count));
    start = wall_us();
    cpu_start = process_cpu_us();
    require(collection.query_many(requests, cancel));
    batch_us.push_back((wall_us() - start) / static_cast<double>(count));
    batch_cpu_us.push_back((process_cpu_us() - cpu_start) / static_cast<double>(count));
  }
  const std::string name = "people_" + std::to_string(history);
  const std::string label =
      std::to_string(count) + " people, history of " + std::to_string(history) + ": ";
  report.add("cost", {name + "_batch_us", label + "a person in a batch, wall clock",
                      median(batch_us), "us"});
  report.add("cost",
             {name + "_single_us", label + "a person alone, wall clock", median(single_us), "us"});
  report.add_ratio(name, label + "batch / one by one, wall clock", median(batch_us),
                   median(single_us), Report::Better::kLower);
  report.add_ratio(name + "_cpu", label + "batch / one by one, CPU", median(batch_cpu_us),
                   median(single_cpu_us), Report::Better::kLower);
}

/// How much of the exact answer the rounds find by an index. What one of them misses changes the
/// vectors of those after it.
void measure_recall(const Arguments& arguments, const engine::Collection& collection,
                    std::size_t row_count, std::size_t history, const Watch& watch,
                    Report& report) {
  std::mt19937_64 random(17);
  const std::size_t count = std::min<std::size_t>(arguments.query_count, 300);
  double found = 0;
  const CancelToken cancel;
  for (std::size_t i = 0; i < count; ++i) {
    watch.check();
    engine::QueryRequest request = refinement(arguments, row_count, history, random);
    const auto near = require(collection.query(request, cancel));
    request.params.exact = true;
    std::set<PointId> exact;
    for (const auto& point : require(collection.query(request, cancel)).points) {
      exact.insert(point.record.id);
    }
    for (const auto& point : near.points) found += exact.contains(point.record.id) ? 1 : 0;
  }
  report.add("cost",
             {"history_" + std::to_string(history) + "_recall",
              "history of " + std::to_string(history) + ": found of the exact rounds' points",
              100 * found / static_cast<double>(count * kLimit), "%"});
}

/// Plain queries and refinements in turns, each with a history of its own.
void measure(const Arguments& arguments, const engine::Collection& collection,
             const std::vector<std::vector<float>>& rows, std::size_t history, const Watch& watch,
             Report& report) {
  std::mt19937_64 random(11);
  std::vector<double> plain_us, first_us, refined_us;
  for (std::size_t query = 0; query < arguments.query_count; ++query) {
    watch.check();
    engine::QueryRequest plain;
    plain.limit = kLimit;
    plain.query = engine::VectorInput(rows[random() % rows.size()]);
    const engine::QueryRequest refined = refinement(arguments, rows.size(), history, random);
    engine::QueryRequest one = refined;
    std::get<engine::RefineQuery>(one.query).rounds = 1;
    plain_us.push_back(time_of(collection, plain));
    refined_us.push_back(time_of(collection, refined));
    first_us.push_back(time_of(collection, one));
  }
  const std::string name = "history_" + std::to_string(history);
  const std::string label = "history of " + std::to_string(history) + ": ";
  report.add("cost", {name + "_plain_us", label + "one plain query", median(plain_us), "us"});
  report.add("cost", {name + "_one_us", label + "one round by adapter", median(first_us), "us"});
  report.add("cost",
             {name + "_rounds_us", label + std::to_string(arguments.rounds) + " rounds by adapter",
              median(refined_us), "us"});
  report.add_ratio(name, label + "rounds by adapter / plain query, CPU in the engine",
                   median(refined_us), median(plain_us), Report::Better::kLower);
}

/// Bodies of refinements, each with a history of its own.
std::vector<std::string> refine_requests(const Arguments& arguments,
                                         const HttpCollection& collection, std::size_t history) {
  std::mt19937_64 random(11);
  std::vector<std::string> requests;
  for (std::size_t query = 0; query < arguments.query_count; ++query) {
    const engine::QueryRequest request =
        refinement(arguments, collection.workload().rows.row_count, history, random);
    nlohmann::json ids = nlohmann::json::array();
    for (const auto& entry : std::get<engine::RefineQuery>(request.query).history) {
      ids.push_back(std::get<PointId>(entry.item).number());
    }
    requests.push_back(collection.request(
        "/points/query", R"({"query": {"refine": {"history": )" + ids.dump() + R"(, "rounds": )" +
                             std::to_string(arguments.rounds) +
                             R"(, "strategy": {"adapter": "bench"}}}, "limit": )" +
                             std::to_string(kLimit) + "}"));
  }
  return requests;
}

/// Plain queries and refinements as a client sees them, in turns.
void measure_http(const Arguments& arguments, const std::vector<std::vector<float>>& rows,
                  const Watch& watch, Report& report) {
  Workload workload;
  workload.metric = Metric::kDot;
  workload.rows.dim = kDim;
  workload.rows.row_count = rows.size();
  for (const auto& row : rows) {
    workload.rows.values.insert(workload.rows.values.end(), row.begin(), row.end());
  }
  workload.queries = workload.rows;
  workload.queries.row_count = std::min(rows.size(), arguments.query_count);
  const ScratchFolder folder(std::filesystem::temp_directory_path());
  Daemon daemon(arguments.daemon, folder.path(), watch);
  daemon.start();
  const HttpCollection collection(daemon, workload, watch, "bench");
  say_progress("loading " + std::to_string(rows.size()) + " rows over HTTP");
  collection.create({}, true);
  collection.run(collection.upsert_requests(rows.size()), 2, 0);
  Connection(daemon.port())
      .send_ok(http_request("PUT", "/collections/bench/adapters/bench", adapter_file(arguments),
                            "application/octet-stream"));
  const auto is_green = [&] {
    return nlohmann::json::parse(collection.call("GET", "", ""))["result"]["status"] == "green";
  };
  while (!is_green()) watch.wait(std::chrono::milliseconds(50));
  say_progress("queries over HTTP");
  const auto plain_requests = collection.query_requests(R"("limit": )" + std::to_string(kLimit));
  const double seconds = arguments.is_quick ? 0.2 : 1;
  const auto p50 = [](const HttpRate& rate) { return rate.rate.p50_ms; };
  for (const std::size_t history : kHistories) {
    const auto requests = refine_requests(arguments, collection, history);
    std::vector<double> plain_ms, refined_ms;
    for (int turn = 0; turn < (arguments.is_quick ? 2 : 7); ++turn) {
      plain_ms.push_back(p50(collection.run(plain_requests, 1, seconds)));
      refined_ms.push_back(p50(collection.run(requests, 1, seconds)));
    }
    const std::string name = "http_history_" + std::to_string(history);
    const std::string label = "history of " + std::to_string(history) + ": ";
    report.add("http", {name + "_plain_ms", label + "one plain query", median(plain_ms), "ms", 3});
    report.add("http", {name + "_rounds_ms",
                        label + std::to_string(arguments.rounds) + " rounds by adapter",
                        median(refined_ms), "ms", 3});
    report.add_ratio(name, label + "rounds by adapter / plain query, p50 over HTTP",
                     ratio_of(refined_ms, plain_ms), Report::Better::kLower);
  }
  daemon.stop();
}

void run(const Arguments& arguments) {
  const Watch watch(std::chrono::seconds(1800));
  Report report("adapters", std::to_string(arguments.row_count));
  const ScratchFolder folder(std::filesystem::temp_directory_path());
  config::Settings settings;
  settings.storage.path = (folder.path() / "data").string();
  metrics::Registry registry;
  const auto database = require(engine::Database::open(settings, registry));
  engine::CollectionConfig config;
  engine::VectorConfig& vector = config.vectors[""];
  vector.dim = kDim;
  vector.metric = Metric::kDot;
  require(database->create_collection("bench", config));
  const auto collection = require(database->collection("bench"));
  say_progress("loading and indexing " + std::to_string(arguments.row_count) + " rows");
  const auto rows = make_rows(arguments.row_count);
  load(*collection, rows, watch);
  require(collection->adapters().put("bench", adapter_file(arguments)));

  const bool is_indexed = collection->info().indexed_vector_count == rows.size();
  report.add_group("ratio", "Ratios of medians");
  report.add_group("cost", "CPU of a query, limit 100, " + std::to_string(rows.size()) + " x " +
                               std::to_string(kDim) + ", Dot, " +
                               (is_indexed ? "indexed" : "scanned") + " (median)");
  report.add_group("http", "p50 over HTTP, limit 100, 1 connection");
  measure_http(arguments, rows, watch, report);
  for (const std::size_t history : kHistories) {
    say_progress("history of " + std::to_string(history));
    measure(arguments, *collection, rows, history, watch, report);
    if (is_indexed) {
      measure_recall(arguments, *collection, rows.size(), history, watch, report);
    }
    measure_batch(arguments, *collection, rows.size(), history, watch, report);
  }
  report.add_table(machine_line() + "\n");
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  return exit_status_of(kProgram, [&] { run(arguments); });
}
