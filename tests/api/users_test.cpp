#include <catch2/catch.hpp>

#include "support.h"

using namespace tessera;
using namespace tessera::api;

namespace {

FakeUsers& users_of(ServiceUnderTest& under_test) {
  return under_test.collection.stored_users;
}

engine::UserId user_id(const char* text) {
  return engine::UserId::parse(text).value();
}

}  // namespace

TEST_CASE("users: ids are integers, UUIDs and other texts, however they are given", "[unit]") {
  ServiceUnderTest under_test;
  const std::string body = R"({"users":[{"id":7},{"id":"8"},{"id":"007"},{"id":"Zoë / 😀"},
      {"id":"{AAAAAAAA-0000-4000-8000-000000000001}"}]})";
  REQUIRE(under_test.call(Method::kPut, "/collections/c/users?wait=true", body).status == 200);
  const auto& users = users_of(under_test).puts.at(0).users;
  CHECK(users[0].id == engine::UserId(PointId(7)));
  CHECK(users[1].id == engine::UserId(PointId(8)));
  CHECK(users[2].id.text == "007");
  CHECK(users[3].id.text == "Zoë / 😀");
  CHECK(users[4].id.to_string() == "aaaaaaaa-0000-4000-8000-000000000001");
  CHECK(users[4].id.text.empty());

  for (const char* path : {"7", "Zo%C3%AB%20%2F%20%F0%9F%98%80", "scroll", "007"}) {
    CAPTURE(path);
    const std::string target = "/collections/c/users/" + std::string(path);
    REQUIRE(under_test.call(Method::kGet, target).status == 200);
    REQUIRE(under_test.call(Method::kDelete, target).status == 200);
  }
  const auto& gets = users_of(under_test).gets;
  REQUIRE(gets.size() == 4);
  CHECK(gets[0].id == users[0].id);
  CHECK(gets[1].id == users[3].id);
  CHECK(gets[2].id.text == "scroll");
  CHECK(gets[3].id == users[2].id);
  CHECK(users_of(under_test).removals.at(1) == std::vector<engine::UserId>{users[3].id});
}

TEST_CASE("users: vectors and histories are given or left alone", "[unit]") {
  ServiceUnderTest under_test;
  const Answer answer = under_test.call(Method::kPut, "/collections/c/users", R"({"users":[
      {"id":1,"vector":[0.5,1]},{"id":2,"vector":{"a":[1]},"history":[]},
      {"id":3,"vector":null,"history":[4,{"id":5,"weight":2.5,"at":"2026-01-05T10:00:00Z"},
       "aaaaaaaa-0000-4000-8000-000000000001",{"id":6,"at":1.5},{"id":7,"at":-1}]}]})");
  REQUIRE(answer.at("/result/status") == "\"acknowledged\"");
  const auto& users = users_of(under_test).puts.at(0).users;
  CHECK(users[0].vectors == engine::NamedVectors{{"", {0.5F, 1}}});
  CHECK_FALSE(users[0].history.has_value());
  CHECK(users[1].vectors == engine::NamedVectors{{"a", {1}}});
  CHECK(users[1].history->empty());
  CHECK(users[2].vectors.empty());
  const auto& history = *users[2].history;
  REQUIRE(history.size() == 5);
  CHECK(history[0].id == PointId(4));
  CHECK_FALSE(history[0].at_us.has_value());
  CHECK(history[1].weight == 2.5);
  CHECK(history[1].at_us == 1'767'607'200'000'000);
  CHECK(history[2].id.is_uuid());
  CHECK(history[3].at_us == 1'500'000);
  CHECK(history[4].at_us == -1'000'000);
}

TEST_CASE("users: events of one and of several users are appended", "[unit]") {
  ServiceUnderTest under_test;
  REQUIRE(under_test
              .call(Method::kPost, "/collections/c/users/u-42/events?wait=true",
                    R"({"events":[{"id":1,"at":1700000000},2]})")
              .at("/result/status") == "\"completed\"");
  REQUIRE(under_test
              .call(Method::kPost, "/collections/c/users/events",
                    R"({"users":[{"id":"a","events":[1]},{"id":9,"events":[]}]})")
              .status == 200);
  const auto& appends = users_of(under_test).appends;
  REQUIRE(appends.size() == 2);
  CHECK(appends[0].users.at(0).id.text == "u-42");
  CHECK(appends[0].users.at(0).events.at(0).at_us == 1'700'000'000'000'000);
  CHECK(appends[0].users.at(0).events.at(1).id == PointId(2));
  CHECK(appends[1].users.size() == 2);
}

TEST_CASE("users: a million events in a request are taken, one more is refused", "[unit]") {
  ServiceUnderTest under_test;
  std::string list = "[1";
  for (int i = 1; i < 1'000'000; ++i) list += ",1";
  REQUIRE(
      under_test.call(Method::kPost, "/collections/c/users/u/events", R"({"events":)" + list + "]}")
          .status == 200);
  CHECK(users_of(under_test).appends.at(0).users.at(0).events.size() == 1'000'000);
  const Answer refused =
      under_test.call(Method::kPut, "/collections/c/users",
                      R"({"users":[{"id":1,"history":)" + list + R"(]},{"id":2,"history":[1]}]})");
  CHECK(refused.status == 422);
  CHECK(refused.error() ==
        "Validation error in JSON body: [users[1].history: a request with 1000001 events, at most "
        "1000000 are allowed]");
}

TEST_CASE("users: a user is shown with vector, events and interests", "[unit]") {
  ServiceUnderTest under_test;
  engine::UserInfo& user = users_of(under_test).user;
  user.id = user_id("u-\"42\"");
  user.event_count = 3;
  CHECK(under_test.call(Method::kGet, "/collections/c/users/x").at("/result") ==
        R"({"id":"u-\"42\"","events":3,"interests":[]})");
  user.vectors = {{"", {0.5F}}};
  user.interests = {{4, 0.75, PointId(8), 2, {PointId(8), PointId(9)}}, {1, 0.25, {}, 1, {}}};
  CHECK(under_test.call(Method::kGet, "/collections/c/users/x?vector=a").at("/result") ==
        R"({"id":"u-\"42\"","vector":[0.5],"events":3,"interests":[)"
        R"({"cluster":4,"weight":0.75,"count":2,"medoid":8,"items":[8,9]},)"
        R"({"cluster":1,"weight":0.25,"count":1,"medoid":null,"items":[]}]})");
  CHECK(users_of(under_test).gets.back().vector == "a");

  users_of(under_test).failure = Status(Code::kNotFound, "No user with id x found");
  const Answer missing = under_test.call(Method::kGet, "/collections/c/users/x");
  CHECK(missing.status == 404);
  CHECK(missing.error() == "Not found: No user with id x found");
}

