#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>

#include "engine/payload.h"
#include "engine/payload_document.h"

namespace tessera::engine {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;
using simdjson::dom::element_type;

/// Filters nested deeper than this are refused; the evaluator descends by recursion.
constexpr std::size_t kFilterDepthMax = 128;

/// Exact comparison: converting the integer to double would make neighbours beyond 2^53 equal.
template <class Integer>
std::partial_ordering compare(Integer value, double bound) {
  constexpr double kBelow = static_cast<double>(std::numeric_limits<Integer>::min());
  constexpr int kDigits = std::numeric_limits<Integer>::digits;
  if (std::isnan(bound)) return std::partial_ordering::unordered;
  if (bound >= std::ldexp(1.0, kDigits)) return std::partial_ordering::less;
  if (bound < kBelow) return std::partial_ordering::greater;
  const double whole = std::trunc(bound);
  const auto whole_integer = static_cast<Integer>(whole);
  if (value != whole_integer) {
    return value < whole_integer ? std::partial_ordering::less : std::partial_ordering::greater;
  }
  return whole <=> bound;
}
std::partial_ordering compare(double value, double bound) {
  return value <=> bound;
}

template <class Number>
bool contains(const index::Range<double>& range, Number value) {
  return !(range.gt && !(compare(value, *range.gt) > 0)) &&
         !(range.gte && !(compare(value, *range.gte) >= 0)) &&
         !(range.lt && !(compare(value, *range.lt) < 0)) &&
         !(range.lte && !(compare(value, *range.lte) <= 0));
}

bool in_range(element value, const index::Range<double>& range) {
  switch (value.type()) {
    case element_type::INT64:
      return contains(range, value.get_int64().value_unsafe());
    case element_type::UINT64:
      return contains(range, value.get_uint64().value_unsafe());
    case element_type::DOUBLE:
      return contains(range, value.get_double().value_unsafe());
    default:
      return false;
  }
}

bool in_range(element value, const index::Range<std::int64_t>& range_us) {
  std::string_view text;
  if (value.get(text) != SUCCESS) return false;
  const auto time_us = parse_datetime(text);
  return time_us && range_us.contains(*time_us);
}

bool equals(element value, const MatchScalar& wanted) {
  if (const auto* text = std::get_if<std::string>(&wanted)) {
    std::string_view found;
    return value.get(found) == SUCCESS && found == *text;
  }
  if (const auto* number = std::get_if<std::int64_t>(&wanted)) {
    return value.type() == element_type::INT64 && value.get_int64().value_unsafe() == *number;
  }
  bool found = false;
  return value.get(found) == SUCCESS && found == std::get<bool>(wanted);
}

bool equals_any(element value, const std::vector<MatchScalar>& wanted) {
  return std::any_of(wanted.begin(), wanted.end(),
                     [&](const MatchScalar& scalar) { return equals(value, scalar); });
}

bool contains_any_word(std::string_view text, std::string_view words) {
  constexpr std::string_view kSpaces = " \t\r\n\f\v";
  for (std::size_t at = words.find_first_not_of(kSpaces); at != std::string_view::npos;) {
    const std::size_t end = std::min(words.find_first_of(kSpaces, at), words.size());
    if (text.find(words.substr(at, end - at)) != std::string_view::npos) return true;
    at = words.find_first_not_of(kSpaces, end);
  }
  return false;
}

bool matches_text(element value, const MatchText& wanted) {
  std::string_view text;
  if (value.get(text) != SUCCESS) return false;
  switch (wanted.kind) {
    case MatchText::Kind::kText:
    case MatchText::Kind::kPhrase:
      return text.find(wanted.text) != std::string_view::npos;
    case MatchText::Kind::kTextAny:
      return contains_any_word(text, wanted.text);
    case MatchText::Kind::kPrefix:
      return text.starts_with(wanted.text);
  }
  return false;
}

std::int64_t values_count(element value) {
  simdjson::dom::array array;
  if (value.get(array) != SUCCESS) return value.is_null() ? 0 : 1;
  // size() saturates at 2^24 - 1, so a very long array is counted element by element.
  constexpr std::size_t kSaturated = 0xFFFFFF;
  if (array.size() < kSaturated) return static_cast<std::int64_t>(array.size());
  return std::distance(array.begin(), array.end());
}

bool holds_null(element value) {
  simdjson::dom::array array;
  if (value.get(array) != SUCCESS) return value.is_null();
  return std::any_of(array.begin(), array.end(), [](element child) { return child.is_null(); });
}

bool holds_something(element value) {
  simdjson::dom::array array;
  return value.get(array) == SUCCESS ? array.begin() != array.end() : !value.is_null();
}

/// One visitor per kind of test; `root` is the payload, or the array element inside `nested`.
struct FieldTest {
  simdjson::dom::object root;
  const PayloadPath& path;

