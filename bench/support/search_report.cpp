#include "bench/support/search_report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <iterator>
#include <tuple>

#include "base/metric.h"

namespace tessera::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kRecallLevels[] = {0.95, 0.99};

std::string percent(double recall) {
  return std::to_string(static_cast<int>(recall * 100 + 0.5));
}

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  char text[200];
  va_list values;
  va_start(values, pattern);
  std::vsnprintf(text, sizeof(text), pattern, values);
  va_end(values);
  return text;
}

/// Rows of the curve that no other row beats, and how many are not shown.
std::string curve_table(const Runner& runner, const std::vector<TimedSetting>& settings,
                        const std::vector<CurvePoint>& curve) {
  const std::vector<CurvePoint> best = best_points(curve);
  std::string text =
      runner.name + "\n" +
      format("  %-32s %10s %16s %16s\n", "setting", "recall@10", "queries/CPU s", "queries/s");
  for (const CurvePoint& point : best) {
    for (std::size_t i = 0; i < curve.size(); ++i) {
      if (curve[i] != point) continue;
      text +=
          format("  %-32s %10.4f %16.0f %16.0f\n", settings[i].knobs.text(runner.is_graph).c_str(),
                 point.recall, point.per_second, median(settings[i].per_second));
      break;
    }
  }
  if (best.size() < curve.size()) {
    text += format("  (%zu more settings are slower and find less)\n", curve.size() - best.size());
  }
  return text;
}

Json curve_json(const Runner& runner, const std::vector<TimedSetting>& settings) {
  Json points = Json::array();
  for (const TimedSetting& setting : settings) {
    points.push_back({{"setting", setting.knobs.text(runner.is_graph)},
                      {"recall", setting.recall},
                      {"per_cpu_second", median(setting.per_cpu_second)},
                      {"per_second", median(setting.per_second)}});
  }
  return {{"key", runner.key},
          {"name", runner.name},
          {"kind", runner.is_graph ? "graph" : "ivf"},
          {"points", std::move(points)}};
}

std::vector<CurvePoint> joint_curve(const RaceResult& result, const std::vector<std::size_t>& of) {
  std::vector<CurvePoint> all;
  for (const std::size_t runner : of) {
    const std::vector<CurvePoint> one = result.median_curve(runner);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

struct Side {
  std::vector<std::size_t> runners;
  std::string name;
};

/// Ratios at each recall, under key_95 and so on. Where a side's fastest setting finds more than
/// the least recall asked for, also at the least recall that both sides can have.
void add_speed_ratios(const RaceResult& result, const Side& ours, const Side& others,
                      const std::string& key, Report& report) {
  const std::vector<CurvePoint> own = joint_curve(result, ours.runners);
  const std::vector<CurvePoint> other = joint_curve(result, others.runners);
  const double common = std::max(smallest_recall(own), smallest_recall(other));
  const auto add = [&](const std::string& level_key, double recall, const std::string& note) {
    report.add_ratio(
        key + "_" + level_key,
        format("%s / %s, queries/s at recall %.4g%s", ours.name.c_str(), others.name.c_str(),
               recall, note.c_str()),
        speed_ratio(result, ours.runners, others.runners, recall),
        level_key == "common" ? Report::Better::kNotCompared : Report::Better::kHigher);
    for (const auto& [side, curve, suffix] :
         {std::tuple(&ours, &own, "_own"), std::tuple(&others, &other, "_other")}) {
      const auto speed = speed_at(*curve, recall);
      report.add("speed", {key + "_" + level_key + suffix,
                           format("%s at recall %.4g%s", side->name.c_str(), recall,
                                  speed ? note.c_str() : ": not reached"),
                           speed.value_or(0), "queries/CPU s", 0});
    }
  };
  for (const double recall : kRecallLevels) {
    const bool is_exceeded = common > recall;
    add(percent(recall), recall, is_exceeded ? " or more" : "");
  }
  const std::vector<double> levels =
      with_common({std::begin(kRecallLevels), std::end(kRecallLevels)}, common);
  if (levels.size() > std::size(kRecallLevels)) {
    add("common", common, ", the least that both have");
  }
}

}  // namespace

void add_search_groups(const GraphShape& shape, Report& report) {
  report.add_json("curves", Json::array());
  report.add_group("speed", "Searching with one thread, by its CPU time");
  report.add_group("build", format("Building with %u threads", shape.thread_count));
  report.add_group("memory", "Memory over the raw float32 rows");
}

void report_race(const Workload& workload, const std::vector<Runner>& runners,
                 const RaceResult& result, Report& report) {
  const double raw_bytes =
      static_cast<double>(workload.rows.row_count * workload.rows.dim * sizeof(float));
  for (std::size_t i = 0; i < runners.size(); ++i) {
    const Runner& runner = runners[i];
    report.add("build", {runner.key + "_s", runner.name, runner.build_seconds, "s", 2});
    report.add("build", {runner.key + "_cpu_s", "  CPU", runner.build_cpu_seconds, "s", 2});
    const double share = static_cast<double>(runner.searcher->memory_bytes()) / raw_bytes;
    report.add("memory",
               {runner.key + "_beside_rows", runner.name + ", beside the rows", share, "x", 3});
    report.add("memory",
               {runner.key + "_with_rows", runner.name + ", with the rows", share + 1, "x", 3});
    report.add_table(curve_table(runner, result.settings[i], result.median_curve(i)));
    report.extend_json("curves", curve_json(runner, result.settings[i]));
  }
}

void report_graphs(const std::vector<Runner>& runners, const RaceResult& result, Report& report) {
  const Side ours = {{0}, runners[0].name};
  for (std::size_t i = 1; i < runners.size(); ++i) {
    const bool is_first = i == 1;
    const Side other = {{i}, runners[i].name};
    add_speed_ratios(result, ours, other, is_first ? "hnsw" : runners[i].key, report);
    const std::string build_key = is_first ? "build" : "build_" + runners[i].key;
    report.add_ratio(build_key, "build, " + ours.name + " / " + other.name,
                     runners[0].build_seconds, runners[i].build_seconds, Report::Better::kLower);
    report.add_ratio(build_key + "_cpu", "  the same by CPU time", runners[0].build_cpu_seconds,
                     runners[i].build_cpu_seconds, Report::Better::kLower);
  }
}

void report_ivf(const std::vector<Runner>& runners, const RaceResult& result, Report& report) {
  Side ours = {{}, "our best IVF"}, others = {{}, "FAISS's best IVF"};
  for (std::size_t i = 0; i < runners.size(); ++i) {
    (runners[i].key.rfind("own_", 0) == 0 ? ours : others).runners.push_back(i);
  }
  add_speed_ratios(result, ours, others, "ivf", report);
  for (const std::size_t other : others.runners) {
    for (const double recall : kRecallLevels) {
      report.add_ratio(
          "ivf_" + percent(recall) + "_over_" + runners[other].key,
          format("  over %s, at recall %.4g or more", runners[other].name.c_str(), recall),
          speed_ratio(result, ours.runners, {other}, recall), Report::Better::kHigher);
    }
  }
}

}  // namespace tessera::bench
