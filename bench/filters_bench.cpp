// What a filter costs: one field of one sealed segment, searched with filters that let through few
// or many rows, anywhere, near the query or far from it, by each plan that the planner can choose.
//
// One thread searches. --help names all arguments, docs/benchmarks.md says what the figures mean.
// Exit status 0, 1 (failed or stopped) or 2 (wrong arguments).

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/arguments.h"
#include "bench/support/daemon.h"
#include "bench/support/report.h"
#include "bench/support/run_setting.h"
#include "bench/support/watch.h"
#include "bench/support/workload.h"
#include "engine/segment_plan.h"
#include "engine/vector_field.h"
#include "index/kernels.h"
#include "storage/data_directory.h"
#include "storage/store.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr const char* kProgram = "filters_bench";
constexpr std::uint64_t kSeed = 7;

struct Arguments : RunArguments {
  std::size_t ef = 64;
  std::size_t round_count = 5;
};

Arguments parse(int argc, const char* const* argv) {
  Arguments arguments;
  ArgumentParser parser(kProgram,
                        "What a filter costs, by its share of the rows and by where these are.");
  arguments.declare(parser);
  parser.add_number("--ef", "candidates of a walk (64)", arguments.ef);
  parser.add_number("--rounds", "how often each plan is measured (5, quick 3)",
                    arguments.round_count);
  parser.parse(argc, argv);
  if (arguments.is_quick) arguments.round_count = std::min<std::size_t>(arguments.round_count, 3);
  arguments.finish(kProgram, argc, argv, std::chrono::seconds(1800));
  return arguments;
}

/// Where the rows that a filter lets through are.
enum class Place : std::uint8_t { kAnywhere, kNear, kFar };
constexpr std::array kPlaces = {std::pair(Place::kAnywhere, "anywhere"),
                                std::pair(Place::kNear, "near"), std::pair(Place::kFar, "far")};
constexpr std::array kShares = {0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001};
constexpr std::array kPlans = {std::pair(engine::PlanChoice::kCheapest, "chosen"),
                               std::pair(engine::PlanChoice::kScan, "scan"),
                               std::pair(engine::PlanChoice::kWalk, "walk")};

void require(const Status& status) {
  if (!status.ok()) throw Failure(status.to_string());
}
template <class T>
T require(Result<T> result) {
  if (result.has_error()) throw Failure(result.error().to_string());
  return std::move(*result);
}

/// The rows of a workload in one sealed segment of a field; a row's slot is its number.
class FieldOfRows {
 public:
  FieldOfRows(const Workload& workload, const index::IndexSpec& spec, unsigned thread_count)
      : directory_(require(storage::DataDirectory::open((folder_.path() / "data").string()))),
        store_(require(storage::Store::open(directory_->store_path(), {}))),
        field_(identity_of(workload), slots_, *store_, *directory_) {
    for (std::size_t row = 0; row < workload.rows.row_count; ++row) {
      const auto slot = static_cast<std::uint32_t>(row);
      slots_.insert(PointId(slot), slot, slot + 1);
      field_.put(slot, slot + 1, workload.rows.row(row));
    }
    engine::OptimizersConfig rules;
    rules.indexing_threshold = 1;
    engine::MaintenanceRules timing;
    timing.idle = std::chrono::milliseconds(0);
    timing.build_thread_count = thread_count;
    while (const auto plan = field_.plan_build(rules, timing)) {
      require(field_.build(*plan, spec, {nullptr, nullptr, thread_count}));
    }
    while (const auto plan = field_.plan_merge(rules, timing)) {
      require(field_.build(*plan, spec, {nullptr, nullptr, thread_count}));
    }
    view_ = field_.view();
    if (view_->sealed.size() != 1) throw Failure("the rows are not in one segment");
  }

  void search(const engine::FieldSearch& search, std::vector<engine::SlotHit>& hits,
              engine::FieldSearchStats& stats) const {
    require(field_.search(*view_, search, hits, stats));
  }

