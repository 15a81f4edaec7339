// The daemon over HTTP as its users meet it, beside hnswlib and our own index in this process: the
// same rows, M and efConstruction, at equal recall, in the same run.
//
//   http_bench [--data clustered|mnist|text-768] [--quick] [--json FILE] [--rows N]
//              [--daemon FILE] [--scratch DIRECTORY] [--limit-s N] [--skip-hnswlib]
//
// Starts a tesserad of its own and stops it however the run ends. docs/benchmarks.md says what the
// figures mean. Exit status 0, 1 (failed or stopped) or 2 (wrong arguments).

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "bench/support/http_suite.h"
#include "bench/support/in_process.h"
#include "index/ann_index.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr std::size_t kQueryCount = 1000;
constexpr std::size_t kQuickRowCount = 20'000;
constexpr std::size_t kEfMax = 2048;

struct Arguments {
  std::string data = "clustered";
  std::string json_path;
  std::filesystem::path daemon;
  std::filesystem::path scratch = std::filesystem::temp_directory_path();
  std::size_t row_count_max = 0;  ///< 0: as the data set and --quick say.
  std::chrono::seconds limit{0};
  bool is_quick = false;
  bool has_hnswlib = true;
};

[[noreturn]] void refuse(const std::string& message) {
  std::fprintf(stderr, "http_bench: %s\n", message.c_str());
  std::exit(2);
}

std::size_t positive_number(const std::string& name, const std::string& text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || text[0] == '-' || *end != '\0' || value == 0 || value > 100'000'000) {
    refuse(name + ": '" + text + "' is not a number from 1 to 100000000");
  }
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  arguments.daemon = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tesserad";
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) refuse(name + " needs a value");
      return argv[++i];
    };
    if (name == "--data") {
      arguments.data = value();
    } else if (name == "--json") {
      arguments.json_path = value();
    } else if (name == "--daemon") {
      arguments.daemon = value();
    } else if (name == "--scratch") {
      arguments.scratch = value();
    } else if (name == "--rows") {
      arguments.row_count_max = positive_number(name, value());
    } else if (name == "--limit-s") {
      arguments.limit = std::chrono::seconds(positive_number(name, value()));
    } else if (name == "--quick") {
      arguments.is_quick = true;
    } else if (name == "--skip-hnswlib") {
      arguments.has_hnswlib = false;
    } else {
      refuse("unknown argument '" + name + "'");
    }
  }
  if (arguments.row_count_max == 0) {
    arguments.row_count_max =
        arguments.is_quick ? kQuickRowCount : std::numeric_limits<std::size_t>::max();
  } else if (arguments.row_count_max < 1000) {
    refuse("--rows: at least 1000 are needed");
  }
  if (arguments.limit.count() == 0) {
    arguments.limit = std::chrono::seconds(arguments.is_quick ? 600 : 3600);
  }
  return arguments;
}

Rate search_all(const Workload& workload, const Watch& watch, const Searcher& searcher,
                const LoopOptions& options, std::vector<std::vector<std::uint32_t>>& found) {
  found.resize(options.item_count);
  std::vector<std::vector<std::uint32_t>> last(options.thread_count);
  return run_closed_loop(watch, options, [&](unsigned thread) {
    return [&, thread](std::size_t item) {
      std::vector<std::uint32_t>& target = options.seconds > 0 ? last[thread] : found[item];
      searcher.search(workload.queries.row(item), target);
    };
  });
}

double recall_of(const Workload& workload, const Watch& watch, Searcher& searcher, std::size_t ef) {
  searcher.set_ef(ef);
  std::vector<std::vector<std::uint32_t>> found;
  search_all(workload, watch, searcher, {1, workload.bounds.size(), 0}, found);
  return workload.recall(found);
}

/// The smallest ef that reaches `recall`.
std::size_t smallest_ef(const Workload& workload, const Watch& watch, Searcher& searcher,
                        double recall) {
  std::size_t low = kRecallK, high = kRecallK;
  while (recall_of(workload, watch, searcher, high) < recall) {
    if (high >= kEfMax) throw Failure("the recall wanted is not reached with ef 2048");
    low = high + 1;
    high = std::min(high * 2, kEfMax);
  }
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (recall_of(workload, watch, searcher, middle) < recall) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return high;
}

struct InProcessFigures {
  double per_second[2] = {0, 0};  ///< 1 and 2 threads.
  double cpu_us = 0;
};

