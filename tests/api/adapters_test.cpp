#include <catch2/catch.hpp>

#include "support.h"

using namespace tessera;
using namespace tessera::api;

namespace {

FakeAdapters& adapters_of(ServiceUnderTest& under_test) {
  return under_test.collection.stored_adapters;
}

}  // namespace

TEST_CASE("adapters: a file goes to the engine as it came", "[unit]") {
  ServiceUnderTest under_test;
  FakeAdapters& adapters = adapters_of(under_test);
  adapters.info.version = 3;
  adapters.info.created_at_us = 1'500'000;
  adapters.info.file_bytes = 11;
  adapters.info.parameter_count = 12;
  adapters.info.backbone = "sasrec";
  adapters.info.dim = 64;
  adapters.info.context_size = 20;
  adapters.info.max_history = 50;
  adapters.info.has_item_bias = true;
  const std::string file("\0\xFF{\"not json", 12);
  const Answer answer = under_test.call(Method::kPut, "/collections/c/adapters/a%20%C3%A9", file,
                                        "application/octet-stream");
  REQUIRE(answer.status == 200);
  REQUIRE(adapters.files.size() == 1);
  CHECK(adapters.files[0].first == "a é");
  CHECK(adapters.files[0].second == file);
  CHECK(answer.at("/result/name") == "\"a é\"");
  CHECK(answer.at("/result/version") == "3");
  CHECK(answer.at("/result/created_at") == "\"1970-01-01T00:00:01.500000Z\"");
  CHECK(answer.at("/result/bytes") == "11");
  CHECK(answer.at("/result/parameters") == "12");
  CHECK(answer.at("/result/backbone") == "\"sasrec\"");
  CHECK(answer.at("/result/dim") == "64");
  CHECK(answer.at("/result/context_size") == "20");
  CHECK(answer.at("/result/max_history") == "50");
  CHECK(answer.at("/result/item_bias") == "true");
}

TEST_CASE("adapters: they are shown, listed and deleted by name", "[unit]") {
  ServiceUnderTest under_test;
  FakeAdapters& adapters = adapters_of(under_test);
  for (const char* name : {"a", "b"}) {
    const std::string target = "/collections/c/adapters/" + std::string(name);
    REQUIRE(under_test.call(Method::kPut, target, "x", "application/octet-stream").status == 200);
    CHECK(under_test.call(Method::kGet, target).at("/result/name") ==
          '"' + std::string(name) + '"');
  }
  const Answer list = under_test.call(Method::kGet, "/collections/c/adapters");
  CHECK(list.at("/result/adapters/0/name") == "\"a\"");
  CHECK(list.at("/result/adapters/1/name") == "\"b\"");
  const Answer removal = under_test.call(Method::kDelete, "/collections/c/adapters/b");
  CHECK(removal.status == 200);
  CHECK(removal.at("/result/status") == "\"completed\"");
  CHECK(adapters.removals == std::vector<std::string>{"b"});
}

TEST_CASE("adapters: one that is damaged is shown with its name and why", "[unit]") {
  ServiceUnderTest under_test;
  adapters_of(under_test).info.error = "its record cannot be read";
  REQUIRE(
      under_test.call(Method::kPut, "/collections/c/adapters/a", "x", "application/octet-stream")
          .status == 200);
  const Answer shown = under_test.call(Method::kGet, "/collections/c/adapters/a");
  CHECK(shown.at("/result/error") == "\"its record cannot be read\"");
  CHECK(keys_at(shown.body, "/result") == std::vector<std::string>{"name", "error"});
}

TEST_CASE("adapters: bad names, types and failures of the engine are answered", "[unit]") {
  ServiceUnderTest under_test;
  const auto put = [&](const std::string& name, const char* type) {
    return under_test.call(Method::kPut, "/collections/c/adapters/" + name, "{}", type);
  };
  CHECK(put("a", "application/json").status == 400);
  CHECK(put("a%3C", "application/octet-stream").status == 422);
  CHECK(put(std::string(201, 'a'), "application/octet-stream").status == 422);
  CHECK(put(std::string(200, 'a'), "application/octet-stream").status == 200);
  CHECK(under_test
            .call(Method::kPut, "/collections/none/adapters/a", "{}", "application/octet-stream")
            .status == 404);
  adapters_of(under_test).failure = {Code::kNotFound, "No adapter `a` found"};
  CHECK(under_test.call(Method::kGet, "/collections/c/adapters/a").status == 404);
  CHECK(under_test.call(Method::kDelete, "/collections/c/adapters/a").status == 404);
  CHECK(under_test.call(Method::kGet, "/collections/c/adapters").status == 404);
}
