#include <algorithm>
#include <limits>
#include <random>
#include <sstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "engine/filter.h"
#include "engine/payload.h"

using namespace tessera;
using namespace tessera::engine;
using Json = nlohmann::json;
using index::Range;

namespace {

PayloadPath path(std::string_view text) {
  return parse_payload_path(text).value();
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

// A second, slow evaluator over nlohmann's tree: it lists all values first and asks afterwards.

void collect(const Json& value, const std::vector<PayloadPath::Step>& steps, std::size_t at,
             std::vector<Json>& out) {
  if (at == steps.size()) {
    out.push_back(value);
    return;
  }
  const auto& step = steps[at];
  if (step.kind == PayloadPath::Step::Kind::kKey) {
    if (value.is_object() && value.contains(step.key)) collect(value[step.key], steps, at + 1, out);
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (step.kind == PayloadPath::Step::Kind::kEveryElement || step.element == i) {
        collect(value[i], steps, at + 1, out);
      }
    }
  }
}
std::vector<Json> values_at(const Json& root, const PayloadPath& path) {
  std::vector<Json> values;
  collect(root, path.steps, 0, values);
  return values;
}
std::vector<Json> scalars_at(const Json& root, const PayloadPath& path) {
  std::vector<Json> scalars;
  for (const Json& value : values_at(root, path)) {
    if (value.is_array()) {
      scalars.insert(scalars.end(), value.begin(), value.end());
    } else {
      scalars.push_back(value);
    }
  }
  return scalars;
}
bool same(const Json& value, const MatchScalar& wanted) {
  if (const auto* text = std::get_if<std::string>(&wanted)) {
    return value.is_string() && value.get<std::string>() == *text;
  }
  if (const auto* number = std::get_if<std::int64_t>(&wanted)) {
    return value.is_number_integer() && value.dump() == std::to_string(*number);
  }
  return value.is_boolean() && value.get<bool>() == std::get<bool>(wanted);
}
bool same_as_one(const Json& value, const std::vector<MatchScalar>& wanted) {
  bool found = false;
  for (const auto& one : wanted) found = found || same(value, one);
  return found;
}
/// long double holds every 64-bit integer and every double.
bool inside(long double value, const Range<double>& range) {
  return (!range.gt || value > static_cast<long double>(*range.gt)) &&
         (!range.gte || value >= static_cast<long double>(*range.gte)) &&
         (!range.lt || value < static_cast<long double>(*range.lt)) &&
         (!range.lte || value <= static_cast<long double>(*range.lte));
}
long double number_of(const Json& value) {
  if (value.is_number_float()) return value.get<double>();
  return value.is_number_unsigned() ? static_cast<long double>(value.get<std::uint64_t>())
                                    : static_cast<long double>(value.get<std::int64_t>());
}
bool expected_text(const std::string& text, const MatchText& wanted) {
  if (wanted.kind == MatchText::Kind::kPrefix) return text.rfind(wanted.text, 0) == 0;
  if (wanted.kind != MatchText::Kind::kTextAny) return text.find(wanted.text) != std::string::npos;
  std::istringstream words(wanted.text);
  for (std::string word; words >> word;) {
    if (text.find(word) != std::string::npos) return true;
  }
  return false;
}

bool expected(const Filter& filter, const Json& root);

bool expected_field(const FieldCondition& condition, const Json& root) {
  std::size_t count = 0;
  const auto all = values_at(root, condition.path);
  const auto scalars = scalars_at(root, condition.path);
  if (std::holds_alternative<IsEmpty>(condition.test)) {
    for (const Json& value : all) count += !(value.is_null() || value == Json::array());
    return count == 0;
  }
  if (std::holds_alternative<IsNull>(condition.test)) {
    for (const Json& value : all) {
      count +=
          value.is_null() || (value.is_array() && std::count(value.begin(), value.end(), Json()));
    }
    return count > 0;
  }
  if (const auto* test = std::get_if<ValuesCount>(&condition.test)) {
    if (all.empty()) return test->range.contains(0);
    for (const Json& value : all) {
      const std::int64_t size =
          value.is_array() ? static_cast<std::int64_t>(value.size()) : (value.is_null() ? 0 : 1);
      count += test->range.contains(size);
    }
    return count > 0;
  }
  for (const Json& value : scalars) {
    if (const auto* test = std::get_if<MatchValue>(&condition.test)) {
      count += same(value, test->value);
    } else if (const auto* any = std::get_if<MatchAny>(&condition.test)) {
      count += same_as_one(value, any->values);
    } else if (const auto* except = std::get_if<MatchExcept>(&condition.test)) {
      count += !value.is_null() && !same_as_one(value, except->values);
    } else if (const auto* text = std::get_if<MatchText>(&condition.test)) {
      count += value.is_string() && expected_text(value.get<std::string>(), *text);
    } else if (const auto* range = std::get_if<NumberRange>(&condition.test)) {
      count += value.is_number() && inside(number_of(value), range->range);
    } else if (const auto* dates = std::get_if<DatetimeRange>(&condition.test)) {
      const auto at = value.is_string() ? parse_datetime(value.get<std::string>()) : std::nullopt;
      count += at && dates->range_us.contains(*at);
    }
  }
  return count > 0;
}

bool expected_condition(const Condition& condition, const Json& root) {
  if (const auto* test = std::get_if<FieldCondition>(&condition)) {
    return expected_field(*test, root) != test->negated;
  }
  if (const auto* ids = std::get_if<HasId>(&condition)) {
    return std::count(ids->ids.begin(), ids->ids.end(), PointId(7)) > 0;
  }
  if (const auto* vector = std::get_if<HasVector>(&condition)) return vector->name == "image";
  if (const auto* nested = std::get_if<Nested>(&condition)) {
    PayloadPath elements = nested->path;
    if (elements.steps.back().kind != PayloadPath::Step::Kind::kEveryElement) {
      elements.steps.push_back({PayloadPath::Step::Kind::kEveryElement, "", 0});
    }
    for (const Json& value : values_at(root, elements)) {
      if (value.is_object() && expected(nested->filter[0], value)) return true;
    }
    return false;
  }
  return expected(std::get<SubFilter>(condition).filter[0], root);
}

std::size_t count_true(const std::vector<Condition>& conditions, const Json& root) {
  return static_cast<std::size_t>(
      std::count_if(conditions.begin(), conditions.end(),
                    [&](const Condition& c) { return expected_condition(c, root); }));
}

bool expected(const Filter& filter, const Json& root) {
  return count_true(filter.must, root) == filter.must.size() &&
         count_true(filter.must_not, root) == 0 &&
         (filter.should.empty() || count_true(filter.should, root) > 0) &&
         (!filter.min_should ||
          count_true(filter.min_should->conditions, root) >= filter.min_should->min_count);
}

/// Random payloads and filters over few keys and values, so that they often meet.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool chance(std::size_t percent) { return below(100) < percent; }

