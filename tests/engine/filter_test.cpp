#include "engine/filter.h"

#include <catch2/catch.hpp>

#include "engine/payload.h"

using namespace tessera;
using namespace tessera::engine;
using index::Range;

namespace {

PayloadPath path(std::string_view text) {
  return parse_payload_path(text).value();
}

template <class Test>
Condition field(std::string_view key, Test test, bool negated = false) {
  return FieldCondition{path(key), std::move(test), negated};
}
Filter must(Condition condition) {
  Filter filter;
  filter.must.push_back(std::move(condition));
  return filter;
}
PointFacts point_7() {
  return {PointId(7), [](std::string_view name) { return name == "image"; }};
}
bool satisfies(const Filter& filter, std::string_view payload) {
  const auto result = matches(filter, point_7(), payload);
  REQUIRE(result.has_value());
  return *result;
}
bool satisfies(const Condition& condition, std::string_view payload) {
  return satisfies(must(condition), payload);
}
MatchScalar scalar(const char* text) {
  return std::string(text);
}
MatchScalar scalar(int number) {
  return std::int64_t{number};
}
MatchScalar scalar(bool flag) {
  return flag;
}

}  // namespace

TEST_CASE("filter: match value compares by type") {
  const auto match = [](const char* payload, MatchScalar value) {
    return satisfies(field("k", MatchValue{std::move(value)}), payload);
  };
  CHECK(match(R"({"k":"red"})", scalar("red")));
  CHECK_FALSE(match(R"({"k":"Red"})", scalar("red")));
  CHECK_FALSE(match(R"({"k":"1"})", scalar(1)));
  CHECK(match(R"({"k":1})", scalar(1)));
  CHECK_FALSE(match(R"({"k":1.0})", scalar(1)));
  CHECK_FALSE(match(R"({"k":true})", scalar(1)));
  CHECK(match(R"({"k":true})", scalar(true)));
  CHECK_FALSE(match(R"({"k":"true"})", scalar(true)));
  CHECK_FALSE(match(R"({"k":18446744073709551615})", scalar(-1)));
  CHECK_FALSE(match(R"({"k":null})", scalar("")));
  CHECK_FALSE(match(R"({})", scalar("")));
  // A uuid is a keyword like any other.
  CHECK(match(R"({"k":"550e8400-e29b-41d4-a716-446655440000"})",
              scalar("550e8400-e29b-41d4-a716-446655440000")));
  CHECK_FALSE(match(R"({"k":"550E8400-E29B-41D4-A716-446655440000"})",
                    scalar("550e8400-e29b-41d4-a716-446655440000")));
}

TEST_CASE("filter: any array element may satisfy, one level deep") {
  const auto match = [](const char* key, const char* payload) {
    return satisfies(field(key, MatchValue{scalar(1)}), payload);
  };
  CHECK(match("k", R"({"k":[0,1]})"));
  CHECK_FALSE(match("k", R"({"k":[[1]]})"));
  CHECK(match("k[]", R"({"k":[[1]]})"));
  CHECK(match("k[0]", R"({"k":[1,0]})"));
  CHECK_FALSE(match("k[1]", R"({"k":[1,0]})"));
  CHECK_FALSE(match("k[5]", R"({"k":[1,0]})"));
  CHECK(match("k.a", R"({"k":{"a":1}})"));
  CHECK_FALSE(match("k.a", R"({"k":[{"a":1}]})"));
  CHECK(match("k[].a", R"({"k":[{"a":0},{"a":[2,1]}]})"));
  CHECK(match("\"k.a\"", R"({"k.a":1})"));
  CHECK_FALSE(match("k.a", R"({"k.a":1})"));
}

