// The daemon over HTTP as its users meet it, beside hnswlib and our own index in this process: the
// same rows, M and efConstruction, at equal recall, in the same run, taking turns.
//
// Starts a tesserad of its own and stops it however the run ends. --help names all arguments,
// docs/benchmarks.md says what the figures mean. Exit status 0, 1 (failed or stopped) or 2 (wrong
// arguments).

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/arguments.h"
#include "bench/support/build_race.h"
#include "bench/support/equal_recall.h"
#include "bench/support/http_report.h"
#include "bench/support/http_suite.h"
#include "bench/support/run_setting.h"
#include "index/ann_index.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr const char* kProgram = "http_bench";

struct Arguments : RunArguments {
  std::filesystem::path daemon =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tesserad";
  std::filesystem::path scratch = std::filesystem::temp_directory_path();
  bool has_hnswlib = true;
  bool has_upsert_rates = true;
};

Arguments parse(int argc, const char* const* argv) {
  Arguments arguments;
  ArgumentParser parser(kProgram,
                        "The daemon over HTTP beside hnswlib and our own index in this process: "
                        "the same rows, at equal\nrecall, in the same run, taking turns.");
  arguments.declare(parser);
  parser.add_text("--daemon", "FILE", "the tesserad to start (the one beside this program)",
                  arguments.daemon);
  parser.add_text("--scratch", "DIRECTORY", "where its data goes (the temporary folder)",
                  arguments.scratch);
  parser.add_switch("--skip-hnswlib", "compare with our own index only", arguments.has_hnswlib,
                    false);
  parser.add_switch("--skip-upserts", "do not measure single and batched upserts",
                    arguments.has_upsert_rates, false);
  parser.parse(argc, argv);
  arguments.finish(kProgram, argc, argv, std::chrono::seconds(1200));
  return arguments;
}

GraphShape own_shape(const Arguments& arguments) {
  GraphShape shape = arguments.shape;
  shape.ef_construct = static_cast<std::uint32_t>(arguments.own_ef_construct);
  return shape;
}

/// Builds the graphs of this process; ours is the first.
std::vector<Runner> build_graphs(const Arguments& arguments, const Workload& workload,
                                 const Watch& watch) {
  std::vector<Runner> runners(1);
  runners[0].key = "own";
  runners[0].name = "our index";
  std::vector<BuildFunction> builds = {[&] {
    index::IndexSpec spec;
    spec.m = arguments.shape.m;
    spec.ef_construct = own_shape(arguments).ef_construct;
    return build_own(workload, spec, arguments.shape.thread_count, watch);
  }};
  if (arguments.has_hnswlib) {
    runners.emplace_back();
    runners[1].key = "hnswlib";
    runners[1].name = "hnswlib";
    builds.emplace_back([&] { return build_hnswlib(workload, arguments.shape, watch); });
  }
  build_in_turn(builds, watch, 1, runners);  // As often as the daemon is loaded.
  return runners;
}

/// The daemon and the graphs of this process at equal recall; the daemon's ef of the first recall.
std::size_t compare(const HttpCollection& collection, std::vector<Runner> runners,
                    const Effort& effort, Report& report) {
  std::vector<std::unique_ptr<Contender>> contenders;
  contenders.push_back(http_contender(collection, {2, 8, 1}));
  for (Runner& runner : runners) {
    contenders.push_back(in_process_contender(runner.key, runner.name, std::move(runner.searcher),
                                              collection.workload(), collection.watch()));
  }
  const EqualRecallOptions options = {{0.95, 0.99}, effort.round_count, effort.slice_seconds};
  const std::vector<Level> levels = race_at_equal_recall(contenders, options, collection.watch());
  report_levels(contenders, levels, report);
  return levels.front().figures.front().ef;
}

void measure(const Arguments& arguments, const Workload& workload, const Watch& watch,
             Report& report) {
  Effort effort;
  if (arguments.is_quick) effort = {0.5, 2, 5'000};
  const ScratchFolder scratch(arguments.scratch);
  Daemon daemon(arguments.daemon, scratch.path(), watch);
  say_progress("starting " + arguments.daemon.string());
  daemon.start();
  const HttpCollection collection(daemon, workload, watch, "bench");
  HttpSuite suite(daemon, collection, effort, own_shape(arguments), report);
  suite.measure_cost();
  if (arguments.has_upsert_rates) suite.measure_upserts();
  const LoadFigures load = suite.load();
  std::vector<Runner> runners = build_graphs(arguments, workload, watch);
  report_builds(load, runners, report);
  const std::size_t ef = compare(collection, std::move(runners), effort, report);
  suite.measure_filtered(ef);
  suite.measure_interests(ef);
  suite.measure_beside_upserts(ef);
  suite.measure_restarts();
  daemon.stop();
}

void run(const Arguments& arguments) {
  const Watch watch(arguments.limit);
  index::initialise_libraries();
  Report report("http", arguments.data);
  say_progress("reading or generating " + arguments.data);
  Workload workload =
      load_workload(arguments.data, arguments.row_count_max, arguments.query_count());
  report_setting(workload, {arguments.command, arguments.shape, arguments.own_ef_construct},
                 report);
  add_http_groups(report);
  say_progress("exact answers");
  find_truth(workload);
  measure(arguments, workload, watch, report);
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  return exit_status_of(kProgram, [&] { run(arguments); });
}
