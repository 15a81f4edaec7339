// Recall against queries a second: our indexes beside hnswlib and stock FAISS over the same rows,
// in the same run, taking turns.
//
// Building uses --threads threads (2), searching one. --faiss-hnsw and --faiss-pq add rivals that
// take minutes to build. --help names all arguments, docs/benchmarks.md says what the figures mean.
// Exit status 0, 1 (failed or stopped) or 2 (wrong arguments).

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/arguments.h"
#include "bench/support/build_race.h"
#include "bench/support/report.h"
#include "bench/support/run_setting.h"
#include "bench/support/search_report.h"
#include "index/ann_index.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr const char* kProgram = "search_bench";
constexpr std::size_t kBuildCountMax = 3;

struct Arguments : RunArguments {
  index::CodeType codes = index::IndexSpec().codes;
  std::size_t list_count = 0;  ///< 0: about 4 sqrt(rows).
  RaceOptions race;
  bool has_graphs = true;
  bool has_faiss_hnsw = false;
  bool has_faiss_pq = false;
  bool has_ivf = true;
};

Arguments parse(int argc, const char* const* argv) {
  using index::CodeType;
  Arguments arguments;
  ArgumentParser parser(kProgram,
                        "Recall against queries a second: our indexes beside hnswlib and stock "
                        "FAISS over the same\nrows, in the same run, taking turns.");
  arguments.declare(parser);
  parser.add_choice<CodeType>("--codes", "what our graph compares first (chosen by a sample)",
                              {{"none", CodeType::kNone},
                               {"sq8", CodeType::kSq8},
                               {"sq4", CodeType::kSq4},
                               {"binary", CodeType::kBinary},
                               {"pq", CodeType::kPq}},
                              arguments.codes);
  parser.add_number("--lists", "lists of inverted files (4 sqrt(rows))", arguments.list_count);
  parser.add_number("--rounds", "how often each setting is measured (5, quick 3)",
                    arguments.race.round_count);
  parser.add_number("--threads", "that build (2)", arguments.shape.thread_count);
  parser.add_switch("--faiss-hnsw", "race FAISS's HNSW too", arguments.has_faiss_hnsw);
  parser.add_switch("--faiss-pq", "race FAISS's refined IVFPQ too", arguments.has_faiss_pq);
  parser.add_switch("--skip-graphs", "no HNSW", arguments.has_graphs, false);
  parser.add_switch("--skip-ivf", "no inverted files", arguments.has_ivf, false);
  parser.parse(argc, argv);
  if (arguments.is_quick) {
    arguments.race.round_count = std::min<std::size_t>(arguments.race.round_count, 3);
    arguments.race.slice_seconds = 0.05;
  }
  arguments.finish(kProgram, argc, argv, std::chrono::seconds(7200));
  return arguments;
}

Runner make_runner(std::string key, std::string name, bool is_graph, std::vector<Knobs> variants) {
  Runner runner;
  runner.key = std::move(key);
  runner.name = std::move(name);
  runner.is_graph = is_graph;
  runner.variants = std::move(variants);
  return runner;
}

std::vector<Knobs> oversamplings(std::initializer_list<double> values) {
  std::vector<Knobs> variants;
  for (const double value : values) variants.push_back({kRecallK, value, false});
  return variants;
}