/// Rates at the recalls that the daemon reached, into `group`.
std::vector<InProcessFigures> measure_in_process(const Workload& workload, const Watch& watch,
                                                 const std::vector<QueryFigures>& daemon,
                                                 double seconds, Searcher& searcher,
                                                 const std::string& group, Report& report) {
  std::vector<InProcessFigures> all;
  for (std::size_t i = 0; i < std::size(kRecallTargets); ++i) {
    const std::size_t ef = smallest_ef(workload, watch, searcher, kRecallTargets[i]);
    const double recall = recall_of(workload, watch, searcher, ef);
    const std::string percent = std::to_string(static_cast<int>(kRecallTargets[i] * 100 + 0.5));
    const std::string key = "recall_" + percent;
    report.add(group,
               {key + "_ef", "recall@10 >= 0." + percent + ": ef", static_cast<double>(ef), "", 0});
    report.add(group, {key + "_recall",
                       "  recall@10 measured (the daemon's: " +
                           std::to_string(daemon[i].recall).substr(0, 6) + ")",
                       recall, "", 4});
    InProcessFigures figures;
    for (const unsigned threads : {1U, 2U}) {
      std::vector<std::vector<std::uint32_t>> ignored;
      const Rate rate = search_all(workload, watch, searcher,
                                   {threads, workload.queries.row_count, seconds}, ignored);
      figures.per_second[threads - 1] = rate.per_second;
      if (threads == 1) figures.cpu_us = rate.cpu_us;
      report.add(group,
                 {key + "_threads_" + std::to_string(threads) + "_per_s",
                  threads == 1 ? "  1 thread" : "  2 threads", rate.per_second, "queries/s", 0});
    }
    report.add(group, {key + "_cpu_us", "  CPU of a query, 1 thread", figures.cpu_us, "us", 0});
    all.push_back(figures);
  }
  return all;
}

void add_ratios(const std::vector<QueryFigures>& daemon, const std::vector<InProcessFigures>& other,
                const std::string& key, const std::string& name, Report& report) {
  for (std::size_t i = 0; i < daemon.size(); ++i) {
    const std::string percent = std::to_string(static_cast<int>(kRecallTargets[i] * 100 + 0.5));
    const std::string at = " at recall 0." + percent;
    report.add_ratio("ratio", key + "_" + percent + "_cpu",
                     "CPU of a query over HTTP / " + name + at, daemon[i].daemon_cpu_us,
                     other[i].cpu_us);
    report.add_ratio("ratio", key + "_" + percent + "_1",
                     "queries/s, 1 connection / " + name + ", 1 thread," + at,
                     daemon[i].per_second[0], other[i].per_second[0]);
    report.add_ratio("ratio", key + "_" + percent + "_8",
                     "queries/s, 8 connections / " + name + ", 2 threads," + at,
                     daemon[i].per_second[2], other[i].per_second[1]);
  }
}

void run(const Arguments& arguments, const std::string& command) {
  const Watch watch(arguments.limit);
  index::initialise_libraries();
  Report report;
  report.add_group("ratio", "Ratios");
  report.add_group("upsert", "Writing");
  report.add_group("query", "Queries over HTTP, limit 10");
  report.add_group("special", "Other queries over HTTP, 1 connection, hnsw_ef of recall 0.95");
  report.add_group("restart", "Restarts");
  report.add_group("memory", "Memory");
  report.add_group("own", "Our index in this process");
  report.add_group("hnswlib", "hnswlib in this process, -O3 -march=native");

  say_progress("reading or generating " + arguments.data);
  Workload workload = load_workload(arguments.data, arguments.row_count_max, kQueryCount);
  const std::string machine = machine_line();
  std::printf("%s: %zu x %zu, %s, M 16, efConstruction 100\n%s\n", arguments.data.c_str(),
              workload.rows.row_count, workload.rows.dim, metric_name(workload.metric),
              machine.c_str());

  Effort effort;
  if (arguments.is_quick) effort = {1.5, 5'000, 200};
  const ScratchFolder scratch(arguments.scratch);
  std::vector<QueryFigures> over_http;
  {
    Daemon daemon(arguments.daemon, scratch.path(), watch);
    say_progress("starting " + arguments.daemon.string());
    daemon.start();
    HttpSuite suite(daemon, workload, effort, watch, report);
    suite.measure_upserts();
    suite.load();
    suite.find_truth();
    over_http = suite.measure_queries();
    suite.measure_special(over_http.front().ef);
    suite.measure_restarts();
    daemon.stop();
  }

  const auto compare = [&](auto build, const std::string& group, const std::string& name) {
    say_progress("building " + name + " in this process");
    const auto start = Watch::Clock::now();
    const std::unique_ptr<Searcher> searcher = build(workload, GraphShape(), watch);
    report.add(group, {"build_s", "build with 2 threads", seconds_since(start), "s", 1});
    const auto figures =
        measure_in_process(workload, watch, over_http, effort.seconds, *searcher, group, report);
    add_ratios(over_http, figures, group, name, report);
  };
  compare(build_own, "own", "our index");
  if (arguments.has_hnswlib) compare(build_hnswlib, "hnswlib", "hnswlib");
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path, machine, command);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  std::string command;
  for (int i = 0; i < argc; ++i) command += (i > 0 ? " " : "") + std::string(argv[i]);
  try {
    run(arguments, command);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "http_bench: %s\n", failure.what());
    return 1;
  }
  return 0;
}