TEST_CASE("filter: any and except") {
  const Condition any = field("k", MatchAny{{scalar("a"), scalar("b")}});
  CHECK(satisfies(any, R"({"k":["x","b"]})"));
  CHECK_FALSE(satisfies(any, R"({"k":"x"})"));
  CHECK_FALSE(satisfies(any, R"({})"));
  CHECK_FALSE(satisfies(field("k", MatchAny{}), R"({"k":1})"));
  const Condition except = field("k", MatchExcept{{scalar("a"), scalar(1)}});
  CHECK(satisfies(except, R"({"k":"x"})"));
  CHECK(satisfies(except, R"({"k":["a","x"]})"));
  CHECK(satisfies(except, R"({"k":1.0})"));
  CHECK(satisfies(except, R"({"k":true})"));
  CHECK(satisfies(except, R"({"k":{}})"));
  CHECK_FALSE(satisfies(except, R"({"k":["a",1]})"));
  CHECK_FALSE(satisfies(except, R"({"k":"a"})"));
  for (const char* payload : {R"({})", R"({"k":null})", R"({"k":[]})", R"({"k":[null]})"}) {
    CAPTURE(payload);
    CHECK_FALSE(satisfies(except, payload));
    CHECK_FALSE(satisfies(field("k", MatchExcept{}), payload));
  }
  CHECK(satisfies(field("k", MatchExcept{}), R"({"k":0})"));
}

TEST_CASE("filter: text without an index is a substring test") {
  const auto match = [](MatchText::Kind kind, const char* text) {
    return satisfies(field("k", MatchText{kind, text}), R"({"k":["the red wine",7]})");
  };
  CHECK(match(MatchText::Kind::kText, "red wi"));
  CHECK_FALSE(match(MatchText::Kind::kText, "Red"));
  CHECK_FALSE(match(MatchText::Kind::kText, "7"));
  CHECK(match(MatchText::Kind::kPhrase, "the red"));
  CHECK_FALSE(match(MatchText::Kind::kPhrase, "red the"));
  CHECK(match(MatchText::Kind::kTextAny, "  blue\twine "));
  CHECK_FALSE(match(MatchText::Kind::kTextAny, "blue sky"));
  CHECK_FALSE(match(MatchText::Kind::kTextAny, " "));
  CHECK(match(MatchText::Kind::kPrefix, "the"));
  CHECK_FALSE(match(MatchText::Kind::kPrefix, "red"));
}

TEST_CASE("filter: a number range takes integers and floats and compares exactly") {
  const auto match = [](const char* payload, Range<double> range) {
    return satisfies(field("k", NumberRange{range}), payload);
  };
  CHECK(match(R"({"k":3})", {.gt = 2, .gte = {}, .lt = {}, .lte = 3}));
  CHECK(match(R"({"k":2.5})", {.gt = 2, .gte = {}, .lt = 3, .lte = {}}));
  CHECK_FALSE(match(R"({"k":2})", {.gt = 2, .gte = {}, .lt = {}, .lte = {}}));
  CHECK_FALSE(match(R"({"k":"3"})", {.gt = 2, .gte = {}, .lt = {}, .lte = {}}));
  CHECK_FALSE(match(R"({"k":true})", {.gt = {}, .gte = 0, .lt = {}, .lte = {}}));
  CHECK_FALSE(match(R"({"k":null})", {}));
  CHECK(match(R"({"k":[1,9]})", {.gt = 5, .gte = {}, .lt = {}, .lte = {}}));
  // One element must satisfy both bounds.
  CHECK_FALSE(match(R"({"k":[1,9]})", {.gt = 2, .gte = {}, .lt = 5, .lte = {}}));
  CHECK(match(R"({"k":9007199254740993})",
              {.gt = 9007199254740992.0, .gte = {}, .lt = {}, .lte = {}}));
  CHECK_FALSE(match(R"({"k":9007199254740992})",
                    {.gt = 9007199254740992.0, .gte = {}, .lt = {}, .lte = {}}));
  CHECK(match(R"({"k":18446744073709551615})",
              {.gt = 1.8e19, .gte = {}, .lt = 1.8446744073709552e19, .lte = {}}));
  CHECK_FALSE(match(R"({"k":18446744073709551615})",
                    {.gt = {}, .gte = 1.8446744073709552e19, .lt = {}, .lte = {}}));
  CHECK(match(R"({"k":-3})", {.gt = -3.5, .gte = {}, .lt = -2.5, .lte = {}}));
}

