#include "engine/user_mixtures.h"

#include <atomic>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "engine/users_impl.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kDim = 8;
/// Decays nothing, but makes a query read the events.
constexpr double kForever = 1e300;

using Vector = std::vector<float>;

CollectionConfig config_of(Metric metric) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  config.optimizers.indexing_threshold = 8;
  return config;
}

void train(Database& database, Collection& collection, std::uint32_t count, std::uint64_t seed) {
  TrainClustersRequest request;
  request.count = count;
  request.seed = seed;
  const std::uint64_t job = collection.start_clusters(request).value();
  for (int i = 0; i < 6000 && database.job(job)->state < JobState::kDone; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(database.job(job)->state == JobState::kDone);
}

void require_equal(const QueryResult& found, const QueryResult& expected) {
  REQUIRE(found.interests.size() == expected.interests.size());
  for (std::size_t i = 0; i < found.interests.size(); ++i) {
    CAPTURE(i);
    const InterestInfo& a = found.interests[i];
    const InterestInfo& b = expected.interests[i];
    REQUIRE(a.cluster == b.cluster);
    REQUIRE(a.weight == b.weight);
    REQUIRE(a.quota == b.quota);
    REQUIRE(a.returned == b.returned);
    REQUIRE(a.medoid == b.medoid);
    REQUIRE(a.items == b.items);
  }
  REQUIRE(found.points.size() == expected.points.size());
  for (std::size_t i = 0; i < found.points.size(); ++i) {
    REQUIRE(found.points[i].record.id == expected.points[i].record.id);
    REQUIRE(found.points[i].score == expected.points[i].score);
  }
}

/// What a query by the kept mixture answers, and the same query by the events.
void require_same_answer(const Collection& collection, InterestsQuery interests) {
  QueryRequest request;
  request.params.exact = true;
  request.limit = 12;
  request.query = interests;
  const auto found = collection.query(request, CancelToken());
  interests.half_life_seconds = kForever;
  request.query = interests;
  const auto expected = collection.query(request, CancelToken());
  INFO((expected.has_error() ? expected.error().message() : std::string("no error")));
  REQUIRE(found.has_value() == expected.has_value());
  if (found.has_error()) {
    REQUIRE(found.error().message() == expected.error().message());
    return;
  }
  require_equal(*found, *expected);
}

/// Points, users, events and clusters that change at random.
class Run {
 public:
  Run(std::uint64_t seed, Metric metric) : random_(seed) {
    collection_ = database_.create(config_of(metric));
    for (std::uint64_t id = 0; id < 150; ++id) put_point(id);
    train(*database_, *collection_, 12, seed);
  }

  void step() {
    const std::uint64_t user = random_() % 8;
    switch (random_() % 16) {
      case 0:
        train(*database_, *collection_, 8 + static_cast<std::uint32_t>(random_() % 10), random_());
        break;
      case 1:
        REQUIRE(collection_->users().remove({UserId(PointId(user))}, false).has_value());
        break;
      case 2:
        put_user(user);
        break;
      case 3:
        remove_events(user);
        break;
      case 4:
        REQUIRE(
            collection_->write(DeletePoints{std::vector<PointId>{PointId(random_() % 200)}}, false)
                .has_value());
        break;
      case 5:
      case 6:
        put_point(random_() % 200);
        break;
      case 7:
        (void)collection_->write(
            SetPayload{std::vector<PointId>{PointId(random_() % 200)}, R"({"a":1})", {}}, false);
        break;
      case 8:
        database_.reopen();
        collection_ = database_->collection("c").value();
        break;
      default:
        append(user);
        break;
    }
  }

  void check() {
    InterestsQuery interests;
    interests.user = UserId(PointId(random_() % 8));
    interests.max_components = 1 + static_cast<std::uint32_t>(random_() % 6);
    interests.represent = static_cast<retrieval::Represent>(random_() % 3);
    interests.exclude_history = random_() % 2 == 0;
    if (random_() % 2 == 0) {
      interests.blend = 0.25;
      interests.blend_with = static_cast<retrieval::BlendWith>(random_() % 2);
    }
    if (random_() % 2 == 0) {
      interests.smoothing = SmoothingInput{4, static_cast<double>(random_() % 3) / 2};
    }
    require_same_answer(*collection_, interests);
    const auto user = collection_->users().get({*interests.user, std::nullopt}, CancelToken());
    if (user.has_error()) return;
    UserEventsRequest events{*interests.user, 1, 0};
    REQUIRE(user->event_count == collection_->users().events(events, CancelToken())->event_count);
  }

 private:
  Vector random_vector() {
    Vector vector(kDim);
    for (float& value : vector) value = static_cast<float>(random_() % 2000) / 1000 - 1;
    return vector;
  }
  void put_point(std::uint64_t id) {
    UpsertPoints operation;
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    if (random_() % 10 != 0) point.vectors.emplace_back("", random_vector());
    REQUIRE(collection_->write(std::move(operation), false).has_value());
  }
  std::vector<EventInput> random_events() {
    // Mostly newer than all before; a few of points that come later.
    std::vector<EventInput> events(random_() % 4 == 0 ? random_() % 200 : 1 + random_() % 4);
    for (EventInput& event : events) {
      event.id = PointId(random_() % 200);
      event.at_us = random_() % 12 == 0 ? static_cast<std::int64_t>(random_() % 1000) : ++clock_;
      event.weight = static_cast<double>(1 + random_() % 3);
      if (random_() % 300 == 0) event.weight = 1e200;
    }
    return events;
  }
  void put_user(std::uint64_t user) {
    PutUsers request;
    UserInput& input = request.users.emplace_back();
    input.id = UserId(PointId(user));
    if (random_() % 2 == 0) input.vectors.emplace_back("", random_vector());
    if (random_() % 3 == 0) input.history = random_events();
    REQUIRE(collection_->users().put(std::move(request), false).has_value());
  }
  void append(std::uint64_t user) {
    AppendEvents request;
    request.users.push_back({UserId(PointId(user)), random_events()});
    // Sent twice, it counts once.
    if (random_() % 5 == 0) REQUIRE(collection_->users().append(request, false).has_value());
    REQUIRE(collection_->users().append(std::move(request), false).has_value());
  }
  void remove_events(std::uint64_t user) {
    RemoveEvents request;
    request.id = UserId(PointId(user));
    request.events.push_back({PointId(random_() % 200), std::nullopt});
    const auto removed = collection_->users().remove_events(std::move(request), false);
    REQUIRE((removed.has_value() || removed.error().code() == Code::kNotFound));
  }

  std::mt19937_64 random_;
  OpenDatabase database_;
  std::shared_ptr<Collection> collection_;
  std::int64_t clock_ = 1'000'000;
};

storage::Event event_at(std::int64_t at_us) {
  return {PointId(1), at_us, 1};
}

std::shared_ptr<UserMixture> mixture_until(std::int64_t at_us) {
  auto mixture = std::make_shared<UserMixture>();
  mixture->newest = event_at(at_us).position();
  return mixture;
}

constexpr std::size_t kRoom = 1 << 20;

}  // namespace

