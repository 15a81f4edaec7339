#include "config/settings.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "config/setting_table.h"
#include "tests/datasets/source_tree.h"

namespace tessera::config {
namespace {

/// A configuration file that is gone when the test ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : name_((std::filesystem::temp_directory_path() /
               ("tessera_settings_" + std::to_string(::getpid()) + ".toml"))
                  .string()) {
    std::ofstream(name_, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(name_); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

Result<Settings> load_text(const std::string& text) {
  const TemporaryFile file(text);
  return load({.file = file.name(), .environment = {}, .flags = {}});
}

/// The message of the failure, without the file's directory.
std::string failure_of(const std::string& text) {
  const TemporaryFile file(text);
  const auto loaded = load({.file = file.name(), .environment = {}, .flags = {}});
  REQUIRE(loaded.has_error());
  CHECK(loaded.error().code() == Code::kInvalidArgument);
  const std::string message = loaded.error().message();
  if (message.rfind(file.name(), 0) != 0) return message;
  return message.substr(file.name().size());
}

std::map<std::string, std::string> described(const Settings& settings) {
  std::map<std::string, std::string> values;
  for (const SettingInfo& info : describe(settings)) values[info.path] = info.value;
  return values;
}

TEST_CASE("settings: without any source everything has its default", "[unit]") {
  const Settings settings = load({}).value();
  CHECK(described(settings) == described(Settings{}));
  CHECK(settings.server.host == "127.0.0.1");
  CHECK(settings.server.port == 6333);
  CHECK_FALSE(settings.server.allow_remote);
}

TEST_CASE("settings: the shipped file loads, equals the defaults and names every setting",
          "[unit]") {
  const std::string name = testing::source_tree() / "config/tessera.toml";
  const auto loaded = load({.file = name, .environment = {}, .flags = {}});
  INFO((loaded.has_error() ? loaded.error().message() : "loaded"));
  REQUIRE(loaded.has_value());
  CHECK(described(*loaded) == described(Settings{}));

  std::ifstream file(name);
  std::vector<std::string> paths;
  std::string section;
  std::string previous;
  for (std::string line; std::getline(file, line); previous = line) {
    CHECK(line.size() <= 100);
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1);
    if (line.empty() || line.starts_with('#') || line.starts_with('[')) continue;
    paths.push_back(section + "." + line.substr(0, line.find(' ')));
    INFO("every setting is explained: " << line);
    CHECK(previous.starts_with("# "));
  }
  std::vector<std::string> known;
  for (const SettingInfo& info : describe(Settings{})) known.push_back(info.path);
  CHECK(paths == known);
}

TEST_CASE("settings: flags beat the environment, which beats the file", "[unit]") {
  const TemporaryFile file("[server]\nport = 1001\nhost = \"10.0.0.1\"\n[log]\nlevel = \"warn\"\n");
  const Settings settings = load({.file = file.name(),
                                  .environment = {{"TESSERA_SERVER_PORT", "1002"},
                                                  {"TESSERA_SERVER_HOST", "10.0.0.2"},
                                                  {"HOME", "/root"}},
                                  .flags = {{"server.port", "1003"}}})
                                .value();
  CHECK(settings.server.port == 1003);
  CHECK(settings.server.host == "10.0.0.2");
  CHECK(settings.log.level == log::Level::kWarn);
}

TEST_CASE("settings: sizes are integers or text with a unit", "[unit]") {
  const auto body_bytes = [](const std::string& value) {
    return load_text("[server]\nbody_bytes_max = " + value + "\n").value().server.body_bytes_max;
  };
  CHECK(body_bytes("2048") == 2048);
  CHECK(body_bytes("\"2048\"") == 2048);
  CHECK(body_bytes("\"2048B\"") == 2048);
  CHECK(body_bytes("\"64KiB\"") == 65'536);
  CHECK(body_bytes("\"33 MiB\"") == 33ULL << 20);
  CHECK(body_bytes("\"1GiB\"") == 1ULL << 30);
  for (const std::string bad : {"\"32MB\"", "\"MiB\"", "\"-1MiB\"", "\"1.5MiB\"", "\"\"", "true",
                                "\"99999999999999999999\"", "\"18014398509481984KiB\"",
                                "\"999999999999TiB\"", "-1", "1.5", "[1]"}) {
    CAPTURE(bad);
    CHECK(load_text("[server]\nbody_bytes_max = " + bad + "\n").has_error());
  }
}

TEST_CASE("settings: a wrong value in the file is refused with line, value and limits", "[unit]") {
  CHECK(failure_of("# first\n[server]\nport = 70000\n") ==
        ":3: server.port is 70000 but must be an integer from 0 to 65535");
  CHECK(failure_of("[server]\nport = \"6333\"\n") ==
        ":2: server.port is \"6333\" but must be an integer from 0 to 65535");
  CHECK(failure_of("[server]\nport = -1\n") ==
        ":2: server.port is -1 but must be an integer from 0 to 65535");
  CHECK(failure_of("[server]\nport = 1.5\n") ==
        ":2: server.port is of type floating-point but must be an integer from 0 to 65535");
  CHECK(failure_of("[server]\nallow_remote = \"yes\"\n") ==
        ":2: server.allow_remote is \"yes\" but must be true or false");
  CHECK(failure_of("[server]\nbody_bytes_max = \"1B\"\n") ==
        ":2: server.body_bytes_max is \"1B\" but must be a size from 1KiB to 1GiB, in bytes or "
        "with a unit (KiB, MiB, GiB, TiB)");
  CHECK(failure_of("[storage]\ndurability = \"maybe\"\n") ==
        ":2: storage.durability is \"maybe\" but must be one of \"sync\", \"async\"");
  CHECK(failure_of("[storage]\npath = \"\"\n") ==
        ":2: storage.path is \"\" but must be text that is not empty and has no control "
        "characters");
}

TEST_CASE("settings: an unknown key or section in the file is refused with its line", "[unit]") {
  CHECK(failure_of("[server]\n\nprot = 1\n") ==
        ":3: unknown setting \"server.prot\"; did you mean server.port?");
  CHECK(failure_of("[server]\nzzzzzzzzzzzzzzzz = 1\n") ==
        ":2: unknown setting \"server.zzzzzzzzzzzzzzzz\"");
  CHECK(failure_of("\n[sever]\nport = 1\n") == ":2: unknown section [sever]");
  CHECK(failure_of("port = 1\n") == ":1: unknown setting \"port\"");
  CHECK(failure_of("server = 1\n") == ":1: [server] must be a section");
  CHECK(failure_of("[server]\nport.x = 1\n") ==
        ":2: server.port is of type table but must be an integer from 0 to 65535");
}

TEST_CASE("settings: a file that is no TOML is refused with its line", "[unit]") {
  CHECK(failure_of("[server]\nport = \n").rfind(":2: ", 0) == 0);
  CHECK(failure_of("[server]\nport = 1\nport = 2\n").rfind(":3: ", 0) == 0);
  CHECK(failure_of("[server\n").rfind(":1: ", 0) == 0);
  CHECK(failure_of("a = \"\xFF\xFE\"\n").rfind(":1: ", 0) == 0);
  CHECK(failure_of("a = " + std::string(100'000, '[')).rfind(":1: ", 0) == 0);
  CHECK(failure_of(std::string((1U << 20) + 1, '#')) ==
        ": the configuration file is larger than 1 MiB");
}

TEST_CASE("settings: a file that cannot be read is refused with the reason", "[unit]") {
  const auto missing = load({.file = "/nonexistent/tessera.toml", .environment = {}, .flags = {}});
  REQUIRE(missing.has_error());
  CHECK(missing.error().message() ==
        "/nonexistent/tessera.toml: the configuration file cannot be opened: "
        "No such file or directory");
  CHECK(load({.file = "/tmp", .environment = {}, .flags = {}}).has_error());
}

TEST_CASE("settings: a wrong variable is refused by name", "[unit]") {
  const auto failure = [](const std::string& name, const std::string& value) {
    const auto loaded = load({.file = {}, .environment = {{name, value}}, .flags = {}});
    REQUIRE(loaded.has_error());
    CHECK(loaded.error().code() == Code::kInvalidArgument);
    return loaded.error().message();
  };
  CHECK(failure("TESSERA_SERVER_PORT", "abc") ==
        "environment variable TESSERA_SERVER_PORT: server.port is \"abc\" but must be an integer "
        "from 0 to 65535");
  CHECK(failure("TESSERA_SERVER_PORT", "") ==
        "environment variable TESSERA_SERVER_PORT: server.port is \"\" but must be an integer "
        "from 0 to 65535");
  CHECK(failure("TESSERA_SERVER_ALLOW_REMOTE", "1").find("true or false") != std::string::npos);
  CHECK(failure("TESSERA_SERVER_PROT", "1") ==
        "environment variable TESSERA_SERVER_PROT: no setting has this name");
}

TEST_CASE("settings: variables of other programs are left alone", "[unit]") {
  std::map<std::string, std::string> environment = {
      {"TESSERA_PORT", "tcp://10.0.0.7:6333"},
      {"TESSERA_PORT_6333_TCP_ADDR", "10.0.0.7"},
      {"TESSERA_SERVICE_HOST", "10.0.0.7"},
      {"PATH", "/bin"},
  };
  for (const std::string_view name : kForeignVariables) environment[std::string(name)] = "x";
  const auto loaded = load({.file = {}, .environment = environment, .flags = {}});
  REQUIRE(loaded.has_value());
  CHECK(described(*loaded) == described(Settings{}));
}

TEST_CASE("settings: a wrong flag is refused", "[unit]") {
  const auto failure = [](const std::string& path, const std::string& value) {
    const auto loaded = load({.file = {}, .environment = {}, .flags = {{path, value}}});
    REQUIRE(loaded.has_error());
    return loaded.error().message();
  };
  CHECK(failure("server.port", "65536") ==
        "command line: server.port is \"65536\" but must be an integer from 0 to 65535");
  CHECK(failure("sever.port", "1") ==
        "command line: unknown setting \"sever.port\"; did you mean server.port?");
}

TEST_CASE("settings: every number takes its limits and refuses what is beyond", "[unit]") {
  for (const Setting& setting : setting_table()) {
    const auto check_limits = [&](std::uint64_t min, std::uint64_t max, const auto& get) {
      CAPTURE(std::string(setting.path));
      const std::string path(setting.path);
      const auto load_flag = [&](const std::string& value) {
        std::map<std::string, std::string> flags = {{path, value}};
        if (path == "server.body_bytes_total_max") flags["server.body_bytes_max"] = "1KiB";
        return load({.file = {}, .environment = {}, .flags = flags});
      };
      CHECK(get(load_flag(std::to_string(min)).value()) == min);
      CHECK(get(load_flag(std::to_string(max)).value()) == max);
      CHECK(load_flag(std::to_string(max + 1)).has_error());
      if (min > 0) CHECK(load_flag(std::to_string(min - 1)).has_error());
      CHECK(get(Settings{}) >= min);
      CHECK(get(Settings{}) <= max);
    };
    if (const auto* integer = std::get_if<IntegerKind>(&setting.kind)) {
      check_limits(integer->min, integer->max, integer->get);
    } else if (const auto* bytes = std::get_if<BytesKind>(&setting.kind)) {
      check_limits(bytes->min, bytes->max, bytes->get);
    }
  }
}

TEST_CASE("settings: the memory for all bodies holds at least one", "[unit]") {
  CHECK(failure_of("[server]\nbody_bytes_max = \"64MiB\"\nbody_bytes_total_max = \"63MiB\"\n") ==
        "server.body_bytes_total_max is smaller than server.body_bytes_max");
}

TEST_CASE("settings: what describe prints loads again to the same settings", "[unit]") {
  const Settings settings = load({.file = {},
                                  .environment = {},
                                  .flags = {{"server.host", "::1"},
                                            {"server.allow_remote", "true"},
                                            {"server.body_bytes_max", "1234567"},
                                            {"storage.path", "a \"quoted\\\" p\xC3\xA4th"},
                                            {"storage.durability", "async"},
                                            {"storage.free_bytes_min", "0"},
                                            {"log.level", "off"},
                                            {"log.format", "json"}}})
                                .value();
  std::string text;
  for (const SettingInfo& info : describe(settings)) text += info.path + " = " + info.value + "\n";
  CAPTURE(text);
  CHECK(described(load_text(text).value()) == described(settings));
  CHECK(described(settings).at("storage.path") == "\"a \\\"quoted\\\\\\\" p\xC3\xA4th\"");
  CHECK(described(settings).at("server.body_bytes_max") == "1234567");
}

TEST_CASE("settings: each has a variable of its own", "[unit]") {
  std::set<std::string> names;
  for (const SettingInfo& info : describe(Settings{})) {
    CHECK(info.environment == environment_name(info.path));
    CHECK(names.insert(info.environment).second);
  }
  CHECK(environment_name("server.port") == "TESSERA_SERVER_PORT");
  for (const std::string_view name : kForeignVariables) CHECK(names.count(std::string(name)) == 0);
}

}  // namespace
}  // namespace tessera::config
