#include "server/command_line.h"

#include <algorithm>
#include <exception>
#include <map>

#include <CLI/CLI.hpp>

namespace tessera::server {
namespace {

struct Shortcut {
  const char* flag;
  const char* path;
  const char* help;
};
constexpr Shortcut kShortcuts[] = {
    {"--host", "server.host", "Address to listen on"},
    {"--port", "server.port", "Port to listen on; 0 lets the system choose"},
    {"--data", "storage.path", "Data directory"},
    {"--log-level", "log.level", "debug, info, warn, error or off"},
    {"--log-format", "log.format", "text or json"},
};

Status add_assignments(const std::vector<std::string>& assignments, config::Sources& sources) {
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return {Code::kInvalidArgument,
              "--set " + assignment + " must have the form path=value, as in server.port=7000"};
    }
    sources.flags[assignment.substr(0, equals)] = assignment.substr(equals + 1);
  }
  return {};
}

Result<CommandLine> parse(const std::vector<std::string>& arguments) {
  CLI::App app("tesserad, the Tessera vector search daemon", "tesserad");
  std::string config_file;
  std::string port_file;
  std::vector<std::string> assignments;
  std::map<std::string, std::string> shortcuts;
  bool print = false;
  bool check = false;
  bool version = false;
  app.add_option("--config", config_file, "Configuration file (TOML)");
  for (const auto& [flag, path, help] : kShortcuts) app.add_option(flag, shortcuts[path], help);
  app.add_option("--set", assignments, "Any setting, as path=value; may be repeated")
      ->expected(1)
      ->take_all();
  app.add_option("--port-file", port_file, "File to write the bound port into");
  app.add_flag("--print-config", print, "Print the settings in force and exit");
  app.add_flag("--check-config", check, "Check the settings and exit");
  app.add_flag("--version", version, "Print the version and exit");

  CommandLine line;
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    if (!reversed.empty()) reversed.pop_back();
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    line.action = CommandLine::Action::kShowHelp;
    line.help = app.help();
    return line;
  } catch (const CLI::ParseError& error) {
    return Status(Code::kInvalidArgument, error.what());
  }
  if (version) line.action = CommandLine::Action::kShowVersion;
  if (check) line.action = CommandLine::Action::kCheckConfig;
  if (print) line.action = CommandLine::Action::kPrintConfig;
  if (app.count("--config") > 0) line.sources.file = config_file;
  if (app.count("--port-file") > 0) line.port_file = port_file;
  TESSERA_RETURN_IF_ERROR(add_assignments(assignments, line.sources));
  for (const auto& [flag, path, help] : kShortcuts) {
    if (app.count(flag) > 0) line.sources.flags[path] = shortcuts[path];
  }
  return line;
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  try {
    return parse(arguments);
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("the command line: ") + error.what());
  }
}

std::string print_config(const config::Settings& settings) {
  std::string text;
  std::string section;
  for (const config::SettingInfo& info : config::describe(settings)) {
    const std::size_t dot = info.path.find('.');
    if (info.path.compare(0, dot, section) != 0) {
      if (!section.empty()) text += '\n';
      section = info.path.substr(0, dot);
      text += "[" + section + "]\n";
    }
    text += info.path.substr(dot + 1) + " = " + info.value + "  # " + info.environment + "\n";
  }
  return text;
}

}  // namespace tessera::server
