#include "engine/sessions.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "engine/database.h"
#include "engine/session_table.h"
#include "storage/verify.h"
#include "tests/engine/session_caller.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kDim = 4;
using Ids = std::vector<std::uint64_t>;
using Vector = std::vector<float>;

/// A database of a few points, and sessions.
class Run final : public SessionCaller {
 public:
  explicit Run(const std::function<void(config::Settings&)>& change = {}) {
    settings_.storage.path = directory_.path() + "/data";
    settings_.storage.free_bytes_min = 0;
    settings_.index.build_thread_count = 1;
    settings_.index.build_idle_ms = 0;
    if (change) change(settings_);
    open();
    CollectionConfig config;
    config.vectors[""] = {kDim, Metric::kEuclid, {}, {}, {}};
    REQUIRE(database_->create_collection("c", config).ok());
    collection_ = database_->collection("c").value();
  }
  void open() {
    auto opened = Database::open(settings_, registry_);
    INFO((opened.has_error() ? opened.error().to_string() : std::string()));
    REQUIRE(opened.has_value());
    database_ = std::move(*opened);
  }
  void reopen() {
    collection_.reset();
    database_.reset();
    open();
    collection_ = database_->collection("c").value();
  }
  void close() {
    collection_.reset();
    database_.reset();
  }

  void upsert(std::uint64_t id, const Vector& vector) {
    UpsertPoints operation;
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    point.vectors.emplace_back("", vector);
    REQUIRE(collection_->write(std::move(operation), false).has_value());
    points_[id] = vector;
  }
  void remove(std::uint64_t id) {
    REQUIRE(collection_->write(DeletePoints{std::vector<PointId>{PointId(id)}}, false).has_value());
    points_.erase(id);
  }

  StartSession request(const Vector& query, std::size_t limit) {
    StartSession start;
    start.query = VectorInput(query);
    start.options.limit = limit;
    start.options.params.exact = true;
    return start;
  }
  Sessions& sessions() override { return collection_->sessions(); }
  Database& database() { return *database_; }
  const std::string& path() const { return settings_.storage.path; }
  metrics::Registry& registry() { return registry_; }

  /// Distances of the nearest points that are not in `seen`, nearest first.
  std::vector<double> nearest(const std::vector<double>& query, const std::set<std::uint64_t>& seen,
                              std::size_t limit) const {
    std::vector<double> distances;
    for (const auto& [id, vector] : points_) {
      if (seen.contains(id)) continue;
      double sum = 0;
      for (std::size_t i = 0; i < kDim; ++i) {
        sum += (query[i] - vector[i]) * (query[i] - vector[i]);
      }
      distances.push_back(std::sqrt(sum));
    }
    std::sort(distances.begin(), distances.end());
    distances.resize(std::min(limit, distances.size()));
    return distances;
  }
  const std::map<std::uint64_t, Vector>& points() const { return points_; }

 private:
  test::TemporaryDirectory directory_;
  metrics::Registry registry_;
  config::Settings settings_;
  std::unique_ptr<Database> database_;
  std::shared_ptr<Collection> collection_;
  std::map<std::uint64_t, Vector> points_;
};

Ids ids_of(const SessionRoundAnswer& answer) {
  Ids ids;
  for (const ScoredPoint& point : answer.result.points) ids.push_back(point.record.id.number());
  return ids;
}

Vector random_vector(std::mt19937_64& random) {
  Vector vector(kDim);
  for (float& value : vector) value = static_cast<float>(random() % 1000) / 500 - 1;
  return vector;
}

SessionRoundAnswer ok(Result<SessionRoundAnswer> answer) {
  INFO((answer.has_error() ? answer.error().to_string() : std::string()));
  REQUIRE(answer.has_value());
  return std::move(*answer);
}

/// A session as a list of what was said and returned.
struct ModelRound {
  std::map<std::uint64_t, double> feedback;
  Ids returned;
};
struct Model {
  Vector query;
  std::size_t limit = 0;
  std::vector<ModelRound> rounds;

