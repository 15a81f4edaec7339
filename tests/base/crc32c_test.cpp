#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "base/bytes.h"

namespace tessera {
namespace {

/// Bit by bit, from the definition.
std::uint32_t slow_crc32c(std::string_view text) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

TEST_CASE("crc32c: the published examples of RFC 3720 come out", "[unit]") {
  REQUIRE(crc32c(0, as_bytes("123456789")) == 0xe3069283);
  REQUIRE(crc32c(0, as_bytes(std::string(32, '\0'))) == 0x8a9136aa);
  REQUIRE(crc32c(0, as_bytes(std::string(32, '\xff'))) == 0x62a8ab43);
  REQUIRE(crc32c(0, {}) == 0);
}

TEST_CASE("crc32c: every length, alignment and cut agrees with the definition", "[unit]") {
  const std::uint64_t seed = 3;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::string text(300, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t size = 0; size <= text.size() - begin; size += 1 + begin) {
      CAPTURE(begin, size);
      const std::string_view piece = std::string_view(text).substr(begin, size);
      const std::uint32_t expected = slow_crc32c(piece);
      REQUIRE(crc32c(0, as_bytes(piece)) == expected);
      const std::size_t cut = size == 0 ? 0 : random() % size;
      const std::uint32_t head = crc32c(0, as_bytes(piece.substr(0, cut)));
      REQUIRE(crc32c(head, as_bytes(piece.substr(cut))) == expected);
    }
  }
}

}  // namespace
}  // namespace tessera
