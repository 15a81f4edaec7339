#include <catch2/catch.hpp>

#include "malformed_cases.h"
#include "support.h"

using namespace tessera::api;

namespace {

void check_cases(std::span<const MalformedCase> cases) {
  ServiceUnderTest under_test;
  for (const MalformedCase& one : cases) {
    CAPTURE(one.target, one.body);
    const Answer answer = under_test.call(one.method, one.target, one.body);
    CHECK(answer.status == one.status);
    CHECK(answer.error() == one.error);
    CHECK(answer.at("/result") == "<none>");
    CHECK(answer.at("/time") != "<none>");
  }
  CHECK(under_test.collection.writes.empty());
  CHECK(under_test.collection.queries.empty());
  CHECK(under_test.collection.scrolls.empty());
  CHECK(under_test.database.collection_names() == std::vector<std::string>{"c"});
}

}  // namespace

TEST_CASE("malformed: every wrong path or parameter gets its status and text", "[unit]") {
  check_cases(malformed_targets());
}

TEST_CASE("malformed: every wrong collection body gets its status and text", "[unit]") {
  check_cases(malformed_collections());
}

TEST_CASE("malformed: every wrong points body gets its status and text", "[unit]") {
  check_cases(malformed_points());
}

TEST_CASE("malformed: every wrong filter gets its status and text", "[unit]") {
  check_cases(malformed_filters());
}

TEST_CASE("malformed: every wrong query gets its status and text", "[unit]") {
  check_cases(malformed_queries());
}

TEST_CASE("malformed: the corpus is large", "[unit]") {
  CHECK(malformed_targets().size() + malformed_collections().size() + malformed_points().size() +
            malformed_filters().size() + malformed_queries().size() >=
        150);
}

TEST_CASE("malformed: a million brackets are refused without recursion", "[unit]") {
  ServiceUnderTest under_test;
  constexpr std::size_t kBrackets = 1'000'000;
  const std::string deep_list(kBrackets, '[');
  std::string closed_list = deep_list + std::string(kBrackets, ']');
  std::string deep_object;
  for (std::size_t i = 0; i < kBrackets; ++i) deep_object += "{\"a\":";
  for (const std::string& body : {deep_list, closed_list, deep_object}) {
    const Answer answer = under_test.call(Method::kPut, "/collections/c/points", body);
    CHECK(answer.status == 400);
    CHECK(answer.error() == "Format error in JSON body: nesting is deeper than 64 levels");
  }
  // The thread's parser still works afterwards.
  CHECK(under_test.call(Method::kPost, "/collections/c/points/count", "{}").status == 200);
}

TEST_CASE("malformed: nesting is allowed up to 64 levels", "[unit]") {
  ServiceUnderTest under_test;
  const auto upsert = [&](std::size_t depth) {
    return under_test.call(Method::kPut, "/collections/c/points",
                           R"({"points":[{"id":1,"vector":[1],"payload":{"a":)" +
                               std::string(depth, '[') + std::string(depth, ']') + "}}]}");
  };
  CHECK(upsert(50).status == 200);
  CHECK(upsert(80).status == 400);
}

TEST_CASE("malformed: bytes that are not UTF-8 are refused and never echoed", "[unit]") {
  ServiceUnderTest under_test;
  const Answer body =
      under_test.call(Method::kPost, "/collections/c/points/query", "{\"using\":\"\xff\xfe\"}");
  CHECK(body.status == 400);
  CHECK(body.error() == "Format error in JSON body: the body is not valid UTF-8");
  const Answer path = under_test.call(Method::kGet, "/collections/%ff%fe");
  CHECK(path.status == 400);
  CHECK(path.error() == "Deserialize error in path parameters: not valid UTF-8");
  const Answer raw = under_test.call(Method::kGet, "/nowhere/\xc3\x28");
  CHECK(raw.status == 400);
  // A key that is quoted by its first bytes may be cut inside a letter.
  std::string key = "[";
  for (int i = 0; i < 100; ++i) key += "\xc3\xa4";
  const Answer cut = under_test.call(Method::kPost, "/collections/c/points/payload",
                                     R"({"points":[1],"payload":{},"key":")" + key + "\"}");
  CHECK(cut.status == 400);
  CHECK(is_json(cut.body));
}

TEST_CASE("malformed: a body of another content type is refused", "[unit]") {
  ServiceUnderTest under_test;
  const auto status_of = [&](const std::string& type) {
    return under_test.call(Method::kPost, "/collections/c/points/count", "{}", type).status;
  };
  CHECK(status_of("application/json") == 200);
  CHECK(status_of("Application/JSON; charset=utf-8") == 200);
  CHECK(status_of("application/vnd.api+json") == 200);
  CHECK(status_of("") == 200);
  CHECK(status_of("text/plain") == 400);
  CHECK(status_of("application/jsonx") == 400);
  const Answer answer =
      under_test.call(Method::kPost, "/collections/c/points/count", "{}", "text/plain");
  CHECK(answer.error() ==
        "Format error in JSON body: the content type must be application/json, not \"text/plain\"");
}

TEST_CASE("malformed: more broken limits than fit are counted", "[unit]") {
  ServiceUnderTest under_test;
  std::string body = "{\"searches\":[";
  for (int i = 0; i < 60; ++i) body += i == 0 ? "{\"limit\":0}" : ",{\"limit\":0}";
  body += "]}";
  const Answer answer = under_test.call(Method::kPost, "/collections/c/points/query/batch", body);
  CHECK(answer.status == 422);
  CHECK(answer.error().find("searches[0].internal.limit: value 0 invalid") != std::string::npos);
  CHECK(answer.error().find("searches[49].internal.limit: value 0 invalid") != std::string::npos);
  CHECK(answer.error().find("; and 10 more]") != std::string::npos);
}