TEST_CASE("user mixtures: whatever changes, they answer as the events do") {
  const std::uint64_t seed = std::random_device{}();
  for (const Metric metric : {Metric::kCosine, Metric::kEuclid, Metric::kDot}) {
    CAPTURE(seed, metric_name(metric));
    Run run(seed, metric);
    for (int step = 0; step < 250; ++step) {
      CAPTURE(step);
      run.step();
      run.check();
    }
  }
}

TEST_CASE("user mixtures: of a long history the newest events count") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kCosine));
  insert_rows(*collection, testing::clustered_rows({.row_count = 300, .dim = kDim, .seed = 1}));
  train(*database, *collection, 16, 1);
  InterestsQuery interests;
  interests.user = UserId(PointId(1));
  interests.exclude_history = false;
  std::int64_t clock = 0;
  for (const std::size_t count : {9'990, 10, 1, 1022, 1, 1, 2000, 1}) {
    AppendEvents request;
    UserEvents& user = request.users.emplace_back();
    user.id = *interests.user;
    for (std::size_t i = 0; i < count; ++i, ++clock) {
      const auto point = static_cast<std::uint64_t>(clock * clock / 3000 % 300);
      user.events.push_back({PointId(point), 1, clock});
    }
    REQUIRE(collection->users().append(std::move(request), false).has_value());
    CAPTURE(clock);
    require_same_answer(*collection, interests);
  }
  CHECK(first_counted_event(0) == 0);
  CHECK(first_counted_event(11'023) == 0);
  CHECK(first_counted_event(11'024) == 1024);
}

TEST_CASE("user mixtures: queries beside writers end up with everything that was written") {
  OpenDatabase database;
  const auto collection = database.create(config_of(Metric::kCosine));
  const auto rows = testing::clustered_rows({.row_count = 400, .dim = kDim, .seed = 2});
  insert_rows(*collection, rows);
  train(*database, *collection, 16, 2);
  InterestsQuery interests;
  interests.user = UserId(PointId(1));
  std::atomic<bool> is_done = false;
  std::atomic<int> failures = 0;
  const auto append = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 300; ++i) {
      AppendEvents request;
      request.users.push_back(
          {*interests.user, {{PointId(random() % 450), 1, static_cast<std::int64_t>(i)}}});
      if (collection->users().append(std::move(request), false).has_error()) ++failures;
    }
  };
  append(0);
  std::thread reader([&] {
    QueryRequest request;
    request.query = interests;
    while (!is_done) failures += collection->query(request, CancelToken()).has_error() ? 1 : 0;
  });
  std::thread first(append, 1), second(append, 2);
  for (std::uint64_t id = 400; id < 450; ++id) {
    UpsertPoints operation;
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    const float* const row = rows.row(id - 400);
    point.vectors.emplace_back("", Vector(row, row + kDim));
    REQUIRE(collection->write(std::move(operation), false).has_value());
  }
  train(*database, *collection, 20, 3);
  first.join();
  second.join();
  is_done = true;
  reader.join();
  CHECK(failures == 0);
  require_same_answer(*collection, interests);
}

TEST_CASE("user mixtures: newer events wait, others let the mixture go", "[unit]") {
  UserMixtures mixtures;
  const auto kept = mixture_until(10);
  const auto first = mixtures.find(1);
  CHECK(first.mixture == nullptr);
  mixtures.put(1, first.ticket, kept, kRoom);
  CHECK(mixtures.find(1).mixture == kept);

  const std::vector<storage::Event> newer = {event_at(11), event_at(12)};
  mixtures.append(1, newer);
  mixtures.append(2, newer);
  const auto waiting = mixtures.find(1);
  CHECK(waiting.mixture == kept);
  CHECK(waiting.waiting == newer);
  const std::vector<storage::Event> late = {event_at(12)};
  mixtures.append(1, late);
  CHECK(mixtures.find(1).mixture == nullptr);
  CHECK(mixtures.find(1).waiting.empty());
}

TEST_CASE("user mixtures: what was made of older events is not kept", "[unit]") {
  UserMixtures mixtures;
  const std::vector<storage::Event> newer = {event_at(11)};
  const auto before = mixtures.find(1);
  mixtures.append(1, newer);
  mixtures.put(1, before.ticket, mixture_until(10), kRoom);
  CHECK(mixtures.find(1).mixture == nullptr);

  const auto again = mixtures.find(1);
  mixtures.drop(1);
  mixtures.put(1, again.ticket, mixture_until(11), kRoom);
  CHECK(mixtures.bytes() == 0);
  (void)mixtures.find(1);
  mixtures.put(1, again.ticket, mixture_until(11), kRoom);
  CHECK(mixtures.find(1).mixture == nullptr);
}

TEST_CASE("user mixtures: those that were not used for longest make room", "[unit]") {
  UserMixtures mixtures;
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    mixtures.put(slot, mixtures.find(slot).ticket, mixture_until(1), kRoom);
  }
  const std::size_t bytes = mixtures.bytes();
  (void)mixtures.find(0);
  const auto fifth = mixtures.find(4);
  mixtures.put(4, fifth.ticket, mixture_until(1), bytes);
  CHECK(mixtures.bytes() <= bytes);
  CHECK(mixtures.find(0).mixture != nullptr);
  CHECK(mixtures.find(4).mixture != nullptr);
  CHECK(mixtures.find(1).mixture == nullptr);
}

}  // namespace tessera::engine
