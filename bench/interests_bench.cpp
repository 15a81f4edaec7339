// What several interests cost beside one plain query, and what many people's interests cost in one
// batch beside as many requests, over HTTP: on rows that have no index yet and on indexed ones.
//
// Starts a tesserad of its own and stops it however the run ends. --help names all arguments,
// docs/benchmarks.md says what the figures mean. Exit status 0, 1 (failed or stopped) or 2 (wrong
// arguments).

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/support/arguments.h"
#include "bench/support/connection.h"
#include "bench/support/http_collection.h"
#include "bench/support/report.h"
#include "bench/support/run_setting.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr const char* kProgram = "interests_bench";
constexpr std::size_t kInterestCounts[] = {5, 8};
constexpr char kLimit[] = R"("limit": 100)";
constexpr char kExact[] = R"("limit": 100, "params": {"exact": true})";
constexpr unsigned kLoadConnectionCount = 2;
constexpr std::size_t kOverlapQueryCount = 200;
constexpr std::uint64_t kUserSeed = 42;
constexpr std::size_t kEventCount = 50;

struct Arguments : RunArguments {
  std::filesystem::path daemon =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tesserad";
  std::filesystem::path scratch = std::filesystem::temp_directory_path();
};

Arguments parse(int argc, const char* const* argv) {
  Arguments arguments;
  ArgumentParser parser(
      kProgram,
      "Queries by several interests beside plain ones, and a batch of them beside "
      "single requests,\non rows without an index and on indexed rows, over HTTP, "
      "taking turns.");
  arguments.declare(parser);
  parser.add_text("--daemon", "FILE", "the tesserad to start (the one beside this program)",
                  arguments.daemon);
  parser.add_text("--scratch", "DIRECTORY", "where its data goes (the temporary folder)",
                  arguments.scratch);
  parser.parse(argc, argv);
  arguments.finish(kProgram, argc, argv, std::chrono::seconds(600));
  return arguments;
}

struct Effort {
  double slice_seconds = 1;
  std::size_t round_count = 5;
  std::size_t user_count = 1000;
};

/// Share of the exact answers' points that are in the others, query by query.
double overlap(const std::vector<std::vector<std::uint32_t>>& found,
               std::vector<std::vector<std::uint32_t>> exact) {
  std::size_t common = 0, all = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    std::sort(exact[i].begin(), exact[i].end());
    all += exact[i].size();
    for (const std::uint32_t id : found[i]) {
      common += std::binary_search(exact[i].begin(), exact[i].end(), id) ? 1 : 0;
    }
  }
  return all == 0 ? 0 : static_cast<double>(common) / static_cast<double>(all);
}

template <class ValueOf>
std::vector<double> each(const std::vector<HttpRate>& rounds, const ValueOf& value) {
  std::vector<double> values;
  for (const HttpRate& rate : rounds) values.push_back(value(rate));
  return values;
}
double p50(const HttpRate& rate) {
  return rate.rate.p50_ms;
}
double daemon_cpu(const HttpRate& rate) {
  return rate.daemon_cpu_us;
}

void add_rates(Report& report, const std::string& group, const std::string& key,
               const std::string& label, const std::vector<HttpRate>& rounds) {
  report.add(group, {key + "_p50_ms", label + ": p50", median(each(rounds, p50)), "ms", 3});
  report.add(group, {key + "_daemon_cpu_us", "  CPU of the daemon, a query",
                     median(each(rounds, daemon_cpu)), "us", 0});
}

/// `state`: "fresh" or "indexed".
void measure(const HttpCollection& collection, const std::string& state, const Effort& effort,
             Report& report) {
  say_progress("queries on " + state + " rows");
  const auto plain_requests = collection.query_requests(kLimit);
  std::vector<std::vector<std::string>> requests;
  for (const std::size_t count : kInterestCounts) {
    requests.push_back(collection.interest_requests(count, kLimit));
  }
  std::vector<HttpRate> plain;
  std::vector<std::vector<HttpRate>> interests(requests.size());
  for (std::size_t round = 0; round < effort.round_count; ++round) {
    plain.push_back(collection.run(plain_requests, 1, effort.slice_seconds));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      interests[i].push_back(collection.run(requests[i], 1, effort.slice_seconds));
    }
  }
  add_rates(report, state, "plain", "plain query, limit 100", plain);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::string count = std::to_string(kInterestCounts[i]);
    add_rates(report, state, "interests_" + count, count + " interests, limit 100", interests[i]);
    const std::string label = count + " interests / a plain query, limit 100, " + state + " rows";
    report.add_ratio(state + "_" + count + "_p50", label + ": p50",
                     ratio_of(each(interests[i], p50), each(plain, p50)), Report::Better::kLower);
    report.add_ratio(state + "_" + count + "_cpu", "  the same by CPU of the daemon",
                     ratio_of(each(interests[i], daemon_cpu), each(plain, daemon_cpu)),
                     Report::Better::kLower);
    const auto first = [&](std::vector<std::string> all) {
      all.resize(std::min(all.size(), kOverlapQueryCount));
      return collection.found_ids(all);
    };
    report.add(state, {"interests_" + count + "_overlap", "  share of the exact answer's points",
                       overlap(first(requests[i]),
                               first(collection.interest_requests(kInterestCounts[i], kExact))),
                       "", 4});
  }
}

