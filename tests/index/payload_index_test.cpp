#include "index/payload_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

namespace tessera::index {
namespace {

using Values = std::vector<PayloadValue>;

constexpr std::int64_t kTwo53 = std::int64_t{1} << 53;
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kInt64Min = std::numeric_limits<std::int64_t>::min();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<std::uint32_t> slots_of(const Bitmap& bitmap) {
  std::vector<std::uint32_t> slots(bitmap.cardinality());
  bitmap.toUint32Array(slots.data());
  return slots;
}

std::vector<std::uint32_t> slots_of(const std::optional<Bitmap>& bitmap) {
  REQUIRE(bitmap.has_value());
  return slots_of(*bitmap);
}

bool is_of(PayloadIndexType type, const PayloadValue& value) {
  switch (type) {
    case PayloadIndexType::kKeyword:
      return std::holds_alternative<std::string>(value);
    case PayloadIndexType::kInteger:
    case PayloadIndexType::kDatetime:
      return std::holds_alternative<std::int64_t>(value);
    case PayloadIndexType::kFloat:
      return std::holds_alternative<double>(value) && !std::isnan(std::get<double>(value));
    case PayloadIndexType::kBool:
      return std::holds_alternative<bool>(value);
  }
  return false;
}

/// The same answers from a plain map, every question by looking at every slot.
class Oracle {
 public:
  explicit Oracle(PayloadIndexType type) : type_(type) {}

  void set(std::uint32_t slot, const Values& values) {
    Values kept;
    std::copy_if(values.begin(), values.end(), std::back_inserter(kept),
                 [this](const PayloadValue& value) { return is_of(type_, value); });
    if (kept.empty()) {
      slots_.erase(slot);
    } else {
      slots_[slot] = kept;
    }
  }

  template <class Predicate>
  [[nodiscard]] std::vector<std::uint32_t> with_value(Predicate&& predicate) const {
    std::vector<std::uint32_t> found;
    for (const auto& [slot, values] : slots_) {
      if (std::any_of(values.begin(), values.end(), predicate)) found.push_back(slot);
    }
    return found;
  }

  [[nodiscard]] std::vector<std::uint32_t> equal(const PayloadValue& value) const {
    return with_value([&](const PayloadValue& held) { return held == value; });
  }

  [[nodiscard]] std::vector<std::uint32_t> other_than(const Values& listed) const {
    return with_value([&](const PayloadValue& held) {
      return std::find(listed.begin(), listed.end(), held) == listed.end();
    });
  }

  /// long double has 64 bits of mantissa: every int64 and every double, exactly.
  template <class Bound>
  [[nodiscard]] std::vector<std::uint32_t> in_range(const Range<Bound>& range) const {
    static_assert(std::numeric_limits<long double>::digits >= 64);
    Range<long double> exact;
    exact.gt = range.gt;
    exact.gte = range.gte;
    exact.lt = range.lt;
    exact.lte = range.lte;
    return with_value([&](const PayloadValue& held) {
      return std::holds_alternative<double>(held) ? exact.contains(std::get<double>(held))
                                                  : exact.contains(std::get<std::int64_t>(held));
    });
  }

  [[nodiscard]] std::vector<std::uint32_t> slots() const {
    return with_value([](const PayloadValue&) { return true; });
  }

 private:
  PayloadIndexType type_;
  std::map<std::uint32_t, Values> slots_;
};

/// Values near everything that can go wrong: small ones that repeat, the limits, and 2^53.
class ValueSource {
 public:
  ValueSource(PayloadIndexType type, std::uint32_t seed) : type_(type), random_(seed) {}

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

  std::int64_t integer() {
    switch (below(6)) {
      case 0:
        return kTwo53 + below(9) - 4;
      case 1:
        return -kTwo53 + below(9) - 4;
      case 2:
        return kInt64Max - below(1500);
      case 3:
        return kInt64Min + below(1500);
      case 4:
        return static_cast<std::int64_t>(random_());
      default:
        return static_cast<std::int64_t>(below(400)) - 200;
    }
  }

  double number() {
    switch (below(8)) {
      case 0:
        return kInfinity;
      case 1:
        return -kInfinity;
      case 2:
        return below(2) == 0 ? 0.0 : -0.0;
      case 3:
        return kNan;
      case 4:
        return (static_cast<double>(below(400)) - 200) / 4;
      default:
        return static_cast<double>(integer());
    }
  }

  PayloadValue value() {
    if (below(20) == 0) return other_type();
    switch (type_) {
      case PayloadIndexType::kKeyword:
        return "word " + std::to_string(below(300));
      case PayloadIndexType::kInteger:
      case PayloadIndexType::kDatetime:
        return integer();
      case PayloadIndexType::kFloat:
        return number();
      case PayloadIndexType::kBool:
        return below(2) == 0;
    }
    return false;
  }

