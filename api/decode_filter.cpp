#include <algorithm>

#include "api/decode.h"

namespace tessera::api {

using engine::Condition;
using engine::FieldCondition;
using engine::Filter;
using engine::MatchScalar;
using engine::PayloadPath;

namespace {

using FieldTest = decltype(FieldCondition::test);

Condition decode_condition(const Value& value);

std::optional<MatchScalar> decode_scalar(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kString:
      return MatchScalar(std::string(*value.string()));
    case Value::Kind::kBool:
      return MatchScalar(*value.boolean());
    case Value::Kind::kInteger: {
      const auto number = value.signed_integer();
      if (!number) return std::nullopt;
      return MatchScalar(*number);
    }
    default:
      value.report_expected("a string, an integer or a boolean");
      return std::nullopt;
  }
}

std::vector<MatchScalar> decode_scalars(const Value& value) {
  std::vector<MatchScalar> scalars;
  scalars.reserve(value.element_count());
  value.each([&scalars](const Value& element) {
    if (auto scalar = decode_scalar(element)) scalars.push_back(*std::move(scalar));
  });
  return scalars;
}

std::optional<FieldTest> decode_match(const Value& value) {
  const Object match(value);
  if (!match.ok()) return std::nullopt;
  match.refuse_unknown({"value", "any", "except", "text", "text_any", "phrase", "prefix"});
  if (match.member_count() != 1) {
    value.report_format(
        "expected exactly one of `value`, `any`, `except`, `text`, `text_any`, `phrase`, `prefix`");
    return std::nullopt;
  }
  if (const auto scalar = match.find("value")) {
    auto decoded = decode_scalar(*scalar);
    if (!decoded) return std::nullopt;
    return engine::MatchValue{*std::move(decoded)};
  }
  if (const auto any = match.find("any")) return engine::MatchAny{decode_scalars(*any)};
  if (const auto except = match.find("except")) return engine::MatchExcept{decode_scalars(*except)};
  using Kind = engine::MatchText::Kind;
  static constexpr std::pair<const char*, Kind> kKinds[] = {{"text", Kind::kText},
                                                            {"text_any", Kind::kTextAny},
                                                            {"phrase", Kind::kPhrase},
                                                            {"prefix", Kind::kPrefix}};
  for (const auto& [name, kind] : kKinds) {
    const auto member = match.find(name);
    if (!member) continue;
    const auto text = member->string();
    if (text) return engine::MatchText{kind, std::string(*text)};
  }
  return std::nullopt;
}

/// Bounds of any kind of number; `decode` reads one bound.
template <class Number, class Decode>
index::Range<Number> decode_bounds(const Object& range, Decode decode) {
  index::Range<Number> bounds;
  const auto read = [&](const char* name, std::optional<Number>& bound) {
    if (const auto value = range.given(name)) bound = decode(*value);
  };
  read("gt", bounds.gt);
  read("gte", bounds.gte);
  read("lt", bounds.lt);
  read("lte", bounds.lte);
  return bounds;
}

std::optional<std::int64_t> decode_datetime(const Value& value) {
  const auto text = value.string();
  if (!text) return std::nullopt;
  const auto datetime = engine::parse_datetime(*text);
  if (!datetime) value.report_format("value " + value.shown() + " is not a date and time");
  return datetime;
}

std::optional<FieldTest> decode_range(const Value& value) {
  const Object range(value);
  if (!range.ok()) return std::nullopt;
  range.refuse_unknown({"gt", "gte", "lt", "lte"});
  for (const char* name : {"gt", "gte", "lt", "lte"}) {
    const auto bound = range.given(name);
    if (!bound) continue;
    if (bound->is(Value::Kind::kString)) {
      return engine::DatetimeRange{decode_bounds<std::int64_t>(range, decode_datetime)};
    }
    break;
  }
  return engine::NumberRange{
      decode_bounds<double>(range, [](const Value& bound) { return bound.number(); })};
}

std::optional<FieldTest> decode_values_count(const Value& value) {
  const Object range(value);
  if (!range.ok()) return std::nullopt;
  range.refuse_unknown({"gt", "gte", "lt", "lte"});
  const auto bounds = decode_bounds<std::int64_t>(range, [](const Value& bound) {
    const auto count = bound.integer_in(0, INT64_MAX);
    return count ? std::optional<std::int64_t>(static_cast<std::int64_t>(*count)) : std::nullopt;
  });
  if (!bounds.gt && !bounds.gte && !bounds.lt && !bounds.lte) {
    value.report_validation("At least one field condition must be specified");
  }
  return engine::ValuesCount{bounds};
}

/// {"key": k, <one test>}.
Condition decode_field_condition(const Value& value, const Object& object) {
  object.refuse_unknown({"key", "match", "range", "geo_bounding_box", "geo_radius", "geo_polygon",
                         "values_count", "is_empty", "is_null"});
  FieldCondition condition;
  if (const auto key = object.require("key")) {
    if (auto path = decode_payload_path(*key)) condition.path = *std::move(path);
  }
  static constexpr const char* kTests[] = {"match",      "range",       "geo_bounding_box",
                                           "geo_radius", "geo_polygon", "values_count",
                                           "is_empty",   "is_null"};
  std::size_t given_count = 0;
  for (const char* name : kTests) given_count += object.given(name) ? 1 : 0;
  if (given_count == 0) {
    value.report_validation("At least one field condition must be specified");
    return condition;
  }
  if (given_count > 1) {
    value.report_format("a condition holds one test; put each test into a condition of its own");
    return condition;
  }
  std::optional<FieldTest> test;
  if (const auto match = object.given("match")) test = decode_match(*match);
  if (const auto range = object.given("range")) test = decode_range(*range);
  if (const auto count = object.given("values_count")) test = decode_values_count(*count);
  for (const char* name : {"geo_bounding_box", "geo_radius", "geo_polygon"}) {
    object.not_yet(name, "a geo condition");
  }
  const auto read_flag = [&](const char* name, FieldTest tested) {
    const auto flag = object.given(name);
    if (!flag) return;
    condition.negated = !flag->boolean().value_or(true);
    test = std::move(tested);
  };
  read_flag("is_empty", engine::IsEmpty{});
  read_flag("is_null", engine::IsNull{});
  if (test) condition.test = *std::move(test);
  return condition;
}

/// {"is_empty": {"key": k}} and {"is_null": {"key": k}}.
Condition decode_emptiness(const Value& value, FieldTest test) {
  FieldCondition condition;
  condition.test = std::move(test);
  const Object object(value);
  if (!object.ok()) return condition;
  object.refuse_unknown({"key"});
  if (const auto key = object.require("key")) {
    if (auto path = decode_payload_path(*key)) condition.path = *std::move(path);
  }
  return condition;
}

Condition decode_nested(const Value& value) {
  engine::Nested nested;
  const Object object(value);
  if (!object.ok()) return nested;
  object.refuse_unknown({"key", "filter"});
  if (const auto key = object.require("key")) {
    if (auto path = decode_payload_path(*key)) nested.path = *std::move(path);
  }
  if (const auto filter = object.require("filter")) nested.filter.push_back(decode_filter(*filter));
  return nested;
}

Condition decode_condition(const Value& value) {
  const Object object(value);
  if (!object.ok()) return engine::HasId{};
  if (object.has("key")) return decode_field_condition(value, object);
  if (const auto ids = object.find("has_id")) {
    object.refuse_unknown({"has_id"});
    return engine::HasId{decode_point_ids(*ids)};
  }
  if (const auto name = object.find("has_vector")) {
    object.refuse_unknown({"has_vector"});
    return engine::HasVector{std::string(name->string().value_or(""))};
  }
  if (const auto nested = object.find("nested")) {
    object.refuse_unknown({"nested"});
    return decode_nested(*nested);
  }
  if (const auto empty = object.find("is_empty")) {
    object.refuse_unknown({"is_empty"});
    return decode_emptiness(*empty, engine::IsEmpty{});
  }
  if (const auto null = object.find("is_null")) {
    object.refuse_unknown({"is_null"});
    return decode_emptiness(*null, engine::IsNull{});
  }
  if (const auto slice = object.find("slice")) {
    slice->report_unimplemented("a slice condition");
    return engine::HasId{};
  }
  if (object.member_count() > 0 && !object.has("must") && !object.has("should") &&
      !object.has("must_not") && !object.has("min_should")) {
    value.report_format(
        "expected a condition (`key`, `has_id`, `has_vector`, `nested`, `is_empty`, `is_null`) or "
        "a filter");
    return engine::HasId{};
  }
  engine::SubFilter sub;
  sub.filter.push_back(decode_filter(value));
  return sub;
}

/// One condition or a list of them.
std::vector<Condition> decode_conditions(const Value& value) {
  std::vector<Condition> conditions;
  if (value.is(Value::Kind::kObject)) {
    conditions.push_back(decode_condition(value));
  } else if (value.is(Value::Kind::kArray)) {
    value.each(
        [&conditions](const Value& element) { conditions.push_back(decode_condition(element)); });
  } else {
    value.report_expected("a condition or a list of conditions");
  }
  return conditions;
}

}  // namespace

Filter decode_filter(const Value& value) {
  Filter filter;
  const Object object(value);
  if (!object.ok()) return filter;
  object.refuse_unknown({"must", "should", "must_not", "min_should"});
  if (const auto must = object.given("must")) filter.must = decode_conditions(*must);
  if (const auto should = object.given("should")) filter.should = decode_conditions(*should);
  if (const auto must_not = object.given("must_not")) {
    filter.must_not = decode_conditions(*must_not);
  }
  if (const auto given = object.given("min_should")) {
    const Object min_should(*given);
    if (!min_should.ok()) return filter;
    min_should.refuse_unknown({"conditions", "min_count"});
    filter.min_should.emplace();
    if (const auto conditions = min_should.require("conditions")) {
      filter.min_should->conditions = decode_conditions(*conditions);
    }
    if (const auto count = min_should.require("min_count")) {
      filter.min_should->min_count = count->unsigned_integer().value_or(0);
    }
  }
  return filter;
}

}  // namespace tessera::api
