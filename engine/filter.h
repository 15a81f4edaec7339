#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/point_id.h"
#include "index/payload_index.h"

namespace tessera::engine {

/// A filter as the dialect writes it, already validated. Plain data.

struct Filter;

/// A parsed payload path: "a.b", "a[].b", "a[0]", "\"quoted key\"".
struct PayloadPath {
  struct Step {
    enum class Kind : std::uint8_t { kKey, kEveryElement, kElement };
    Kind kind = Kind::kKey;
    std::string key;          ///< kKey
    std::size_t element = 0;  ///< kElement
    bool operator==(const Step&) const = default;
  };
  std::vector<Step> steps;
  std::string text;  ///< As the client wrote it.
  bool operator==(const PayloadPath& other) const { return steps == other.steps; }
};

/// A scalar that match compares with. An integer does not match a float.
using MatchScalar = std::variant<std::string, std::int64_t, bool>;

struct MatchValue {
  MatchScalar value;
};
struct MatchAny {
  std::vector<MatchScalar> values;  ///< Empty: matches nothing.
};
struct MatchExcept {
  std::vector<MatchScalar> values;  ///< A present value that is none of these.
};
/// Without a text index: text and phrase are a substring test; text_any of any word.
struct MatchText {
  enum class Kind : std::uint8_t { kText, kTextAny, kPhrase, kPrefix };
  Kind kind = Kind::kText;
  std::string text;
};
struct NumberRange {
  index::Range<double> range;
};
struct DatetimeRange {
  index::Range<std::int64_t> range_us;  ///< Microseconds since 1970 UTC.
};
/// Array length; 1 for a scalar, 0 for a missing field.
struct ValuesCount {
  index::Range<std::int64_t> range;
};
struct IsEmpty {};  ///< Missing, null or [].
struct IsNull {};   ///< null, or an array that holds null.

struct FieldCondition {
  PayloadPath path;
  std::variant<MatchValue, MatchAny, MatchExcept, MatchText, NumberRange, DatetimeRange,
               ValuesCount, IsEmpty, IsNull>
      test;
  bool negated = false;  ///< {"key": k, "is_empty": false} and {"is_null": false}.
};
struct HasId {
  std::vector<PointId> ids;
  bool is_sorted = false;  ///< The ids ascend, so that a point is found among many; see sort_ids().
};
struct HasVector {
  std::string name;
};
/// One element of the array at `path` must satisfy the whole filter.
struct Nested {
  PayloadPath path;
  std::vector<Filter> filter;  ///< Exactly one; a vector because Filter is incomplete here.
};
struct SubFilter {
  std::vector<Filter> filter;  ///< Exactly one.
};
using Condition = std::variant<FieldCondition, HasId, HasVector, Nested, SubFilter>;

struct MinShould {
  std::vector<Condition> conditions;
  std::size_t min_count = 0;
};

/// All of must, none of must_not, one of should (unless empty), min_count of min_should.
struct Filter {
  std::vector<Condition> must;
  std::vector<Condition> should;
  std::vector<Condition> must_not;
  std::optional<MinShould> min_should;

  [[nodiscard]] bool empty() const {
    return must.empty() && should.empty() && must_not.empty() && !min_should;
  }
};

}  // namespace tessera::engine