  std::set<std::uint64_t> seen() const {
    std::set<std::uint64_t> ids;
    for (const ModelRound& round : rounds) ids.insert(round.returned.begin(), round.returned.end());
    return ids;
  }
  /// Rocchio's formula for points, with its usual weights.
  std::vector<double> vector(const std::map<std::uint64_t, double>& last, const Run& run) const {
    std::map<std::uint64_t, double> scores;
    for (const ModelRound& round : rounds) {
      for (const auto& [id, score] : round.feedback) scores[id] = score;
    }
    for (const auto& [id, score] : last) scores[id] = score;
    std::vector<double> liked(kDim, 0), disliked(kDim, 0);
    double likes = 0, dislikes = 0;
    for (const auto& [id, score] : scores) {
      const auto point = run.points().find(id);
      if (point == run.points().end() || score == 0) continue;
      for (std::size_t i = 0; i < kDim; ++i) {
        (score > 0 ? liked : disliked)[i] += std::abs(score) * point->second[i];
      }
      (score > 0 ? likes : dislikes) += std::abs(score);
    }
    std::vector<double> next(query.begin(), query.end());
    const double beta = likes > 0 ? 0.75 : 0, gamma = dislikes > 0 ? 0.15 : 0;
    for (std::size_t i = 0; i < kDim; ++i) {
      if (beta > 0) next[i] = (next[i] + beta * liked[i] / likes) / (1 + beta);
      if (gamma > 0) next[i] += gamma / (1 + beta) * (next[i] - disliked[i] / dislikes);
    }
    return next;
  }
};

void check_round(const SessionRoundAnswer& answer, const std::vector<double>& query,
                 const std::set<std::uint64_t>& seen, std::size_t limit, const Run& run) {
  const auto expected = run.nearest(query, seen, limit);
  REQUIRE(answer.result.points.size() == expected.size());
  std::set<std::uint64_t> round;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    REQUIRE(answer.result.points[i].score == Approx(expected[i]).margin(1e-5));
    const std::uint64_t id = answer.result.points[i].record.id.number();
    REQUIRE_FALSE(seen.contains(id));
    REQUIRE(run.points().contains(id));
    REQUIRE(round.insert(id).second);
  }
}

}  // namespace

TEST_CASE("sessions: random calls agree with a list of what was said and returned", "[slow]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Run run;
  for (std::uint64_t id = 0; id < 150; ++id) run.upsert(id, random_vector(random));
  std::map<SessionId, Model> models;
  const auto any = [&] {
    auto found = models.begin();
    std::advance(found, static_cast<std::ptrdiff_t>(random() % models.size()));
    return found;
  };
  for (int step = 0; step < 500; ++step) {
    CAPTURE(step);
    const std::uint64_t kind = models.empty() ? 0 : random() % 20;
    if (kind == 0) {
      Model model{random_vector(random), 1 + random() % 9, {}};
      const auto answer = ok(run.start(run.request(model.query, model.limit)));
      check_round(answer, model.vector({}, run), {}, model.limit, run);
      REQUIRE(answer.round == 1);
      model.rounds.push_back({{}, ids_of(answer)});
      models[answer.session] = model;
    } else if (kind == 1) {
      run.reopen();
    } else if (kind < 4) {
      const std::uint64_t id = random() % 150;
      if (run.points().contains(id)) {
        run.remove(id);
      } else {
        run.upsert(id, random_vector(random));
      }
    } else if (kind == 4) {
      auto& [id, model] = *any();
      const auto info = run.sessions().undo(id, std::nullopt, false, CancelToken());
      REQUIRE(info.has_error() == model.rounds.empty());
      if (!model.rounds.empty()) model.rounds.pop_back();
    } else if (kind == 5) {
      auto& [id, model] = *any();
      REQUIRE(run.sessions().reset(id, false, CancelToken()).has_value());
      model.rounds.clear();
    } else if (kind == 6) {
      const auto found = any();
      REQUIRE(run.sessions().remove(found->first, false, CancelToken()).ok());
      REQUIRE(run.next(found->first).error().code() == Code::kNotFound);
      models.erase(found);
    } else {
      auto& [id, model] = *any();
      NextRound request;
      std::map<std::uint64_t, double> feedback;
      for (const std::uint64_t point : model.seen()) {
        if (random() % 4 != 0) continue;
        const std::uint64_t how = random() % 3;
        if (how == 0) request.feedback.positive.emplace_back(point);
        if (how == 1) request.feedback.negative.emplace_back(point);
        if (how == 2) request.feedback.scores.emplace_back(PointId(point), 2.5);
        feedback[point] = how == 0 ? 1 : how == 1 ? -1 : 2.5;
      }
      const std::size_t limit = random() % 2 == 0 ? model.limit : 1 + random() % 9;
      if (limit != model.limit) request.limit = limit;
      const auto answer = ok(run.next(id, request));
      check_round(answer, model.vector(feedback, run), model.seen(), limit, run);
      REQUIRE(answer.round == model.rounds.size() + 1);
      model.rounds.push_back({feedback, ids_of(answer)});
    }
    REQUIRE(run.sessions().count() == models.size());
  }
  for (const auto& [id, model] : models) {
    const auto info = run.get(id, true);
    REQUIRE(info.has_value());
    REQUIRE(info->rounds.size() == model.rounds.size());
    for (std::size_t i = 0; i < model.rounds.size(); ++i) {
      Ids points;
      for (const PointId& point : info->rounds[i].points) points.push_back(point.number());
      REQUIRE(points == model.rounds[i].returned);
      REQUIRE(info->rounds[i].feedback.size() == model.rounds[i].feedback.size());
      REQUIRE(info->rounds[i].moves.at(0).vector.size() == kDim);
    }
  }
  const std::size_t count = models.size();
  run.close();
  const auto report = storage::verify_data_directory(run.path(), {}, CancelToken());
  REQUIRE(report.has_value());
  CHECK(report->error_count == 0);
  CHECK(report->session_count == count);
}