  Values values() {
    Values values;
    for (std::uint32_t count = below(5); count > 0; --count) values.push_back(value());
    if (!values.empty() && below(4) == 0) values.push_back(values.front());
    return values;
  }

  std::uint32_t slot() { return below(50) == 0 ? below(1u << 31) : below(3000); }

  template <class Bound>
  Range<Bound> range() {
    Range<Bound> range;
    const auto bound = [this]() -> Bound {
      if constexpr (std::is_same_v<Bound, double>) return number();
      return static_cast<Bound>(integer());
    };
    if (below(3) == 0) range.gt = bound();
    if (below(3) == 0) range.gte = bound();
    if (below(3) == 0) range.lt = bound();
    if (below(3) == 0) range.lte = bound();
    return range;
  }

 private:
  PayloadValue other_type() {
    switch (below(4)) {
      case 0:
        return std::int64_t{1};
      case 1:
        return 1.0;
      case 2:
        return true;
      default:
        return "1";
    }
  }

  PayloadIndexType type_;
  std::mt19937_64 random_;
};

constexpr PayloadIndexType kTypes[] = {PayloadIndexType::kKeyword, PayloadIndexType::kInteger,
                                       PayloadIndexType::kFloat, PayloadIndexType::kBool,
                                       PayloadIndexType::kDatetime};

}  // namespace

TEST_CASE("payload index: thousands of random changes and questions agree with a plain map",
          "[unit]") {
  for (const PayloadIndexType type : kTypes) {
    const std::uint32_t seed = 20 + static_cast<std::uint32_t>(type);
    CAPTURE(seed, static_cast<int>(type));
    ValueSource source(type, seed);
    Oracle oracle(type);
    const auto index = PayloadIndex::create(type);
    REQUIRE(index->type() == type);
    const bool has_order = type != PayloadIndexType::kKeyword && type != PayloadIndexType::kBool;

    for (int step = 0; step < 6000; ++step) {
      CAPTURE(step);
      const std::uint32_t slot = source.slot();
      const Values values = source.values();
      index->set(slot, values);
      oracle.set(slot, values);
      if (step % 20 != 0) continue;

      const PayloadValue wanted = source.value();
      if (is_of(type, wanted)) {
        REQUIRE(slots_of(index->equal(wanted)) == oracle.equal(wanted));
      } else {
        REQUIRE(index->equal(wanted).isEmpty());
      }
      const Values listed = source.values();
      REQUIRE(slots_of(index->other_than(listed)) == oracle.other_than(listed));
      REQUIRE(slots_of(index->slots()) == oracle.slots());
      const auto floating = source.range<double>();
      const auto integral = source.range<std::int64_t>();
      if (has_order) {
        REQUIRE(slots_of(index->in_range(floating)) == oracle.in_range(floating));
        REQUIRE(slots_of(index->in_range(integral)) == oracle.in_range(integral));
      } else {
        REQUIRE_FALSE(index->in_range(floating).has_value());
        REQUIRE_FALSE(index->in_range(integral).has_value());
      }
    }
  }
}

TEST_CASE("payload index: an index that loses all its slots answers as an empty one", "[unit]") {
  for (const PayloadIndexType type : kTypes) {
    CAPTURE(static_cast<int>(type));
    ValueSource source(type, 7);
    const auto index = PayloadIndex::create(type);
    for (std::uint32_t slot = 0; slot < 2000; ++slot) index->set(slot, source.values());
    for (std::uint32_t slot = 0; slot < 2000; ++slot) index->set(slot, {});
    REQUIRE(index->slots().isEmpty());
    REQUIRE(index->other_than({}).isEmpty());
    REQUIRE(index->equal(source.value()).isEmpty());
    if (const auto everything = index->in_range(Range<double>{})) REQUIRE(everything->isEmpty());

    index->set(5, {PayloadValue(std::int64_t{3}), 3.0, true, "3"});
    REQUIRE(slots_of(index->slots()) == std::vector<std::uint32_t>{5});
  }
}

TEST_CASE("payload index: integers are compared with floating bounds without rounding", "[unit]") {
  const auto index = PayloadIndex::create(PayloadIndexType::kInteger);
  index->set(0, {PayloadValue(kTwo53)});
  index->set(1, {PayloadValue(kTwo53 + 1)});
  index->set(2, {PayloadValue(kTwo53 + 2)});
  index->set(3, {PayloadValue(kInt64Max)});
  index->set(4, {PayloadValue(kInt64Min)});
  using Slots = std::vector<std::uint32_t>;

  const auto two53 = static_cast<double>(kTwo53);
  REQUIRE(slots_of(index->in_range(Range<double>{.gt = two53})) == Slots{1, 2, 3});
  REQUIRE(slots_of(index->in_range(Range<double>{.lte = two53})) == Slots{0, 4});
  REQUIRE(slots_of(index->in_range(Range<double>{.gte = two53 + 2})) == Slots{2, 3});
  REQUIRE(slots_of(index->in_range(Range<double>{.gt = two53, .lt = two53 + 2})) == Slots{1});

  REQUIRE(slots_of(index->in_range(Range<double>{.gte = 0x1p63})).empty());
  REQUIRE(slots_of(index->in_range(Range<double>{.lt = 0x1p63})).size() == 5);
  REQUIRE(slots_of(index->in_range(Range<double>{.lte = -0x1p63})) == Slots{4});
  REQUIRE(slots_of(index->in_range(Range<double>{.lt = -0x1p63})).empty());
  REQUIRE(slots_of(index->in_range(Range<double>{.gt = kNan})).empty());
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.gt = kInt64Max})).empty());
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.lt = kInt64Min})).empty());
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.gte = kInt64Max})) == Slots{3});
}

