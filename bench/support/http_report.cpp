#include "bench/support/http_report.h"

#include <cstdio>

namespace tessera::bench {
namespace {

/// Threads of this process that so many connections are compared with: the cores' worth.
unsigned threads_beside(unsigned connections) {
  return connections == 1 ? 1 : 2;
}

std::string text_of(double recall) {
  char text[16];
  std::snprintf(text, sizeof(text), "%.4g", recall);
  return text;
}

/// " at recall 0.95", and what is special about it.
std::string at_level(const Level& level) {
  const std::string text = " at recall " + text_of(level.recall);
  return level.key == "common" ? text + ", the least that all have" : text;
}

void report_contender(const Contender& contender, const Level& level, const LevelFigures& figures,
                      bool is_http, Report& report) {
  const std::string group = is_http ? "query" : contender.key;
  const std::string key = "recall_" + level.key;
  report.add(group, {key + "_ef", "recall " + text_of(level.recall) + ": least ef that reaches it",
                     static_cast<double>(figures.ef), "", 0});
  report.add(group, {key + "_recall", "  recall@10 with it", figures.recall, "", 4});
  for (const auto& [lane, values] : figures.lanes) {
    const std::string lane_key =
        key + (is_http ? "_connections_" : "_threads_") + std::to_string(lane);
    const std::string label = is_http ? connections_text(lane)
                                      : std::to_string(lane) + (lane == 1 ? " thread" : " threads");
    report.add(group, {lane_key + "_per_s", "  " + label + " at recall " + text_of(level.recall),
                       median(values.per_second), "queries/s", 0});
    if (is_http) {
      report.add(group, {lane_key + "_p50_ms", "    p50", median(values.p50_ms), "ms", 3});
      report.add(group, {lane_key + "_p99_ms", "    p99", median(values.p99_ms), "ms", 3});
    }
    report.add(group, {lane_key + "_cpu_us",
                       is_http ? "    CPU of the daemon, a query" : "    CPU of a query",
                       1e6 / median(values.per_cpu_second), "us", 1});
  }
}

/// "over HTTP, 8 connections / hnswlib, 2 threads" and the CPU time of a query.
void report_ratios(const Contender& other, const Level& level, const LevelFigures& daemon,
                   const LevelFigures& figures, Report& report) {
  const std::string key = other.key + "_" + level.key;
  const auto better = [&](Report::Better direction) {
    return level.key == "common" ? Report::Better::kNotCompared : direction;
  };
  for (const auto& [connections, values] : daemon.lanes) {
    const unsigned threads = threads_beside(connections);
    const auto beside = figures.lanes.find(threads);
    if (beside == figures.lanes.end()) continue;
    report.add_ratio(
        key + "_connections_" + std::to_string(connections),
        "queries/s, " + connections_text(connections) + " / " + other.name + ", " +
            std::to_string(threads) + (threads == 1 ? " thread," : " threads,") + at_level(level),
        ratio_of(values.per_second, beside->second.per_second), better(Report::Better::kHigher));
  }
  report.add_ratio(key + "_cpu", "CPU of a query over HTTP / " + other.name + at_level(level),
                   ratio_of(figures.lanes.at(1).per_cpu_second, daemon.lanes.at(1).per_cpu_second),
                   better(Report::Better::kLower));
}

}  // namespace

void add_http_groups(Report& report) {
  report.add_group("cost", "CPU of the daemon for a request, 1 connection");
  report.add_group("upsert", "Writing");
  report.add_group("query", "Queries over HTTP, limit 10; speeds interpolated at the recall");
  report.add_group("special", "Other queries over HTTP, 1 connection, hnsw_ef of recall 0.95");
  report.add_group("restart", "Restarts");
  report.add_group("memory", "Memory of the daemon");
  report.add_group("own", "Our index in this process");
  report.add_group("hnswlib", "hnswlib in this process, -O3 -march=native");
}

void report_builds(const LoadFigures& load, const std::vector<Runner>& runners, Report& report) {
  for (const Runner& runner : runners) {
    report.add(runner.key, {"build_s", "build, 2 threads", runner.build_seconds, "s", 1});
    report.add(runner.key, {"build_cpu_s", "  CPU", runner.build_cpu_seconds, "s", 1});
  }
  report.add_ratio("load", "loading over HTTP until all is indexed / build in this process",
                   load.indexed_seconds, runners.front().build_seconds, Report::Better::kLower);
  report.add_ratio("load_cpu", "  the same by CPU time, merging included", load.cpu_seconds,
                   runners.front().build_cpu_seconds, Report::Better::kLower);
}

void report_levels(const std::vector<std::unique_ptr<Contender>>& contenders,
                   const std::vector<Level>& levels, Report& report) {
  for (const Level& level : levels) {
    const LevelFigures& daemon = level.figures.front();
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      report_contender(*contenders[i], level, level.figures[i], i == 0, report);
      if (i > 0) report_ratios(*contenders[i], level, daemon, level.figures[i], report);
    }
  }
}

}  // namespace tessera::bench