 private:
  static engine::VectorField::Identity identity_of(const Workload& workload) {
    engine::VectorField::Identity identity;
    identity.collection_name = "bench";
    identity.collection = 1;
    identity.dim = static_cast<std::uint32_t>(workload.rows.dim);
    identity.metric = workload.metric;
    identity.growing_bytes_max = std::size_t{16} << 30;
    return identity;
  }

  const ScratchFolder folder_{std::filesystem::temp_directory_path()};
  std::unique_ptr<storage::DataDirectory> directory_;
  std::unique_ptr<storage::Store> store_;
  engine::SlotTable slots_;
  engine::VectorField field_;
  std::shared_ptr<const engine::FieldView> view_;
};

/// A filter a query, or one for all of them, and the true answers under it.
struct FilterSet {
  std::vector<engine::SlotBits> bits;
  std::size_t match_count = 0;
  std::vector<float> bounds;

  [[nodiscard]] const engine::SlotBits& of(std::size_t query) const {
    return bits[query % bits.size()];
  }
};

/// Rows of a query, nearest first.
std::vector<std::uint32_t> rows_by_distance(const std::vector<float>& distances) {
  std::vector<std::uint32_t> order(distances.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return distances[a] != distances[b] ? distances[a] < distances[b] : a < b;
  });
  return order;
}

/// Of twice as many rows, nearest or farthest, half: others are always among those that match.
FilterSet make_filters(const Workload& workload, double share, Place place, const Watch& watch) {
  const std::size_t row_count = workload.rows.row_count;
  FilterSet set;
  set.match_count = std::max<std::size_t>(
      kRecallK, static_cast<std::size_t>(share * static_cast<double>(row_count)));
  std::mt19937_64 random(kSeed);
  std::vector<float> distances(row_count);
  for (std::size_t query = 0; query < workload.queries.row_count; ++query) {
    watch.check();
    index::distances(workload.metric, workload.queries.row(query),
                     {workload.rows.values.data(), row_count, workload.rows.dim}, distances.data());
    const std::vector<std::uint32_t> order = rows_by_distance(distances);
    if (place != Place::kAnywhere || query == 0) {
      const std::size_t count =
          place == Place::kAnywhere ? row_count : std::min(row_count, 2 * set.match_count);
      const std::size_t first = place == Place::kFar ? row_count - count : 0;
      std::vector<std::uint32_t> candidates(
          order.begin() + static_cast<std::ptrdiff_t>(first),
          order.begin() + static_cast<std::ptrdiff_t>(first + count));
      std::shuffle(candidates.begin(), candidates.end(), random);
      engine::SlotBits& bits = set.bits.emplace_back(row_count, false);
      for (std::size_t i = 0; i < set.match_count; ++i) bits.set(candidates[i]);
    }
    std::size_t met = 0;
    for (const std::uint32_t row : order) {
      if (!set.of(query).contains(row) || ++met < kRecallK) continue;
      set.bounds.push_back(distances[row]);
      break;
    }
  }
  return set;
}