TEST_CASE("sessions: a round that is asked for again is answered again", "[unit]") {
  std::mt19937_64 random(5);
  Run run;
  for (std::uint64_t id = 0; id < 50; ++id) run.upsert(id, random_vector(random));
  const auto first = ok(run.start(run.request(random_vector(random), 5)));
  NextRound again;
  again.round = 1;
  CHECK(ids_of(ok(run.next(first.session, again))) == ids_of(first));
  NextRound request;
  request.round = 2;
  request.feedback.positive = {PointId(ids_of(first)[1])};
  const auto second = ok(run.next(first.session, request));
  run.reopen();
  const auto repeated = ok(run.next(first.session, request));
  CHECK(ids_of(repeated) == ids_of(second));
  CHECK(repeated.round == 2);
  CHECK(repeated.shift == second.shift);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(repeated.result.points[i].score == second.result.points[i].score);
  }
  CHECK(run.get(first.session)->rounds.size() == 2);

  Ids left = ids_of(second);
  run.remove(left.front());
  left.erase(left.begin());
  CHECK(ids_of(ok(run.next(first.session, request))) == left);

  request.feedback.positive = {PointId(ids_of(first)[0])};
  CHECK(run.next(first.session, request).error().code() == Code::kAlreadyExists);
  for (const std::uint32_t wrong : {1U, 4U, 100U}) {
    request.round = wrong;
    CHECK(run.next(first.session, request).error().code() == Code::kAlreadyExists);
  }
  CHECK(run.get(first.session)->rounds.size() == 2);
}

