#include "base/log.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

namespace tessera::log {
namespace {

/// What `action` writes to standard error.
template <class Action>
std::string captured(const Action& action) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  action();
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  std::string text;
  std::rewind(file);
  char chunk[4096];
  for (std::size_t n = 0; (n = std::fread(chunk, 1, sizeof chunk, file)) > 0;) {
    text.append(chunk, n);
  }
  std::fclose(file);
  return text;
}

/// Puts the process's log back to its start state when a test ends.
struct RestoreLog {
  ~RestoreLog() { configure(Level::kInfo, Format::kText); }
};

std::string without_time(const std::string& line) {
  return line.substr(line.find(' ') + 1);
}

TEST_CASE("log: a text line is time, level, message and fields", "[unit]") {
  const RestoreLog restore;
  configure(Level::kInfo, Format::kText);
  const std::string text = captured([] {
    info("collection opened",
         {{"collection", "films"}, {"rows", 12}, {"seconds", 0.5}, {"is_new", true}});
  });
  CAPTURE(text);
  CHECK(std::regex_match(text, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO  )"
                                          R"(collection opened collection=films rows=12 )"
                                          R"(seconds=0\.5 is_new=true\n)")));
}

TEST_CASE("log: text values that a reader could misread are quoted and stay on one line",
          "[unit]") {
  const RestoreLog restore;
  configure(Level::kInfo, Format::kText);
  const auto line_of = [](const std::string& value) {
    return without_time(captured([&] { info("m", {{"v", value}}); }));
  };
  CHECK(line_of("two words") == "INFO  m v=\"two words\"\n");
  CHECK(line_of("") == "INFO  m v=\"\"\n");
  CHECK(line_of("a=b") == "INFO  m v=\"a=b\"\n");
  CHECK(line_of("say \"hi\"") == "INFO  m v=\"say \\\"hi\\\"\"\n");
  CHECK(line_of("x\n2026-01-01T00:00:00.000Z ERROR forged") ==
        "INFO  m v=\"x\\n2026-01-01T00:00:00.000Z ERROR forged\"\n");
  CHECK(without_time(captured([] { info("a\nb\x1b[31m"); })) == "INFO  a\\nb\\u001b[31m\n");
}

TEST_CASE("log: a JSON line is one object with correct escapes", "[unit]") {
  const RestoreLog restore;
  configure(Level::kDebug, Format::kJson);
  const std::string text = captured([] {
    debug("said \"no\"\n", {{"path", "C:\\tmp\t"},
                            {"count", -3},
                            {"share", 0.25},
                            {"infinite", std::numeric_limits<double>::infinity()},
                            {"ok", false}});
  });
  CAPTURE(text);
  CHECK(std::regex_match(
      text, std::regex(R"(\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"debug",)"
                       R"("message":"said \\"no\\"\\n","path":"C:\\\\tmp\\t","count":-3,)"
                       R"("share":0\.25,"infinite":"inf","ok":false\}\n)")));
}

TEST_CASE("log: bytes that are not UTF-8 are replaced, well-formed text is kept", "[unit]") {
  const RestoreLog restore;
  configure(Level::kInfo, Format::kJson);
  const auto value_of = [](const std::string& value) {
    const std::string text = captured([&] { info("m", {{"v", value}}); });
    const std::size_t begin = text.find("\"v\":\"") + 5;
    return text.substr(begin, text.rfind('"') - begin);
  };
  const std::string replacement = "\xEF\xBF\xBD";
  CHECK(value_of("Am\xC3\xA9lie \xE2\x82\xAC \xF0\x9F\x8E\xAC") ==
        "Am\xC3\xA9lie \xE2\x82\xAC \xF0\x9F\x8E\xAC");
  CHECK(value_of("\xFF") == replacement);
  CHECK(value_of("a\xC3") == "a" + replacement);
  CHECK(value_of("\xC0\xAF") == replacement + replacement);                    // Overlong '/'.
  CHECK(value_of("\xED\xA0\x80") == replacement + replacement + replacement);  // A surrogate.
  CHECK(value_of(std::string("nul\0x", 5)) == "nul\\u0000x");
}

TEST_CASE("log: lines below the level are not written", "[unit]") {
  const RestoreLog restore;
  const auto levels_written = [](Level level) {
    configure(level, Format::kText);
    return captured([] {
      debug("d");
      info("i");
      warn("w");
      error("e");
    });
  };
  const auto count = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  CHECK(count(levels_written(Level::kDebug)) == 4);
  CHECK(count(levels_written(Level::kInfo)) == 3);
  CHECK(count(levels_written(Level::kWarn)) == 2);
  CHECK(count(levels_written(Level::kError)) == 1);
  CHECK(levels_written(Level::kOff).empty());
  CHECK_FALSE(is_enabled(Level::kError));
}

TEST_CASE("log: lines of several threads do not mix", "[unit]") {
  const RestoreLog restore;
  configure(Level::kInfo, Format::kText);
  const std::string text = captured([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 200; ++i) info("line", {{"value", std::string(100, 'x')}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  const std::regex line(R"(\S+ INFO  line value=x{100})");
  std::size_t line_count = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    REQUIRE(end != std::string::npos);
    REQUIRE(std::regex_match(text.substr(begin, end - begin), line));
    begin = end + 1;
    ++line_count;
  }
  CHECK(line_count == 800);
}

TEST_CASE("log: names of levels and formats are parsed, others are refused", "[unit]") {
  CHECK(parse_level("warn").value() == Level::kWarn);
  CHECK(parse_format("json").value() == Format::kJson);
  const auto level = parse_level("loud");
  REQUIRE(level.has_error());
  CHECK(level.error().code() == Code::kInvalidArgument);
  CHECK(level.error().message() == "log level \"loud\" must be debug, info, warn, error or off");
  CHECK(parse_level("INFO").has_error());
  CHECK(parse_format("").has_error());
}

}  // namespace
}  // namespace tessera::log
