#pragma once

#include <functional>
#include <memory>

#include "bench/support/race.h"

namespace tessera::bench {

using BuildFunction = std::function<std::unique_ptr<Searcher>()>;

/// Builds the searchers of the runners in turn, and again, up to `repeat_count_max` times, while
/// that is quick; the times are the best of each. builds[i] is of runners[i]. What was built last
/// is kept.
void build_in_turn(const std::vector<BuildFunction>& builds, const Watch& watch,
                   std::size_t repeat_count_max, std::vector<Runner>& runners);

}  // namespace tessera::bench
