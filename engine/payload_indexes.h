#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/collection_config.h"
#include "engine/filter.h"
#include "index/bitmap.h"
#include "index/payload_index.h"

namespace tessera::engine {

/// Slots that certainly satisfy a condition, or might. `exact`: none of them has to be looked at.
struct SlotEstimate {
  index::Bitmap slots;
  bool exact = true;
};

/// The payload indexes of one collection, by path text. Derived from the payloads: filled at start
/// and kept with every write.
/// Thread rule: guarded by the owner's lock.
class PayloadIndexes {
 public:
  struct Field {
    PayloadPath path;
    PayloadIndexType type = PayloadIndexType::kKeyword;
    std::optional<std::string> params_json;
    std::unique_ptr<index::PayloadIndex> index;
    /// Slots with numbers that the index does not hold exactly (floats in an integer index,
    /// integers beyond 2^53 in a float index): a range must look at them.
    index::Bitmap irregular;
  };

  [[nodiscard]] bool empty() const { return fields_.empty(); }
  [[nodiscard]] const std::map<std::string, Field>& fields() const { return fields_; }
  /// Adds an empty index, in place of one of another type on the same path.
  void add(const PayloadPath& path, PayloadIndexType type, std::optional<std::string> params_json);
  /// The index on a path, taken out; nothing if there is none.
  std::optional<Field> take(const PayloadPath& path);
  /// Puts an index in, in place of one on the same path.
  void put(Field field);

  /// Takes the values of `payload` into every index; "" or "{}" takes the slot out of all.
  Status set(std::uint32_t slot, std::string_view payload);
  /// The same for one index, while it is being filled.
  static Status set_field(Field& field, std::uint32_t slot, std::string_view payload);
  Field* find(const PayloadPath& path);

  /// Slots that satisfy a test on a field, from an index alone; nullopt when no index can tell.
  [[nodiscard]] std::optional<SlotEstimate> find_slots(const FieldCondition& condition) const;

 private:
  [[nodiscard]] const Field* field_of(const PayloadPath& path) const;
  std::map<std::string, Field> fields_;
};

}  // namespace tessera::engine
