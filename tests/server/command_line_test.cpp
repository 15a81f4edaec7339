#include "server/command_line.h"

#include <catch2/catch.hpp>

namespace tessera::server {
namespace {

using Action = CommandLine::Action;

Result<CommandLine> parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tesserad");
  return parse_command_line(arguments);
}

TEST_CASE("command line: without flags the daemon runs with its defaults", "[unit]") {
  const CommandLine line = parse({}).value();
  CHECK(line.action == Action::kRun);
  CHECK_FALSE(line.sources.file);
  CHECK(line.sources.flags.empty());
  CHECK_FALSE(line.port_file);
}

TEST_CASE("command line: flags become settings", "[unit]") {
  const CommandLine line =
      parse({"--config", "a.toml", "--host", "::1", "--port", "7000", "--data=/tmp/d",
             "--log-level", "debug", "--log-format", "json", "--set", "index.build_idle_ms=8",
             "--set", "storage.path=ignored=for --data", "--port-file", "p"})
          .value();
  CHECK(line.sources.file == "a.toml");
  CHECK(line.port_file == "p");
  CHECK(line.sources.flags == std::map<std::string, std::string>{{"server.host", "::1"},
                                                                 {"server.port", "7000"},
                                                                 {"storage.path", "/tmp/d"},
                                                                 {"log.level", "debug"},
                                                                 {"log.format", "json"},
                                                                 {"index.build_idle_ms", "8"}});
  CHECK(parse({"--set", "a.b=c=d"}).value().sources.flags.at("a.b") == "c=d");
  CHECK(config::load(line.sources).has_error());  // There is no file of that name.
}

TEST_CASE("command line: actions", "[unit]") {
  CHECK(parse({"--version"}).value().action == Action::kShowVersion);
  CHECK(parse({"--check-config"}).value().action == Action::kCheckConfig);
  CHECK(parse({"--print-config", "--port", "1"}).value().action == Action::kPrintConfig);
  const CommandLine help = parse({"--help"}).value();
  CHECK(help.action == Action::kShowHelp);
  for (const std::string flag :
       {"--config", "--host", "--port", "--data", "--set", "--log-level", "--log-format",
        "--print-config", "--version", "--check-config", "--port-file"}) {
    CAPTURE(flag);
    CHECK(help.help.find(flag) != std::string::npos);
  }
}

TEST_CASE("command line: what is wrong is named", "[unit]") {
  const auto failure = [](const std::vector<std::string>& arguments) {
    const auto line = parse(arguments);
    REQUIRE(line.has_error());
    CHECK(line.error().code() == Code::kInvalidArgument);
    return line.error().message();
  };
  CHECK(failure({"--prot", "1"}).find("--prot") != std::string::npos);
  CHECK(failure({"stray"}).find("stray") != std::string::npos);
  CHECK(failure({"--config"}).find("--config") != std::string::npos);
  CHECK(failure({"--set", "server.port"}) ==
        "--set server.port must have the form path=value, as in server.port=7000");
  CHECK(failure({"--set", "=1"}).find("path=value") != std::string::npos);
}

TEST_CASE("command line: the printed configuration is a configuration", "[unit]") {
  config::Settings settings;
  settings.server.port = 7001;
  const std::string text = print_config(settings);
  CAPTURE(text);
  CHECK(
      text.starts_with("[server]\nhost = \"127.0.0.1\"  # TESSERA_SERVER_HOST\n"
                       "port = 7001  # TESSERA_SERVER_PORT\n"));
  CHECK(text.find("\n\n[storage]\npath = \"tessera-data\"") != std::string::npos);
}

}  // namespace
}  // namespace tessera::server
