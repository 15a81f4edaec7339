#include "engine/payload_indexes.h"

#include <algorithm>
#include <cmath>

#include "engine/payload.h"

namespace tessera::engine {
namespace {

/// Whether an index of `type` holds every payload value that could equal `scalar`.
bool holds(PayloadIndexType type, const MatchScalar& scalar) {
  switch (type) {
    case PayloadIndexType::kKeyword:
      return std::holds_alternative<std::string>(scalar);
    case PayloadIndexType::kInteger:
      return std::holds_alternative<std::int64_t>(scalar);
    case PayloadIndexType::kBool:
      return std::holds_alternative<bool>(scalar);
    case PayloadIndexType::kFloat:
    case PayloadIndexType::kDatetime:
      return false;
  }
  return false;
}

index::PayloadValue value_of(const MatchScalar& scalar) {
  return std::visit([](const auto& value) { return index::PayloadValue(value); }, scalar);
}

/// Whether a number may be an integer that a double only comes near to.
bool is_wide(const index::PayloadValue& value) {
  constexpr double kExactIntegerMax = 9007199254740992;  // 2^53
  const double* number = std::get_if<double>(&value);
  return number != nullptr && std::abs(*number) >= kExactIntegerMax;
}

std::optional<SlotEstimate> equal_to_any(const PayloadIndexes::Field& field,
                                         const std::vector<MatchScalar>& values) {
  SlotEstimate estimate;
  for (const MatchScalar& value : values) {
    if (!holds(field.type, value)) return std::nullopt;
    estimate.slots |= field.index->equal(value_of(value));
  }
  return estimate;
}

std::optional<SlotEstimate> in_number_range(const PayloadIndexes::Field& field,
                                            const index::Range<double>& range) {
  if (field.type != PayloadIndexType::kInteger && field.type != PayloadIndexType::kFloat) {
    return std::nullopt;
  }
  auto slots = field.index->in_range(range);
  if (!slots) return std::nullopt;
  SlotEstimate estimate{std::move(*slots), field.irregular.isEmpty()};
  estimate.slots |= field.irregular;
  return estimate;
}

}  // namespace

void PayloadIndexes::add(const PayloadPath& path, PayloadIndexType type,
                         std::optional<std::string> params_json) {
  Field field;
  field.path = path;
  field.type = type;
  field.params_json = std::move(params_json);
  field.index = index::PayloadIndex::create(type);
  put(std::move(field));
}

void PayloadIndexes::put(Field field) {
  (void)take(field.path);
  std::string text = field.path.text;
  fields_.insert_or_assign(std::move(text), std::move(field));
}

std::optional<PayloadIndexes::Field> PayloadIndexes::take(const PayloadPath& path) {
  for (auto entry = fields_.begin(); entry != fields_.end(); ++entry) {
    if (!(entry->second.path == path)) continue;
    Field field = std::move(entry->second);
    fields_.erase(entry);
    return field;
  }
  return std::nullopt;
}

PayloadIndexes::Field* PayloadIndexes::find(const PayloadPath& path) {
  for (auto& [text, field] : fields_) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

const PayloadIndexes::Field* PayloadIndexes::field_of(const PayloadPath& path) const {
  for (const auto& [text, field] : fields_) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

Status PayloadIndexes::set(std::uint32_t slot, std::string_view payload) {
  for (auto& [text, field] : fields_) TESSERA_RETURN_IF_ERROR(set_field(field, slot, payload));
  return {};
}

Status PayloadIndexes::set_field(Field& field, std::uint32_t slot, std::string_view payload) {
  std::vector<index::PayloadValue> values;
  field.irregular.remove(slot);
  if (!payload.empty() && payload != "{}") {
    TESSERA_ASSIGN_OR_RETURN(values, extract_values(payload, field.path, field.type));
    if (field.type == PayloadIndexType::kInteger) {
      TESSERA_ASSIGN_OR_RETURN(const auto numbers,
                               extract_values(payload, field.path, PayloadIndexType::kFloat));
      if (numbers.size() != values.size()) field.irregular.add(slot);
    }
    if (field.type == PayloadIndexType::kFloat &&
        std::any_of(values.begin(), values.end(), is_wide)) {
      field.irregular.add(slot);
    }
  }
  field.index->set(slot, values);
  return {};
}

std::optional<SlotEstimate> PayloadIndexes::find_slots(const FieldCondition& condition) const {
  const Field* field = field_of(condition.path);
  if (field == nullptr || condition.negated) return std::nullopt;
  if (const auto* match = std::get_if<MatchValue>(&condition.test)) {
    return equal_to_any(*field, {match->value});
  }
  if (const auto* match = std::get_if<MatchAny>(&condition.test)) {
    return equal_to_any(*field, match->values);
  }
  if (const auto* numbers = std::get_if<NumberRange>(&condition.test)) {
    return in_number_range(*field, numbers->range);
  }
  if (const auto* times = std::get_if<DatetimeRange>(&condition.test)) {
    if (field->type != PayloadIndexType::kDatetime) return std::nullopt;
    auto slots = field->index->in_range(times->range_us);
    if (!slots) return std::nullopt;
    return SlotEstimate{std::move(*slots), true};
  }
  return std::nullopt;
}

}  // namespace tessera::engine
