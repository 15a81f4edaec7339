// How many events a second the daemon takes with wait=true, what an event takes on disk, and what
// the interests of a user cost: of a short and of a long history, unchanged, after a new event, and
// when they have to be made of all events.
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
using nlohmann::json;

constexpr const char* kProgram = "events_bench";
constexpr unsigned kConnections = 8;
constexpr std::size_t kBatchEvents = 10;
constexpr std::size_t kHistories[] = {50, 10'000};
constexpr std::uint64_t kSeed = 42;
/// Of the first event of anybody; whole seconds, as events have.
constexpr std::uint64_t kFirstSecond = 1'700'000'000;

struct Arguments : RunArguments {
  std::filesystem::path daemon =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tesserad";
  std::filesystem::path scratch = std::filesystem::temp_directory_path();
  std::size_t user_count = 20'000;
};

Arguments parse(int argc, const char* const* argv) {
  Arguments arguments;
  ArgumentParser parser(kProgram,
                        "Events a second over 8 connections in batches of 10, bytes an event, and "
                        "the time of\na user's interests, over HTTP.");
  arguments.declare(parser);
  parser.add_number("--users", "users whose events are written (20000)", arguments.user_count);
  parser.add_text("--daemon", "FILE", "the tesserad to start (the one beside this program)",
                  arguments.daemon);
  parser.add_text("--scratch", "DIRECTORY", "where its data goes (the temporary folder)",
                  arguments.scratch);
  parser.parse(argc, argv);
  arguments.finish(kProgram, argc, argv, std::chrono::seconds(600));
  return arguments;
}

/// Events of random points, one a second from `second` on.
json events_of(std::mt19937_64& random, std::size_t row_count, std::size_t count,
               std::uint64_t second) {
  json events = json::array();
  for (std::size_t i = 0; i < count; ++i) {
    events.push_back({{"id", random() % row_count}, {"at", second + i}});
  }
  return events;
}

/// Of the store's tables, once nothing is in its log.
std::uint64_t table_bytes(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".sst") bytes += entry.file_size();
  }
  return bytes;
}

class Run {
 public:
  Run(const Arguments& arguments, const Workload& workload, const Watch& watch, Report& report)
      : arguments_(arguments),
        report_(report),
        scratch_(arguments.scratch),
        daemon_(arguments.daemon, scratch_.path(), watch),
        collection_(daemon_, workload, watch, "bench"),
        row_count_(workload.rows.row_count) {}

  void run() {
    say_progress("starting " + arguments_.daemon.string());
    daemon_.start();
    collection_.create(arguments_.shape, false);
    say_progress("loading " + std::to_string(row_count_) + " rows");
    collection_.run(collection_.upsert_requests(row_count_), 2, 0);
    train();
    write_events();
    measure_interests();
    daemon_.stop();
  }

 private:
  void train() const {
    say_progress("clusters");
    const json started = json::parse(collection_.call("POST", "/clusters", "{}"));
    const std::string job = "/jobs/" + started["result"]["job"].dump();
    Connection connection(daemon_.port());
    while (true) {
      const json state = json::parse(connection.send_ok(http_request("GET", job, "")));
      if (state["result"]["state"] == "done") return;
      if (state["result"]["state"] == "failed") throw Failure("the training of clusters failed");
      collection_.watch().wait(std::chrono::milliseconds(20));
    }
  }

  void restart() {
    daemon_.stop();
    daemon_.start();
  }

