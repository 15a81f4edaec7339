#include "bench/support/race.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace tessera::bench {
namespace {

constexpr std::size_t kEfs[] = {10, 12, 14, 16,  20,  24,  32,  40,
                                48, 64, 96, 128, 192, 256, 384, 512};
constexpr std::size_t kListCounts[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};
constexpr double kRecallEnough = 0.9985;
/// Codes that are not re-ranked never find more than so much: where two more steps of effort gain
/// less than this, the rest is left out. But the first steps may gain nothing either: our inverted
/// files look at a least number of rows however few lists are asked for.
constexpr double kRecallGain = 0.0005;
constexpr double kRecallRisen = 0.02;
/// A setting this much slower than another that finds as much is not measured again.
constexpr double kHopeless = 0.8;
constexpr std::size_t kWarmQueryCount = 50;

double thread_cpu_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Passes over all queries until `seconds` of CPU time have gone.
void measure(const Workload& workload, const Searcher& searcher, double seconds,
             TimedSetting& setting) {
  std::vector<std::uint32_t> found;
  const std::size_t query_count = workload.queries.row_count;
  for (std::size_t q = 0; q < std::min(kWarmQueryCount, query_count); ++q) {
    searcher.search(workload.queries.row(query_count - 1 - q), found);
  }
  std::size_t count = 0;
  const auto start = Watch::Clock::now();
  const double cpu_start = thread_cpu_seconds();
  double cpu_used = 0;
  do {
    for (std::size_t q = 0; q < query_count; ++q) searcher.search(workload.queries.row(q), found);
    count += query_count;
    cpu_used = thread_cpu_seconds() - cpu_start;
  } while (cpu_used < seconds);
  setting.per_cpu_second.push_back(static_cast<double>(count) / cpu_used);
  setting.per_second.push_back(static_cast<double>(count) / seconds_since(start));
}

double recall_of(const Workload& workload, const Searcher& searcher) {
  std::vector<std::vector<std::uint32_t>> found(workload.queries.row_count);
  for (std::size_t q = 0; q < found.size(); ++q) {
    searcher.search(workload.queries.row(q), found[q]);
  }
  return workload.recall(found);
}

/// Every setting up to the recall that is enough, with a first look at its speed.
std::vector<TimedSetting> survey(const Workload& workload, const Watch& watch,
                                 const Runner& runner) {
  std::vector<TimedSetting> settings;
  for (const Knobs& variant : runner.variants) {
    double first = -1, last = 0, before_last = 0;
    for (const std::size_t effort : runner.is_graph ? kEfs : kListCounts) {
      watch.check();
      TimedSetting setting;
      setting.knobs = variant;
      setting.knobs.effort = effort;
      // A graph keeps ef candidates: more of them cannot be re-ranked.
      if (runner.is_graph && variant.oversampling > 1 &&
          variant.oversampling * kRecallK > static_cast<double>(effort)) {
        continue;
      }
      runner.searcher->set_knobs(setting.knobs);
      setting.recall = recall_of(workload, *runner.searcher);
      measure(workload, *runner.searcher, 0, setting);
      settings.push_back(setting);
      if (setting.recall >= kRecallEnough) break;
      const double gain = setting.recall - std::exchange(before_last, last);
      last = setting.recall;
      if (first < 0) first = setting.recall;
      if (setting.recall > first + kRecallRisen && gain < kRecallGain) break;
    }
  }
  const auto is_hopeless = [&](const TimedSetting& setting) {
    return std::any_of(settings.begin(), settings.end(), [&](const TimedSetting& other) {
      return other.recall >= setting.recall &&
             other.per_cpu_second[0] * kHopeless > setting.per_cpu_second[0];
    });
  };
  std::vector<TimedSetting> kept;
  for (const TimedSetting& setting : settings) {
    if (runner.variants.size() > 1 && is_hopeless(setting)) continue;
    kept.push_back({setting.knobs, setting.recall, {}, {}});
  }
  return kept;
}

struct Turn {
  std::size_t runner = 0;
  std::size_t setting = 0;
};

}  // namespace

std::vector<CurvePoint> RaceResult::median_curve(std::size_t runner) const {
  std::vector<CurvePoint> points;
  for (const TimedSetting& setting : settings[runner]) {
    points.push_back({setting.recall, median(setting.per_cpu_second)});
  }
  return points;
}

std::vector<CurvePoint> RaceResult::curve(std::size_t runner, std::size_t round) const {
  const std::vector<CurvePoint> medians = median_curve(runner);
  const std::vector<CurvePoint> best = best_points(medians);
  std::vector<CurvePoint> points;
  for (std::size_t i = 0; i < medians.size(); ++i) {
    if (std::find(best.begin(), best.end(), medians[i]) == best.end()) continue;
    points.push_back({medians[i].recall, settings[runner][i].per_cpu_second[round]});
  }
  return points;
}

RaceResult race(const Workload& workload, const Watch& watch, const std::vector<Runner>& runners,
                const RaceOptions& options) {
  RaceResult result;
  result.round_count = options.round_count;
  std::vector<Turn> turns;
  for (std::size_t i = 0; i < runners.size(); ++i) {
    say_progress("recall of " + runners[i].name);
    result.settings.push_back(survey(workload, watch, runners[i]));
    for (std::size_t j = 0; j < result.settings[i].size(); ++j) turns.push_back({i, j});
  }
  const auto setting_of = [&](const Turn& turn) -> TimedSetting& {
    return result.settings[turn.runner][turn.setting];
  };
  std::stable_sort(turns.begin(), turns.end(), [&](const Turn& a, const Turn& b) {
    return setting_of(a).recall < setting_of(b).recall;
  });
  for (std::size_t round = 0; round < options.round_count; ++round) {
    say_progress("speeds, round " + std::to_string(round + 1) + " of " +
                 std::to_string(options.round_count));
    for (const Turn& turn : turns) {
      watch.check();
      Searcher& searcher = *runners[turn.runner].searcher;
      searcher.set_knobs(setting_of(turn).knobs);
      measure(workload, searcher, options.slice_seconds, setting_of(turn));
    }
    std::reverse(turns.begin(), turns.end());
  }
  return result;
}

RoundRatio speed_ratio(const RaceResult& result, const std::vector<std::size_t>& ours,
                       const std::vector<std::size_t>& others, double recall) {
  const auto best = [&](const std::vector<std::size_t>& runners) {
    std::vector<double> speeds;
    for (std::size_t round = 0; round < result.round_count; ++round) {
      double speed = 0;
      for (const std::size_t runner : runners) {
        speed = std::max(speed, speed_at(result.curve(runner, round), recall).value_or(0));
      }
      speeds.push_back(speed);
    }
    return speeds;
  };
  return ratio_of(best(ours), best(others));
}

}  // namespace tessera::bench
