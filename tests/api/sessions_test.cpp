#include <catch2/catch.hpp>

#include "api/decode.h"
#include "support.h"

using namespace tessera;
using namespace tessera::api;

namespace {

const std::string kSession = "000102030405060708090a0b0c0d0e0f";
const std::string kPath = "/collections/c/sessions/" + kSession;

FakeSessions& sessions_of(ServiceUnderTest& under_test) {
  return under_test.collection.stored_sessions;
}

engine::StartSession started(ServiceUnderTest& under_test, const std::string& body) {
  const Answer answer = under_test.call(Method::kPost, "/collections/c/sessions", body);
  INFO(answer.error());
  REQUIRE(answer.status == 200);
  return sessions_of(under_test).starts.back();
}

}  // namespace

TEST_CASE("sessions: what is given at the start is read, the rest has its defaults", "[unit]") {
  ServiceUnderTest under_test;
  const auto plain = started(under_test, R"({"query":[1,2]})");
  CHECK(std::get<std::vector<float>>(std::get<engine::VectorInput>(plain.query)) ==
        std::vector<float>{1, 2});
  CHECK(plain.options.limit == 10);
  CHECK_FALSE(plain.ttl_s.has_value());
  CHECK(plain.options_text == "{}");
  CHECK(std::get<retrieval::JudgedRocchio>(plain.options.strategy).beta == 0.75);

  const auto full = started(under_test, R"({"query":{"nearest":7},"using":"a","limit":3,
      "filter":{"must":[{"key":"x","match":{"value":1}}]},"params":{"exact":true,"hnsw_ef":9},
      "strategy":{"rocchio":{"alpha":2,"gamma":0}},"ttl":"2m","with_payload":["x"],
      "with_vector":true})");
  CHECK(std::get<PointId>(std::get<engine::VectorInput>(full.query)) == PointId(7));
  CHECK(full.options.using_vector == "a");
  CHECK(full.options.limit == 3);
  CHECK(full.options.filter.has_value());
  CHECK(full.options.params.exact);
  CHECK(full.ttl_s == 120);
  CHECK(full.options.with_vector.all);
  CHECK(started(under_test, R"({"query":1,"ttl":0.25})").ttl_s == 1);
  CHECK(started(under_test, R"({"query":1,"ttl":1e18})").ttl_s == UINT32_MAX);
}

TEST_CASE("sessions: the stored text gives the options back", "[unit]") {
  ServiceUnderTest under_test;
  const auto full = started(under_test, R"({"query":{"interests":{"components":[
      {"vector":[1],"filter":{"must":[{"key":"y","match":{"value":"é"}}]}},{"vector":[2]}]}},
      "using":"a","limit":3,"filter":{"must_not":[{"has_id":[1,2]}]},"params":{"exact":true},
      "strategy":{"relevance_feedback":{"a":1,"b":0.5,"c":-2}},"with_payload":{"exclude":["x"]},
      "with_vectors":["a"]})");
  REQUIRE(full.options.component_filters.size() == 2);
  CHECK(full.options.component_filters[0].has_value());
  CHECK_FALSE(full.options.component_filters[1].has_value());
  CHECK_FALSE(std::get<engine::InterestsQuery>(full.query).components[0].filter.has_value());
  const auto read = read_session_options(full.options_text);
  INFO((read.has_error() ? read.error().message() : std::string()));
  REQUIRE(read.has_value());
  CHECK(read->using_vector == "a");
  CHECK(read->limit == 3);
  REQUIRE(read->filter.has_value());
  CHECK(read->filter->must_not.size() == 1);
  CHECK(read->params.exact);
  CHECK(std::get<retrieval::RelevanceFeedback>(read->strategy).c == -2);
  CHECK(read->with_payload.kind == engine::PayloadSelector::Kind::kExclude);
  CHECK(read->with_vector.names == std::vector<std::string>{"a"});
  REQUIRE(read->component_filters.size() == 2);
  CHECK(read->component_filters[0]->must.size() == 1);
  CHECK_FALSE(read->component_filters[1].has_value());

  for (const char* damaged : {"", "{", "[]", R"({"limit":0})", R"({"filter":7})",
                              R"({"strategy":{"magic":{}}})", R"({"component_filters":{}})"}) {
    CAPTURE(damaged);
    const auto failed = read_session_options(damaged);
    REQUIRE(failed.has_error());
    CHECK(failed.error().code() == Code::kCorrupt);
  }
  sessions_of(under_test).options_text = "{";
  CHECK(under_test.call(Method::kPost, kPath + "/next", "").status == 500);
}

TEST_CASE("sessions: feedback is read, and no body is none", "[unit]") {
  ServiceUnderTest under_test;
  REQUIRE(under_test.call(Method::kPost, kPath + "/next?wait=true", "").status == 200);
  REQUIRE(under_test
              .call(Method::kPost, kPath + "/next",
                    R"({"round":3,"limit":4,"feedback":{"positive":[1],"negative":[2,3],
                        "scores":[{"id":"aaaaaaaa-0000-4000-8000-000000000001","score":-2.5}]}})")
              .status == 200);
  const auto& nexts = sessions_of(under_test).nexts;
  CHECK(nexts[0].feedback.empty());
  CHECK_FALSE(nexts[0].round.has_value());
  CHECK(sessions_of(under_test).waits == std::vector<bool>{true, false});
  CHECK(nexts[1].round == 3);
  CHECK(nexts[1].limit == 4);
  CHECK(nexts[1].feedback.positive == std::vector<PointId>{PointId(1)});
  CHECK(nexts[1].feedback.negative.size() == 2);
  REQUIRE(nexts[1].feedback.scores.size() == 1);
  CHECK(nexts[1].feedback.scores[0].second == -2.5);
  CHECK(storage::session_text(sessions_of(under_test).ids[0]) == kSession);
}

