#include <algorithm>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "engine/database.h"
#include "storage/verify.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kDim = 4;

struct ModelUser {
  std::map<std::string, std::vector<float>> vectors;
  std::map<storage::EventPosition, double> events;
};
/// By key, which is their order.
using Model = std::map<PointId, std::pair<UserId, ModelUser>>;

class Run {
 public:
  explicit Run(std::uint64_t seed) : random_(seed) {
    settings_.storage.path = directory_.path() + "/data";
    settings_.storage.free_bytes_min = 0;
    settings_.index.build_thread_count = 1;
    settings_.index.build_idle_ms = 0;
    open();
    CollectionConfig config;
    config.vectors["a"] = {kDim, Metric::kEuclid, {}, {}, {}};
    config.vectors["b"] = {kDim, Metric::kDot, {}, {}, {}};
    REQUIRE(database_->create_collection("m", config).ok());
    collection_ = database_->collection("m").value();
  }

  void step() {
    switch (random_() % 12) {
      case 0:
        reopen();
        break;
      case 1:
        remove();
        break;
      case 2:
      case 3:
      case 4:
        put();
        break;
      default:
        append();
        break;
    }
    if (random_() % 4 == 0) check();
  }

  void check() {
    const CancelToken cancel;
    REQUIRE(collection_->users().count().value() == model_.size());
    REQUIRE(collection_->count({}, cancel).value() == 0);
    ScrollUsersRequest request;
    request.limit = 3;
    request.with_vector = true;
    auto expected = model_.begin();
    do {
      const UserPage page = collection_->users().scroll(request, cancel).value();
      for (const UserInfo& user : page.users) {
        REQUIRE(expected != model_.end());
        check_user(user, expected->second, cancel);
        ++expected;
      }
      request.offset = page.next_offset;
    } while (request.offset);
    REQUIRE(expected == model_.end());
    check_missing(cancel);
  }

  void verify() {
    collection_.reset();
    database_.reset();
    const auto report = storage::verify_data_directory(settings_.storage.path, {}, CancelToken());
    for (const storage::Problem& problem : report->problems) {
      UNSCOPED_INFO(problem.where << ": " << problem.what);
    }
    REQUIRE(report->ok());
    std::uint64_t event_count = 0;
    for (const auto& [key, user] : model_) event_count += user.second.events.size();
    REQUIRE(report->event_count == event_count);
    REQUIRE(report->point_count == model_.size());
  }

 private:
  void open() { database_ = Database::open(settings_, registry_).value(); }
  void reopen() {
    collection_.reset();
    database_.reset();
    open();
    collection_ = database_->collection("m").value();
  }
  UserId random_id() {
    const std::uint64_t number = random_() % 30;
    if (number % 3 == 0) return UserId::parse(std::to_string(number)).value();
    if (number % 3 == 1) return UserId::parse("user/" + std::to_string(number) + " ä").value();
    const std::string digits = std::to_string(10 + number);
    return UserId::parse("00000000-0000-4000-8000-0000000000" + digits).value();
  }
  std::vector<EventInput> random_events(ModelUser& model) {
    std::vector<EventInput> events(random_() % 5 == 0 ? random_() % 400 : random_() % 6);
    for (EventInput& event : events) {
      event.id = PointId(random_() % 50);
      event.at_us = static_cast<std::int64_t>(random_() % 1000) * 1'000'000;
      event.weight = 1 + static_cast<double>(random_() % 3);
      model.events.emplace(storage::EventPosition{*event.at_us, event.id}, event.weight);
    }
    return events;
  }
  bool waits() { return random_() % 4 == 0; }

  void put() {
    PutUsers request;
    std::map<PointId, bool> given;
    for (std::uint64_t i = random_() % 5; i > 0; --i) {
      const UserId id = random_id();
      if (!given.emplace(id.key, true).second) continue;
      UserInput& user = request.users.emplace_back();
      user.id = id;
      auto& [model_id, model] = model_[id.key];
      model_id = id;
      for (const char* name : {"a", "b"}) {
        if (random_() % 3 != 0) continue;
        std::vector<float> values(kDim);
        for (float& value : values) value = static_cast<float>(random_() % 100);
        model.vectors[name] = values;
        user.vectors.emplace_back(name, std::move(values));
      }
      if (random_() % 3 != 0) continue;
      model.events.clear();
      user.history = random_events(model);
    }
    REQUIRE(collection_->users().put(std::move(request), waits()).has_value());
  }
  void append() {
    AppendEvents request;
    for (std::uint64_t i = random_() % 6; i > 0; --i) {
      const UserId id = random_id();
      auto& [model_id, model] = model_[id.key];
      model_id = id;
      request.users.push_back({id, random_events(model)});
    }
    REQUIRE(collection_->users().append(std::move(request), waits()).has_value());
  }
  void remove() {
    std::vector<UserId> ids;
    for (std::uint64_t i = random_() % 4; i > 0; --i) {
      ids.push_back(random_id());
      model_.erase(ids.back().key);
    }
    REQUIRE(collection_->users().remove(ids, waits()).has_value());
  }

  void check_user(const UserInfo& user, const std::pair<UserId, ModelUser>& expected,
                  const CancelToken& cancel) {
    const auto& [id, model] = expected;
    REQUIRE(user.id == id);
    REQUIRE(user.event_count == model.events.size());
    REQUIRE(std::map<std::string, std::vector<float>>(user.vectors.begin(), user.vectors.end()) ==
            model.vectors);
    const UserInfo got = collection_->users().get({id, std::nullopt}, cancel).value();
    REQUIRE(got.vectors == user.vectors);
    REQUIRE(got.event_count == user.event_count);
    UserEventsRequest request{id, 1 + random_() % 300, random_() % 100};
    const UserEventsPage page = collection_->users().events(request, cancel).value();
    REQUIRE(page.event_count == model.events.size());
    auto next = model.events.rbegin();
    std::advance(next, std::min(request.offset, model.events.size()));
    for (const storage::Event& event : page.events) {
      REQUIRE(next != model.events.rend());
      REQUIRE(event.position() == next->first);
      REQUIRE(event.weight == next->second);
      ++next;
    }
    REQUIRE((next == model.events.rend() || page.events.size() == request.limit));
  }
  void check_missing(const CancelToken& cancel) {
    for (int i = 0; i < 5; ++i) {
      const UserId id = random_id();
      const auto user = collection_->users().get({id, std::nullopt}, cancel);
      REQUIRE(user.has_value() == model_.contains(id.key));
      if (user.has_error()) REQUIRE(user.error().code() == Code::kNotFound);
    }
  }

  std::mt19937_64 random_;
  test::TemporaryDirectory directory_;
  config::Settings settings_;
  metrics::Registry registry_;
  std::unique_ptr<Database> database_;
  std::shared_ptr<Collection> collection_;
  Model model_;
};

}  // namespace

TEST_CASE("users: random operations, reopened at random, agree with a map") {
  const std::uint64_t seed = std::random_device{}();
  for (std::uint64_t round = 0; round < 4; ++round) {
    CAPTURE(seed, round);
    Run run(seed + round);
    for (int step = 0; step < 150; ++step) {
      CAPTURE(step);
      run.step();
    }
    run.check();
    run.verify();
  }
}

}  // namespace tessera::engine
