#include "base/log.h"

#include <atomic>
#include <charconv>
#include <cmath>
#include <memory>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace tessera::log {
namespace {

/// The process's one log. Level and format are atomics, the sink locks itself.
struct Output {
  Output() {
    logger.set_level(spdlog::level::trace);
    set_format(Format::kText);
  }

  void set_format(Format new_format) {
    const bool is_json = new_format == Format::kJson;
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        is_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v)" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
        spdlog::pattern_time_type::utc));
    format = new_format;
  }

  std::atomic<Level> level = Level::kInfo;
  std::atomic<Format> format = Format::kText;
  spdlog::logger logger{"tessera", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
};

Output& output() {
  static Output instance;
  return instance;
}

/// Length of the well-formed UTF-8 sequence at `text[at]` (The Unicode Standard, table 3-7), or 0.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const auto is_within = [&](std::size_t i, unsigned low, unsigned high) {
    return at + i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return is_within(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return is_within(1, low, high) && is_within(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return is_within(1, low, high) && is_within(2, 0x80, 0xBF) && is_within(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

/// Appends `text` with JSON's escapes; bytes that are not UTF-8 become U+FFFD. A line of the log
/// stays one line whatever a client puts into a name.
void append_escaped(std::string& line, std::string_view text, bool escape_quotes) {
  constexpr char kHex[] = "0123456789abcdef";
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      line += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    if (length > 1) {
      line.append(text, i, length);
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else if (c == '\t') {
      line += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      line += "\\u00";
      line += kHex[static_cast<unsigned char>(c) >> 4];
      line += kHex[c & 0xF];
    } else {
      if (escape_quotes && (c == '"' || c == '\\')) line += '\\';
      line += c;
    }
    i += length;
  }
}

void append_quoted(std::string& line, std::string_view text) {
  line += '"';
  append_escaped(line, text, true);
  line += '"';
}

void append_number(std::string& line, double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  line.append(digits, end);
}

/// A text value is quoted where a reader could not tell otherwise where it ends.
bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == 0x7F) return true;
  }
  return false;
}

void append_value(std::string& line, const Field& field, Format format) {
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    if (format == Format::kJson || needs_quotes(*text)) {
      append_quoted(line, *text);
    } else {
      append_escaped(line, *text, false);
    }
  } else if (const auto* flag = std::get_if<bool>(&field.value)) {
    line += *flag ? "true" : "false";
  } else if (const auto* real = std::get_if<double>(&field.value)) {
    // JSON has no spelling for infinity and NaN.
    const bool is_quoted = format == Format::kJson && !std::isfinite(*real);
    if (is_quoted) line += '"';
    append_number(line, *real);
    if (is_quoted) line += '"';
  } else {
    line += std::to_string(std::get<std::int64_t>(field.value));
  }
}

/// The part behind the time; the JSON form closes the object that the sink's pattern opens.
std::string compose(Format format, const char* text_level, const char* json_level,
                    std::string_view message, Fields fields) {
  std::string line;
  if (format == Format::kText) {
    line = text_level;
    append_escaped(line, message, false);
    for (const Field& field : fields) {
      line += ' ';
      append_escaped(line, field.name, false);
      line += '=';
      append_value(line, field, format);
    }
    return line;
  }
  line = json_level;
  line += ",\"message\":";
  append_quoted(line, message);
  for (const Field& field : fields) {
    line += ',';
    append_quoted(line, field.name);
    line += ':';
    append_value(line, field, format);
  }
  line += '}';
  return line;
}

}  // namespace

void configure(Level level, Format format) {
  output().level = level;
  output().set_format(format);
}

bool is_enabled(Level level) {
  return level != Level::kOff && level >= output().level.load(std::memory_order_relaxed);
}

Result<Level> parse_level(std::string_view text) {
  if (text == "debug") return Level::kDebug;
  if (text == "info") return Level::kInfo;
  if (text == "warn") return Level::kWarn;
  if (text == "error") return Level::kError;
  if (text == "off") return Level::kOff;
  return Status(Code::kInvalidArgument,
                "log level \"" + std::string(text) + "\" must be debug, info, warn, error or off");
}

Result<Format> parse_format(std::string_view text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  return Status(Code::kInvalidArgument,
                "log format \"" + std::string(text) + "\" must be text or json");
}

void write(Level level, std::string_view message, Fields fields) {
  if (!is_enabled(level)) return;
  Output& out = output();
  const Format format = out.format;
  const auto put = [&](spdlog::level::level_enum severity, const char* text_level,
                       const char* json_level) {
    out.logger.log(severity,
                   spdlog::string_view_t(compose(format, text_level, json_level, message, fields)));
  };
  switch (level) {
    case Level::kDebug:
      return put(spdlog::level::debug, "DEBUG ", R"("level":"debug")");
    case Level::kInfo:
      return put(spdlog::level::info, "INFO  ", R"("level":"info")");
    case Level::kWarn:
      return put(spdlog::level::warn, "WARN  ", R"("level":"warn")");
    case Level::kError:
      return put(spdlog::level::err, "ERROR ", R"("level":"error")");
    case Level::kOff:
      return;
  }
}

}  // namespace tessera::log
