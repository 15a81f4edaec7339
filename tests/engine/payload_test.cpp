#include "engine/payload.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace tessera;
using namespace tessera::engine;
using Json = nlohmann::json;
using Kind = PayloadPath::Step::Kind;

namespace {

PayloadPath path(std::string_view text) {
  return parse_payload_path(text).value();
}

std::vector<PayloadPath> paths(std::initializer_list<std::string_view> texts) {
  std::vector<PayloadPath> result;
  for (const std::string_view text : texts) result.push_back(path(text));
  return result;
}

/// Objects compare by content whatever the order of their keys.
Json json_of(const Result<std::string>& text) {
  REQUIRE(text.has_value());
  return Json::parse(*text);
}

std::string nested_arrays(std::size_t depth) {
  return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
}

}  // namespace

TEST_CASE("payload path: keys, elements and quoted keys are read") {
  const PayloadPath parsed = path("a-1.b_2[].\"x.y [z]\"[12].é");
  REQUIRE(parsed.steps.size() == 6);
  CHECK(parsed.steps[0] == PayloadPath::Step{Kind::kKey, "a-1", 0});
  CHECK(parsed.steps[1] == PayloadPath::Step{Kind::kKey, "b_2", 0});
  CHECK(parsed.steps[2] == PayloadPath::Step{Kind::kEveryElement, "", 0});
  CHECK(parsed.steps[3] == PayloadPath::Step{Kind::kKey, "x.y [z]", 0});
  CHECK(parsed.steps[4] == PayloadPath::Step{Kind::kElement, "", 12});
  CHECK(parsed.steps[5] == PayloadPath::Step{Kind::kKey, "é", 0});
  CHECK(parsed.text == "a-1.b_2[].\"x.y [z]\"[12].é");
  CHECK(path("a") == path("\"a\""));
}

TEST_CASE("payload path: what is no path is refused with the path in the message") {
  std::string long_path = "a";
  for (int i = 0; i < 70; ++i) long_path += ".a";
  for (const std::string& text : {std::string(),         std::string("."),
                                  std::string("a."),     std::string(".a"),
                                  std::string("a..b"),   std::string("a b"),
                                  std::string("[]"),     std::string("[0]"),
                                  std::string("a["),     std::string("a]"),
                                  std::string("a[-1]"),  std::string("a[x]"),
                                  std::string("a[1 ]"),  std::string("a[]b"),
                                  std::string("\"a"),    std::string("a\"b\""),
                                  std::string("a.[]"),   std::string("a[99999999999999999999999]"),
                                  std::string("a$"),     std::string(5000, 'a'),
                                  std::string("a\0", 2), long_path}) {
    CAPTURE(text);
    const auto parsed = parse_payload_path(text);
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code() == Code::kInvalidArgument);
    CHECK(parsed.error().message().find(text.substr(0, 50)) != std::string::npos);
  }
}

TEST_CASE("payload path: a key that is not UTF-8 is refused, not merged into a payload",
          "[fuzz-regression]") {
  for (const char* text : {"a.b516o\xE9", "\"\xC3\x28\"", "\xFF[0]"}) {
    const auto parsed = parse_payload_path(text);
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code() == Code::kInvalidArgument);
  }
  CHECK(merge_payload("{}", R"({"x":1})", path("\xC3\xA9")).value() == "{\"\xC3\xA9\":{\"x\":1}}");
}

TEST_CASE("extract_values: an index holds the values of its type, array elements one by one") {
  using index::PayloadIndexType;
  using index::PayloadValue;
  const std::string payload = R"({"a":[1, 2.5, "x", true, null, [9], "2026-01-05", -3,
    18446744073709551615, 1.0], "o":[{"b":7},{"b":[8,9]},{"c":1}], "s":"one"})";
  const auto values = [&](const char* key, PayloadIndexType type) {
    return extract_values(payload, path(key), type).value();
  };
  CHECK(values("a", PayloadIndexType::kInteger) ==
        std::vector<PayloadValue>{std::int64_t{1}, std::int64_t{-3}});
  CHECK(values("a", PayloadIndexType::kFloat) ==
        std::vector<PayloadValue>{1.0, 2.5, -3.0, 18446744073709551615.0, 1.0});
  CHECK(values("a", PayloadIndexType::kKeyword) ==
        std::vector<PayloadValue>{std::string("x"), std::string("2026-01-05")});
  CHECK(values("a", PayloadIndexType::kBool) == std::vector<PayloadValue>{true});
  CHECK(values("a", PayloadIndexType::kDatetime) ==
        std::vector<PayloadValue>{*parse_datetime("2026-01-05")});
  CHECK(values("a[]", PayloadIndexType::kInteger) ==
        std::vector<PayloadValue>{std::int64_t{1}, std::int64_t{9}, std::int64_t{-3}});
  CHECK(values("o[].b", PayloadIndexType::kInteger) ==
        std::vector<PayloadValue>{std::int64_t{7}, std::int64_t{8}, std::int64_t{9}});
  CHECK(values("o[1].b[1]", PayloadIndexType::kInteger) ==
        std::vector<PayloadValue>{std::int64_t{9}});
  CHECK(values("o.b", PayloadIndexType::kInteger).empty());
  CHECK(values("s", PayloadIndexType::kKeyword) == std::vector<PayloadValue>{std::string("one")});
  CHECK(values("missing", PayloadIndexType::kKeyword).empty());
  CHECK(extract_values("", path("a"), PayloadIndexType::kKeyword).value().empty());
  CHECK(extract_values("{", path("a"), PayloadIndexType::kKeyword).error().code() ==
        Code::kCorrupt);
  CHECK(extract_values("[1]", path("a"), PayloadIndexType::kKeyword).error().code() ==
        Code::kCorrupt);
}

