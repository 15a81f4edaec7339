#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/support/equal_recall.h"
#include "bench/support/http_suite.h"
#include "bench/support/race.h"
#include "bench/support/report.h"

namespace tessera::bench {

/// Makes the groups that the figures go into.
void add_http_groups(Report& report);

/// Loading over HTTP beside the builds of this process, ours first.
void report_builds(const LoadFigures& load, const std::vector<Runner>& runners, Report& report);

/// The first contender, which is the daemon, beside the others at each recall.
void report_levels(const std::vector<std::unique_ptr<Contender>>& contenders,
                   const std::vector<Level>& levels, Report& report);

}  // namespace tessera::bench
