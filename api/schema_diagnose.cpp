#include <nlohmann/json.hpp>

#include "api/schema.h"

namespace tessera::api {

namespace {

using nlohmann::json;

/// Bodies larger than this are not read a second time to find the place of an error.
constexpr std::size_t kDiagnosedBytesMax = 8 << 20;

/// Follows the parse to know the path of what is being read. Levels are arrays (with the position
/// of the element) or objects (with the last key).
class PathFinder final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return next(); }
  bool boolean(bool) override { return next(); }
  bool number_integer(number_integer_t) override { return next(); }
  bool number_unsigned(number_unsigned_t) override { return next(); }
  bool number_float(number_float_t, const string_t& text) override {
    // Only an integer beyond 64 bits arrives here without a point or an exponent.
    if (text.find_first_of(".eE") != string_t::npos) return next();
    message_ = with_path("the integer " + text.substr(0, 40) + " does not fit into 64 bits");
    return false;
  }
  bool string(string_t&) override { return next(); }
  bool binary(binary_t&) override { return next(); }
  bool start_object(std::size_t) override { return open(false); }
  bool start_array(std::size_t) override { return open(true); }
  bool key(string_t& key) override {
    levels_.back().name = key;
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    std::string text = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 9: ..."
    if (const auto end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
    message_ = with_path(text);
    return false;
  }

  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  struct Level {
    bool is_array = false;
    std::size_t position = 0;
    std::string name;
  };

  bool next() {
    if (!levels_.empty()) ++levels_.back().position;
    return true;
  }
  bool open(bool is_array) {
    levels_.push_back({is_array, 0, {}});
    if (levels_.size() <= Document::kBodyDepthMax) return true;
    message_ = "nesting is deeper than " + std::to_string(Document::kBodyDepthMax) + " levels";
    return false;
  }
  bool close() {
    levels_.pop_back();
    return next();
  }
  [[nodiscard]] std::string with_path(const std::string& text) const {
    std::string path;
    for (const Level& level : levels_) {
      if (level.is_array) {
        path += '[' + std::to_string(level.position) + ']';
      } else {
        path += (path.empty() ? "" : ".") + level.name;
      }
    }
    return path.empty() ? text : path + ": " + text;
  }

  std::vector<Level> levels_;
  std::string message_;
};

/// What the messages of a JSON parser quote of the input may be cut anywhere: only whole ASCII is
/// kept, so that the answer is valid UTF-8.
std::string ascii_only(std::string text) {
  for (char& byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code > 0x7E) byte = '?';
  }
  return text;
}

}  // namespace

std::string diagnose_json(std::string_view body) {
  constexpr const char* kGeneral = "the body is not valid JSON";
  if (body.size() > kDiagnosedBytesMax) return kGeneral;
  try {
    PathFinder finder;
    json::sax_parse(body.begin(), body.end(), &finder);
    if (finder.message().empty()) return kGeneral;
    constexpr std::size_t kTextBytesMax = 300;
    return ascii_only(finder.message().substr(0, kTextBytesMax));
  } catch (const std::exception&) {
    return kGeneral;
  }
}

}  // namespace tessera::api