TEST_CASE("canonical_payload: compact, 64-bit integers kept, of equal keys the last") {
  CHECK(canonical_payload("{ \"b\" : 1,\n \"a\" : [ 1.0, 18446744073709551615 ] }").value() ==
        R"({"a":[1.0,18446744073709551615],"b":1})");
  CHECK(canonical_payload("").value() == "{}");
  CHECK(canonical_payload(R"({"a":1,"a":2})").value() == R"({"a":2})");
  CHECK(canonical_payload(R"({"i":-9223372036854775808,"f":0.1,"s":"é\u0000\n"})").value() ==
        R"({"f":0.1,"i":-9223372036854775808,"s":"é\u0000\n"})");
  const std::string once = canonical_payload(R"({"big":100000000000000000000})").value();
  CHECK(canonical_payload(once).value() == once);
  CHECK(extract_values(once, path("big"), index::PayloadIndexType::kFloat).value() ==
        std::vector<index::PayloadValue>{1e20});
}

TEST_CASE("canonical_payload: what is no payload is refused") {
  for (const char* text : {"[]", "1", "null", "\"a\"", "{", "{}x", "{\"a\":}", "{\"a\":1e999}",
                           "{'a':1}", "{\"a\":\"\xff\"}", "{\"a\":NaN}", "\xef\xbb"}) {
    CAPTURE(text);
    REQUIRE(canonical_payload(text).has_error());
    CHECK(canonical_payload(text).error().code() == Code::kFormat);
  }
}

TEST_CASE("payload: depth is limited, so that no payload can exhaust the stack") {
  CHECK(canonical_payload(nested_arrays(kPayloadDepthMax)).has_value());
  CHECK(canonical_payload(nested_arrays(kPayloadDepthMax + 1)).error().code() ==
        Code::kInvalidArgument);
  CHECK(canonical_payload(std::string(1'000'000, '[')).has_error());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(merge_payload("{}", objects, std::nullopt).error().code() == Code::kInvalidArgument);
  // Brackets inside strings are no depth.
  CHECK(canonical_payload("{\"a\":\"" + std::string(1000, '[') + "\\\"" + std::string(99, '{') +
                          "\"}")
            .has_value());
  // The place of the change counts as well.
  CHECK(merge_payload("{}", nested_arrays(kPayloadDepthMax), path("a")).error().code() ==
        Code::kInvalidArgument);
}

TEST_CASE("merge_payload: keys of the changes replace those of the payload") {
  CHECK(json_of(merge_payload(R"({"a":1,"b":{"c":2}})", R"({"b":{"d":3},"e":null})",
                              std::nullopt)) == Json::parse(R"({"a":1,"b":{"d":3},"e":null})"));
  CHECK(json_of(merge_payload("", R"({"a":1})", std::nullopt)) == Json::parse(R"({"a":1})"));
  CHECK(json_of(merge_payload(R"({"a":1})", "{}", std::nullopt)) == Json::parse(R"({"a":1})"));
}

TEST_CASE("merge_payload: with a key the changes go into the object at that path") {
  struct Case {
    const char *payload, *key, *expected;
  };
  for (const Case& c : std::initializer_list<Case>{
           {R"({"a":{"b":{"x":1,"z":5}}})", "a.b", R"({"a":{"b":{"x":9,"y":8,"z":5}}})"},
           {R"({})", "a.b", R"({"a":{"b":{"x":9,"y":8}}})"},
           {R"({"a":5})", "a.b", R"({"a":{"b":{"x":9,"y":8}}})"},
           {R"({"a":null})", "a", R"({"a":{"x":9,"y":8}})"},
           {R"({"a":[{"x":1},{"z":2},3]})", "a[]",
            R"({"a":[{"x":9,"y":8},{"x":9,"y":8,"z":2},{"x":9,"y":8}]})"},
           {R"({"a":[{"x":1},{"z":2}]})", "a[1]", R"({"a":[{"x":1},{"x":9,"y":8,"z":2}]})"},
           {R"({"a":[{"x":1}]})", "a[7]", R"({"a":[{"x":1}]})"},
           {R"({"a":[{"b":{}},{}]})", "a[].b",
            R"({"a":[{"b":{"x":9,"y":8}},{"b":{"x":9,"y":8}}]})"},
           {R"({})", "a[].b", R"({"a":[]})"},
           {R"({"k.l":{"m":1}})", "\"k.l\"", R"({"k.l":{"m":1,"x":9,"y":8}})"}}) {
    CAPTURE(c.payload, c.key);
    REQUIRE(json_of(merge_payload(c.payload, R"({"x":9,"y":8})", path(c.key))) ==
            Json::parse(c.expected));
  }
}

