#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/support/curve.h"
#include "bench/support/goals.h"

namespace tessera::bench {

/// What a run found, in groups: printed as text in the order of the groups, each figure that has a
/// goal with it, and written as JSON. A figure's full name is "group.key".
class Report {
 public:
  struct Figure {
    std::string key;    ///< For JSON: letters, digits and underscores.
    std::string label;  ///< For people.
    double value = 0;
    std::string unit;
    int decimals = 1;
  };
  /// kNotCompared: only to be read. It may not be there in the next run, or mean something else.
  enum class Better { kHigher, kLower, kNotCompared };

  /// The names decide which goals there are.
  Report(std::string benchmark, std::string data);

  /// Groups are shown in the order in which they are first named.
  void add_group(const std::string& name, const std::string& title);
  void add(const std::string& group, Figure figure);
  /// Into the group "ratio": a figure that compares with something of the same run, and so may be
  /// compared with other runs. Nothing is added when a value is not there (0 or not finite).
  void add_ratio(const std::string& key, const std::string& label, const RoundRatio& ratio,
                 Better better);
  void add_ratio(const std::string& key, const std::string& label, double numerator,
                 double denominator, Better better);

  /// A table that is printed after the figures, as it is.
  void add_table(std::string text);
  /// More for the JSON file, under a name of its own.
  void add_json(const std::string& name, nlohmann::ordered_json value);
  /// Appends to the array of that name.
  void extend_json(const std::string& name, nlohmann::ordered_json value);

  void print() const;
  /// Throws Failure when the file cannot be written.
  void write_json(const std::string& path) const;

 private:
  struct Entry {
    Figure figure;
    std::optional<RoundRatio> ratio;
    Better better = Better::kHigher;
  };
  struct Group {
    std::string name;
    std::string title;
    std::vector<Entry> entries;
  };
  Group& group_of(const std::string& name);
  [[nodiscard]] const Entry* find(std::string_view full_name) const;
  void print_goals() const;

  const std::string benchmark_;
  const std::string data_;
  std::vector<Group> groups_;
  std::vector<std::string> tables_;
  nlohmann::ordered_json more_;
};

/// Cores, CPU model, instruction set in use and load average, in one line.
std::string machine_line();

}  // namespace tessera::bench