TEST_CASE("sessions: feedback is for what the session returned, once each", "[unit]") {
  std::mt19937_64 random(6);
  Run run;
  for (std::uint64_t id = 0; id < 50; ++id) run.upsert(id, random_vector(random));
  const auto first = ok(run.start(run.request(random_vector(random), 5)));
  const Ids ids = ids_of(first);
  std::uint64_t other = 0;
  while (std::find(ids.begin(), ids.end(), other) != ids.end()) ++other;
  const auto error_of = [&](const SessionFeedback& feedback) {
    const auto answer = run.next(first.session, {feedback, {}, {}});
    REQUIRE(answer.has_error());
    CHECK(answer.error().code() == Code::kInvalidArgument);
    return answer.error().message();
  };
  const std::string unseen =
      ": point " + std::to_string(other) + " was not returned by this session";
  const std::string twice = ": point " + std::to_string(ids[0]) + " is given twice";
  CHECK(error_of({{PointId(ids[0]), PointId(other)}, {}, {}}) == "feedback.positive[1]" + unseen);
  CHECK(error_of({{}, {PointId(other)}, {}}) == "feedback.negative[0]" + unseen);
  CHECK(error_of({{}, {}, {{PointId(other), 1}}}) == "feedback.scores[0]" + unseen);
  CHECK(error_of({{PointId(ids[0])}, {PointId(ids[0])}, {}}) == "feedback.negative[0]" + twice);
  CHECK(error_of({{PointId(ids[0])}, {}, {{PointId(ids[0]), 2}}}) == "feedback.scores[0]" + twice);
  CHECK(error_of({{PointId(ids[0]), PointId(ids[0])}, {}, {}}) == "feedback.positive[1]" + twice);
  CHECK(run.get(first.session)->rounds.size() == 1);
  // What is taken back was not returned.
  REQUIRE(run.sessions().undo(first.session, std::nullopt, false, CancelToken()).has_value());
  CHECK(run.next(first.session, {{{PointId(ids[0])}, {}, {}}, {}, {}}).error().code() ==
        Code::kInvalidArgument);
}

TEST_CASE("sessions: every limit is kept and named", "[unit]") {
  std::mt19937_64 random(7);
  Run run([](config::Settings& settings) {
    settings.sessions.count_max = 2;
    settings.sessions.round_count_max = 3;
    settings.sessions.returned_count_max = 20;
    settings.sessions.ttl_s_max = 100;
    settings.sessions.ttl_s = 1000;
    settings.sessions.bytes_max = 1024;
  });
  for (std::uint64_t id = 0; id < 50; ++id) run.upsert(id, random_vector(random));
  const Vector query = random_vector(random);
  const auto error_of = [](const auto& answer, Code code) {
    REQUIRE(answer.has_error());
    CHECK(answer.error().code() == code);
    return answer.error().message();
  };
  const auto first = ok(run.start(run.request(query, 3)));
  const auto lives_us = first.expires_at_us - run.get(first.session)->created_at_us;
  CHECK(lives_us >= 100'000'000);
  CHECK(lives_us < 110'000'000);
  StartSession eternal = run.request(query, 3);
  eternal.ttl_s = 101;
  CHECK(error_of(run.start(eternal), Code::kBadRequest).find("sessions.ttl_s_max") !=
        std::string::npos);
  CHECK(error_of(run.start(run.request(query, 21)), Code::kBadRequest).starts_with("limit: "));
  StartSession large = run.request(query, 3);
  large.options_text = std::string(2000, ' ');
  CHECK(error_of(run.sessions().start(large, false, CancelToken()), Code::kBadRequest)
            .find("sessions.bytes_max") != std::string::npos);

  NextRound more;
  more.limit = 18;
  CHECK(error_of(run.next(first.session, more), Code::kBadRequest).starts_with("limit: "));
  more.limit = 17;
  CHECK(ok(run.next(first.session, more)).result.points.size() == 17);
  CHECK(error_of(run.next(first.session), Code::kBadRequest).find("returned 20 points") !=
        std::string::npos);
  const auto second = ok(run.start(run.request(query, 1)));
  CHECK(error_of(run.start(run.request(query, 1)), Code::kResourceExhausted)
            .find("sessions.count_max") != std::string::npos);
  // Nothing is looked for in vain.
  CHECK(error_of(run.start(run.request({1, 2}, 1)), Code::kResourceExhausted)
            .find("sessions.count_max") != std::string::npos);
  ok(run.next(second.session));
  ok(run.next(second.session));
  CHECK(error_of(run.next(second.session), Code::kBadRequest).find("sessions.round_count_max") !=
        std::string::npos);
  REQUIRE(run.sessions().remove(second.session, false, CancelToken()).ok());
  ok(run.start(run.request(query, 1)));
  CHECK(run.sessions().count() == 2);
}

