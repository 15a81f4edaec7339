#pragma once

#include <string>
#include <vector>

namespace tessera::bench {

/// What a run found, in groups: printed as text in the order of the groups, and written as one flat
/// JSON object whose keys are "group.key".
class Report {
 public:
  struct Figure {
    std::string key;    ///< For JSON: letters, digits and underscores.
    std::string label;  ///< For people.
    double value = 0;
    std::string unit;
    int decimals = 1;
  };

  /// Groups are shown in the order in which they are first named.
  void add_group(const std::string& name, const std::string& title);
  void add(const std::string& group, Figure figure);
  /// Nothing is added when a value is not there (0 or not finite).
  void add_ratio(const std::string& group, const std::string& key, const std::string& label,
                 double numerator, double denominator);

  void print() const;
  /// Throws Failure when the file cannot be written. `machine` and `command` become strings in it.
  void write_json(const std::string& path, const std::string& machine,
                  const std::string& command) const;

 private:
  struct Group {
    std::string name;
    std::string title;
    std::vector<Figure> figures;
  };
  Group& group_of(const std::string& name);

  std::vector<Group> groups_;
};

/// Cores, CPU model, instruction set in use and load average, in one line.
std::string machine_line();

}  // namespace tessera::bench