  Json value(int depth) {
    const std::size_t kind = below(depth > 0 ? 14 : 9);
    switch (kind) {
      case 0:
        return nullptr;
      case 1:
        return chance(50);
      case 2:
        return static_cast<std::int64_t>(below(4)) - 1;
      case 3:
        return static_cast<double>(below(4)) / 2;
      case 4:
        return number_edges()[below(number_edges().size())];
      case 5:
        return dates()[below(dates().size())];
      case 6:
      case 7:
      case 8:
        return words()[below(words().size())];
      case 9:
      case 10:
      case 11: {
        Json array = Json::array();
        for (std::size_t i = below(4); i > 0; --i) array.push_back(value(depth - 1));
        return array;
      }
      default:
        return object(depth - 1);
    }
  }
  Json object(int depth) {
    Json made = Json::object();
    for (std::size_t i = below(4); i > 0; --i) made[keys()[below(keys().size())]] = value(depth);
    return made;
  }
  PayloadPath payload_path() {
    std::string text = keys()[below(keys().size())];
    for (std::size_t i = below(3); i > 0; --i) {
      switch (below(4)) {
        case 0:
          text += "[]";
          break;
        case 1:
          text += "[" + std::to_string(below(3)) + "]";
          break;
        default:
          text += "." + keys()[below(keys().size())];
      }
    }
    return path(text);
  }
  Filter filter(int depth) {
    Filter made;
    for (std::size_t i = below(3); i > 0; --i) made.must.push_back(condition(depth));
    for (std::size_t i = below(3); i > 0; --i) made.should.push_back(condition(depth));
    for (std::size_t i = below(2); i > 0; --i) made.must_not.push_back(condition(depth));
    if (chance(15)) {
      MinShould min_should;
      for (std::size_t i = below(4); i > 0; --i) {
        min_should.conditions.push_back(condition(depth));
      }
      min_should.min_count = below(4);
      made.min_should = min_should;
    }
    return made;
  }
  Condition condition(int depth) {
    const std::size_t kind = below(depth > 0 ? 20 : 14);
    if (kind == 12) return HasId{{PointId(below(2) == 0 ? 7 : 8)}};
    if (kind == 13) return HasVector{chance(50) ? "image" : "text"};
    if (kind >= 17) return Nested{payload_path(), {filter(depth - 1)}};
    if (kind >= 14) return SubFilter{{filter(depth - 1)}};
    FieldCondition made{payload_path(), IsNull{}, chance(10)};
    switch (kind) {
      case 0:
      case 1:
        made.test = MatchValue{match_scalar()};
        break;
      case 2:
        made.test = MatchAny{match_scalars()};
        break;
      case 3:
        made.test = MatchExcept{match_scalars()};
        break;
      case 4:
      case 5:
        made.test = MatchText{static_cast<MatchText::Kind>(below(4)),
                              words()[below(words().size())].substr(0, below(6))};
        break;
      case 6:
      case 7:
      case 8:
        made.test = NumberRange{range<double>([&] { return bound(); })};
        break;
      case 9:
        made.test = DatetimeRange{
            range<std::int64_t>([&] { return *parse_datetime(dates()[1 + below(3)]); })};
        break;
      case 10:
        made.test =
            ValuesCount{range<std::int64_t>([&] { return static_cast<std::int64_t>(below(4)); })};
        break;
      case 11:
        made.test = IsEmpty{};
        break;
      default:
        break;
    }
    return made;
  }

