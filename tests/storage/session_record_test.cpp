#include "storage/session_record.h"

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include <catch2/catch.hpp>

namespace tessera::storage {
namespace {

using Random = std::mt19937_64;

PointId random_id(Random& random, std::uint64_t kind) {
  const bool is_uuid = kind == 1 || (kind == 2 && random() % 2 == 0);
  if (!is_uuid) return PointId(random() >> (random() % 64));
  std::array<std::uint8_t, 16> bytes{};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return PointId::from_uuid(bytes);
}

std::vector<PointId> random_ids(Random& random, std::size_t count_max) {
  std::set<PointId> ids;
  const std::uint64_t kind = random() % 3;
  for (std::size_t i = random() % (count_max + 1); i > 0; --i) ids.insert(random_id(random, kind));
  return {ids.begin(), ids.end()};
}

std::vector<float> random_vector(Random& random, std::size_t dim) {
  std::vector<float> values(dim);
  for (float& value : values) value = static_cast<float>(random() % 2001) - 1000;
  return values;
}

SessionDefinition random_definition(Random& random) {
  SessionDefinition definition;
  definition.created_at_us = static_cast<std::int64_t>(random()) >> (random() % 40);
  definition.options = std::string(random() % 300, '{');
  definition.has_interests = random() % 2 == 0;
  definition.allocation = static_cast<std::uint8_t>(random());
  definition.merge = static_cast<std::uint8_t>(random());
  definition.scope = static_cast<std::uint8_t>(random());
  definition.min_quota = static_cast<std::uint32_t>(random());
  definition.seed = random();
  definition.clusters_version = random() >> (random() % 64);
  if (random() % 2 == 0) definition.user = "Zoë/1";
  const std::size_t dim = 1 + random() % 70;
  for (std::size_t i = 1 + random() % 5; i > 0; --i) {
    SessionInterest& interest = definition.interests.emplace_back();
    if (random() % 2 == 0) interest.cluster = static_cast<std::uint32_t>(random());
    interest.weight = static_cast<double>(random() % 1000) / 7;
    interest.vector = random_vector(random, dim);
    if (random() % 2 == 0) interest.medoid = random_id(random, random() % 2);
    interest.items = random_ids(random, 5);
  }
  if (random() % 2 == 0) definition.person = random_vector(random, dim);
  definition.excluded = random_ids(random, 100);
  if (random() % 2 == 0) definition.page = 1 + static_cast<std::uint32_t>(random() % 1000);
  if (definition.page > 0 && random() % 2 == 0) {
    definition.page_mmr_lambda = static_cast<double>(random() % 1001) / 1000;
    for (SessionInterest& interest : definition.interests) {
      if (random() % 2 == 0) interest.page_offset = random_vector(random, dim);
    }
  }
  definition.quota_power = static_cast<double>(random() % 5) / 2;
  if (random() % 2 == 0) definition.person_id = "Zoë/2";
  if (random() % 2 == 0) {
    definition.adapter_version = random() >> (random() % 64);
    definition.adapter_created_at_us = static_cast<std::int64_t>(random()) >> (random() % 40);
  }
  return definition;
}

SessionRound random_round(Random& random) {
  SessionRound round;
  round.at_us = static_cast<std::int64_t>(random()) >> (random() % 40);
  round.limit = static_cast<std::uint32_t>(random());
  for (const PointId& id : random_ids(random, 20)) {
    round.feedback.push_back({id, static_cast<double>(random() % 100) - 50});
  }
  const std::size_t interest_count = 1 + random() % 5;
  for (std::size_t i = 0; i < interest_count; ++i) {
    round.moves.push_back({static_cast<double>(random() % 100) / 100,
                           static_cast<std::uint32_t>(random() % 100),
                           static_cast<double>(random() % 201) / 100 - 1});
  }
  const bool is_arranged = random() % 2 == 0;
  std::vector<std::uint32_t> counts(interest_count, 0);
  for (const PointId& id : random_ids(random, 100)) {
    const auto component = static_cast<std::uint32_t>(random() % interest_count);
    const std::uint32_t place = counts[component]++;
    round.hits.push_back({id, static_cast<float>(random() % 100) / 10, component,
                          is_arranged ? static_cast<std::uint32_t>(random() % 100) : place});
  }
  return round;
}

/// Whatever is done to the bytes, decoding gives nothing or what encodes to the same bytes again.
template <class Decode, class Encode>
void check_damage(Random& random, const std::string& bytes, Decode decode, Encode encode) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE_FALSE(decode(std::string_view(bytes).substr(0, size)).has_value());
  }
  REQUIRE_FALSE(decode(bytes + '\0').has_value());
  for (int flip = 0; flip < 300; ++flip) {
    std::string damaged = bytes;
    damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
    if (const auto decoded = decode(damaged)) {
      // Numbers may be written longer than they need be; their value is what counts.
      REQUIRE(decode(encode(*decoded)) == decoded);
    }
  }
}

}  // namespace

