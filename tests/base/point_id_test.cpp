#include "base/point_id.h"

#include <algorithm>
#include <random>
#include <unordered_set>
#include <vector>

#include <catch2/catch.hpp>

namespace tessera {
namespace {

constexpr const char* kCanonical = "550e8400-e29b-41d4-a716-446655440000";

TEST_CASE("point id: every standard spelling of a uuid gives the same id", "[unit]") {
  const PointId id = *PointId::parse_uuid(kCanonical);
  REQUIRE(id.is_uuid());
  for (const char* text :
       {"550E8400-E29B-41D4-A716-446655440000", "550e8400e29b41d4a716446655440000",
        "{550e8400-e29b-41d4-a716-446655440000}",
        "urn:uuid:550e8400-e29b-41d4-a716-446655440000"}) {
    CAPTURE(text);
    REQUIRE(PointId::parse_uuid(text) == id);
  }
  REQUIRE(id.to_string() == kCanonical);
  REQUIRE(PointId::from_uuid(id.uuid_bytes()) == id);
  REQUIRE(id.uuid_bytes()[0] == 0x55);
  REQUIRE(id.uuid_bytes()[15] == 0x00);
}

TEST_CASE("point id: what is not a uuid is refused", "[unit]") {
  for (const char* text :
       {"", "1", "550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-4466554400000",
        "550e8400-e29b-41d4-a716-44665544000g", "550e8400+e29b-41d4-a716-446655440000",
        "550e-8400e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716446655440000-",
        "{550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000}",
        "{550e8400e29b41d4a716446655440000}", "urn:uuid:550e8400e29b41d4a716446655440000",
        "urn:uuid:", "URN:UUID:550e8400-e29b-41d4-a716-446655440000",
        " 550e8400-e29b-41d4-a716-446655440000", "--------------------------------",
        "550e8400-e29b-41d4-a716-44665544\xc3\xa9\xc3\xa9"}) {
    CAPTURE(text);
    REQUIRE_FALSE(PointId::parse_uuid(text).has_value());
  }
}

TEST_CASE("point id: integers sort by value before uuids, uuids by their bytes", "[unit]") {
  std::vector<PointId> ids = {PointId(0), PointId(9), PointId(10), PointId(~0ULL)};
  for (const char* text :
       {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-8000-000000000000", "7fffffff-ffff-ffff-ffff-ffffffffffff",
        "80000000-0000-0000-0000-000000000000"}) {
    ids.push_back(*PointId::parse_uuid(text));
  }
  const std::vector<PointId> sorted = ids;
  const std::uint64_t seed = 5;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::shuffle(ids.begin(), ids.end(), random);
  std::sort(ids.begin(), ids.end());
  REQUIRE(ids == sorted);
}

TEST_CASE("point id: random uuids survive text and bytes, integers survive text", "[unit]") {
  const std::uint64_t seed = 11;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    const PointId id = PointId::from_uuid(bytes);
    REQUIRE(id.uuid_bytes() == bytes);
    REQUIRE(PointId::parse_uuid(id.to_string()) == id);
    const std::uint64_t number = random() >> (random() % 64);
    REQUIRE(PointId(number).to_string() == std::to_string(number));
  }
}

TEST_CASE("point id: an integer and the uuid with its bits differ and hash apart", "[unit]") {
  const PointId uuid = *PointId::parse_uuid("00000000-0000-0000-0000-000000000007");
  REQUIRE(uuid != PointId(7));
  REQUIRE(std::hash<PointId>()(uuid) != std::hash<PointId>()(PointId(7)));
  std::unordered_set<std::size_t> hashes;
  for (std::uint64_t number = 0; number < 10000; ++number) {
    hashes.insert(std::hash<PointId>()(PointId(number)) & 0xffff);
  }
  // Ten thousand balls in 65,536 bins fill about 9,270; a bad hash fills few.
  REQUIRE(hashes.size() > 9000);
}

}  // namespace
}  // namespace tessera
