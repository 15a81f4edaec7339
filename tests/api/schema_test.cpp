#include <limits>

#include <catch2/catch.hpp>

#include "support.h"

using namespace tessera;
using namespace tessera::api;

namespace {

/// What a reader makes of a body, and the status afterwards.
template <class Read>
auto read(const std::string& body, Read reader) {
  Issues issues;
  const Document document(body, 0, issues);
  REQUIRE(document.ok());
  auto value = reader(document.root());
  return std::pair(value, issues.status());
}

}  // namespace

TEST_CASE("schema: numbers keep unsigned and signed 64 bits", "[unit]") {
  const auto as_unsigned = [](const Value& value) { return value.unsigned_integer(); };
  CHECK(read("18446744073709551615", as_unsigned).first == UINT64_MAX);
  CHECK(read("0", as_unsigned).first == 0);
  CHECK_FALSE(read("-1", as_unsigned).first);
  CHECK_FALSE(read("1.0", as_unsigned).first);
  CHECK_FALSE(read("1e2", as_unsigned).first);
  const auto as_signed = [](const Value& value) { return value.signed_integer(); };
  CHECK(read("-9223372036854775808", as_signed).first == INT64_MIN);
  CHECK_FALSE(read("9223372036854775808", as_signed).first);
}

TEST_CASE("schema: an integer is valid where a float is expected", "[unit]") {
  const auto as_float = [](const Value& value) { return value.float32(); };
  CHECK(read("3", as_float).first == 3.0F);
  CHECK(read("-3", as_float).first == -3.0F);
  CHECK(read("18446744073709551615", as_float).first == 18446744073709551616.0F);
  const auto as_floats = [](const Value& value) { return value.floats(); };
  CHECK(read("[1, 2.5, -3]", as_floats).first == std::vector<float>{1, 2.5F, -3});
  CHECK(read("[]", as_floats).first == std::vector<float>{});
}

TEST_CASE("schema: a number beyond float32 names its place", "[unit]") {
  const auto [numbers, status] =
      read("[1, 3.5e38]", [](const Value& value) { return value.floats(); });
  CHECK_FALSE(numbers);
  CHECK(status.code() == Code::kFormat);
  CHECK(status.message() ==
        "Format error in JSON body: [1]: the number 3.5e+38 is outside the range of 32-bit floats");
  // The largest float itself, and what rounds to it, are fine.
  CHECK(read("[3.4028234663852886e38]", [](const Value& value) {
          return value.floats();
        }).first->front() == std::numeric_limits<float>::max());
}

TEST_CASE("schema: limits say what would have been right", "[unit]") {
  const auto text = [](const std::string& body, auto reader) {
    return read(body, reader).second.message();
  };
  CHECK(text("0", [](const Value& value) { return value.integer_in(1); }) ==
        "Validation error in JSON body: [value 0 invalid, must be 1 or larger]");
  CHECK(text("9", [](const Value& value) { return value.integer_in(0, 8); }) ==
        "Validation error in JSON body: [value 9 invalid, must be 8 or smaller]");
  CHECK(text("9", [](const Value& value) { return value.integer_in(2, 8); }) ==
        "Validation error in JSON body: [value 9 invalid, must be from 2 to 8]");
  CHECK(text("-1", [](const Value& value) { return value.number_from(0); }) ==
        "Validation error in JSON body: [value -1.0 invalid, must be 0.0 or larger]");
  CHECK(text("1.25", [](const Value& value) { return value.number_in(0, 1); }) ==
        "Validation error in JSON body: [value 1.25 invalid, must be from 0.0 to 1.0]");
  CHECK(text("0", [](const Value& value) { return value.number_above(0); }) ==
        "Validation error in JSON body: [value 0.0 invalid, must be larger than 0.0]");
}

