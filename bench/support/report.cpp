#include "bench/support/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "bench/support/watch.h"
#include "index/kernels.h"

namespace tessera::bench {
namespace {

constexpr char kRatioGroup[] = "ratio";

bool is_met(const Goal& goal, double value) {
  return goal.is_minimum ? value >= goal.bound : value <= goal.bound;
}

std::string goal_text(const Goal& goal, const int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "goal %s %.*f", goal.is_minimum ? ">=" : "<=", decimals,
                goal.bound);
  return text;
}

}  // namespace

Report::Report(std::string benchmark, std::string data)
    : benchmark_(std::move(benchmark)), data_(std::move(data)) {
  add_group(kRatioGroup, "Ratios (over several rounds: the median, then least and greatest)");
}

Report::Group& Report::group_of(const std::string& name) {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const Group& group) { return group.name == name; });
  if (found == groups_.end()) throw Failure("the report has no group " + name);
  return *found;
}

const Report::Entry* Report::find(std::string_view full_name) const {
  for (const Group& group : groups_) {
    for (const Entry& entry : group.entries) {
      if (group.name + "." + entry.figure.key == full_name) return &entry;
    }
  }
  return nullptr;
}

void Report::add_group(const std::string& name, const std::string& title) {
  groups_.push_back({name, title, {}});
}

void Report::add(const std::string& group, Figure figure) {
  group_of(group).entries.push_back({std::move(figure), std::nullopt, Better::kHigher});
}

void Report::add_ratio(const std::string& key, const std::string& label, const RoundRatio& ratio,
                       Better better) {
  if (!std::isfinite(ratio.middle) || ratio.middle == 0) return;
  group_of(kRatioGroup).entries.push_back({{key, label, ratio.middle, "x", 2}, ratio, better});
}

void Report::add_ratio(const std::string& key, const std::string& label, double numerator,
                       double denominator, Better better) {
  const double ratio = numerator / denominator;
  add_ratio(key, label, RoundRatio{ratio, ratio, ratio}, better);
}

void Report::add_table(std::string text) {
  tables_.push_back(std::move(text));
}

void Report::add_json(const std::string& name, nlohmann::ordered_json value) {
  more_[name] = std::move(value);
}

void Report::extend_json(const std::string& name, nlohmann::ordered_json value) {
  more_[name].push_back(std::move(value));
}

void Report::print() const {
  for (const Group& group : groups_) {
    if (group.entries.empty()) continue;
    std::printf("\n%s\n", group.title.c_str());
    for (const Entry& entry : group.entries) {
      const Figure& figure = entry.figure;
      std::printf("  %-76s %10.*f %s", figure.label.c_str(), figure.decimals, figure.value,
                  figure.unit.c_str());
      if (entry.ratio && entry.ratio->low != entry.ratio->high) {
        std::printf("  (%.2f to %.2f)", entry.ratio->low, entry.ratio->high);
      }
      std::printf("\n");
    }
  }
  for (const std::string& table : tables_) std::printf("\n%s", table.c_str());
  print_goals();
}

void Report::print_goals() const {
  const std::vector<Goal> goals = goals_of(benchmark_, data_);
  if (goals.empty()) return;
  std::printf("\nGoals (of a run at full size)\n");
  const auto without_indent = [](const std::string& label) {
    return label.substr(std::min(label.find_first_not_of(' '), label.size()));
  };
  for (const Goal& goal : goals) {
    const Entry* const entry = find(goal.figure);
    const int decimals = entry == nullptr ? 2 : entry->figure.decimals;
    const std::string wanted = goal_text(goal, decimals);
    if (entry == nullptr) {
      std::printf("  %-76s %10s    %-16s not measured\n", std::string(goal.figure).c_str(), "-",
                  wanted.c_str());
      continue;
    }
    std::printf("  %-76s %10.*f    %-16s %s%s\n", without_indent(entry->figure.label).c_str(),
                decimals, entry->figure.value, wanted.c_str(),
                is_met(goal, entry->figure.value) ? "met" : "MISSED",
                goal.is_orientation ? " (for orientation)" : "");
  }
}

void Report::write_json(const std::string& path) const {
  nlohmann::ordered_json document = more_;
  document["benchmark"] = benchmark_;
  document["data"] = data_;
  document["ratios"] = nlohmann::ordered_json::array();
  for (const Group& group : groups_) {
    for (const Entry& entry : group.entries) {
      const std::string name = group.name + "." + entry.figure.key;
      document["figures"][name] = entry.figure.value;
      if (!entry.ratio || entry.better == Better::kNotCompared) continue;
      document["ratios"].push_back(
          {{"name", name},
           {"label", entry.figure.label},
           {"value", entry.ratio->middle},
           {"low", entry.ratio->low},
           {"high", entry.ratio->high},
           {"better", entry.better == Better::kHigher ? "higher" : "lower"}});
    }
  }
  document["goals"] = nlohmann::ordered_json::array();
  for (const Goal& goal : goals_of(benchmark_, data_)) {
    const Entry* const entry = find(goal.figure);
    nlohmann::ordered_json line = {{"figure", goal.figure},
                                   {goal.is_minimum ? "at_least" : "at_most", goal.bound},
                                   {"is_orientation", goal.is_orientation}};
    line["value"] = nullptr;
    if (entry != nullptr) line["value"] = entry->figure.value;
    line["is_met"] = entry != nullptr && is_met(goal, entry->figure.value);
    document["goals"].push_back(std::move(line));
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