/// People with events of random rows, and clusters for their interests.
void store_users(const HttpCollection& collection, std::size_t user_count) {
  using nlohmann::json;
  say_progress("clusters and users");
  const json started = json::parse(collection.call("POST", "/clusters", R"({"count": 256})"));
  const std::string job = "/jobs/" + started["result"]["job"].dump();
  Connection connection(collection.daemon().port());
  while (true) {
    const json state = json::parse(connection.send_ok(http_request("GET", job, "")));
    if (state["result"]["state"] == "done") break;
    if (state["result"]["state"] == "failed") throw Failure("the training of clusters failed");
    collection.watch().wait(std::chrono::milliseconds(20));
  }
  std::mt19937_64 random(kUserSeed);
  json users = json::array();
  for (std::size_t user = 0; user < user_count; ++user) {
    json events = json::array();
    for (std::size_t i = 0; i < kEventCount; ++i) {
      events.push_back({{"id", random() % collection.workload().rows.row_count}, {"at", i}});
    }
    users.push_back({{"id", user}, {"history", std::move(events)}});
  }
  collection.call("PUT", "/users?wait=true", json{{"users", std::move(users)}}.dump());
}

/// The interests of every user, one request each and all in one.
void measure_batch(const HttpCollection& collection, const std::string& state, const Effort& effort,
                   Report& report) {
  say_progress("a batch on " + state + " rows");
  std::vector<std::string> single;
  std::string searches;
  for (std::size_t user = 0; user < effort.user_count; ++user) {
    const std::string body =
        R"({"query": {"interests": {"user": )" + std::to_string(user) + "}}, " + kLimit + "}";
    single.push_back(collection.request("/points/query", body));
    searches += (user == 0 ? "" : ",") + body;
  }
  const std::vector<std::string> batch = {
      collection.request("/points/query/batch", R"({"searches": [)" + searches + "]}")};
  const auto seconds = [](const HttpRate& rate) { return rate.rate.seconds; };
  std::vector<HttpRate> one, two, together;
  for (std::size_t round = 0; round < effort.round_count; ++round) {
    one.push_back(collection.run(single, 1, 0));
    together.push_back(collection.run(batch, 1, 0));
    two.push_back(collection.run(single, 2, 0));
  }
  const std::string count = std::to_string(effort.user_count);
  report.add(state, {"single_1_s", count + " users, one request each, 1 connection",
                     median(each(one, seconds)), "s", 3});
  report.add(state, {"single_2_s", "  2 connections", median(each(two, seconds)), "s", 3});
  report.add(state, {"batch_s", "  all in one batch", median(each(together, seconds)), "s", 3});
  report.add_ratio(state + "_batch_1", count + " requests, 1 connection / one batch, " + state,
                   ratio_of(each(one, seconds), each(together, seconds)), Report::Better::kHigher);
  report.add_ratio(state + "_batch_2", "  2 connections / one batch",
                   ratio_of(each(two, seconds), each(together, seconds)), Report::Better::kHigher);
}

void measure_all(const Arguments& arguments, const Workload& workload, const Watch& watch,
                 Report& report) {
  Effort effort;
  if (arguments.is_quick) effort = {0.5, 2, 200};
  const ScratchFolder scratch(arguments.scratch);
  Daemon daemon(arguments.daemon, scratch.path(), watch);
  say_progress("starting " + arguments.daemon.string());
  daemon.start();
  const HttpCollection collection(daemon, workload, watch, "bench");
  GraphShape shape = arguments.shape;
  shape.ef_construct = static_cast<std::uint32_t>(arguments.own_ef_construct);
  collection.create(shape, false);
  say_progress("loading " + std::to_string(workload.rows.row_count) + " rows");
  collection.run(collection.upsert_requests(workload.rows.row_count), kLoadConnectionCount, 0);
  measure(collection, "fresh", effort, report);
  store_users(collection, effort.user_count);
  measure_batch(collection, "fresh", effort, report);
  say_progress("indexing");
  collection.call("PATCH", "", R"({"optimizers_config": {"indexing_threshold": 1}})");
  collection.wait_until_settled();
  collection.wait_until_quiet();
  measure(collection, "indexed", effort, report);
  measure_batch(collection, "indexed", effort, report);
  daemon.stop();
}

void run(const Arguments& arguments) {
  const Watch watch(arguments.limit);
  Report report("interests", arguments.data);
  say_progress("reading or generating " + arguments.data);
  const Workload workload =
      load_workload(arguments.data, arguments.row_count_max, arguments.query_count());
  report_setting(workload, {arguments.command, arguments.shape, arguments.own_ef_construct},
                 report);
  report.add_group("fresh", "Rows without an index, 1 connection");
  report.add_group("indexed", "Indexed rows, 1 connection, default hnsw_ef");
  measure_all(arguments, workload, watch, report);
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  return exit_status_of(kProgram, [&] { run(arguments); });
}