TEST_CASE("sessions: they end with their time, and with their collection", "[unit]") {
  std::mt19937_64 random(8);
  Run run([](config::Settings& settings) { settings.sessions.count_max = 3; });
  for (std::uint64_t id = 0; id < 20; ++id) run.upsert(id, random_vector(random));
  StartSession request = run.request(random_vector(random), 3);
  request.ttl_s = 1;
  std::vector<SessionId> ids;
  for (int i = 0; i < 2; ++i) ids.push_back(ok(run.start(request)).session);
  request.ttl_s = 1000;
  const SessionId lasting = ok(run.start(request)).session;
  for (int i = 0; i < 1000 && run.sessions().count() > 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(run.sessions().count() == 1);
  for (const SessionId& id : ids) {
    CHECK(run.next(id).error().code() == Code::kNotFound);
    CHECK(run.get(id).error().code() == Code::kNotFound);
    CHECK(run.sessions().undo(id, std::nullopt, false, CancelToken()).error().code() ==
          Code::kNotFound);
    CHECK(run.sessions().remove(id, false, CancelToken()).code() == Code::kNotFound);
  }
  run.reopen();
  CHECK(run.sessions().count() == 1);
  // The gauge counts those that have ended until they are swept.
  const auto shows_one = [&] {
    return run.registry().expose().find("tessera_sessions_open 1\n") != std::string::npos;
  };
  for (int i = 0; i < 1000 && !shows_one(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(shows_one());
  REQUIRE(run.get(lasting).has_value());
  REQUIRE(run.database().delete_collection("c").value());
  CHECK(run.next(lasting).error().code() == Code::kNotFound);
  run.close();
  const auto report = storage::verify_data_directory(run.path(), {}, CancelToken());
  REQUIRE(report.has_value());
  CHECK(report->ok());
  CHECK(report->session_count == 0);
}

TEST_CASE("sessions: calls on one session follow each other, whoever makes them", "[slow]") {
  std::mt19937_64 random(9);
  Run run;
  for (std::uint64_t id = 0; id < 400; ++id) run.upsert(id, random_vector(random));
  const SessionId id = ok(run.start(run.request(random_vector(random), 4))).session;
  std::vector<std::vector<SessionRoundAnswer>> answers(4);
  std::vector<std::thread> threads;
  const SessionOptionsReader reader = run.reader();
  for (auto& own : answers) {
    threads.emplace_back([&] {
      while (own.size() < 20) {
        auto answer = run.sessions().next(id, {}, reader, false, CancelToken());
        if (answer.has_value()) {
          own.push_back(std::move(*answer));
        } else if (answer.error().code() != Code::kResourceExhausted) {
          return;  // Few may wait at a time; anything else is a failure.
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> seen;
  std::set<std::uint32_t> rounds;
  for (const auto& own : answers) {
    REQUIRE(own.size() == 20);
    for (const SessionRoundAnswer& answer : own) {
      CHECK(rounds.insert(answer.round).second);
      for (const std::uint64_t point : ids_of(answer)) CHECK(seen.insert(point).second);
    }
  }
  CHECK(rounds.size() == 80);
  CHECK(*rounds.rbegin() == 81);
  CHECK(seen.size() == 320);
}

TEST_CASE("session table: a claimed session is waited for, as long as the caller may wait",
          "[unit]") {
  metrics::Registry registry;
  SessionTable table(registry.gauge("sessions", ""));
  const SessionId id{1};
  REQUIRE(table.add(id, {0, 10, 1}, 1));
  CHECK_FALSE(table.add(SessionId{2}, {0, 10, 1}, 1));
  CancelToken cancelled;
  cancelled.cancel();
  CHECK(table.claim(id, 5, cancelled).error().code() == Code::kCancelled);
  std::thread releases([&] { table.release(id, {3, 10, 2}); });
  const auto state = table.claim(id, 5, CancelToken());
  releases.join();
  REQUIRE(state.has_value());
  REQUIRE(state->has_value());
  CHECK(**state == SessionState{3, 10, 2});
  table.release(id, **state);
  CHECK(table.claim_ended(10'000'002, 5).empty());
  CHECK(table.count(10'000'002) == 1);
  CHECK(table.count(10'000'003) == 0);
  CHECK_FALSE(table.claim(id, 10'000'003, CancelToken())->has_value());
  CHECK(table.claim_ended(10'000'003, 5).size() == 1);
  table.forget(id);
  CHECK(table.claim_ended(10'000'003, 5).empty());
}

}  // namespace tessera::engine
