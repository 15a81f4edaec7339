#include "api/quick_calls.h"

#include <random>

#include "tests/api/support.h"

namespace tessera::api {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

std::optional<HttpResponse> ask_quickly(ServiceUnderTest& under_test, std::string_view target,
                                        std::string_view body, CancelToken* cancel = nullptr,
                                        Method method = Method::kPost) {
  return under_test.service.handle_quickly({.method = method,
                                            .target = target,
                                            .content_type = "application/json",
                                            .body = body,
                                            .cancel = cancel});
}

constexpr const char* kQueryTarget = "/collections/c/points/query";

TEST_CASE("quick calls: a plain search is answered as it is otherwise", "[unit]") {
  ServiceUnderTest under_test;
  FakeCollection& collection = under_test.collection;
  engine::ScoredPoint& hit = collection.query_answer.points.emplace_back();
  hit.record.id = PointId(4);
  hit.score = 0.5F;
  const std::string body = R"({"query":[1,2],"limit":3,"with_payload":true})";
  const auto quick = ask_quickly(under_test, kQueryTarget, body);
  REQUIRE(quick);
  CHECK(quick->status == 200);
  const Answer other = under_test.call(Method::kPost, kQueryTarget, body);
  const auto before_time = [](const std::string& text) {
    return text.substr(0, text.find("time"));
  };
  CHECK(before_time(quick->body) == before_time(other.body));
  REQUIRE(collection.queries.size() == 2);
  CHECK(collection.queries[0].limit == 3);
  CHECK(std::get<engine::VectorInput>(collection.queries[0].query) ==
        std::get<engine::VectorInput>(collection.queries[1].query));
}

TEST_CASE("quick calls: errors are answered as they are otherwise", "[unit]") {
  ServiceUnderTest under_test;
  for (const std::string body : {"", "{", R"({"query":[1,"a"]})", R"({"query":[1],"limit":0})",
                                 R"({"query":[1e99]})", R"({"query":{"fusion":"rrf"}})"}) {
    CAPTURE(body);
    const auto quick = ask_quickly(under_test, kQueryTarget, body);
    REQUIRE(quick);
    const Answer other = under_test.call(Method::kPost, kQueryTarget, body);
    CHECK(quick->status == other.status);
    const auto error = [](const std::string& text) { return text.substr(0, text.find("time")); };
    CHECK(error(quick->body) == error(other.body));
  }
}

TEST_CASE("quick calls: what may take long or changes something is left to a worker", "[unit]") {
  ServiceUnderTest under_test;
  FakeCollection& collection = under_test.collection;
  const std::string points = "/collections/c/points";
  const auto is_left = [&](const std::string& target, const std::string& body,
                           Method method = Method::kPost) {
    return !ask_quickly(under_test, target, body, nullptr, method);
  };
  CHECK(is_left(points, R"({"points":[{"id":1,"vector":[1]}]})", Method::kPut));
  CHECK(is_left(points + "/delete", R"({"points":[1]})"));
  CHECK(is_left(points + "/query", R"({"query":[1],"params":{"exact":true}})"));
  CHECK(is_left(points + "/query", R"({"query":[1],"limit":1001})"));
  CHECK(is_left(points + "/query",
                R"({"query":[1],"filter":{"must":[{"key":"a","match":{"value":1}}]}})"));
  CHECK(is_left(points + "/query", R"({"query":[1]})" + std::string(kQuickBodyBytesMax, ' ')));
  CHECK(is_left(points + "/count", R"({"filter":{"must":[{"key":"a","match":{"value":1}}]}})"));
  CHECK(is_left(points + "/scroll", R"({"limit":65})"));
  std::string searches = R"({"query":[1]})";
  for (int i = 0; i < 16; ++i) searches += R"(,{"query":[1]})";
  CHECK(is_left(points + "/query/batch", R"({"searches":[)" + searches + "]}"));
  CHECK(is_left("/metrics", "", Method::kGet));
  CHECK(is_left("/collections/c", "", Method::kGet));
  CHECK(is_left("/nothing/there", "", Method::kGet));
  CHECK(is_left("/collections/%zz", "", Method::kGet));
  CHECK(collection.writes.empty());
  CHECK(collection.queries.empty());
  CHECK_FALSE(is_left(points + "/count", "{}"));
  CHECK_FALSE(is_left(points + "/scroll", R"({"limit":64})"));
  CHECK_FALSE(is_left(points + "/1", "", Method::kGet));
  CHECK_FALSE(is_left(points, R"({"ids":[1]})"));
}

TEST_CASE("quick calls: a search that does not end in time is left to a worker, and the next too",
          "[unit]") {
  ServiceUnderTest under_test;
  FakeCollection& collection = under_test.collection;
  collection.is_endless = true;
  const std::string body = R"({"query":[1]})";
  CHECK_FALSE(ask_quickly(under_test, kQueryTarget, body));
  collection.is_endless = false;
  // Nobody tries again before a worker has found it quicker.
  CHECK_FALSE(ask_quickly(under_test, kQueryTarget, body));
  CHECK(collection.queries.empty());
  const bool is_quick_again = [&] {
    for (int i = 0; i < 100; ++i) {
      CHECK(under_test.call(Method::kPost, kQueryTarget, body).status == 200);
      if (ask_quickly(under_test, kQueryTarget, body)) return true;
    }
    return false;
  }();
  CHECK(is_quick_again);
}

TEST_CASE("quick calls: the request's own deadline is answered, not left to a worker", "[unit]") {
  ServiceUnderTest under_test;
  CancelToken passed(CancelToken::Clock::now() - milliseconds(1));
  const auto answer = ask_quickly(under_test, kQueryTarget, R"({"query":[1]})", &passed);
  REQUIRE(answer);
  CHECK(answer->status == 408);
}

TEST_CASE("query times: the expected time is about the median of what was seen", "[unit]") {
  const auto seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> usual(80, 120);
  QueryTimeTable times;
  CHECK_FALSE(times.expected(7));
  for (int i = 0; i < 1000; ++i) {
    // One in ten is held up by something else.
    times.observe(7, microseconds(i % 10 == 9 ? 50'000 : usual(random)));
    if (i < 100) continue;
    CHECK(times.expected(7)->count() > 50);
    CHECK(times.expected(7)->count() < 250);
  }
  for (int i = 0; i < 100; ++i) times.observe(7, milliseconds(20));
  CHECK(times.expected(7)->count() > 10'000);
  for (int i = 0; i < 100; ++i) times.observe(7, microseconds(0));
  CHECK(times.expected(7)->count() < 100);
  times.observe(8, std::chrono::hours(24));
  CHECK(times.expected(8)->count() > 1'000'000);
}

TEST_CASE("query times: what makes a query slower or quicker is in its shape", "[unit]") {
  engine::QueryRequest plain;
  plain.query = engine::VectorInput(std::vector<float>{1});
  const std::size_t shape = query_shape("c", plain);
  CHECK(query_shape("c", plain) == shape);
  CHECK(query_shape("d", plain) != shape);
  const auto differs = [&](auto change) {
    engine::QueryRequest changed = plain;
    change(changed);
    return query_shape("c", changed) != shape;
  };
  CHECK(differs([](auto& request) { request.limit = 1000; }));
  CHECK(differs([](auto& request) { request.offset = 1000; }));
  CHECK(differs([](auto& request) { request.params.exact = true; }));
  CHECK(differs([](auto& request) { request.params.hnsw_ef = 500; }));
  CHECK(differs([](auto& request) { request.params.probe_count = 500; }));
  CHECK(differs([](auto& request) { request.using_vector = "image"; }));
  CHECK(differs([](auto& request) { request.with_vector.all = true; }));
  CHECK(differs([](auto& request) { request.query = engine::NoQuery{}; }));
  CHECK(differs(
      [](auto& request) { request.with_payload.kind = engine::PayloadSelector::Kind::kAll; }));
}

}  // namespace
}  // namespace tessera::api