TEST_CASE("sessions: rounds and sessions are shown with all that moved", "[unit]") {
  ServiceUnderTest under_test;
  FakeSessions& sessions = sessions_of(under_test);
  sessions.round.session = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  sessions.round.round = 2;
  sessions.round.shift = 0.5;
  engine::ScoredPoint& point = sessions.round.result.points.emplace_back();
  point.record.id = PointId(4);
  point.round = 2;
  engine::InterestInfo& interest = sessions.round.result.interests.emplace_back();
  interest.shift = 0.25;
  const Answer round = under_test.call(Method::kPost, kPath + "/next", "{}");
  CHECK(round.at("/result/session") == "\"" + kSession + "\"");
  CHECK(round.at("/result/round") == "2");
  CHECK(round.at("/result/returned") == "1");
  CHECK(round.at("/result/shift") == "0.5");
  CHECK(round.at("/result/points/0/id") == "4");
  CHECK(round.at("/result/points/0/round") == "2");
  CHECK(round.at("/result/interests/0/shift") == "0.25");

  sessions.info.session = sessions.round.session;
  sessions.info.ttl_s = 60;
  engine::SessionRoundInfo& shown = sessions.info.rounds.emplace_back();
  shown.feedback = {{PointId(4), -1}};
  shown.points = {PointId(5), PointId(6)};
  shown.moves.push_back({0, 1, 2, 2, 1, {0.5F}});
  const Answer info = under_test.call(Method::kGet, kPath + "?with_vectors=true");
  CHECK(sessions.with_vectors_given == std::vector<bool>{true});
  CHECK(info.at("/result/ttl") == "60");
  CHECK(info.at("/result/round") == "1");
  CHECK(info.at("/result/rounds/0/points/1") == "6");
  CHECK(info.at("/result/rounds/0/feedback/0/score") == "-1.0");
  CHECK(info.at("/result/rounds/0/vector/0") == "0.5");
  CHECK(info.at("/result/rounds/0/interests") == "<none>");
  sessions.info.has_interests = true;
  const Answer of_interests = under_test.call(Method::kPost, kPath + "/undo");
  CHECK(of_interests.at("/result/rounds/0/interests/0/vector/0") == "0.5");
  CHECK(of_interests.at("/result/rounds/0/vector") == "<none>");
  CHECK(under_test.call(Method::kPost, kPath + "/undo", R"({"round":3})").status == 200);
  CHECK(sessions.undone == std::vector<std::optional<std::uint32_t>>{std::nullopt, 3});
  for (const char* wrong : {R"({"round":0})", R"({"round":"1"})", R"({"rounds":1})"}) {
    CHECK(under_test.call(Method::kPost, kPath + "/undo", wrong).status >= 400);
  }
  CHECK(under_test.call(Method::kPost, kPath + "/reset").status == 200);
  CHECK(under_test.call(Method::kDelete, kPath).at("/result") == "true");
  CHECK(under_test.call(Method::kGet, "/collections/c/sessions").at("/result/count") == "17");
}

TEST_CASE("sessions: an adapter that is told no other history has that of the interests",
          "[unit]") {
  ServiceUnderTest under_test;
  const auto own = started(under_test, R"({"strategy":{"adapter":"a"},
      "query":{"interests":{"history":[1,[2,3]],"exclude_history":false}}})");
  REQUIRE(own.options.adapter.has_value());
  CHECK(own.options.adapter->history.size() == 2);
  CHECK_FALSE(own.options.adapter->exclude_history);
  const auto read = read_session_options(own.options_text);
  REQUIRE(read.has_value());
  REQUIRE(read->adapter.has_value());
  CHECK(read->adapter->history.size() == 2);
  CHECK(read->adapter->has_query);
  const auto person = started(under_test, R"({"strategy":{"adapter":"a"},
      "query":{"interests":{"user":"u"}}})");
  CHECK(read_session_options(person.options_text)->adapter->user->to_string() == "u");
  const auto told = started(under_test, R"({"strategy":{"adapter":"a"},"history":[5],
      "query":{"interests":{"user":"u"}}})");
  CHECK(read_session_options(told.options_text)->adapter->history.size() == 1);
  CHECK_FALSE(read_session_options(told.options_text)->adapter->user.has_value());
}

TEST_CASE("sessions: a name that none can have is one that there is not", "[unit]") {
  ServiceUnderTest under_test;
  for (const std::string name : {"x", "000102030405060708090A0B0C0D0E0F", "0", "%20"}) {
    const std::string path = "/collections/c/sessions/" + name;
    CHECK(under_test.call(Method::kGet, path).error() == "Not found: There is no such session");
    CHECK(under_test.call(Method::kPost, path + "/next", "{}").status == 404);
    CHECK(under_test.call(Method::kDelete, path).status == 404);
  }
  CHECK(sessions_of(under_test).ids.empty());
}
