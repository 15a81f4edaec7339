#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "support.h"
#include "tests/datasets/source_tree.h"

using namespace tessera::api;

namespace {

/// A request that must fail, with the whole text of its error.
struct MalformedCase {
  Method method = Method::kOther;
  std::string target;
  int status = 0;
  std::string body;
  std::string error;
};

Method method_named(const std::string& name) {
  static constexpr std::pair<const char*, Method> kMethods[] = {
      {"GET", Method::kGet},     {"POST", Method::kPost},     {"PUT", Method::kPut},
      {"PATCH", Method::kPatch}, {"DELETE", Method::kDelete}, {"OPTIONS", Method::kOptions}};
  for (const auto& [text, method] : kMethods) {
    if (name == text) return method;
  }
  return Method::kOther;
}

/// Cases are three lines (method, target and status; body or <none>; error) and an empty line.
std::vector<MalformedCase> read_cases(const std::string& name) {
  std::ifstream file(tessera::testing::source_tree() / "tests/api/malformed" / (name + ".txt"));
  REQUIRE(file);
  std::vector<MalformedCase> cases;
  std::string head;
  while (std::getline(file, head)) {
    MalformedCase one;
    std::string method;
    std::istringstream(head) >> method >> one.target >> one.status;
    one.method = method_named(method);
    REQUIRE(std::getline(file, one.body));
    REQUIRE(std::getline(file, one.error));
    if (one.body == "<none>") one.body.clear();
    cases.push_back(one);
    std::string separator;
    if (std::getline(file, separator)) REQUIRE(separator.empty());
  }
  return cases;
}

constexpr const char* kCorpus[] = {"targets", "collections", "points",  "filters",
                                   "queries", "users",       "sessions"};

}  // namespace

TEST_CASE("malformed: every wrong request of the corpus gets its status and text", "[unit]") {
  std::size_t case_count = 0;
  for (const char* name : kCorpus) {
    ServiceUnderTest under_test;
    for (const MalformedCase& one : read_cases(name)) {
      CAPTURE(name, one.target, one.body);
      ++case_count;
      const Answer answer = under_test.call(one.method, one.target, one.body);
      CHECK(answer.status == one.status);
      CHECK(answer.error() == one.error);
      CHECK(answer.at("/result") == "<none>");
      CHECK(answer.at("/time") != "<none>");
    }
    CHECK(under_test.collection.writes.empty());
    CHECK(under_test.collection.queries.empty());
    CHECK(under_test.collection.scrolls.empty());
    const FakeUsers& users = under_test.collection.stored_users;
    CHECK((users.puts.empty() && users.appends.empty() && users.removals.empty()));
    CHECK((users.scrolls.empty() && users.event_requests.empty()));
    CHECK(under_test.database.collection_names() == std::vector<std::string>{"c"});
  }
  CHECK(case_count >= 150);
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