  /// Batches of random users, of whom each writes his in order.
  void write_events() {
    say_progress("events");
    restart();
    const std::uint64_t bytes_before = table_bytes(scratch_.path());
    const std::size_t batch_count = (arguments_.is_quick ? 2 : 10) * arguments_.user_count / 2;
    std::vector<std::size_t> written(arguments_.user_count, 0);
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < batch_count; ++i) {
      const std::size_t user = random_() % arguments_.user_count;
      const json events =
          events_of(random_, row_count_, kBatchEvents, kFirstSecond + written[user]);
      written[user] += kBatchEvents;
      requests.push_back(collection_.request("/users/" + std::to_string(user) + "/events?wait=true",
                                             json{{"events", events}}.dump()));
    }
    const HttpRate rate = collection_.run(requests, kConnections, 0);
    const double per_second = rate.rate.per_second * kBatchEvents;
    report_.add("events", {"per_s", "events a second, 8 connections, batches of 10, wait=true",
                           per_second, "", 0});
    report_.add("events", {"p50_ms", "  a batch: p50", rate.rate.p50_ms, "ms", 3});
    report_.add("events", {"p99_ms", "  p99", rate.rate.p99_ms, "ms", 3});
    report_.add("events", {"daemon_cpu_us", "  CPU of the daemon, an event",
                           rate.daemon_cpu_us / kBatchEvents, "us", 1});
    restart();
    const auto bytes = static_cast<double>(table_bytes(scratch_.path()) - bytes_before);
    report_.add("events", {"bytes", "  bytes in the store's tables, an event",
                           bytes / static_cast<double>(batch_count * kBatchEvents), "", 2});
  }

  [[nodiscard]] std::string profile_request(std::size_t user) const {
    return collection_.request("/points/query", R"({"query": {"interests": {"user": )" +
                                                    std::to_string(user) + R"(}}, "limit": 0})");
  }

  /// The daemon's CPU and the time of the profiles of some users, each asked once.
  void add_profiles(std::size_t history, const std::string& key, const std::string& label,
                    const HttpRate& rate) {
    const std::string prefix = "history_" + std::to_string(history) + "_" + key;
    report_.add("interests",
                {prefix + "_p50_ms", std::to_string(history) + " events, " + label + ": p50",
                 rate.rate.p50_ms, "ms", 3});
    report_.add("interests",
                {prefix + "_daemon_cpu_us", "  CPU of the daemon", rate.daemon_cpu_us, "us", 0});
  }

  void measure_interests() {
    for (const std::size_t history : kHistories) {
      say_progress("interests of " + std::to_string(history) + " events");
      const std::size_t user_count = history > 1000 ? 20 : 200;
      const std::size_t first = arguments_.user_count + history;
      std::vector<std::string> profiles, one_event;
      for (std::size_t user = first; user < first + user_count; ++user) {
        const json events = events_of(random_, row_count_, history, kFirstSecond);
        collection_.call("PUT", "/users?wait=true",
                         json{{"users", {{{"id", user}, {"history", events}}}}}.dump());
        profiles.push_back(profile_request(user));
        one_event.push_back(collection_.request(
            "/users/" + std::to_string(user) + "/events?wait=true",
            json{{"events", events_of(random_, row_count_, 1, kFirstSecond + history)}}.dump()));
      }
      restart();
      add_profiles(history, "made", "made of all", collection_.run(profiles, 1, 0));
      add_profiles(history, "kept", "unchanged", collection_.run(profiles, 1, 0));
      collection_.run(one_event, 1, 0);
      add_profiles(history, "longer", "after a new one", collection_.run(profiles, 1, 0));
    }
  }

  const Arguments& arguments_;
  Report& report_;
  const ScratchFolder scratch_;
  Daemon daemon_;
  const HttpCollection collection_;
  const std::size_t row_count_;
  std::mt19937_64 random_{kSeed};
};

void run(const Arguments& arguments) {
  const Watch watch(arguments.limit);
  Report report("events", arguments.data);
  say_progress("reading or generating " + arguments.data);
  const Workload workload =
      load_workload(arguments.data, arguments.row_count_max, arguments.query_count());
  report_setting(workload, {arguments.command, arguments.shape, arguments.own_ef_construct},
                 report);
  report.add_group("events", "Writing events");
  report.add_group("interests", "The interests of one user (limit 0), 1 connection");
  Run(arguments, workload, watch, report).run();
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  return exit_status_of(kProgram, [&] { run(arguments); });
}
