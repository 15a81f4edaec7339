#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "config/settings.h"

namespace tessera::server {

/// What the command line asks for.
struct CommandLine {
  enum class Action : unsigned char { kRun, kShowHelp, kShowVersion, kPrintConfig, kCheckConfig };

  Action action = Action::kRun;
  config::Sources sources;               ///< File and flags; the environment is the caller's.
  std::optional<std::string> port_file;  ///< Where the port goes once it is bound.
  std::string help;                      ///< With kShowHelp.
};

/// kInvalidArgument names the flag that is wrong. `arguments` begins with the program's name.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);

/// The settings in force as a configuration file, each with its variable's name.
std::string print_config(const config::Settings& settings);

}  // namespace tessera::server