void race_graphs(const Arguments& arguments, const Workload& workload, const Watch& watch,
                 Report& report) {
  std::vector<Runner> runners;
  std::vector<BuildFunction> builds;
  std::vector<Knobs> own_variants = oversamplings({1, 2, 4});
  if (arguments.codes != index::CodeType::kNone) own_variants.push_back({kRecallK, 1, true});
  runners.push_back(make_runner("own_hnsw", "our HNSW", true, own_variants));
  builds.emplace_back([&] {
    index::IndexSpec spec;
    spec.m = arguments.shape.m;
    spec.ef_construct = static_cast<std::uint32_t>(arguments.own_ef_construct);
    spec.codes = arguments.codes;
    return build_own(workload, spec, arguments.shape.thread_count, watch);
  });
  runners.push_back(make_runner("hnswlib", "hnswlib", true, {Knobs()}));
  builds.emplace_back([&] { return build_hnswlib(workload, arguments.shape, watch); });
  if (arguments.has_faiss_hnsw) {
    runners.push_back(make_runner("faiss_hnsw", "FAISS HNSW", true, {Knobs()}));
    builds.emplace_back([&] { return build_faiss_hnsw(workload, arguments.shape); });
  }
  build_in_turn(builds, watch, kBuildCountMax, runners);
  const RaceResult result = race(workload, watch, runners, arguments.race);
  report_race(workload, runners, result, report);
  report_graphs(runners, result, report);
}

void race_ivf(const Arguments& arguments, const Workload& workload, const Watch& watch,
              Report& report) {
  const std::size_t row_count = workload.rows.row_count;
  const std::size_t list_count =
      arguments.list_count != 0
          ? arguments.list_count
          : static_cast<std::size_t>(4 * std::sqrt(static_cast<double>(row_count)));
  const unsigned threads = arguments.shape.thread_count;
  std::vector<Runner> runners;
  std::vector<BuildFunction> builds;
  for (const auto& [type, name] : {std::pair(index::IndexType::kIvfFlat, "our IVF, rows"),
                                   std::pair(index::IndexType::kIvfSq8, "our IVF, 8-bit codes"),
                                   std::pair(index::IndexType::kIvfPq, "our IVF, PQ codes")}) {
    const bool has_codes = type != index::IndexType::kIvfFlat;
    runners.push_back(make_runner(std::string("own_") + index::index_type_name(type), name, false,
                                  has_codes ? oversamplings({1, 2, 4}) : oversamplings({1})));
    builds.emplace_back([&, type = type] {
      index::IndexSpec spec;
      spec.type = type;
      spec.list_count = static_cast<std::uint32_t>(list_count);
      return build_own(workload, spec, threads, watch);
    });
  }
  const auto add_faiss = [&](FaissCodes codes, const char* key, const char* name,
                             std::vector<Knobs> variants) {
    runners.push_back(make_runner(key, name, false, std::move(variants)));
    builds.emplace_back([&workload, codes, list_count, threads] {
      return build_faiss_ivf(workload, codes, list_count, threads);
    });
  };
  add_faiss(FaissCodes::kNone, "faiss_ivf_flat", "FAISS IVFFlat", {Knobs()});
  add_faiss(FaissCodes::kSq8, "faiss_ivf_sq8", "FAISS IVFSQ8", {Knobs()});
  if (arguments.has_faiss_pq) {
    add_faiss(FaissCodes::kPqRefined, "faiss_ivf_pq", "FAISS IVFPQ, refined",
              oversamplings({4, 16}));
  }
  build_in_turn(builds, watch, kBuildCountMax, runners);
  const RaceResult result = race(workload, watch, runners, arguments.race);
  report_race(workload, runners, result, report);
  report_ivf(runners, result, report);
}

void run(const Arguments& arguments) {
  const Watch watch(arguments.limit);
  index::initialise_libraries();
  Report report("search", arguments.data);
  say_progress("reading or generating " + arguments.data);
  Workload workload =
      load_workload(arguments.data, arguments.row_count_max, arguments.query_count());
  report_setting(workload, {arguments.command, arguments.shape, arguments.own_ef_construct},
                 report);
  add_search_groups(arguments.shape, report);
  say_progress("exact answers");
  find_truth(workload);
  if (arguments.has_graphs) race_graphs(arguments, workload, watch, report);
  if (arguments.has_ivf) race_ivf(arguments, workload, watch, report);
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  return exit_status_of(kProgram, [&] { run(arguments); });
}
