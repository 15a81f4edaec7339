#include "bench/support/arguments.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace tessera::bench {
namespace {

constexpr std::size_t kNumberMax = 100'000'000;
constexpr std::size_t kRowCountMin = 1000;
constexpr std::size_t kQuickRowCount = 20'000;
constexpr std::chrono::seconds kLimit{7200};
constexpr const char* kHelp = "--help";

}  // namespace

ArgumentParser::ArgumentParser(std::string program, std::string purpose)
    : program_(std::move(program)), purpose_(std::move(purpose)) {}

void ArgumentParser::add_switch(const std::string& name, const std::string& help, bool& target,
                                bool value) {
  add({name, "", help, [&target, value](const std::string& /*text*/) { target = value; }});
}

const ArgumentParser::Argument* ArgumentParser::find(const std::string& name) const {
  const auto found = std::find_if(arguments_.begin(), arguments_.end(),
                                  [&](const Argument& one) { return one.name == name; });
  return found == arguments_.end() ? nullptr : &*found;
}

void ArgumentParser::parse(int argc, const char* const* argv) {
  for (int at = 1; at < argc; ++at) {
    const std::string name = argv[at];
    if (name == kHelp || name == "-h") {
      std::fputs(usage().c_str(), stdout);
      std::exit(0);
    }
    const Argument* const argument = find(name);
    if (argument == nullptr) {
      std::vector<std::string> names;
      for (const Argument& known : arguments_) names.push_back(known.name);
      names.emplace_back(kHelp);
      refuse("unknown argument '" + name + "'; known: " + joined(names, ", "));
    }
    const bool has_value = !argument->value_name.empty();
    if (has_value && at + 1 >= argc) refuse(name + " needs a value");
    argument->set(has_value ? argv[++at] : "");
  }
}

std::string ArgumentParser::usage() const {
  std::string text = "usage: " + program_ + " [ARGUMENT]...\n\n" + purpose_ + "\n\n";
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Argument& argument : arguments_) {
    const char* const between = argument.value_name.empty() ? "" : " ";
    lines.emplace_back(argument.name + between + argument.value_name, argument.help);
  }
  lines.emplace_back(kHelp, "this");
  std::size_t width = 0;
  for (const auto& line : lines) width = std::max(width, line.first.size());
  for (const auto& [head, help] : lines) {
    text += "  " + head + std::string(width + 2 - head.size(), ' ') + help + "\n";
  }
  return text;
}

std::size_t ArgumentParser::parse_number(const std::string& name, const std::string& text,
                                         std::size_t least) const {
  std::size_t number = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ec == std::errc() && result.ptr == end && number >= least && number <= kNumberMax) {
    return number;
  }
  refuse(name + ": '" + text + "' is not a number from " + std::to_string(least) + " to " +
         std::to_string(kNumberMax));
}

std::string ArgumentParser::joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

void ArgumentParser::refuse(const std::string& message) const {
  std::fprintf(stderr, "%s: %s\n", program_.c_str(), message.c_str());
  std::exit(2);
}

void RunArguments::declare(ArgumentParser& parser) {
  parser.add_choice<std::string>(
      "--data", "the rows (clustered)",
      {{"clustered", "clustered"}, {"mnist", "mnist"}, {"text-768", "text-768"}}, data);
  parser.add_switch("--quick", "fewer rows and less time: whether it works, not how fast",
                    is_quick);
  parser.add_text("--json", "FILE", "write the results there too", json_path);
  parser.add_number("--rows", "at most so many rows, 1000 or more", row_count_max, kRowCountMin);
  parser.add_number("--m", "links a node of all graphs (16)", shape.m);
  parser.add_number("--ef-construct", "candidates while graphs are built (200)",
                    shape.ef_construct);
  parser.add_number("--own-ef-construct", "the same of our graphs alone", own_ef_construct);
  parser.add_number("--limit-s", "give up after so many seconds", limit);
}

void RunArguments::finish(const std::string& program, int argc, const char* const* argv,
                          std::chrono::seconds quick_limit) {
  command = program;
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  if (row_count_max == 0) {
    row_count_max = is_quick ? kQuickRowCount : std::numeric_limits<std::size_t>::max();
  }
  if (own_ef_construct == 0) own_ef_construct = shape.ef_construct;
  if (limit.count() == 0) limit = is_quick ? quick_limit : kLimit;
}

}  // namespace tessera::bench
