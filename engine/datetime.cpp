#include <chrono>

#include "engine/payload.h"

namespace tessera::engine {
namespace {

/// Reads a text from left to right; every method leaves the position where it was when it fails.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool skip(char c) {
    if (peek() != c || at_end()) return false;
    ++at_;
    return true;
  }
  bool skip_any(std::string_view chars) {
    if (at_end() || chars.find(text_[at_]) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  /// Exactly `count` digits.
  std::optional<int> number(std::size_t count) {
    if (text_.size() - at_ < count) return std::nullopt;
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const char c = text_[at_ + i];
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
    at_ += count;
    return value;
  }
  /// One digit or more as a fraction of a second; what is finer than a microsecond is cut off.
  std::optional<std::int64_t> fraction_us() {
    std::int64_t value = 0;
    std::int64_t unit = 100000;
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') {
      value += (text_[at_++] - '0') * unit;
      unit /= 10;
    }
    return at_ == begin ? std::nullopt : std::optional(value);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

/// Days since 1970 of YYYY-MM-DD.
std::optional<std::int64_t> parse_date(Cursor& cursor) {
  const auto year = cursor.number(4);
  if (!year || !cursor.skip('-')) return std::nullopt;
  const auto month = cursor.number(2);
  if (!month || !cursor.skip('-')) return std::nullopt;
  const auto day = cursor.number(2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

/// Microseconds since midnight of hh:mm[:ss[.fraction]]. RFC 3339 allows the leap second 60, which
/// UTC microseconds cannot tell from the first of the next minute.
std::optional<std::int64_t> parse_time(Cursor& cursor) {
  const auto hour = cursor.number(2);
  if (!hour || *hour > 23 || !cursor.skip(':')) return std::nullopt;
  const auto minute = cursor.number(2);
  if (!minute || *minute > 59) return std::nullopt;
  std::int64_t fraction_us = 0;
  int second = 0;
  if (cursor.skip(':')) {
    const auto number = cursor.number(2);
    if (!number || *number > 60) return std::nullopt;
    second = *number;
    if (cursor.skip('.')) {
      const auto fraction = cursor.fraction_us();
      if (!fraction) return std::nullopt;
      fraction_us = *fraction;
    }
  }
  const std::int64_t seconds = (*hour * 60 + *minute) * 60 + second;
  return seconds * 1'000'000 + fraction_us;
}

/// Seconds east of UTC: Z, +hh:mm, +hhmm, +hh, or nothing for UTC.
std::optional<std::int64_t> parse_offset(Cursor& cursor) {
  if (cursor.at_end()) return 0;
  if (cursor.skip_any("Zz")) return 0;
  const bool is_west = cursor.peek() == '-';
  if (!cursor.skip_any("+-")) return std::nullopt;
  const auto hours = cursor.number(2);
  if (!hours || *hours > 23) return std::nullopt;
  int minutes = 0;
  if (cursor.skip(':') || !cursor.at_end()) {
    const auto number = cursor.number(2);
    if (!number || *number > 59) return std::nullopt;
    minutes = *number;
  }
  const std::int64_t seconds = (*hours * 60 + minutes) * 60;
  return is_west ? -seconds : seconds;
}

}  // namespace

std::optional<std::int64_t> parse_datetime(std::string_view text) {
  constexpr std::int64_t kDaySeconds = 86400;
  Cursor cursor(text);
  const auto days = parse_date(cursor);
  if (!days) return std::nullopt;
  if (cursor.at_end()) return *days * kDaySeconds * 1'000'000;
  if (!cursor.skip_any("Tt ")) return std::nullopt;
  const auto time_us = parse_time(cursor);
  if (!time_us) return std::nullopt;
  const auto offset_seconds = parse_offset(cursor);
  if (!offset_seconds || !cursor.at_end()) return std::nullopt;
  return (*days * kDaySeconds - *offset_seconds) * 1'000'000 + *time_us;
}

}  // namespace tessera::engine