TEST_CASE("filter: a datetime range takes strings in any spelling") {
  const auto match = [](const char* payload) {
    return satisfies(field("k", DatetimeRange{{.gt = {},
                                               .gte = parse_datetime("2026-01-05"),
                                               .lt = parse_datetime("2026-01-06"),
                                               .lte = {}}}),
                     payload);
  };
  CHECK(match(R"({"k":"2026-01-05"})"));
  CHECK(match(R"({"k":"2026-01-06T01:00:00+02:00"})"));
  CHECK_FALSE(match(R"({"k":"2026-01-06"})"));
  CHECK_FALSE(match(R"({"k":"yesterday"})"));
  CHECK_FALSE(match(R"({"k":1767571200000000})"));
  CHECK(match(R"({"k":["x","2026-01-05 23:59"]})"));
}

TEST_CASE("filter: values_count, is_empty and is_null on every kind of value") {
  struct Row {
    const char* payload;
    std::int64_t count;
    bool is_empty, is_null;
  };
  for (const Row& row : std::initializer_list<Row>{{R"({})", 0, true, false},
                                                   {R"({"k":null})", 0, true, true},
                                                   {R"({"k":[]})", 0, true, false},
                                                   {R"({"k":[null]})", 1, false, true},
                                                   {R"({"k":[1,null,"x"]})", 3, false, true},
                                                   {R"({"k":[[null]]})", 1, false, false},
                                                   {R"({"k":0})", 1, false, false},
                                                   {R"({"k":""})", 1, false, false},
                                                   {R"({"k":{}})", 1, false, false},
                                                   {R"({"k":false})", 1, false, false}}) {
    CAPTURE(row.payload);
    for (std::int64_t count = 0; count < 5; ++count) {
      const Range<std::int64_t> exactly{.gt = {}, .gte = count, .lt = {}, .lte = count};
      CHECK(satisfies(field("k", ValuesCount{exactly}), row.payload) == (count == row.count));
    }
    CHECK(satisfies(field("k", IsEmpty{}), row.payload) == row.is_empty);
    CHECK(satisfies(field("k", IsEmpty{}, true), row.payload) == !row.is_empty);
    CHECK(satisfies(field("k", IsNull{}), row.payload) == row.is_null);
    CHECK(satisfies(field("k", IsNull{}, true), row.payload) == !row.is_null);
  }
}

TEST_CASE("filter: nested asks for one element that satisfies everything") {
  Filter inner;
  inner.must = {field("food", MatchValue{scalar("meat")}),
                field("likes", MatchValue{scalar(true)})};
  const char* const apart =
      R"({"diet":[{"food":"meat","likes":false},{"food":"leaves","likes":true}]})";
  const char* const together = R"({"diet":[1,{"food":"meat","likes":true}]})";
  for (const char* key : {"diet", "diet[]"}) {
    CAPTURE(key);
    const Condition nested = Nested{path(key), {inner}};
    CHECK_FALSE(satisfies(nested, apart));
    CHECK(satisfies(nested, together));
    CHECK_FALSE(satisfies(nested, R"({"diet":{"food":"meat","likes":true}})"));
    CHECK_FALSE(satisfies(nested, R"({})"));
  }
  Filter flat;
  flat.must = {field("diet[].food", MatchValue{scalar("meat")}),
               field("diet[].likes", MatchValue{scalar(true)})};
  CHECK(satisfies(flat, apart));
}

