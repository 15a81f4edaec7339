#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/searcher.h"

namespace tessera::bench {

/// The arguments of a program, each declared once: what it is called, what it does, where its value
/// goes. --help prints them all and ends the program with status 0. What is wrong ends it with
/// status 2 and a line that names the argument. Thread rule: confined to the main thread.
class ArgumentParser {
 public:
  /// `purpose`: a sentence or two for --help.
  ArgumentParser(std::string program, std::string purpose);

  /// An argument without a value: sets `target` to `value`.
  void add_switch(const std::string& name, const std::string& help, bool& target,
                  bool value = true);
  /// `target` is a string or a path.
  template <class Text>
  void add_text(const std::string& name, const std::string& value_name, const std::string& help,
                Text& target) {
    add({name, value_name, help, [&target](const std::string& text) { target = text; }});
  }
  /// A number from `least` to 100,000,000.
  template <class Number>
  void add_number(const std::string& name, const std::string& help, Number& target,
                  std::size_t least = 1) {
    add({name, "N", help, [this, name, &target, least](const std::string& text) {
           target = static_cast<Number>(parse_number(name, text, least));
         }});
  }
  /// One of some words, each of which stands for a value.
  template <class Value>
  void add_choice(const std::string& name, const std::string& help,
                  std::vector<std::pair<std::string, Value>> choices, Value& target) {
    std::vector<std::string> words;
    for (const auto& choice : choices) words.push_back(choice.first);
    add({name, joined(words, "|"), help, [=, this, &target](const std::string& text) {
           for (const auto& [word, value] : choices) {
             if (word != text) continue;
             target = value;
             return;
           }
           refuse(name + ": '" + text + "' is not one of " + joined(words, ", "));
         }});
  }

  /// Reads the command line into the targets.
  void parse(int argc, const char* const* argv);

 private:
  struct Argument {
    std::string name;
    std::string value_name;  ///< Empty for those that have no value.
    std::string help;
    std::function<void(const std::string&)> set;
  };

  void add(Argument argument) { arguments_.push_back(std::move(argument)); }
  [[nodiscard]] const Argument* find(const std::string& name) const;
  [[nodiscard]] std::string usage() const;
  [[nodiscard]] std::size_t parse_number(const std::string& name, const std::string& text,
                                         std::size_t least) const;
  static std::string joined(const std::vector<std::string>& words, const char* between);
  [[noreturn]] void refuse(const std::string& message) const;

  const std::string program_;
  const std::string purpose_;
  std::vector<Argument> arguments_;
};

/// What search and http are both told: the rows, the graphs' shape, how long, where to.
struct RunArguments {
  std::string data = "clustered";
  std::string json_path;
  std::size_t row_count_max = 0;     ///< Once finished: no limit is the greatest number.
  GraphShape shape;                  ///< The rivals'.
  std::size_t own_ef_construct = 0;  ///< Ours; once finished never 0.
  std::chrono::seconds limit{0};     ///< Once finished never 0.
  bool is_quick = false;
  std::string command;  ///< The whole command line in one.

  [[nodiscard]] std::size_t query_count() const { return is_quick ? 200 : 1000; }

  void declare(ArgumentParser& parser);
  /// After parsing: what was not said becomes what --quick or the others say.
  void finish(const std::string& program, int argc, const char* const* argv,
              std::chrono::seconds quick_limit);
};

}  // namespace tessera::bench