TEST_CASE("merge_payload: bad texts and unbounded growth are errors") {
  CHECK(merge_payload("{}", "[1]", std::nullopt).error().code() == Code::kFormat);
  CHECK(merge_payload("{}", "{\"a\"", std::nullopt).error().code() == Code::kFormat);
  CHECK(merge_payload("nonsense", "{}", std::nullopt).error().code() == Code::kCorrupt);
  std::string zeros = "{\"a\":[0";
  for (int i = 0; i < 1000; ++i) zeros += ",0";
  zeros += "]}";
  const std::string changes = "{\"b\":\"" + std::string(1 << 20, 'x') + "\"}";
  CHECK(merge_payload(zeros, changes, path("a[]")).error().code() == Code::kInvalidArgument);
}

TEST_CASE("remove_payload_keys: removes what the paths lead to and nothing else") {
  const std::string payload =
      R"({"a":{"b":1,"c":2},"l":[{"x":1,"y":2},{"x":3},4,[5,6]],"q.r":7,"n":null})";
  struct Case {
    std::vector<PayloadPath> paths;
    const char* expected;
  };
  for (const Case& c : std::initializer_list<Case>{
           {paths({"a.b"}),
            R"({"a":{"c":2},"l":[{"x":1,"y":2},{"x":3},4,[5,6]],"q.r":7,"n":null})"},
           {paths({"a", "l", "n"}), R"({"q.r":7})"},
           {paths({"a.b", "a.c", "l[].x", "\"q.r\"", "n"}), R"({"a":{},"l":[{"y":2},{},4,[5,6]]})"},
           {paths({"l[0]", "l[1]", "a", "n"}), R"({"l":[4,[5,6]],"q.r":7})"},
           {paths({"l[]", "a", "n"}), R"({"l":[],"q.r":7})"},
           {paths({"l[3][0]", "l[][1]", "a", "n"}),
            R"({"l":[{"x":1,"y":2},{"x":3},4,[]],"q.r":7})"},
           {paths({"l", "l[0].x", "a", "a.b", "n"}), R"({"q.r":7})"},
           {paths({"z", "a.z", "a.b.c", "l.x", "l[9]", "a[0]", "n[]"}), payload.c_str()},
           {{}, payload.c_str()}}) {
    const auto result = remove_payload_keys(payload, c.paths);
    CAPTURE(c.expected);
    REQUIRE(json_of(result) == Json::parse(c.expected));
  }
  CHECK(remove_payload_keys("", paths({"a"})).value() == "{}");
  CHECK(remove_payload_keys("[", paths({"a"})).error().code() == Code::kCorrupt);
}

TEST_CASE("select_payload: shows what the selector names") {
  const std::string payload = R"({"a":{"b":1,"c":2},"l":[{"x":1,"y":2},{"x":3},4],"s":"t"})";
  const auto included = [&](std::initializer_list<std::string_view> texts) {
    return json_of(select_payload(payload, {PayloadSelector::Kind::kInclude, paths(texts)}));
  };
  CHECK(included({"s"}) == Json::parse(R"({"s":"t"})"));
  CHECK(included({"a.b"}) == Json::parse(R"({"a":{"b":1}})"));
  CHECK(included({"a.b", "a"}) == Json::parse(R"({"a":{"b":1,"c":2}})"));
  CHECK(included({"l[].x"}) == Json::parse(R"({"l":[{"x":1},{"x":3}]})"));
  CHECK(included({"l[1]", "l[0].y"}) == Json::parse(R"({"l":[{"y":2},{"x":3}]})"));
  CHECK(included({"l"}) == Json::parse(R"({"l":[{"x":1,"y":2},{"x":3},4]})"));
  CHECK(included({"z", "a.z", "s.t", "l.x"}) == Json::object());
  CHECK(included({}) == Json::object());
  CHECK(json_of(select_payload(payload, {PayloadSelector::Kind::kExclude, paths({"a.b", "l"})})) ==
        Json::parse(R"({"a":{"c":2},"s":"t"})"));
  CHECK(select_payload(payload, {PayloadSelector::Kind::kAll, {}}).value() == payload);
  CHECK(select_payload(payload, {PayloadSelector::Kind::kNone, {}}).value() == "{}");
  CHECK(select_payload("", {PayloadSelector::Kind::kAll, {}}).value() == "{}");
}
