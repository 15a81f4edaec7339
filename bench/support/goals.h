#pragma once

#include <string_view>
#include <vector>

namespace tessera::bench {

/// What a figure of a full-size run is to reach.
struct Goal {
  std::string_view benchmark;  ///< "search", "http" or "interests".
  std::string_view data;       ///< Empty: all data sets.
  std::string_view figure;     ///< "group.key" of the report.
  bool is_minimum = true;      ///< The figure is to be at least the bound, or at most.
  double bound = 0;
  /// The bound was measured once on another machine of this kind, not in the same run.
  bool is_orientation = false;
};

/// Those of one benchmark with one data set, in the order of the table.
std::vector<Goal> goals_of(std::string_view benchmark, std::string_view data);

}  // namespace tessera::bench
