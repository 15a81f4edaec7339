#include "storage/event_block.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include <catch2/catch.hpp>

namespace tessera::storage {
namespace {

PointId uuid_of(std::uint64_t number) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    bytes[i] = static_cast<std::uint8_t>(number * 31 >> i);
  }
  return PointId::from_uuid(bytes);
}

/// Events as a map from position to weight, of a random kind: all the ways to write them occur.
std::map<EventPosition, double> random_events(std::mt19937_64& random) {
  const std::size_t count = 1 + random() % 300;
  const std::int64_t unit_us =
      std::array<std::int64_t, 4>{1, 1'000, 1'000'000, 3'600'000'000}[random() % 4];
  const std::int64_t begin = static_cast<std::int64_t>(random() % 2'000'000'000) - 1'000'000'000;
  const std::uint64_t span = 1 + random() % 100'000;
  const std::uint64_t id_bits = random() % 65, uuid_share = random() % 3,
                      weight_share = random() % 3;
  std::map<EventPosition, double> events;
  while (events.size() < count) {
    const std::uint64_t number = id_bits == 0 ? random() % 1000 : random() >> (64 - id_bits);
    const bool is_uuid = uuid_share == 1 || (uuid_share == 2 && random() % 2 == 0);
    const EventPosition position{(begin + static_cast<std::int64_t>(random() % span)) * unit_us,
                                 is_uuid ? uuid_of(number) : PointId(number)};
    double weight = 1;
    if (weight_share == 1) weight = 1 + static_cast<double>(random() % 8) / 4;
    if (weight_share == 2) weight = std::exp(static_cast<double>(random() % 1000) / 10 - 50);
    events[position] = weight;
    if (span * (id_bits == 0 ? 1000 : 1) < 2 * count && random() % 50 == 0) break;
  }
  return events;
}

std::vector<Event> listed(const std::map<EventPosition, double>& events) {
  std::vector<Event> list;
  for (const auto& [position, weight] : events)
    list.push_back({position.id, position.at_us, weight});
  return list;
}

bool is_sound(const std::vector<Event>& events) {
  const auto is_unordered = [](const Event& a, const Event& b) { return !precedes(a, b); };
  return !events.empty() &&
         std::adjacent_find(events.begin(), events.end(), is_unordered) == events.end() &&
         std::all_of(events.begin(), events.end(),
                     [](const Event& e) { return std::isfinite(e.weight) && e.weight > 0; });
}

}  // namespace

TEST_CASE("event block: random events come back as they are in a map", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const std::vector<Event> events = listed(random_events(random));
    const std::string bytes = encode_events(events);
    const auto decoded = decode_events(bytes);
    REQUIRE(decoded.has_value());
    REQUIRE(*decoded == events);
    REQUIRE(encode_events(*decoded) == bytes);
  }
}

TEST_CASE("event block: the extremes of times, ids and weights come back", "[unit]") {
  constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  const std::vector<Event> events = {
      {PointId(0), kFirst, std::numeric_limits<double>::denorm_min()},
      {PointId(~0ULL), kFirst, std::numeric_limits<double>::max()},
      {uuid_of(~0ULL), kFirst, 0.5},
      {PointId(7), -1, 1},
      {PointId(7), 0, 0.1},
      {uuid_of(0), kLast, std::nextafter(1.0, 2.0)},
  };
  REQUIRE(decode_events(encode_events(events)) == events);
  for (const Event& event : events) {
    REQUIRE(decode_events(encode_events({&event, 1})) == std::vector<Event>{event});
  }
}

TEST_CASE("event block: an event of a week apart takes about six bytes", "[unit]") {
  std::vector<Event> events;
  for (std::uint64_t i = 0; i < 50; ++i) {
    events.push_back({PointId(1'000'000 + i * 12'345),
                      (1'700'000'000 + static_cast<std::int64_t>(i) * 604'801) * 1'000'000, 1});
  }
  REQUIRE(encode_events(events).size() <= 50 * 6 + 8);
}

TEST_CASE("event block: damaged bytes are refused or are other sound events", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::size_t refused = 0;
  for (int round = 0; round < 4000; ++round) {
    CAPTURE(round);
    const std::vector<Event> events = listed(random_events(random));
    std::string bytes = encode_events(events);
    switch (random() % 4) {
      case 0:
        bytes.resize(random() % bytes.size());
        break;
      case 1:
        bytes += static_cast<char>(random());
        break;
      case 2:
        bytes[random() % std::min<std::size_t>(bytes.size(), 4)] = static_cast<char>(random());
        break;
      default:
        bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
        break;
    }
    const auto decoded = decode_events(bytes);
    if (decoded) {
      REQUIRE(is_sound(*decoded));
    } else {
      ++refused;
    }
  }
  REQUIRE(refused > 1000);
}

TEST_CASE("event block: each wrong field is refused", "[unit]") {
  const auto decode = [](std::initializer_list<int> bytes) {
    std::string text;
    for (const int byte : bytes) text += static_cast<char>(byte);
    return decode_events(text);
  };
  // Format 1, seconds, one event: second 3, id 5.
  REQUIRE(decode({1, 2, 1, 6, 5}) == std::vector<Event>{{PointId(5), 3'000'000, 1}});
  REQUIRE_FALSE(decode({}));
  REQUIRE_FALSE(decode({1}));
  REQUIRE_FALSE(decode({0, 2, 1, 6, 5}));      // format
  REQUIRE_FALSE(decode({2, 2, 1, 6, 5}));      // a later format
  REQUIRE_FALSE(decode({1, 3, 1, 6, 5}));      // no such unit
  REQUIRE_FALSE(decode({1, 18, 1, 6, 5}));     // an unknown bit in the header
  REQUIRE_FALSE(decode({1, 14, 1, 6, 0, 5}));  // all UUIDs, and flags
  REQUIRE_FALSE(decode({1, 2, 0}));            // no events
  REQUIRE_FALSE(decode({1, 2, 2, 6, 5}));      // more events than bytes
  REQUIRE_FALSE(decode({1, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 6, 5}));
  REQUIRE_FALSE(decode({1, 2, 1, 6, 5, 0}));                    // a byte too many
  REQUIRE_FALSE(decode({1, 2, 1, 6, 0x85}));                    // an id without an end
  REQUIRE_FALSE(decode({1, 2, 2, 6, 5, 0, 5}));                 // equal positions
  REQUIRE_FALSE(decode({1, 2, 2, 6, 5, 0, 4}));                 // descending ids at one time
  REQUIRE_FALSE(decode({1, 6, 1, 6, 8, 5}));                    // an unknown flag
  REQUIRE_FALSE(decode({1, 6, 1, 6, 6, 5}));                    // two weights
  REQUIRE_FALSE(decode({1, 6, 1, 6, 2, 5, 0, 0}));              // a weight cut short
  REQUIRE_FALSE(decode({1, 6, 1, 6, 2, 5, 0, 0, 0, 0}));        // weight 0
  REQUIRE_FALSE(decode({1, 6, 1, 6, 2, 5, 0, 0, 0xC0, 0x7F}));  // weight NaN
  REQUIRE_FALSE(decode({1, 6, 1, 6, 2, 5, 0, 0, 0x80, 0xBF}));  // weight -1
  // Microseconds beyond 64 bits: 2^62 seconds.
  REQUIRE_FALSE(decode({1, 2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 5}));
}

}  // namespace tessera::storage