 private:
  static const std::vector<std::string>& keys() {
    static const std::vector<std::string> kKeys = {"a", "b", "c"};
    return kKeys;
  }
  static const std::vector<std::string>& words() {
    static const std::vector<std::string> kWords = {"",  "red",  "red wine", "Red", "blue \"sky\"",
                                                    "1", "true", "é"};
    return kWords;
  }
  static const std::vector<std::string>& dates() {
    static const std::vector<std::string> kDates = {"2026-99-01", "2026-01-05T10:00:00Z",
                                                    "2026-01-05", "2026-01-05 12:00:00+02:00"};
    return kDates;
  }
  static const std::vector<Json>& number_edges() {
    static const std::vector<Json> kNumbers = {9007199254740993LL,
                                               9007199254740992LL,
                                               9007199254740992.0,
                                               18446744073709551615ULL,
                                               9223372036854775808ULL,
                                               9223372036854775807LL,
                                               std::numeric_limits<std::int64_t>::min(),
                                               -1e300,
                                               1.8446744073709552e19};
    return kNumbers;
  }
  double bound() {
    if (chance(30)) return static_cast<double>(number_of(number_edges()[below(9)]));
    return static_cast<double>(below(7)) / 2 - 1;
  }
  template <class Number, class Draw>
  Range<Number> range(Draw draw) {
    Range<Number> made;
    if (chance(30)) made.gt = draw();
    if (chance(40)) made.gte = draw();
    if (chance(30)) made.lt = draw();
    if (chance(40)) made.lte = draw();
    return made;
  }
  MatchScalar match_scalar() {
    switch (below(4)) {
      case 0:
        return chance(50);
      case 1:
        return static_cast<std::int64_t>(below(4)) - 1;
      case 2:
        return chance(50) ? std::int64_t{9007199254740993LL}
                          : std::numeric_limits<std::int64_t>::max();
      default:
        return words()[below(words().size())];
    }
  }
  std::vector<MatchScalar> match_scalars() {
    std::vector<MatchScalar> made;
    for (std::size_t i = below(4); i > 0; --i) made.push_back(match_scalar());
    return made;
  }

  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("filter: agrees with a slow evaluator on random payloads and filters") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Generator generator(seed);
    std::size_t match_count = 0;
    for (int round = 0; round < 60; ++round) {
      const Filter filter = round % 2 == 0 ? generator.filter(2) : must(generator.condition(1));
      for (int i = 0; i < 25; ++i) {
        const Json payload = generator.object(3);
        const std::string text = payload.dump();
        CAPTURE(text);
        const bool is_match = expected(filter, payload);
        match_count += is_match;
        REQUIRE(satisfies(filter, text) == is_match);
      }
    }
    CHECK(match_count > 100);
    CHECK(match_count < 1400);
  }
}
