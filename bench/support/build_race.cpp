#include "bench/support/build_race.h"

#include <algorithm>
#include <ctime>

namespace tessera::bench {
namespace {

constexpr double kRepeatSecondsMax = 15;

/// CPU time that all threads of the process have used.
double process_cpu_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void build_one(const BuildFunction& build, Runner& runner) {
  runner.searcher.reset();
  const double cpu_start = process_cpu_seconds();
  const auto start = Watch::Clock::now();
  runner.searcher = build();
  const double seconds = seconds_since(start), cpu_seconds = process_cpu_seconds() - cpu_start;
  const bool is_first = runner.build_seconds == 0;
  runner.build_seconds = is_first ? seconds : std::min(seconds, runner.build_seconds);
  runner.build_cpu_seconds =
      is_first ? cpu_seconds : std::min(cpu_seconds, runner.build_cpu_seconds);
}

}  // namespace

void build_in_turn(const std::vector<BuildFunction>& builds, const Watch& watch,
                   std::size_t repeat_count_max, std::vector<Runner>& runners) {
  const auto start = Watch::Clock::now();
  for (std::size_t repeat = 0; repeat < repeat_count_max; ++repeat) {
    for (std::size_t i = 0; i < builds.size(); ++i) {
      watch.check();
      say_progress("building " + runners[i].name);
      build_one(builds[i], runners[i]);
    }
    if (seconds_since(start) > kRepeatSecondsMax) break;
  }
}

}  // namespace tessera::bench