TEST_CASE("payload index: floating values are compared with integer bounds without rounding",
          "[unit]") {
  const auto index = PayloadIndex::create(PayloadIndexType::kFloat);
  const auto two53 = static_cast<double>(kTwo53);
  index->set(0, {PayloadValue(two53)});
  index->set(1, {PayloadValue(two53 + 2)});
  index->set(2, {PayloadValue(0x1p63)});
  index->set(3, {PayloadValue(-kInfinity)});
  index->set(4, {PayloadValue(kNan)});
  using Slots = std::vector<std::uint32_t>;

  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.gte = kTwo53 + 1})) == Slots{1, 2});
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.lt = kTwo53 + 1})) == Slots{0, 3});
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.gt = kInt64Max})) == Slots{2});
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.lte = kInt64Max})) == Slots{0, 1, 3});
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{})) == Slots{0, 1, 2, 3});
  REQUIRE(index->equal(kNan).isEmpty());
}

TEST_CASE("payload index: a slot leaves the values it no longer holds", "[unit]") {
  const auto index = PayloadIndex::create(PayloadIndexType::kKeyword);
  index->set(9, {PayloadValue("red"), "blue", "red"});
  REQUIRE(index->equal("red").contains(9));
  REQUIRE(slots_of(index->other_than({PayloadValue("red")})) == std::vector<std::uint32_t>{9});
  index->set(9, {PayloadValue("red")});
  REQUIRE(index->equal("blue").isEmpty());
  REQUIRE(index->equal("red").contains(9));
  REQUIRE(index->other_than({PayloadValue("red")}).isEmpty());
}

TEST_CASE("payload index: a range over many distinct values and shared ones is their union",
          "[unit]") {
  // Distinct values, values of a few slots and values of thousands: the three forms of a posting.
  const auto index = PayloadIndex::create(PayloadIndexType::kInteger);
  std::vector<std::uint32_t> expected;
  for (std::uint32_t slot = 0; slot < 60000; ++slot) {
    const std::int64_t value = slot % 3 == 0   ? std::int64_t{slot}
                               : slot % 3 == 1 ? 100000 + slot / 30
                                               : 200000 + slot / 20000;
    index->set(slot, {PayloadValue(value)});
    if (value >= 30000 && value <= 200001) expected.push_back(slot);
  }
  REQUIRE(slots_of(index->in_range(Range<std::int64_t>{.gte = 30000, .lte = 200001})) == expected);
  REQUIRE(index->in_range(Range<std::int64_t>{})->cardinality() == 60000);
}

TEST_CASE("payload index: the memory estimate grows with the values and falls with them",
          "[unit]") {
  for (const PayloadIndexType type : {PayloadIndexType::kInteger, PayloadIndexType::kKeyword}) {
    const auto index = PayloadIndex::create(type);
    const std::size_t empty_bytes = index->memory_bytes();
    const auto value = [&](std::uint32_t slot) -> PayloadValue {
      if (type == PayloadIndexType::kInteger) return std::int64_t{slot};
      return "a keyword too long for the string itself " + std::to_string(slot);
    };
    for (std::uint32_t slot = 0; slot < 10000; ++slot) index->set(slot, {value(slot)});
    const std::size_t full_bytes = index->memory_bytes();
    // A value, its posting and its place in the column, at the very least.
    REQUIRE(full_bytes > empty_bytes + 10000 * 32);
    REQUIRE(full_bytes < empty_bytes + 10000 * 400);
    for (std::uint32_t slot = 0; slot < 10000; ++slot) index->set(slot, {});
    REQUIRE(index->memory_bytes() < full_bytes);
  }
}

}  // namespace tessera::index
