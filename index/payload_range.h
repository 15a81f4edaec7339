#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "index/payload_index.h"

namespace tessera::index {

/// Both ends belong to it.
template <class Value>
struct Interval {
  Value least;
  Value greatest;
};

/// The values next to a bound, without rounding: of the values that are representable, the least
/// one at or above it and so on; nullopt where there is none (a NaN bound has none).
template <class Value, class Bound>
struct Neighbours;

template <>
struct Neighbours<std::int64_t, std::int64_t> {
  using Limits = std::numeric_limits<std::int64_t>;
  static std::optional<std::int64_t> at_or_above(std::int64_t bound) { return bound; }
  static std::optional<std::int64_t> at_or_below(std::int64_t bound) { return bound; }
  static std::optional<std::int64_t> above(std::int64_t bound) {
    if (bound == Limits::max()) return std::nullopt;
    return bound + 1;
  }
  static std::optional<std::int64_t> below(std::int64_t bound) {
    if (bound == Limits::min()) return std::nullopt;
    return bound - 1;
  }
};

template <>
struct Neighbours<double, double> {
  using Limits = std::numeric_limits<double>;
  static std::optional<double> at_or_above(double bound) {
    if (std::isnan(bound)) return std::nullopt;
    return bound;
  }
  static std::optional<double> at_or_below(double bound) { return at_or_above(bound); }
  static std::optional<double> above(double bound) {
    if (std::isnan(bound) || bound == Limits::infinity()) return std::nullopt;
    return std::nextafter(bound, Limits::infinity());
  }
  static std::optional<double> below(double bound) {
    if (std::isnan(bound) || bound == -Limits::infinity()) return std::nullopt;
    return std::nextafter(bound, -Limits::infinity());
  }
};

template <>
struct Neighbours<std::int64_t, double> {
  using Limits = std::numeric_limits<std::int64_t>;
  static constexpr double kTwo63 = 0x1p63;  ///< The first double beyond every int64.

  static std::optional<std::int64_t> at_or_above(double bound) {
    const double up = std::ceil(bound);
    if (std::isnan(up) || up >= kTwo63) return std::nullopt;
    return up < -kTwo63 ? Limits::min() : static_cast<std::int64_t>(up);
  }
  static std::optional<std::int64_t> at_or_below(double bound) {
    const double down = std::floor(bound);
    if (std::isnan(down) || down < -kTwo63) return std::nullopt;
    return down >= kTwo63 ? Limits::max() : static_cast<std::int64_t>(down);
  }
  // Below 2^63 the greatest double is 2^63 - 1024, so one more or less cannot overflow.
  static std::optional<std::int64_t> above(double bound) {
    const double down = std::floor(bound);
    if (std::isnan(down) || down >= kTwo63) return std::nullopt;
    return down < -kTwo63 ? Limits::min() : static_cast<std::int64_t>(down) + 1;
  }
  static std::optional<std::int64_t> below(double bound) {
    const double up = std::ceil(bound);
    if (std::isnan(up) || up <= -kTwo63) return std::nullopt;
    return up >= kTwo63 ? Limits::max() : static_cast<std::int64_t>(up) - 1;
  }
};

template <>
struct Neighbours<double, std::int64_t> {
  using Limits = std::numeric_limits<double>;
  // Conversion rounds to one of the two doubles around the bound; the order says which.
  static int order(double rounded, std::int64_t bound) {
    if (rounded >= 0x1p63) return 1;
    const auto exact = static_cast<std::int64_t>(rounded);
    return exact < bound ? -1 : exact > bound ? 1 : 0;
  }
  static double up(double value) { return std::nextafter(value, Limits::infinity()); }
  static double down(double value) { return std::nextafter(value, -Limits::infinity()); }

  static std::optional<double> at_or_above(std::int64_t bound) {
    const auto rounded = static_cast<double>(bound);
    return order(rounded, bound) >= 0 ? rounded : up(rounded);
  }
  static std::optional<double> at_or_below(std::int64_t bound) {
    const auto rounded = static_cast<double>(bound);
    return order(rounded, bound) <= 0 ? rounded : down(rounded);
  }
  static std::optional<double> above(std::int64_t bound) {
    const auto rounded = static_cast<double>(bound);
    return order(rounded, bound) > 0 ? rounded : up(rounded);
  }
  static std::optional<double> below(std::int64_t bound) {
    const auto rounded = static_cast<double>(bound);
    return order(rounded, bound) < 0 ? rounded : down(rounded);
  }
};

/// The values that `range` contains; nullopt for none.
template <class Value, class Bound>
std::optional<Interval<Value>> interval_of(const Range<Bound>& range) {
  using Near = Neighbours<Value, Bound>;
  using Limits = std::numeric_limits<Value>;
  Interval<Value> interval{Limits::lowest(), Limits::max()};
  if constexpr (Limits::has_infinity) interval = {-Limits::infinity(), Limits::infinity()};

  const auto raise = [&](std::optional<Value> least) {
    if (least && *least > interval.least) interval.least = *least;
    return least.has_value();
  };
  const auto lower = [&](std::optional<Value> greatest) {
    if (greatest && *greatest < interval.greatest) interval.greatest = *greatest;
    return greatest.has_value();
  };
  if (range.gt && !raise(Near::above(*range.gt))) return std::nullopt;
  if (range.gte && !raise(Near::at_or_above(*range.gte))) return std::nullopt;
  if (range.lt && !lower(Near::below(*range.lt))) return std::nullopt;
  if (range.lte && !lower(Near::at_or_below(*range.lte))) return std::nullopt;
  if (interval.least > interval.greatest) return std::nullopt;
  return interval;
}

}  // namespace tessera::index
