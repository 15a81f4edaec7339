#include "engine/collection_impl.h"
#include "engine/payload.h"

namespace tessera::engine {
namespace {

/// Payloads fetched at once while candidates are verified.
constexpr std::size_t kVerifyBlock = 1024;
/// From this share of all points on, reading every payload in order is cheaper than fetching each.
constexpr double kSequentialShare = 0.3;

}  // namespace

SlotEstimate CollectionImpl::estimate(const Condition& condition) const {
  const auto unknown = [this] { return SlotEstimate{slots_.live(), false}; };
  if (const auto* field = std::get_if<FieldCondition>(&condition)) {
    if (auto found = indexes_.find_slots(*field)) return std::move(*found);
    return unknown();
  }
  if (const auto* has_id = std::get_if<HasId>(&condition)) {
    SlotEstimate estimate;
    for (const PointId& id : has_id->ids) {
      if (const auto slot = slots_.find(id)) estimate.slots.add(*slot);
    }
    return estimate;
  }
  if (const auto* has_vector = std::get_if<HasVector>(&condition)) {
    const auto found = fields_.find(has_vector->name);
    if (found == fields_.end()) return {};
    return {found->second.vectors->slots_with_vector(), true};
  }
  if (const auto* sub = std::get_if<SubFilter>(&condition)) return estimate(sub->filter.front());
  return unknown();
}

/// Every part narrows a superset of the matches; the result is exact when every part was.
SlotEstimate CollectionImpl::estimate(const Filter& filter) const {
  SlotEstimate result{slots_.live(), true};
  for (const Condition& condition : filter.must) {
    const SlotEstimate part = estimate(condition);
    result.slots &= part.slots;
    result.exact = result.exact && part.exact;
  }
  if (!filter.should.empty()) {
    index::Bitmap any;
    for (const Condition& condition : filter.should) {
      const SlotEstimate part = estimate(condition);
      any |= part.slots;
      result.exact = result.exact && part.exact;
    }
    result.slots &= any;
  }
  for (const Condition& condition : filter.must_not) {
    const SlotEstimate part = estimate(condition);
    if (part.exact) {
      result.slots -= part.slots;
    } else {
      result.exact = false;
    }
  }
  if (filter.min_should) {
    // Conditions that no index answers hold everywhere until they are looked at; those that one
    // answers are counted by bitmaps: enough[j] are the slots that satisfy at least j so far.
    std::size_t needed = filter.min_should->min_count;
    std::vector<index::Bitmap> parts;
    for (const Condition& condition : filter.min_should->conditions) {
      SlotEstimate part = estimate(condition);
      result.exact = result.exact && part.exact;
      if (part.exact) {
        parts.push_back(std::move(part.slots));
      } else if (needed > 0) {
        --needed;
      }
    }
    if (needed > parts.size()) {
      result.slots = {};
    } else if (needed > 0) {
      std::vector<index::Bitmap> enough(needed + 1);
      enough[0] = result.slots;
      for (const index::Bitmap& part : parts) {
        for (std::size_t j = needed; j > 0; --j) enough[j] |= enough[j - 1] & part;
      }
      result.slots = std::move(enough[needed]);
    }
  }
  return result;
}

bool CollectionImpl::slot_has_vector(std::uint32_t slot, std::string_view vector_name) const {
  const auto found = fields_.find(std::string(vector_name));
  return found != fields_.end() && found->second.vectors->has(slot);
}

Result<index::Bitmap> CollectionImpl::verify(const Filter& filter, const index::Bitmap& candidates,
                                             const CancelToken& cancel) const {
  index::Bitmap matching;
  // Every candidate is looked for among the ids of every has_id.
  Filter prepared = filter;
  sort_ids(prepared);
  const auto test = [&](std::uint32_t slot, std::string_view payload) -> Status {
    const PointFacts facts{slots_.id_of(slot), [this, slot](std::string_view vector_name) {
                             return slot_has_vector(slot, vector_name);
                           }};
    TESSERA_ASSIGN_OR_RETURN(const bool is_match, matches(prepared, facts, payload));
    if (is_match) matching.add(slot);
    return {};
  };

  const double share = static_cast<double>(candidates.cardinality()) /
                       static_cast<double>(std::max<std::size_t>(1, point_count()));
  index::Bitmap without_payload = candidates;
  if (share >= kSequentialShare) {
    Status status;
    std::size_t visited = 0;
    TESSERA_RETURN_IF_ERROR(
        shared_.store.visit_payloads(number_, [&](std::uint32_t slot, std::string_view payload) {
          if (!candidates.contains(slot)) return true;
          without_payload.remove(slot);
          if (++visited % kVerifyBlock == 0) status = cancel.check();
          if (status.ok()) status = test(slot, payload);
          return status.ok();
        }));
    TESSERA_RETURN_IF_ERROR(status);
    for (const std::uint32_t slot : without_payload) TESSERA_RETURN_IF_ERROR(test(slot, "{}"));
    return matching;
  }

  std::vector<std::uint32_t> block;
  const auto test_block = [&]() -> Status {
    TESSERA_RETURN_IF_ERROR(cancel.check());
    TESSERA_ASSIGN_OR_RETURN(const auto payloads, shared_.store.get_payloads(number_, block));
    for (std::size_t i = 0; i < block.size(); ++i) {
      TESSERA_RETURN_IF_ERROR(
          test(block[i], payloads[i] ? std::string_view(*payloads[i]) : std::string_view("{}")));
    }
    block.clear();
    return {};
  };
  for (const std::uint32_t slot : candidates) {
    block.push_back(slot);
    if (block.size() == kVerifyBlock) TESSERA_RETURN_IF_ERROR(test_block());
  }
  if (!block.empty()) TESSERA_RETURN_IF_ERROR(test_block());
  return matching;
}

Result<index::Bitmap> CollectionImpl::matching_slots(const Filter& filter,
                                                     const CancelToken& cancel) const {
  SlotEstimate candidates;
  {
    SharedLock lock(state_mutex_);
    candidates = estimate(filter);
  }
  if (candidates.exact) return std::move(candidates.slots);
  return verify(filter, candidates.slots, cancel);
}

}  // namespace tessera::engine
