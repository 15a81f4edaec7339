#pragma once

#include <cstddef>
#include <string>

#include "bench/support/report.h"
#include "bench/support/searcher.h"
#include "bench/support/workload.h"

namespace tessera::bench {

/// What the rivals and we were given.
struct RunSetting {
  std::string command;
  GraphShape shape;
  std::size_t own_ef_construct = 0;
};

/// Prints the first lines of the output, and keeps the same for the JSON file.
void report_setting(const Workload& workload, const RunSetting& setting, Report& report);

}  // namespace tessera::bench
