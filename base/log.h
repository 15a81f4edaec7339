#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/status.h"

namespace tessera::log {

enum class Level : unsigned char { kDebug, kInfo, kWarn, kError, kOff };
enum class Format : unsigned char { kText, kJson };

/// One named value of a log line: {"collection", name}, {"rows", 12}, {"seconds", 0.5}.
struct Field {
  Field(std::string_view name, std::string_view value) : name(name), value(std::string(value)) {}
  Field(std::string_view name, const char* value) : name(name), value(std::string(value)) {}
  Field(std::string_view name, const std::string& value) : name(name), value(value) {}
  Field(std::string_view name, bool value) : name(name), value(value) {}
  Field(std::string_view name, double value) : name(name), value(value) {}
  template <class Integer>
  requires std::is_integral_v<Integer> Field(std::string_view name, Integer value)
      : name(name), value(static_cast<std::int64_t>(value)) {}

  std::string_view name;
  std::variant<std::string, bool, double, std::int64_t> value;
};
using Fields = std::initializer_list<Field>;

/// Sets level and format for the whole process; lines go to standard error. Before the first call:
/// info, text. Thread rule: call once at start; the writing functions are safe from any thread.
void configure(Level level, Format format);
/// "debug", "info", "warn", "error", "off".
Result<Level> parse_level(std::string_view text);
/// "text", "json".
Result<Format> parse_format(std::string_view text);

/// Whether write() would print a line of this level: ask before composing an expensive one.
[[nodiscard]] bool is_enabled(Level level);
void write(Level level, std::string_view message, Fields fields = {});
inline void debug(std::string_view message, Fields fields = {}) {
  write(Level::kDebug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
  write(Level::kInfo, message, fields);
}
inline void warn(std::string_view message, Fields fields = {}) {
  write(Level::kWarn, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
  write(Level::kError, message, fields);
}

}  // namespace tessera::log
