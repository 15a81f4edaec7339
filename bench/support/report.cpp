#include "bench/support/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "bench/support/watch.h"
#include "index/kernels.h"

namespace tessera::bench {

Report::Group& Report::group_of(const std::string& name) {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const Group& group) { return group.name == name; });
  if (found == groups_.end()) throw Failure("the report has no group " + name);
  return *found;
}

void Report::add_group(const std::string& name, const std::string& title) {
  groups_.push_back({name, title, {}});
}

void Report::add(const std::string& group, Figure figure) {
  group_of(group).figures.push_back(std::move(figure));
}

void Report::add_ratio(const std::string& group, const std::string& key, const std::string& label,
                       double numerator, double denominator) {
  const double ratio = numerator / denominator;
  if (!std::isfinite(ratio) || ratio == 0) return;
  add(group, {key, label, ratio, "x", 2});
}

void Report::print() const {
  for (const Group& group : groups_) {
    if (group.figures.empty()) continue;
    std::printf("\n%s\n", group.title.c_str());
    for (const Figure& figure : group.figures) {
      std::printf("  %-62s %12.*f %s\n", figure.label.c_str(), figure.decimals, figure.value,
                  figure.unit.c_str());
    }
  }
}

void Report::write_json(const std::string& path, const std::string& machine,
                        const std::string& command) const {
  nlohmann::ordered_json document;
  document["machine"] = machine;
  document["command"] = command;
  for (const Group& group : groups_) {
    for (const Figure& figure : group.figures) {
      document["figures"][group.name + "." + figure.key] = figure.value;
    }
  }
  std::ofstream file(path);
  file << document.dump(2) << "\n";
  file.close();
  if (!file) throw Failure("--json: " + path + " cannot be written");
}

std::string machine_line() {
  std::ifstream file("/proc/cpuinfo");
  std::string model = "unknown CPU";
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) {
      model = line.substr(std::min(line.size(), line.find(':') + 2));
      break;
    }
  }
  double loads[1] = {0};
  const bool has_load = ::getloadavg(loads, 1) == 1;
  std::ostringstream text;
  text << std::thread::hardware_concurrency() << " cores, " << model << ", kernels for "
       << index::cpu_level() << ", load average ";
  if (has_load) {
    text.precision(3);
    text << loads[0];
  } else {
    text << "unknown";
  }
  return text.str();
}

}  // namespace tessera::bench