TEST_CASE("session record: what was encoded comes back, and damage gives nothing else", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 30; ++i) {
    const SessionState state{static_cast<std::int64_t>(random()),
                             static_cast<std::uint32_t>(random()),
                             static_cast<std::uint32_t>(random())};
    REQUIRE(decode_session_state(encode_session_state(state)) == state);
    check_damage(random, encode_session_state(state), decode_session_state, encode_session_state);
    const SessionDefinition definition = random_definition(random);
    REQUIRE(decode_session_definition(encode_session_definition(definition)) == definition);
    check_damage(random, encode_session_definition(definition), decode_session_definition,
                 encode_session_definition);
    const SessionRound round = random_round(random);
    REQUIRE(decode_session_round(encode_session_round(round)) == round);
    check_damage(random, encode_session_round(round), decode_session_round, encode_session_round);
  }
}

TEST_CASE("session record: every record of another format is refused", "[unit]") {
  std::string state = encode_session_state({1, 2, 3});
  state[0] = 2;
  CHECK_FALSE(decode_session_state(state).has_value());
  CHECK_FALSE(decode_session_state("").has_value());
  SessionDefinition definition;
  definition.interests.push_back({std::nullopt, 1, {1, 2}, std::nullopt, {}});
  std::string bytes = encode_session_definition(definition);
  CHECK(decode_session_definition(bytes) == definition);
  bytes[0] = 0;
  CHECK_FALSE(decode_session_definition(bytes).has_value());
  std::string round = encode_session_round({1, 2, {}, {{1, 1, 1}}, {}});
  CHECK(decode_session_round(round).has_value());
  round[0] = 7;
  CHECK_FALSE(decode_session_round(round).has_value());
}

TEST_CASE("session record: places are written where they are not what counting gives", "[unit]") {
  SessionRound round = {5,
                        10,
                        {},
                        {{0.5, 3, 1}, {0.5, 7, 0.25}},
                        {{PointId(2), 1, 1, 0}, {PointId(3), 1, 0, 0}, {PointId(4), 1, 1, 1}}};
  const std::string counted = encode_session_round(round);
  CHECK(counted.front() == 1);  // As before there were places: older records are read alike.
  std::swap(round.hits[0].place, round.hits[2].place);
  const std::string placed = encode_session_round(round);
  CHECK(placed.front() == 2);
  CHECK(placed.size() == counted.size() + 3);
  CHECK(decode_session_round(placed) == round);
}

