#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera::fuzz {

/// The inputs that a target starts from; each target defines its own. Made when asked for, so that
/// no binary file lies in the tree and a new format brings its own seeds.
std::vector<std::string> seeds();

/// The bytes of a fuzzed input.
inline std::string_view text_of(const unsigned char* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes the first line off `rest`, without its line end.
inline std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

/// Takes the first byte off `rest`; 0 when there is none.
inline unsigned take_byte(std::string_view& rest) {
  if (rest.empty()) return 0;
  const auto byte = static_cast<unsigned char>(rest.front());
  rest.remove_prefix(1);
  return byte;
}

}  // namespace tessera::fuzz
