#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "engine/session_table.h"
#include "engine/sessions.h"
#include "engine/users.h"
#include "open_database.h"
#include "storage/verify.h"
#include "tests/adapter/made_adapter.h"
#include "tests/engine/session_caller.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kDim = 8;
constexpr std::size_t kRows = 400;

/// A collection with an adapter "a", and sessions.
class Fixture final : public SessionCaller {
 public:
  Fixture() {
    CollectionConfig config;
    config.vectors[""].dim = kDim;
    config.vectors[""].metric = Metric::kDot;
    collection_ = database_.create(config);
    testing::Matrix rows;
    rows.row_count = kRows;
    rows.dim = kDim;
    std::mt19937_64 random(21);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < kRows * kDim; ++i) rows.values.push_back(normal(random));
    insert_rows(*collection_, rows);
    put_adapter(1);
  }
  void put_adapter(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    adapter::testing::MadeShape shape;
    shape.dim = kDim;
    REQUIRE(
        collection_->adapters().put("a", write_adapter(make_adapter(shape, random))).has_value());
  }
  void put_user(const std::string& name, const std::vector<std::uint64_t>& items) {
    PutUsers request;
    auto& user = request.users.emplace_back();
    user.id = UserId::parse(name).value();
    user.history.emplace();
    for (const std::uint64_t item : items) {
      auto& event = user.history->emplace_back();
      event.id = PointId(item);
    }
    REQUIRE(collection_->users().put(std::move(request), true).has_value());
  }
  void reopen() {
    collection_.reset();
    database_.reopen();
    collection_ = database_->collection("c").value();
  }

  static StartSession request(std::size_t limit = 10) {
    StartSession start;
    start.query = std::monostate();
    start.options.limit = limit;
    start.options.params.exact = true;
    start.options.adapter.emplace().name = "a";
    return start;
  }
  Sessions& sessions() override { return collection_->sessions(); }
  Collection& collection() { return *collection_; }
  const OpenDatabase& database() const { return database_; }
  void close() {
    collection_.reset();
    database_.close();
  }

 private:
  OpenDatabase database_;
  std::shared_ptr<Collection> collection_;
};

template <class T>
T ok(Result<T> result) {
  INFO((result.has_error() ? result.error().to_string() : std::string()));
  REQUIRE(result.has_value());
  return std::move(*result);
}

std::vector<HistoryInput> history_of(const std::vector<std::uint64_t>& items) {
  std::vector<HistoryInput> history;
  for (const std::uint64_t item : items) history.push_back({PointId(item), 1, std::nullopt});
  return history;
}

}  // namespace

TEST_CASE("adapted sessions: they go on by the weights they began with, or say why not", "[unit]") {
  Fixture fixture;
  StartSession request = Fixture::request();
  request.options.adapter->history = history_of({1, 2, 3});
  const auto id = ok(fixture.start(request)).session;
  ok(fixture.next(id));
  fixture.reopen();
  CHECK(ok(fixture.next(id)).round == 3);
  const std::string gone = "strategy.adapter: the session began with version 1 of adapter `a`";
  fixture.put_adapter(2);
  CHECK(fixture.next(id).error().code() == Code::kBadRequest);
  CHECK(fixture.next(id).error().message().starts_with(gone));
  CHECK(fixture.get(id, true).error().message().starts_with(gone));
  REQUIRE(fixture.collection().adapters().remove("a").has_value());
  CHECK(fixture.next(id).error().message() == "strategy.adapter: No adapter `a` found");
  // Another upload of that name is version 1 again.
  fixture.put_adapter(2);
  CHECK(fixture.next(id).error().message().starts_with(gone));
  // What needs no weights is still there.
  CHECK(fixture.sessions().undo(id, 3, false, CancelToken())->rounds.size() == 2);
  ok(fixture.start(request));
}

TEST_CASE("adapted sessions: those of a deleted user are deleted with it", "[unit]") {
  Fixture fixture;
  fixture.put_user("ann", {1, 2, 3, 4});
  fixture.put_user("bob", {5, 6, 7});
  std::map<std::string, std::vector<SessionId>> sessions;
  for (const char* name : {"ann", "bob"}) {
    const UserId user = UserId::parse(name).value();
    for (const bool excludes : {true, false}) {
      StartSession adapted = Fixture::request();
      adapted.options.adapter->user = user;
      adapted.options.adapter->exclude_history = excludes;
      sessions[name].push_back(ok(fixture.start(adapted)).session);
      StartSession interests = Fixture::request();
      interests.options.adapter.reset();
      InterestsQuery query;
      query.user = user;
      query.clustering = retrieval::Clustering::kWard;
      query.exclude_history = excludes;
      interests.query = query;
      sessions[name].push_back(ok(fixture.start(interests)).session);
    }
  }
  for (const SessionId& id : sessions["ann"]) ok(fixture.next(id));
  fixture.reopen();
  REQUIRE(fixture.collection().users().remove({UserId::parse("ann").value()}, true).has_value());
  CHECK(fixture.sessions().count() == 4);
  for (const SessionId& id : sessions["ann"]) {
    CHECK(fixture.next(id).error().message() == "There is no such session");
  }
  for (const SessionId& id : sessions["bob"]) ok(fixture.next(id));
  const std::string path = fixture.database().data_path();
  fixture.close();
  const auto report = storage::verify_data_directory(path, {}, CancelToken());
  REQUIRE(report.has_value());
  CHECK(report->error_count == 0);
  CHECK(report->session_count == 4);
}

