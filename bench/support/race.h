#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/support/curve.h"
#include "bench/support/searcher.h"

namespace tessera::bench {

/// An index and the settings that are to be tried with it.
struct Runner {
  std::string key;   ///< For JSON.
  std::string name;  ///< For people.
  bool is_graph = true;
  std::unique_ptr<Searcher> searcher;
  std::vector<Knobs> variants;  ///< Each is tried with every effort.
  double build_seconds = 0;     ///< By the wall clock.
  double build_cpu_seconds = 0;
};

struct RaceOptions {
  std::size_t round_count = 5;
  double slice_seconds = 0.1;  ///< Least CPU time of one measurement of one setting.
};

/// One setting of one runner, measured once a round.
struct TimedSetting {
  Knobs knobs;
  double recall = 0;
  std::vector<double> per_cpu_second;  ///< Queries a second of the thread's CPU time; one a round.
  std::vector<double> per_second;      ///< The same by the wall clock.
};

struct RaceResult {
  std::size_t round_count = 0;
  std::vector<std::vector<TimedSetting>> settings;  ///< settings[i] are those of runners[i].

  /// Medians over the rounds, of every setting.
  [[nodiscard]] std::vector<CurvePoint> median_curve(std::size_t runner) const;
  /// One round of the settings that are the best by their medians: who has more settings is not to
  /// win by more luck.
  [[nodiscard]] std::vector<CurvePoint> curve(std::size_t runner, std::size_t round) const;
};

/// Searches with one thread, the caller's. What each setting finds is seen first; settings that
/// others of the same runner clearly beat are left out. Then all settings of all runners take
/// turns, neighbours in recall one after the other, so that whatever else the machine does meets
/// them alike.
RaceResult race(const Workload& workload, const Watch& watch, const std::vector<Runner>& runners,
                const RaceOptions& options);

/// Speed of the best of `ours` over speed of the best of `others`, at the same recall. Both are
/// indexes of runners.
RoundRatio speed_ratio(const RaceResult& result, const std::vector<std::size_t>& ours,
                       const std::vector<std::size_t>& others, double recall);

}  // namespace tessera::bench