TEST_CASE("users: events, pages and counts are shown", "[unit]") {
  ServiceUnderTest under_test;
  FakeUsers& users = users_of(under_test);
  users.event_page.events = {{PointId(2), 1'500'000, 2}, {PointId(1), -1, 1}};
  users.event_page.event_count = 5;
  CHECK(under_test.call(Method::kGet, "/collections/c/users/7/events?limit=2&offset=3")
            .at("/result") ==
        R"({"events":[{"id":2,"at":"1970-01-01T00:00:01.500000Z","weight":2.0},)"
        R"({"id":1,"at":"1969-12-31T23:59:59.999999Z","weight":1.0}],"count":5})");
  CHECK(users.event_requests.at(0).limit == 2);
  CHECK(users.event_requests.at(0).offset == 3);

  users.page.users = {{user_id("7"), {}, 2, {}}, {user_id("b"), {{"", {1}}}, 0, {}}};
  users.page.next_offset = user_id("c");
  CHECK(under_test
            .call(Method::kPost, "/collections/c/users/scroll",
                  R"({"limit":2,"offset":"a","with_vector":true})")
            .at("/result") == R"({"users":[{"id":7,"events":2},{"id":"b","vector":[1.0],)"
                              R"("events":0}],"next_page_offset":"c"})");
  CHECK(users.scrolls.at(0).limit == 2);
  CHECK(users.scrolls.at(0).offset == user_id("a"));
  CHECK(users.scrolls.at(0).with_vector);
  CHECK(under_test.call(Method::kPost, "/collections/c/users/count").at("/result/count") == "2");
  REQUIRE(
      under_test.call(Method::kPost, "/collections/c/users/delete", R"({"ids":[7,"b"]})").status ==
      200);
  CHECK(users.removals.at(0) == std::vector<engine::UserId>{user_id("7"), user_id("b")});
}

TEST_CASE("users: events are removed by item and time, or all of an item", "[unit]") {
  ServiceUnderTest under_test;
  const std::string path = "/collections/c/users/u%201/events/delete?wait=true";
  REQUIRE(under_test
              .call(Method::kPost, path,
                    R"({"events":[{"id":7,"at":1.5},{"id":8},9,
                        {"id":7,"at":"1970-01-01T00:00:02Z"}]})")
              .status == 200);
  const engine::RemoveEvents& removal = users_of(under_test).event_removals.at(0);
  CHECK(removal.id == user_id("u 1"));
  REQUIRE(removal.events.size() == 4);
  CHECK(removal.events[0].id == PointId(7));
  CHECK(removal.events[0].at_us == 1'500'000);
  CHECK(removal.events[1].id == PointId(8));
  CHECK_FALSE(removal.events[1].at_us);
  CHECK(removal.events[2].id == PointId(9));
  CHECK(removal.events[3].at_us == 2'000'000);
  const auto refused = [&](const std::string& body) {
    const Answer answer = under_test.call(Method::kPost, path, body);
    CHECK(answer.status >= 400);
    return answer.error();
  };
  using Catch::Contains;
  CHECK_THAT(refused(R"({"events":[]})"), Contains("events: value invalid, must not be empty"));
  CHECK_THAT(refused(R"({"events":[{"at":1}]})"), Contains("events[0]"));
  CHECK_THAT(refused(R"({"events":[{"id":1,"weight":2}]})"), Contains("weight"));
  CHECK_THAT(refused(R"({"events":[{"id":1,"at":"soon"}]})"), Contains("events[0].at"));
  CHECK_THAT(refused("{}"), Contains("events"));
}

TEST_CASE("users: a query names a user and how its neighbours count", "[unit]") {
  ServiceUnderTest under_test;
  REQUIRE(under_test
              .call(Method::kPost, "/collections/c/points/query",
                    R"({"query":{"interests":{"user":"u-42",
                        "smoothing":{"neighbors":25,"lambda":0.8}}}})")
              .status == 200);
  const auto& query = std::get<engine::InterestsQuery>(under_test.collection.queries.at(0).query);
  CHECK(query.user == user_id("u-42"));
  CHECK(query.smoothing->neighbors == 25);
  CHECK(query.smoothing->lambda == 0.8);
  REQUIRE(under_test
              .call(Method::kPost, "/collections/c/points/query",
                    R"({"query":{"interests":{"history":[1],"smoothing":{}}}})")
              .status == 200);
  const auto& plain = std::get<engine::InterestsQuery>(under_test.collection.queries.at(1).query);
  CHECK_FALSE(plain.user.has_value());
  CHECK(plain.smoothing->neighbors == 10);
  CHECK(plain.smoothing->lambda == 0.2);
}
