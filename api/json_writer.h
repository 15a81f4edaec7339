#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::api {

/// Appends `text` as a JSON string with its quotes. Control characters, quotes and backslashes are
/// escaped; everything else is copied as it is.
void append_json_string(std::string& out, std::string_view text);

/// Writes JSON by appending to a string; there is no document in between. Commas are put by looking
/// at the last byte, so a value spliced in with raw() takes part. The caller pairs begin and end.
/// Thread rule: confined to one thread.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { out_ += '}'; }
  void begin_array() { open('['); }
  void end_array() { out_ += ']'; }

  void key(std::string_view name) {
    separate();
    append_json_string(out_, name);
    out_ += ':';
  }

  void null() { raw("null"); }
  void value(bool flag) { raw(flag ? "true" : "false"); }
  void value(std::string_view text) {
    separate();
    append_json_string(out_, text);
  }
  void value(const char* text) { value(std::string_view(text)); }
  void value(const std::string& text) { value(std::string_view(text)); }
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) void value(Integer number) {
    separate();
    append_chars(number);
  }
  /// Shortest text that reads back as the same number of the same width; a whole number keeps ".0".
  /// What is not finite has no JSON form and becomes null.
  template <std::floating_point Float>
  void value(Float number) {
    separate();
    if (!std::isfinite(number)) {
      out_ += "null";
      return;
    }
    const std::string_view digits = append_chars(number);
    if (digits.find_first_of(".e") == std::string_view::npos) out_ += ".0";
  }
  /// A complete JSON value as text.
  void raw(std::string_view json) {
    separate();
    out_ += json;
  }

  template <class T>
  void field(std::string_view name, const T& content) {
    key(name);
    value(content);
  }
  void null_field(std::string_view name) {
    key(name);
    null();
  }
  void raw_field(std::string_view name, std::string_view json) {
    key(name);
    raw(json);
  }
  /// Writes the field only when there is a value.
  template <class Optional>
  void optional_field(std::string_view name, const Optional& content) {
    if (content) field(name, *content);
  }
  /// Writes null when there is no value.
  template <class Optional>
  void nullable_field(std::string_view name, const Optional& content) {
    if (content) {
      field(name, *content);
    } else {
      null_field(name);
    }
  }

  [[nodiscard]] std::string& out() { return out_; }

 private:
  void open(char bracket) {
    separate();
    out_ += bracket;
  }
  void separate() {
    if (out_.empty()) return;
    const char last = out_.back();
    if (last != '{' && last != '[' && last != ':' && last != ',') out_ += ',';
  }
  template <class Number>
  std::string_view append_chars(Number number) {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    const std::size_t begin = out_.size();
    out_.append(digits.data(), end);
    return std::string_view(out_).substr(begin);
  }

  std::string& out_;
};

}  // namespace tessera::api