TEST_CASE("filter: has_id and has_vector ask about the point") {
  CHECK(satisfies(Condition(HasId{{PointId(3), PointId(7)}}), ""));
  CHECK_FALSE(satisfies(Condition(HasId{{PointId(3)}}), ""));
  CHECK_FALSE(satisfies(Condition(HasId{}), ""));
  CHECK(satisfies(Condition(HasVector{"image"}), ""));
  CHECK_FALSE(satisfies(Condition(HasVector{"text"}), ""));
  CHECK_FALSE(matches(must(HasVector{"image"}), PointFacts{PointId(7), {}}, "").value());
}

TEST_CASE("filter: sorted ids of has_id are found as unsorted ones, wherever it stands") {
  const std::vector<PointId> with{PointId(9), PointId(7), PointId(3)};
  const std::vector<PointId> without{PointId(9), PointId(8), PointId(3)};
  for (const auto& ids : {with, without}) {
    Filter plain;
    plain.must = {SubFilter{{must(HasId{ids})}}, Nested{path("a"), {must(HasId{ids})}}};
    plain.should = {HasId{ids}};
    plain.must_not = {SubFilter{{must(HasId{{PointId(8), PointId(1)}})}}};
    plain.min_should = MinShould{{HasId{ids}}, 1};
    Filter sorted = plain;
    sort_ids(sorted);
    CHECK(std::get<HasId>(sorted.should.front()).is_sorted);
    CHECK(satisfies(plain, R"({"a":[{}]})") == (ids == with));
    CHECK(satisfies(sorted, R"({"a":[{}]})") == (ids == with));
  }
}

TEST_CASE("filter: clauses combine; an empty should does not restrict") {
  const Condition yes = HasId{{PointId(7)}};
  const Condition no = HasId{};
  const auto holds = [](std::vector<Condition> must, std::vector<Condition> should,
                        std::vector<Condition> must_not) {
    Filter filter;
    filter.must = std::move(must);
    filter.should = std::move(should);
    filter.must_not = std::move(must_not);
    return satisfies(filter, "{}");
  };
  CHECK(holds({}, {}, {}));
  CHECK(holds({yes}, {}, {}));
  CHECK_FALSE(holds({yes, no}, {}, {}));
  CHECK(holds({yes}, {no, yes}, {no}));
  CHECK_FALSE(holds({yes}, {no, no}, {}));
  CHECK_FALSE(holds({yes}, {yes}, {no, yes}));
  const auto at_least = [&](std::size_t count) {
    Filter filter;
    filter.min_should = MinShould{{yes, no, yes}, count};
    return satisfies(filter, "{}");
  };
  CHECK(at_least(0));
  CHECK(at_least(2));
  CHECK_FALSE(at_least(3));
  CHECK_FALSE(at_least(4));
}

TEST_CASE("filter: a bad payload and a filter without end are errors") {
  CHECK(matches(must(HasVector{"image"}), point_7(), "{").error().code() == Code::kCorrupt);
  CHECK(matches(must(HasVector{"image"}), point_7(), "3").error().code() == Code::kCorrupt);
  Filter deep = must(HasId{{PointId(7)}});
  for (int i = 0; i < 100; ++i) deep = must(SubFilter{{deep}});
  CHECK(satisfies(deep, "{}"));
  for (int i = 0; i < 100; ++i) deep = must(SubFilter{{deep}});
  CHECK(matches(deep, point_7(), "{}").error().code() == Code::kInvalidArgument);
}

TEST_CASE("filter: a large payload is read like a small one") {
  std::string payload = R"({"k":[0)";
  for (int i = 1; i < 400'000; ++i) payload += "," + std::to_string(i);
  payload += R"(],"s":"x"})";
  CHECK(satisfies(field("k", MatchValue{scalar(399'999)}), payload));
  CHECK_FALSE(satisfies(field("k", MatchValue{scalar(400'000)}), payload));
  CHECK(satisfies(field("k[399999]", NumberRange{{.gt = 399'998, .gte = {}, .lt = {}, .lte = {}}}),
                  payload));
}
