#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "index/bitmap.h"

namespace tessera::index {

/// Stored on disk: never renumber.
enum class PayloadIndexType : std::uint8_t {
  kKeyword = 0,
  kInteger = 1,
  kFloat = 2,
  kBool = 3,
  kDatetime = 4,  ///< Values are microseconds since 1970-01-01 UTC.
};

/// One indexed value. kInteger and kDatetime take int64, kFloat double, kKeyword string, kBool
/// bool.
using PayloadValue = std::variant<std::int64_t, double, bool, std::string>;

/// Bounds of a numeric range; an absent bound is open. Both kinds of bound may be given.
template <class Number>
struct Range {
  std::optional<Number> gt = {}, gte = {}, lt = {}, lte = {};
  [[nodiscard]] bool contains(Number value) const {
    return !(gt && !(value > *gt)) && !(gte && !(value >= *gte)) && !(lt && !(value < *lt)) &&
           !(lte && !(value <= *lte));
  }
};

/// Which slots hold which values of one payload field. A slot may hold several (array elements).
/// Thread rule: confined; the owner locks. Lookups are exact: the answer is neither a superset nor
/// a subset of the slots that match.
class PayloadIndex {
 public:
  static std::unique_ptr<PayloadIndex> create(PayloadIndexType type);
  virtual ~PayloadIndex() = default;

  [[nodiscard]] virtual PayloadIndexType type() const = 0;

  /// Replaces the values of `slot`; values of another type than the index's are left out, and an
  /// empty list removes the slot.
  virtual void set(std::uint32_t slot, const std::vector<PayloadValue>& values) = 0;

  /// Slots that hold `value`; empty for a value of another type.
  [[nodiscard]] virtual Bitmap equal(const PayloadValue& value) const = 0;
  /// Slots with a value in the range; nullopt where the type has no order (kKeyword, kBool).
  /// Integer values are compared with a floating bound exactly.
  [[nodiscard]] virtual std::optional<Bitmap> in_range(const Range<double>& range) const = 0;
  /// The same with integer bounds, for kDatetime.
  [[nodiscard]] virtual std::optional<Bitmap> in_range(const Range<std::int64_t>& range) const = 0;
  /// Slots with a value that is none of `values`.
  [[nodiscard]] virtual Bitmap other_than(const std::vector<PayloadValue>& values) const = 0;
  /// Slots with at least one value.
  [[nodiscard]] virtual const Bitmap& slots() const = 0;
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

}  // namespace tessera::index