TEST_CASE("session record: values that no session has are refused", "[unit]") {
  const SessionRound good = {5,
                             10,
                             {{PointId(1), 1}},
                             {{0.5, 3, 1}, {0.5, 7, 0.25}},
                             {{PointId(2), 0.5F, 1, 0}, {PointId(3), 0.25F, 0, 0}}};
  REQUIRE(decode_session_round(encode_session_round(good)) == good);
  const auto is_refused = [&good](const auto& change) {
    SessionRound round = good;
    change(round);
    return !decode_session_round(encode_session_round(round)).has_value();
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK(is_refused([](SessionRound& r) { r.moves.clear(); }));
  CHECK(is_refused([](SessionRound& r) { r.moves[0].weight = -0.5; }));
  CHECK(is_refused([](SessionRound& r) { r.moves[0].weight = kNan; }));
  CHECK(is_refused([](SessionRound& r) { r.moves[1].shift = 1.5; }));
  CHECK(is_refused([](SessionRound& r) { r.moves[1].shift = kNan; }));
  CHECK(is_refused([](SessionRound& r) { r.feedback[0].score = kNan; }));
  CHECK(is_refused([](SessionRound& r) { r.feedback.push_back(r.feedback[0]); }));
  CHECK(is_refused([](SessionRound& r) { r.hits[1].id = r.hits[0].id; }));
  CHECK(is_refused([](SessionRound& r) { r.hits[0].component = 2; }));
  CHECK(is_refused([](SessionRound& r) { r.hits[0].score = NAN; }));
  CHECK_FALSE(is_refused([](SessionRound& r) { r.hits[0].place = 1; }));

  SessionDefinition definition;
  definition.interests.push_back({3, 1, {1, 2}, PointId(4), {PointId(4)}});
  const auto refuses = [&definition](const auto& change) {
    SessionDefinition changed = definition;
    change(changed);
    return !decode_session_definition(encode_session_definition(changed)).has_value();
  };
  CHECK_FALSE(refuses([](SessionDefinition&) {}));
  CHECK(refuses([](SessionDefinition& d) { d.interests[0].vector.clear(); }));
  CHECK(refuses([](SessionDefinition& d) { d.interests[0].vector[1] = NAN; }));
  CHECK(refuses([](SessionDefinition& d) { d.interests[0].weight = -1; }));
  CHECK(refuses([](SessionDefinition& d) { d.person = {1}; }));
  CHECK(refuses([](SessionDefinition& d) { d.quota_power = 10.5; }));
  CHECK(refuses([](SessionDefinition& d) { d.quota_power = NAN; }));
  definition.page = 7;
  CHECK(refuses([](SessionDefinition& d) { d.interests[0].page_offset = {1, 2}; }));
  definition.page_mmr_lambda = 0.5;
  CHECK_FALSE(refuses([](SessionDefinition& d) { d.interests[0].page_offset = {1, 2}; }));
  CHECK(refuses([](SessionDefinition& d) { d.interests[0].page_offset = {1}; }));
}

TEST_CASE("session record: a length that memory does not hold is refused unread", "[unit]") {
  // Format, flags and choices, time, quota, seed, version, then the length of the options: 2^63
  // - 1.
  std::string huge(9, '\0');
  huge.front() = 1;
  huge.append(8, '\xff');
  huge += '\x7f';
  CHECK_FALSE(decode_session_definition(huge).has_value());
  std::string many_ids(3, '\0');
  many_ids.front() = 1;
  many_ids.append(4, '\xff');
  many_ids += '\x7f';
  CHECK_FALSE(decode_session_round(many_ids).has_value());
}

TEST_CASE("session record: an id is 32 lower-case hexadecimal digits", "[unit]") {
  const std::string text = "00ff10a9b8c7d6e5f405162738495a6b";
  const auto id = parse_session_id(text);
  REQUIRE(id.has_value());
  CHECK(session_text(*id) == text);
  CHECK(session_label(*id) == "session 00ff10a9...");
  for (const char* wrong :
       {"", "00ff10a9b8c7d6e5f405162738495a6", "00FF10A9B8C7D6E5F405162738495A6B",
        "00ff10a9b8c7d6e5f405162738495a6b0", "g0ff10a9b8c7d6e5f405162738495a6b",
        "00ff10a9-b8c7-d6e5-f405-162738495a6b"}) {
    CHECK_FALSE(parse_session_id(wrong).has_value());
  }
}

}  // namespace tessera::storage