TEST_CASE("adapted sessions: every interest is a person of its own", "[unit]") {
  Fixture fixture;
  StartSession request = Fixture::request(12);
  InterestsQuery query;
  query.history = history_of({1, 2, 3, 4, 5, 6, 7, 8});
  query.clustering = retrieval::Clustering::kWard;
  query.max_components = 3;
  request.query = query;
  request.options.adapter->history = query.history;
  request.options.adapter->has_query = true;
  // Round 1 is that of the interests.
  StartSession plain = request;
  plain.options.adapter.reset();
  const auto expected = ok(fixture.start(plain));
  const auto first = ok(fixture.start(request));
  REQUIRE(first.result.interests.size() == 3);
  REQUIRE(first.result.points.size() == expected.result.points.size());
  for (std::size_t i = 0; i < first.result.points.size(); ++i) {
    CHECK(first.result.points[i].record.id == expected.result.points[i].record.id);
  }
  std::set<std::uint64_t> seen = {1, 2, 3, 4, 5, 6, 7, 8};
  SessionRoundAnswer round = first;
  for (int i = 0; i < 4; ++i) {
    NextRound said;
    for (const ScoredPoint& point : round.result.points) {
      CHECK(seen.insert(point.record.id.number()).second);
      const std::uint64_t number = point.record.id.number();
      if (number % 3 == 0) said.feedback.positive.push_back(point.record.id);
      if (number % 3 == 1) said.feedback.negative.push_back(point.record.id);
    }
    round = ok(fixture.next(first.session, said));
    REQUIRE(round.result.points.size() == 12);
    double weights = 0;
    for (const InterestInfo& interest : round.result.interests) {
      weights += interest.weight;
      CHECK(interest.shift < 1);
    }
    CHECK(weights == Approx(1));
  }
  const auto info = ok(fixture.get(first.session, true));
  REQUIRE(info.rounds.size() == 5);
  for (const SessionRoundInfo& shown : info.rounds) {
    REQUIRE(shown.moves.size() == 3);
    for (const SessionMoveInfo& move : shown.moves) REQUIRE(move.vector.size() == kDim);
  }
  // What the vectors of all rounds are together, each is as the last of its own.
  for (std::uint32_t left = 4; left >= 1; --left) {
    REQUIRE(fixture.sessions().undo(first.session, left + 1, false, CancelToken()).has_value());
    const auto shorter = ok(fixture.get(first.session, true));
    REQUIRE(shorter.rounds.size() == left);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(shorter.rounds.back().moves[i].vector == info.rounds[left - 1].moves[i].vector);
    }
  }
}

TEST_CASE("sessions: a round is taken back once, however often it is asked for", "[unit]") {
  Fixture fixture;
  StartSession request = Fixture::request();
  request.options.adapter->history = history_of({1});
  const auto id = ok(fixture.start(request)).session;
  for (int i = 0; i < 3; ++i) ok(fixture.next(id));
  const auto undo = [&](std::optional<std::uint32_t> round) {
    return fixture.sessions().undo(id, round, false, CancelToken());
  };
  for (int repeated = 0; repeated < 3; ++repeated) CHECK(ok(undo(4)).rounds.size() == 3);
  CHECK(ok(undo(3)).rounds.size() == 2);
  for (const std::uint32_t wrong : {1U, 4U, 100U}) {
    CHECK(undo(wrong).error().code() == Code::kAlreadyExists);
    CHECK(undo(wrong).error().message().starts_with("round: "));
  }
  CHECK(ok(undo(std::nullopt)).rounds.size() == 1);
  CHECK(ok(undo(1)).rounds.empty());
  CHECK(ok(undo(1)).rounds.empty());
  CHECK(undo(std::nullopt).error().code() == Code::kBadRequest);
}

TEST_CASE("session table: few wait for a session, and not for long", "[unit]") {
  metrics::Registry registry;
  SessionTable table(registry.gauge("sessions", ""));
  const SessionId id{1};
  REQUIRE(table.add(id, {0, 10, 1}, 1));
  std::vector<std::jthread> waiting;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 6; ++i) {
    waiting.emplace_back([&] {
      const auto state = table.claim(id, 5, CancelToken());
      if (state.has_error() && state.error().code() == Code::kResourceExhausted) ++refused;
    });
  }
  // All but those that may wait are refused at once, and those in the end.
  waiting.clear();
  CHECK(refused == 6);
  std::atomic<bool> has_insisted = false;
  std::jthread insists([&] { has_insisted = table.insist(id, 5, CancelToken()).has_value(); });
  std::this_thread::sleep_for(SessionTable::kWaitMax + std::chrono::milliseconds(100));
  CHECK_FALSE(has_insisted);
  table.release(id, {0, 10, 1});
  insists.join();
  CHECK(has_insisted);
}

}  // namespace tessera::engine
