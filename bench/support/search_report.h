#pragma once

#include <string>
#include <vector>

#include "bench/support/race.h"
#include "bench/support/report.h"

namespace tessera::bench {

/// Makes the groups and lists that the figures go into.
void add_search_groups(const GraphShape& shape, Report& report);

/// Builds, memory and curves of every runner. Once for each race.
void report_race(const Workload& workload, const std::vector<Runner>& runners,
                 const RaceResult& result, Report& report);

/// Our graph (the first) over each of the others.
void report_graphs(const std::vector<Runner>& runners, const RaceResult& result, Report& report);

/// The best of our inverted files (keys "own_...") over the best of FAISS's, and over each.
void report_ivf(const std::vector<Runner>& runners, const RaceResult& result, Report& report);

}  // namespace tessera::bench