TEST_CASE("schema: a type error outweighs limits, and what is missing outweighs limits", "[unit]") {
  Issues issues;
  issues.refuse(Code::kBadRequest, "no");
  CHECK(issues.status().code() == Code::kBadRequest);
  issues.validation("a", "x");
  issues.validation("b", "y");
  CHECK(issues.status().message() == "Validation error in JSON body: [a: x; b: y]");
  issues.unimplemented("c", "a thing");
  CHECK(issues.status().code() == Code::kUnimplemented);
  CHECK(issues.status().message() == "c: a thing is not supported by this version");
  issues.format("d", "first");
  issues.format("e", "second");
  CHECK(issues.status().code() == Code::kFormat);
  CHECK(issues.status().message() == "Format error in JSON body: d: first");
}

TEST_CASE("schema: paths show names in type errors and ? for map entries in limits", "[unit]") {
  const std::string body = R"({"map":{"name":[{"x":0}]}})";
  Issues issues;
  const Document document(body, 0, issues);
  REQUIRE(document.ok());
  const Value body_value = document.root();
  const Value inside = body_value.inside("internal");
  const Object root(inside);
  root.find("map")->each_entry([](std::string_view, const Value& entry) {
    entry.each([](const Value& element) {
      const Object object(element);
      (void)object.find("x")->integer_in(1);
    });
  });
  CHECK(issues.status().message() ==
        "Validation error in JSON body: [internal.map.?[0].x: value 0 invalid, must be 1 or "
        "larger]");
  root.find("map")->each_entry([](std::string_view, const Value& entry) {
    entry.each([](const Value& element) { (void)element.string(); });
  });
  CHECK(issues.status().message() ==
        "Format error in JSON body: map.name[0]: expected a string, found an object");
}

TEST_CASE("schema: equal keys are found in small and in large objects", "[unit]") {
  for (const int count : {1, 15, 16, 17, 500}) {
    CAPTURE(count);
    std::string body = "{";
    for (int i = 0; i < count; ++i) body += "\"k" + std::to_string(i) + "\":0,";
    const auto is_ok = [](const Value& value) { return Object(value).ok(); };
    CHECK(read(body + "\"other\":0}", is_ok).first);
    const auto [ok, status] = read(body + "\"k0\":0}", is_ok);
    CHECK_FALSE(ok);
    CHECK(status.message() == "Format error in JSON body: duplicate field `k0`");
  }
}

TEST_CASE("schema: a payload keeps its numbers, texts and order", "[unit]") {
  const auto compact = [](const std::string& body) {
    return read(body, [](const Value& value) { return value.compact_object(); }).first.value_or("");
  };
  CHECK(compact(R"({ "b" : 1 , "a" : [ 1.0, 2, -3, 18446744073709551615, true, null ] })") ==
        R"({"b":1,"a":[1.0,2,-3,18446744073709551615,true,null]})");
  CHECK(compact("{\"t\":\"\\u00e4\\n\\\"\\u0000 ä\"}") == "{\"t\":\"ä\\n\\\"\\u0000 ä\"}");
  CHECK(compact("{}") == "{}");
}

TEST_CASE("schema: a body larger than the thread's parser keeps is read all the same", "[unit]") {
  std::string body = "[";
  constexpr int kCount = 400'000;
  for (int i = 0; i < kCount; ++i) body += i == 0 ? "0.5" : ",0.5";
  body += "]";
  REQUIRE(body.size() > (1 << 20));
  const auto [numbers, status] = read(body, [](const Value& value) { return value.floats(); });
  REQUIRE(status.ok());
  CHECK(numbers->size() == kCount);
}

TEST_CASE("schema: padding behind the body makes no difference", "[unit]") {
  const std::string body = R"({"limit":3})";
  std::string padded = body + std::string(64, '!');
  for (const std::size_t padding : {std::size_t{0}, std::size_t{63}, std::size_t{64}}) {
    Issues issues;
    const Document document(std::string_view(padded).substr(0, body.size()), padding, issues);
    REQUIRE(document.ok());
    CHECK(Object(document.root()).find("limit")->unsigned_integer() == 3);
  }
}

TEST_CASE("schema: a long value is shortened between letters", "[unit]") {
  std::string text = "\"";
  for (int i = 0; i < 100; ++i) text += "ä";
  const auto shown = read("[" + text + "\"]", [](const Value& value) {
                       return value.first_element()->shown();
                     }).first;
  CHECK(shown.size() <= 63);
  CHECK(shown.ends_with("ä..."));
}
