#include <catch2/catch.hpp>

#include "api/decode.h"
#include "support.h"

using namespace tessera;
using namespace tessera::api;
using namespace tessera::engine;

namespace {

Filter good(const std::string& body) {
  const auto decoded = decode(body, decode_filter);
  INFO(decoded.status.to_string());
  REQUIRE(decoded.status.ok());
  return *decoded.value;
}

FieldCondition good_condition(const std::string& condition) {
  const Filter filter = good("{\"must\":[" + condition + "]}");
  REQUIRE(filter.must.size() == 1);
  return std::get<FieldCondition>(filter.must.front());
}

}  // namespace

TEST_CASE("decode filter: clauses take one condition, a list, or null", "[unit]") {
  const Filter filter = good(R"({
    "must": {"key": "a", "match": {"value": 1}},
    "should": [{"key": "b", "match": {"value": 1}}, {"has_id": [1]}],
    "must_not": null,
    "min_should": {"conditions": [{"has_id": [2]}, {"has_id": [3]}], "min_count": 1}})");
  CHECK(filter.must.size() == 1);
  CHECK(filter.should.size() == 2);
  CHECK(filter.must_not.empty());
  REQUIRE(filter.min_should);
  CHECK(filter.min_should->conditions.size() == 2);
  CHECK(filter.min_should->min_count == 1);
  CHECK(good("{}").empty());
  CHECK(good(R"({"should": []})").empty());
}

TEST_CASE("decode filter: every match", "[unit]") {
  CHECK(std::get<MatchValue>(good_condition(R"({"key":"a","match":{"value":"x"}})").test).value ==
        MatchScalar(std::string("x")));
  CHECK(std::get<MatchValue>(good_condition(R"({"key":"a","match":{"value":-5}})").test).value ==
        MatchScalar(std::int64_t{-5}));
  CHECK(std::get<MatchValue>(good_condition(R"({"key":"a","match":{"value":true}})").test).value ==
        MatchScalar(true));
  CHECK(std::get<MatchAny>(good_condition(R"({"key":"a","match":{"any":["x","y"]}})").test)
            .values.size() == 2);
  CHECK(
      std::get<MatchAny>(good_condition(R"({"key":"a","match":{"any":[]}})").test).values.empty());
  CHECK(
      std::get<MatchExcept>(good_condition(R"({"key":"a","match":{"except":[1]}})").test).values ==
      std::vector<MatchScalar>{std::int64_t{1}});
  const std::pair<const char*, MatchText::Kind> kinds[] = {{"text", MatchText::Kind::kText},
                                                           {"text_any", MatchText::Kind::kTextAny},
                                                           {"phrase", MatchText::Kind::kPhrase},
                                                           {"prefix", MatchText::Kind::kPrefix}};
  for (const auto& [name, kind] : kinds) {
    const auto condition =
        good_condition(R"({"key":"a","match":{")" + std::string(name) + R"(":"good film"}})");
    CHECK(std::get<MatchText>(condition.test).kind == kind);
    CHECK(std::get<MatchText>(condition.test).text == "good film");
  }
}

TEST_CASE("decode filter: ranges of numbers and of dates", "[unit]") {
  const auto numbers = std::get<NumberRange>(
      good_condition(R"({"key":"a.b[]","range":{"gt":1,"gte":null,"lt":2.5,"lte":-3}})").test);
  CHECK(numbers.range.gt == 1.0);
  CHECK_FALSE(numbers.range.gte);
  CHECK(numbers.range.lt == 2.5);
  CHECK(numbers.range.lte == -3.0);
  const auto dates = std::get<DatetimeRange>(
      good_condition(R"({"key":"a","range":{"gte":"1970-01-01T00:00:01Z","lt":"1970-01-02"}})")
          .test);
  CHECK(dates.range_us.gte == 1'000'000);
  CHECK(dates.range_us.lt == 86'400'000'000);
  CHECK_FALSE(dates.range_us.gt);
  const auto count =
      std::get<ValuesCount>(good_condition(R"({"key":"a","values_count":{"gte":2}})").test);
  CHECK(count.range.gte == 2);
}

TEST_CASE("decode filter: emptiness in both spellings", "[unit]") {
  for (const char* body : {R"({"is_empty":{"key":"a"}})", R"({"key":"a","is_empty":true})"}) {
    const auto condition = good_condition(body);
    CHECK(std::holds_alternative<IsEmpty>(condition.test));
    CHECK_FALSE(condition.negated);
    CHECK(condition.path.text == "a");
  }
  for (const char* body : {R"({"is_null":{"key":"a"}})", R"({"key":"a","is_null":true})"}) {
    const auto condition = good_condition(body);
    CHECK(std::holds_alternative<IsNull>(condition.test));
    CHECK_FALSE(condition.negated);
  }
  CHECK(good_condition(R"({"key":"a","is_empty":false})").negated);
  CHECK(good_condition(R"({"key":"a","is_null":false})").negated);
}

TEST_CASE("decode filter: ids, vectors, nested and sub-filters", "[unit]") {
  const Filter filter = good(R"({"must": [
    {"has_id": [1, 18446744073709551615, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"]},
    {"has_vector": "text"},
    {"nested": {"key": "a", "filter": {"must": [{"key": "b", "match": {"value": 1}}]}}},
    {"should": [{"key": "b", "match": {"value": 1}}]},
    {}]})");
  REQUIRE(filter.must.size() == 5);
  const auto& ids = std::get<HasId>(filter.must[0]).ids;
  REQUIRE(ids.size() == 3);
  CHECK(ids[1] == PointId(UINT64_MAX));
  CHECK(ids[2].to_string() == "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
  CHECK(std::get<HasVector>(filter.must[1]).name == "text");
  const auto& nested = std::get<Nested>(filter.must[2]);
  CHECK(nested.path.text == "a");
  REQUIRE(nested.filter.size() == 1);
  CHECK(nested.filter.front().must.size() == 1);
  CHECK(std::get<SubFilter>(filter.must[3]).filter.front().should.size() == 1);
  CHECK(std::get<SubFilter>(filter.must[4]).filter.front().empty());
}

TEST_CASE("decode filter: quoted and indexed paths are understood", "[unit]") {
  const auto condition = good_condition(R"({"key":"\"a b\".c[0]","match":{"value":1}})");
  REQUIRE(condition.path.steps.size() == 3);
  CHECK(condition.path.steps[0].key == "a b");
  CHECK(condition.path.steps[2].element == 0);
}
