#include "index/payload_index.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "base/status.h"
#include "index/payload_column.h"
#include "index/payload_values.h"

namespace tessera::index {
namespace {

/// Invariants: (1) a slot is in the posting of a value if and only if the column lists the value
/// for the slot, once; (2) present_ holds the slots with at least one value, several_ those with at
/// least two.
template <class Postings, class Value, bool kHasOrder>
class TypedPayloadIndex final : public PayloadIndex {
 public:
  explicit TypedPayloadIndex(PayloadIndexType type) : type_(type) {}

  [[nodiscard]] PayloadIndexType type() const override { return type_; }

  void set(std::uint32_t slot, const std::vector<PayloadValue>& values) override {
    const std::vector<View> wanted = distinct(values);
    std::vector<Key> dropped;
    for (const Key key : column_.values(slot)) {
      if (!std::binary_search(wanted.begin(), wanted.end(), Postings::view_of(key))) {
        dropped.push_back(key);
      }
    }
    for (const Key key : dropped) postings_.remove(key, slot);

    std::vector<Key> keys;
    keys.reserve(wanted.size());
    for (const View value : wanted) keys.push_back(postings_.add(value, slot));
    column_.replace(slot, std::move(keys));
    mark(present_, slot, !wanted.empty());
    mark(several_, slot, wanted.size() > 1);
  }

  [[nodiscard]] Bitmap equal(const PayloadValue& value) const override {
    const Value* const typed = std::get_if<Value>(&value);
    if (typed == nullptr || !is_storable(*typed)) return {};
    const Posting* const posting = postings_.find(*typed);
    return posting == nullptr ? Bitmap() : posting->bitmap();
  }

  [[nodiscard]] std::optional<Bitmap> in_range(const Range<double>& range) const override {
    return slots_in(range);
  }

  [[nodiscard]] std::optional<Bitmap> in_range(const Range<std::int64_t>& range) const override {
    return slots_in(range);
  }

  /// Linear in the slots that hold a listed value, not in those that hold another.
  [[nodiscard]] Bitmap other_than(const std::vector<PayloadValue>& values) const override {
    const std::vector<View> excluded = distinct(values);
    PostingUnion excluded_slots;
    for (const View value : excluded) {
      if (const Posting* const posting = postings_.find(value)) excluded_slots.add(*posting);
    }
    const Bitmap hit = excluded_slots.finish();
    Bitmap result = present_ - hit;
    // A slot with a single value that is listed has no other; one with several may.
    for (const std::uint32_t slot : hit& several_) {
      const auto held = column_.values(slot);
      const bool has_other = std::any_of(held.begin(), held.end(), [&](Key key) {
        return !std::binary_search(excluded.begin(), excluded.end(), Postings::view_of(key));
      });
      if (has_other) result.add(slot);
    }
    return result;
  }

  [[nodiscard]] const Bitmap& slots() const override { return present_; }

  /// Walks every value.
  [[nodiscard]] std::size_t memory_bytes() const override {
    // A slot of several values holds at least two of them in an array of its own.
    const std::size_t array_bytes =
        several_.cardinality() * (sizeof(std::vector<Key>) + 2 * sizeof(Key));
    return sizeof(*this) + postings_.memory_bytes() + column_.page_bytes() + array_bytes +
           present_.getSizeInBytes() + several_.getSizeInBytes();
  }

 private:
  using View = typename Postings::View;
  using Key = typename Postings::Key;

  static bool is_storable(const Value& value) {
    if constexpr (std::is_same_v<Value, double>) return !std::isnan(value);
    return true;
  }

  /// The values of this index's type, ascending, each once.
  static std::vector<View> distinct(const std::vector<PayloadValue>& values) {
    std::vector<View> views;
    views.reserve(values.size());
    for (const PayloadValue& value : values) {
      const Value* const typed = std::get_if<Value>(&value);
      if (typed != nullptr && is_storable(*typed)) views.push_back(*typed);
    }
    std::sort(views.begin(), views.end());
    views.erase(std::unique(views.begin(), views.end()), views.end());
    return views;
  }

  static void mark(Bitmap& bitmap, std::uint32_t slot, bool is_member) {
    if (is_member) {
      bitmap.add(slot);
    } else {
      bitmap.remove(slot);
    }
  }

  template <class Bound>
  [[nodiscard]] std::optional<Bitmap> slots_in(const Range<Bound>& range) const {
    if constexpr (kHasOrder) {
      const auto interval = interval_of<Value>(range);
      if (!interval) return Bitmap();
      PostingUnion slots;
      postings_.collect(*interval, slots);
      return slots.finish();
    } else {
      return std::nullopt;
    }
  }

  const PayloadIndexType type_;
  Postings postings_;
  SlotColumn<Key> column_;
  Bitmap present_;
  Bitmap several_;
};

using IntegerIndex = TypedPayloadIndex<OrderedPostings<std::int64_t>, std::int64_t, true>;
using FloatIndex = TypedPayloadIndex<OrderedPostings<double>, double, true>;
using BoolIndex = TypedPayloadIndex<OrderedPostings<std::uint8_t>, bool, false>;
using KeywordIndex = TypedPayloadIndex<KeywordPostings, std::string, false>;

}  // namespace

std::unique_ptr<PayloadIndex> PayloadIndex::create(PayloadIndexType type) {
  switch (type) {
    case PayloadIndexType::kKeyword:
      return std::make_unique<KeywordIndex>(type);
    case PayloadIndexType::kInteger:
    case PayloadIndexType::kDatetime:
      return std::make_unique<IntegerIndex>(type);
    case PayloadIndexType::kFloat:
      return std::make_unique<FloatIndex>(type);
    case PayloadIndexType::kBool:
      return std::make_unique<BoolIndex>(type);
  }
  TESSERA_ASSERT(!"a payload index type outside its enumeration");
  return nullptr;
}

}  // namespace tessera::index