  bool operator()(const MatchValue& test) const {
    return any_scalar(root, path, [&](element value) { return equals(value, test.value); });
  }
  bool operator()(const MatchAny& test) const {
    return any_scalar(root, path, [&](element value) { return equals_any(value, test.values); });
  }
  bool operator()(const MatchExcept& test) const {
    return any_scalar(root, path, [&](element value) {
      return !value.is_null() && !equals_any(value, test.values);
    });
  }
  bool operator()(const MatchText& test) const {
    return any_scalar(root, path, [&](element value) { return matches_text(value, test); });
  }
  bool operator()(const NumberRange& test) const {
    return any_scalar(root, path, [&](element value) { return in_range(value, test.range); });
  }
  bool operator()(const DatetimeRange& test) const {
    return any_scalar(root, path, [&](element value) { return in_range(value, test.range_us); });
  }
  bool operator()(const ValuesCount& test) const {
    bool is_present = false;
    const bool found = any_value(root, path, [&](element value) {
      is_present = true;
      return test.range.contains(values_count(value));
    });
    return found || (!is_present && test.range.contains(0));
  }
  bool operator()(const IsEmpty&) const { return !any_value(root, path, holds_something); }
  bool operator()(const IsNull&) const { return any_value(root, path, holds_null); }
};

class Evaluator {
 public:
  explicit Evaluator(const PointFacts& point) : point_(point) {}

  /// A filter that is too deep sets is_too_deep() and answers false.
  bool matches(const Filter& filter, simdjson::dom::object root, std::size_t depth) {
    if (depth > kFilterDepthMax) {
      is_too_deep_ = true;
      return false;
    }
    const auto holds = [&](const Condition& condition) { return check(condition, root, depth); };
    if (!std::all_of(filter.must.begin(), filter.must.end(), holds)) return false;
    if (std::any_of(filter.must_not.begin(), filter.must_not.end(), holds)) return false;
    if (!filter.should.empty() && !std::any_of(filter.should.begin(), filter.should.end(), holds)) {
      return false;
    }
    return !filter.min_should || has_enough(*filter.min_should, holds);
  }

  [[nodiscard]] bool is_too_deep() const { return is_too_deep_; }

 private:
  template <class Holds>
  static bool has_enough(const MinShould& min_should, const Holds& holds) {
    std::size_t missing = min_should.min_count;
    for (const Condition& condition : min_should.conditions) {
      if (missing == 0) break;
      if (holds(condition)) --missing;
    }
    return missing == 0;
  }

  bool check(const Condition& condition, simdjson::dom::object root, std::size_t depth) {
    if (const auto* field = std::get_if<FieldCondition>(&condition)) {
      return std::visit(FieldTest{root, field->path}, field->test) != field->negated;
    }
    if (const auto* has_id = std::get_if<HasId>(&condition)) {
      const auto& ids = has_id->ids;
      return has_id->is_sorted ? std::binary_search(ids.begin(), ids.end(), point_.id)
                               : std::find(ids.begin(), ids.end(), point_.id) != ids.end();
    }
    if (const auto* has_vector = std::get_if<HasVector>(&condition)) {
      return point_.has_vector && point_.has_vector(has_vector->name);
    }
    if (const auto* nested = std::get_if<Nested>(&condition)) {
      return check_nested(*nested, root, depth);
    }
    const auto& sub_filter = std::get<SubFilter>(condition);
    TESSERA_ASSERT(sub_filter.filter.size() == 1);
    return matches(sub_filter.filter.front(), root, depth + 1);
  }

  /// "a" and "a[]" mean the same here: elements of the array at a. Only objects can satisfy.
  bool check_nested(const Nested& nested, simdjson::dom::object root, std::size_t depth) {
    TESSERA_ASSERT(nested.filter.size() == 1);
    const auto satisfies = [&](element value) {
      simdjson::dom::object object;
      return value.get(object) == SUCCESS && matches(nested.filter.front(), object, depth + 1);
    };
    const auto& steps = nested.path.steps;
    if (!steps.empty() && steps.back().kind == PayloadPath::Step::Kind::kEveryElement) {
      return any_value(root, nested.path, satisfies);
    }
    return any_value(root, nested.path, [&](element value) {
      simdjson::dom::array array;
      return value.get(array) == SUCCESS && std::any_of(array.begin(), array.end(), satisfies);
    });
  }

  const PointFacts& point_;
  bool is_too_deep_ = false;
};

}  // namespace

Result<bool> matches(const Filter& filter, const PointFacts& point, std::string_view payload) {
  if (filter.empty()) return true;
  TESSERA_ASSIGN_OR_RETURN(const PayloadDocument document, PayloadDocument::parse(payload));
  Evaluator evaluator(point);
  const bool is_match = evaluator.matches(filter, document.root(), 0);
  if (evaluator.is_too_deep()) {
    return Status(Code::kInvalidArgument, "filter: nested deeper than 128 levels");
  }
  return is_match;
}

namespace {

void sort_ids_of(std::vector<Condition>& conditions) {
  for (Condition& condition : conditions) {
    if (auto* has_id = std::get_if<HasId>(&condition)) {
      std::sort(has_id->ids.begin(), has_id->ids.end());
      has_id->is_sorted = true;
    } else if (auto* nested = std::get_if<Nested>(&condition)) {
      sort_ids(nested->filter.front());
    } else if (auto* sub_filter = std::get_if<SubFilter>(&condition)) {
      sort_ids(sub_filter->filter.front());
    }
  }
}

}  // namespace

void sort_ids(Filter& filter) {
  sort_ids_of(filter.must);
  sort_ids_of(filter.should);
  sort_ids_of(filter.must_not);
  if (filter.min_should) sort_ids_of(filter.min_should->conditions);
}

}  // namespace tessera::engine
