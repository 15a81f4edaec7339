#include "storage/session_store.h"

#include <map>
#include <random>

#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using Part = SessionKey::Part;
using test::require_ok;

SessionId id_of(std::uint8_t number) {
  SessionId id{};
  id.fill(0xee);
  id[0] = number;
  return id;
}

SessionRound round_of(std::uint64_t first, std::vector<SessionJudgement> feedback = {}) {
  return {
      7, 2, std::move(feedback), {{1, 2, 1}}, {{PointId(first), 1, 0}, {PointId(first + 1), 1, 0}}};
}

SessionDefinition definition() {
  SessionDefinition definition;
  definition.options = "{}";
  definition.interests.push_back({std::nullopt, 1, {1, 2, 3}, std::nullopt, {}});
  return definition;
}

/// Two rounds: points 10 and 11, then 20 and 21.
void put_session(Batch& batch, CollectionNumber collection, const SessionId& id) {
  batch.put_session_record(collection, {id, Part::kState, 0}, encode_session_state({5, 60, 2}));
  batch.put_session_record(collection, {id, Part::kDefinition, 0},
                           encode_session_definition(definition()));
  batch.put_session_record(collection, {id, Part::kRound, 1}, encode_session_round(round_of(10)));
  batch.put_session_record(collection, {id, Part::kRound, 2},
                           encode_session_round(round_of(20, {{PointId(11), -1}})));
}

class Sample {
 public:
  Sample() : store(test::open_or_fail(directory_.path() + "/store")) {
    change([](Batch& batch) {
      for (const std::uint8_t number : {0, 1, 255}) put_session(batch, 3, id_of(number));
      put_session(batch, 2, id_of(1));
      put_session(batch, 4, id_of(1));
    });
  }
  template <class Change>
  void change(const Change& change) {
    Batch batch;
    change(batch);
    require_ok(store->write(std::move(batch), false));
  }
  void reopen() {
    store.reset();
    store = test::open_or_fail(directory_.path() + "/store");
  }
  std::string problem_of(const SessionId& id) {
    const auto session = read_session(*store, 3, id);
    if (session.has_value()) return session->has_value() ? "" : "none";
    CHECK(session.error().code() == Code::kCorrupt);
    return session.error().message();
  }

 private:
  const tessera::test::TemporaryDirectory directory_;

 public:
  std::unique_ptr<Store> store;
};

}  // namespace

TEST_CASE("session store: a session comes back whole, also after a restart", "[unit]") {
  Sample sample;
  sample.reopen();
  const auto session = read_session(*sample.store, 3, id_of(1));
  REQUIRE(session.has_value());
  REQUIRE(session->has_value());
  CHECK((**session).state == SessionState{5, 60, 2});
  CHECK((**session).definition == definition());
  REQUIRE((**session).rounds.size() == 2);
  CHECK((**session).rounds[0] == round_of(10));
  CHECK((**session).rounds[1].feedback == std::vector<SessionJudgement>{{PointId(11), -1}});
  CHECK(sample.problem_of(id_of(7)) == "none");

  std::map<SessionId, SessionState> states;
  require_ok(visit_session_states(*sample.store, 3, [&](const SessionId& id, const auto& state) {
    REQUIRE(state.has_value());
    states[id] = *state;
    return true;
  }));
  CHECK(states.size() == 3);
  std::size_t visited = 0;
  require_ok(visit_sessions(*sample.store, 3, [&](const SessionId&, const auto& visited_session) {
    REQUIRE(visited_session.has_value());
    ++visited;
    return true;
  }));
  CHECK(visited == 3);
  visited = 0;
  require_ok(visit_sessions(*sample.store, 3, [&](const SessionId&, const auto&) {
    ++visited;
    return false;
  }));
  CHECK(visited == 1);
}

