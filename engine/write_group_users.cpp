#include <algorithm>
#include <functional>
#include <set>

#include "engine/user_keys.h"
#include "engine/write_group.h"

namespace tessera::engine {
namespace {

/// Which events the selectors mean.
std::function<bool(const storage::Event&)> matcher_of(const std::vector<EventSelector>& selectors) {
  std::set<PointId> items;
  std::set<storage::EventPosition> positions;
  for (const EventSelector& selector : selectors) {
    if (selector.at_us) {
      positions.insert({*selector.at_us, selector.id});
    } else {
      items.insert(selector.id);
    }
  }
  return [items = std::move(items), positions = std::move(positions)](const storage::Event& event) {
    return items.contains(event.id) || positions.contains(event.position());
  };
}

}  // namespace

/// Two ids with one key could only be made on purpose. The later one is refused, so that nobody is
/// taken for another.
Status WriteGroup::check_user_keys(const WriteUsers& write,
                                   const std::vector<std::optional<std::uint32_t>>& slots) const {
  std::vector<std::uint32_t> known;
  std::vector<const UserId*> ids;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const UserId& id = write.users[i].id;
    if (!slots[i] || !id.key.is_uuid()) continue;
    known.push_back(*slots[i]);
    ids.push_back(&id);
  }
  if (known.empty()) return {};
  TESSERA_ASSIGN_OR_RETURN(const auto payloads, payloads_of(known));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (payloads[i] == user_payload(*ids[i])) continue;
    return {Code::kInvalidArgument,
            "the user id " + ids[i]->to_string() + " has the same key as the id of another user"};
  }
  return {};
}

Status WriteGroup::plan_users(WriteUsers& write, std::uint64_t operation_id) {
  std::vector<std::optional<std::uint32_t>> slots;
  slots.reserve(write.users.size());
  for (const UserChange& user : write.users) slots.push_back(slot_of(user.id.key));
  TESSERA_RETURN_IF_ERROR(check_user_keys(write, slots));

  // Everything that can fail, before anything is changed.
  const auto new_count =
      static_cast<std::size_t>(std::count(slots.begin(), slots.end(), std::nullopt));
  if (new_count > ~std::uint32_t{0} - std::size_t{collection_.next_slot_}) {
    return {Code::kResourceExhausted, "the collection has used all of its 2^32 user slots"};
  }
  std::uint32_t next_slot = collection_.next_slot_;
  std::vector<UserEventPlan::Staged> staged;
  std::vector<bool> is_new;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const UserChange& user = write.users[i];
    if (!user.removed_events.empty()) {
      if (!slots[i]) {
        return {Code::kNotFound, "No user with id " + user.id.to_string() + " found"};
      }
      TESSERA_ASSIGN_OR_RETURN(auto change,
                               events_.remove(*slots[i], matcher_of(user.removed_events)));
      staged.push_back(std::move(change));
    }
    is_new.push_back(!slots[i]);
    if (!slots[i]) slots[i] = next_slot++;
    // A write that failed may have left events in a new slot.
    if (is_new[i] || user.replaces_events) {
      TESSERA_ASSIGN_OR_RETURN(auto change, events_.replace(*slots[i], user.events));
      staged.push_back(std::move(change));
    } else if (!user.events.empty()) {
      TESSERA_ASSIGN_OR_RETURN(auto change, events_.append(*slots[i], user.events));
      staged.push_back(std::move(change));
    }
  }

  collection_.next_slot_ = next_slot;
  for (UserEventPlan::Staged& change : staged) events_.accept(std::move(change));
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (is_new[i] || !write.users[i].vectors.empty()) {
      plan_user(write.users[i], *slots[i], operation_id, is_new[i]);
    }
  }
  return {};
}

void WriteGroup::plan_user(const UserChange& user, std::uint32_t slot, std::uint64_t operation_id,
                           bool is_new) {
  const storage::CollectionNumber number = collection_.number_;
  planned_slots_[user.id.key] = slot;
  batch_.put_point(number, user.id.key, {slot, operation_id});
  for (const auto& [name, field] : collection_.fields_) {
    const auto given =
        std::find_if(user.vectors.begin(), user.vectors.end(),
                     [&name = name](const auto& entry) { return entry.first == name; });
    const VectorField::Identity& identity = field.vectors->identity();
    if (given != user.vectors.end()) {
      batch_.put_vector(number, identity.number, slot, operation_id, given->second,
                        identity.value_type);
    } else if (is_new) {
      batch_.delete_vector(number, identity.number, slot);
    }
  }
  if (is_new) {
    planned_payloads_[slot] = user_payload(user.id);
    if (user.id.text.empty()) {
      batch_.delete_payload(number, slot);
    } else {
      batch_.put_payload(number, slot, planned_payloads_[slot]);
    }
  }
  Change& change = changes_.emplace_back();
  change.kind = Change::Kind::kUser;
  change.id = user.id.key;
  change.slot = slot;
  change.version = operation_id;
  change.user = &user;
}

Status WriteGroup::plan_delete_events(const std::vector<PointId>& ids) {
  std::vector<UserEventPlan::Staged> staged;
  for (const PointId& id : ids) {
    const auto slot = slot_of(id);
    if (!slot) continue;
    TESSERA_ASSIGN_OR_RETURN(auto change, events_.replace(*slot, {}));
    staged.push_back(std::move(change));
  }
  for (UserEventPlan::Staged& change : staged) events_.accept(std::move(change));
  return {};
}

void WriteGroup::apply_user(const Change& change) {
  collection_.slots_.insert(change.id, change.slot, change.version);
  for (const auto& [name, values] : change.user->vectors) {
    collection_.fields_.at(name).vectors->put(change.slot, change.version, values.data());
  }
}

}  // namespace tessera::engine