double cpu_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Measurement {
  std::vector<double> us;  ///< CPU of a query; one a round.
  double recall = 0;
  double visited = 0;  ///< Distances a query.
  std::string strategy;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(const Workload& workload, const FieldOfRows& field, const FilterSet& filters,
             engine::PlanChoice plan, std::size_t ef, Measurement& measurement) {
  std::vector<std::vector<std::uint32_t>> found(workload.queries.row_count);
  std::vector<engine::SlotHit> hits;
  std::size_t visited = 0;
  const double begin = cpu_seconds();
  for (std::size_t query = 0; query < workload.queries.row_count; ++query) {
    engine::FieldSearch search;
    search.query = workload.queries.row(query);
    search.k = kRecallK;
    search.allowed = &filters.of(query);
    search.allowed_count = filters.match_count;
    search.ef = ef;
    search.plan = plan;
    engine::FieldSearchStats stats;
    field.search(search, hits, stats);
    visited += stats.visited_count;
    measurement.strategy = stats.strategy;
    for (const engine::SlotHit& hit : hits) found[query].push_back(hit.slot);
  }
  const auto query_count = static_cast<double>(workload.queries.row_count);
  measurement.us.push_back(1e6 * (cpu_seconds() - begin) / query_count);
  measurement.visited = static_cast<double>(visited) / query_count;
  measurement.recall = workload.recall(found, filters.bounds);
}

void report_filter(const std::string& key, const std::string& label,
                   const std::array<Measurement, kPlans.size()>& plans, Report& report) {
  std::array<double, kPlans.size()> us = {};
  nlohmann::ordered_json figures = {{"filter", label}};
  for (std::size_t i = 0; i < kPlans.size(); ++i) {
    const std::string plan = kPlans[i].second;
    us[i] = median(plans[i].us);
    figures[plan] = {{"us", us[i]},
                     {"recall", plans[i].recall},
                     {"visited", plans[i].visited},
                     {"strategy", plans[i].strategy}};
  }
  report.extend_json("filters", figures);
  report.add_ratio(key, label + ": the chosen plan / the cheaper one", us[0],
                   std::min(us[1], us[2]), Report::Better::kLower);
}

/// Of one filter: CPU, distances and recall of a query by each plan.
std::string table_row(const std::string& label,
                      const std::array<Measurement, kPlans.size()>& plans) {
  char text[256];
  std::snprintf(text, sizeof(text), "  %-18s", label.c_str());
  std::string row = text;
  for (const Measurement& plan : plans) {
    std::snprintf(text, sizeof(text), " %9.1f %7.0f %7.4f", median(plan.us), plan.visited,
                  plan.recall);
    row += text;
  }
  return row + "  " + plans[0].strategy + "\n";
}

void run(const Arguments& arguments) {
  const Watch watch(arguments.limit);
  index::initialise_libraries();
  Report report("filters", arguments.data);
  say_progress("reading or generating " + arguments.data);
  const Workload workload =
      load_workload(arguments.data, arguments.row_count_max, arguments.query_count() / 5);
  report_setting(workload, {arguments.command, arguments.shape, arguments.own_ef_construct},
                 report);
  report.add_group("ratio", "Ratios");
  std::string table = "Microseconds of CPU, distances, recall@10 of a query; one thread, ef " +
                      std::to_string(arguments.ef) +
                      "\n  share and place     chosen plan                scan"
                      "                       walk\n";
  say_progress("building the index");
  index::IndexSpec spec;
  spec.m = arguments.shape.m;
  spec.ef_construct = static_cast<std::uint32_t>(arguments.own_ef_construct);
  const FieldOfRows field(workload, spec, arguments.shape.thread_count);

  for (const auto& [place, place_name] : kPlaces) {
    for (const double share : kShares) {
      char percent[16];
      std::snprintf(percent, sizeof(percent), "%g", 100 * share);
      const std::string label = std::string(percent) + " % " + place_name;
      say_progress(label);
      const FilterSet filters = make_filters(workload, share, place, watch);
      std::array<Measurement, kPlans.size()> plans;
      for (std::size_t round = 0; round < arguments.round_count; ++round) {
        for (std::size_t i = 0; i < kPlans.size(); ++i) {
          watch.check();
          measure(workload, field, filters, kPlans[i].first, arguments.ef, plans[i]);
        }
      }
      std::string key = std::string(place_name) + "_" + percent;
      std::replace(key.begin(), key.end(), '.', '_');
      report_filter(key, label, plans, report);
      table += table_row(label, plans);
    }
  }
  report.add_table(table);
  report.print();
  if (!arguments.json_path.empty()) report.write_json(arguments.json_path);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  return exit_status_of(kProgram, [&] { run(arguments); });
}