TEST_CASE("session store: the bytes of a session are those of its records", "[unit]") {
  Sample sample;
  const std::size_t before = (**read_session(*sample.store, 3, id_of(0))).record_bytes;
  const SessionRound third = round_of(30, {{PointId(20), 1}, {PointId(10), 0.5}});
  sample.change([&](Batch& batch) {
    batch.put_session_record(3, {id_of(0), Part::kState, 0}, encode_session_state({5, 60, 3}));
    batch.put_session_record(3, {id_of(0), Part::kRound, 3}, encode_session_round(third));
  });
  const auto session = **read_session(*sample.store, 3, id_of(0));
  CHECK(session.rounds[2] == third);
  CHECK(session.record_bytes == before + session_record_bytes(third));
}

TEST_CASE("session store: a deleted session, or collection, leaves nothing", "[unit]") {
  Sample sample;
  sample.change([](Batch& batch) { batch.delete_session(3, id_of(1)); });
  CHECK(sample.problem_of(id_of(1)) == "none");
  CHECK(sample.problem_of(id_of(0)).empty());
  CHECK(sample.problem_of(id_of(255)).empty());
  sample.change([](Batch& batch) { batch.delete_collection(3); });
  CHECK(sample.problem_of(id_of(0)) == "none");
  CHECK(sample.problem_of(id_of(255)) == "none");
  for (const CollectionNumber other : {2U, 4U}) {
    CHECK((*read_session(*sample.store, other, id_of(1))).has_value());
  }
}

TEST_CASE("session store: records that make up no session are named", "[unit]") {
  Sample sample;
  const SessionId id = id_of(1);
  std::string expected;
  const auto put = [&](Part part, std::uint32_t round, const std::string& value) {
    sample.change([&](Batch& batch) { batch.put_session_record(3, {id, part, round}, value); });
  };
  const auto remove = [&](Part part, std::uint32_t round) {
    sample.change([&](Batch& batch) { batch.delete_session_record(3, {id, part, round}); });
  };
  SECTION("no state") {
    remove(Part::kState, 0);
    expected = "the state is missing";
  }
  SECTION("no definition") {
    remove(Part::kDefinition, 0);
    expected = "the definition is missing";
  }
  SECTION("damaged state") {
    put(Part::kState, 0, "x");
    expected = "the state does not decode";
  }
  SECTION("damaged definition") {
    put(Part::kDefinition, 0, "\x01");
    expected = "the definition does not decode";
  }
  SECTION("damaged round") {
    put(Part::kRound, 2, "\x01");
    expected = "round 2 does not decode";
  }
  SECTION("a round too many") {
    put(Part::kRound, 3, encode_session_round(round_of(30)));
    expected = "the state says 2 rounds, there are 3";
  }
  SECTION("the last round missing") {
    remove(Part::kRound, 2);
    expected = "the state says 2 rounds, there are 1";
  }
  SECTION("a round between missing") {
    remove(Part::kRound, 1);
    expected = "round 2 follows no round before it";
  }
  SECTION("a point in two rounds") {
    put(Part::kRound, 2, encode_session_round(round_of(11)));
    expected = "round 2 repeats point 11";
  }
  SECTION("feedback for what was not returned") {
    put(Part::kRound, 2, encode_session_round(round_of(20, {{PointId(20), 1}})));
    expected = "round 2 has feedback for point 20, which was not returned before";
  }
  SECTION("more interests than the session has") {
    SessionRound round = round_of(20);
    round.moves.push_back({1, 1, 1});
    put(Part::kRound, 2, encode_session_round(round));
    expected = "round 2 has 2 interests";
  }
  CHECK(sample.problem_of(id) == "session 01eeeeee...: " + expected);
  CHECK(sample.problem_of(id_of(0)).empty());
  CHECK(sample.problem_of(id_of(255)).empty());
  // The others are found beside it.
  std::size_t sound = 0, damaged = 0;
  require_ok(visit_sessions(*sample.store, 3, [&](const SessionId& visited, const auto& session) {
    if (session.has_error()) CHECK(visited == id);
    ++(session.has_error() ? damaged : sound);
    return true;
  }));
  CHECK(sound == 2);
  CHECK(damaged == 1);
}

}  // namespace tessera::storage
