#include "api/openapi.h"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "api/routes.h"
#include "support.h"

using namespace tessera::api;

namespace {

std::string lower(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return lowered;
}

std::string escaped(std::string_view pattern) {
  std::string pointer;
  for (const char letter : pattern) pointer += letter == '/' ? "~1" : std::string(1, letter);
  return pointer;
}

std::string document() {
  std::string text;
  JsonWriter json(text);
  write_openapi_document(json);
  return text;
}

/// A path that a pattern matches.
std::string example_path(std::string_view pattern) {
  std::string path(pattern);
  const std::pair<std::string, std::string> values[] = {
      {"{collection_name}", "c"}, {"{id}", "1"}, {"{job_id}", "1"}, {"{field_name}", "a"}};
  for (const auto& [name, value] : values) {
    const auto at = path.find(name);
    if (at != std::string::npos) path.replace(at, name.size(), value);
  }
  while (path.find('{') != std::string::npos) {
    path.replace(path.find('{'), path.find('}') - path.find('{') + 1, "x");
  }
  return path;
}

}  // namespace

TEST_CASE("openapi: the document and the router name the same calls", "[unit]") {
  const std::string text = document();
  REQUIRE(is_json(text));
  std::set<std::string> routed;
  for (const Route& route : routes()) {
    const std::string name = lower(method_name(route.method)) + " " + std::string(route.pattern);
    CAPTURE(name);
    CHECK(routed.insert(name).second);
    const std::string pointer =
        "/paths/" + escaped(route.pattern) + "/" + lower(method_name(route.method));
    CHECK(json_at(text, pointer + "/operationId") == "\"" + std::string(route.operation) + "\"");
    CHECK((json_at(text, pointer + "/requestBody") == "<none>") == route.request_schema.empty());
  }
  std::set<std::string> documented;
  for (const std::string& path : keys_at(text, "/paths")) {
    for (const std::string& method : keys_at(text, "/paths/" + escaped(path))) {
      documented.insert(method + " " + path);
    }
  }
  CHECK(documented == routed);
}

TEST_CASE("openapi: every call in the document is answered by its handler", "[unit]") {
  const Router router;
  ServiceUnderTest under_test;
  for (const Route& route : routes()) {
    CAPTURE(route.pattern, method_name(route.method));
    const Answer answer = under_test.call(route.method, example_path(route.pattern), "{}");
    CHECK(answer.status != 405);
    CHECK(answer.status != 501);
    CHECK(answer.error().find("there is no") == std::string::npos);
  }
}

TEST_CASE("openapi: calls that are not there answer 501 and are not in the document", "[unit]") {
  const std::string text = document();
  ServiceUnderTest under_test;
  for (const MissingRoute& missing : missing_routes()) {
    CAPTURE(missing.pattern, method_name(missing.method));
    const Answer answer = under_test.call(missing.method, example_path(missing.pattern), "{}");
    CHECK(answer.status == 501);
    CHECK(answer.error().starts_with("Not implemented: "));
    CHECK(json_at(text, "/paths/" + escaped(missing.pattern) + "/" +
                            lower(method_name(missing.method))) == "<none>");
  }
}

TEST_CASE("openapi: every schema is used, defined once and refers to schemas there are", "[unit]") {
  const std::string text = document();
  std::set<std::string> defined;
  const auto define = [&](std::span<const NamedSchema> schemas) {
    for (const NamedSchema& schema : schemas) {
      CAPTURE(schema.name);
      CHECK(json_at(text, "/components/schemas/" + std::string(schema.name)) != "<none>");
      CHECK(defined.insert(std::string(schema.name)).second);
    }
  };
  define(request_schemas());
  define(result_schemas());
  std::set<std::string> used;
  const std::string marker = "\"#/components/schemas/";
  for (std::size_t at = text.find(marker); at != std::string::npos; at = text.find(marker, at)) {
    at += marker.size();
    used.insert(text.substr(at, text.find('"', at) - at));
  }
  CHECK(used == defined);
}

TEST_CASE("openapi: operation ids are unique and path parameters are declared", "[unit]") {
  const std::string text = document();
  std::set<std::string_view> operations;
  for (const Route& route : routes()) {
    CHECK(operations.insert(route.operation).second);
    const std::string parameters =
        json_at(text, "/paths/" + escaped(route.pattern) + "/" + lower(method_name(route.method)) +
                          "/parameters");
    const auto count =
        static_cast<std::size_t>(std::count(route.pattern.begin(), route.pattern.end(), '{'));
    std::size_t declared = 0;
    for (std::size_t at = parameters.find("\"in\":\"path\""); at != std::string::npos;
         at = parameters.find("\"in\":\"path\"", at + 1)) {
      ++declared;
    }
    CAPTURE(route.pattern);
    CHECK(declared == count);
  }
}

TEST_CASE("openapi: the daemon serves the document without an envelope", "[unit]") {
  ServiceUnderTest under_test;
  const Answer answer = under_test.call(Method::kGet, "/openapi.json");
  CHECK(answer.status == 200);
  CHECK(answer.at("/openapi") == "\"3.0.3\"");
  CHECK(answer.at("/result") == "<none>");
}

TEST_CASE("router: a literal segment wins over a parameter", "[unit]") {
  const Router router;
  const auto pattern_of = [&](Method method, const std::vector<std::string>& segments) {
    const auto match = router.find(method, segments);
    if (match.route != nullptr) return std::string(match.route->pattern);
    if (match.missing != nullptr) return "missing " + std::string(match.missing->pattern);
    return "none " + match.allow;
  };
  CHECK(pattern_of(Method::kPost, {"collections", "c", "points", "scroll"}) ==
        "/collections/{collection_name}/points/scroll");
  CHECK(pattern_of(Method::kGet, {"collections", "c", "points", "scroll"}) ==
        "/collections/{collection_name}/points/{id}");
  CHECK(pattern_of(Method::kPost, {"collections", "aliases"}) == "missing /collections/aliases");
  CHECK(pattern_of(Method::kGet, {"collections", "aliases"}) == "/collections/{collection_name}");
  CHECK(pattern_of(Method::kGet, {}) == "/");
  CHECK(pattern_of(Method::kGet, {"a"}) == "none ");
}
