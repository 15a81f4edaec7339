#include <algorithm>

#include "engine/user_keys.h"
#include "engine/write_group.h"

namespace tessera::engine {
namespace {

EventMatcher matcher_of(const std::vector<EventSelector>& selectors) {
  EventMatcher matcher;
  for (const EventSelector& selector : selectors) {
    if (selector.at_us) {
      matcher.positions.insert({*selector.at_us, selector.id});
    } else {
      matcher.items.insert(selector.id);
    }
  }
  return matcher;
}

Status no_user(const UserId& id) {
  return {Code::kNotFound, "No user with id " + id.to_string() + " found"};
}

}  // namespace

/// Two ids with one key could only be made on purpose. The later one is refused, so that nobody is
/// taken for another.
Status WriteGroup::check_user_keys(const WriteUsers& write,
                                   const std::vector<std::optional<std::uint32_t>>& slots) const {
  std::vector<std::uint32_t> known;
  std::vector<const UserChange*> users;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i] || !write.users[i].id.key.is_uuid()) continue;
    known.push_back(*slots[i]);
    users.push_back(&write.users[i]);
  }
  if (known.empty()) return {};
  TESSERA_ASSIGN_OR_RETURN(const auto payloads, payloads_of(known));
  for (std::size_t i = 0; i < users.size(); ++i) {
    const UserId& id = users[i]->id;
    if (payloads[i] == user_payload(id)) continue;
    if (!users[i]->removed_events.empty()) return no_user(id);
    return {Code::kInvalidArgument,
            "the user id " + id.to_string() + " has the same key as the id of another user"};
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
  std::vector<EventChange> event_changes;
  std::vector<bool> is_new;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const UserChange& user = write.users[i];
    if (!user.removed_events.empty()) {
      if (!slots[i]) return no_user(user.id);
      TESSERA_ASSIGN_OR_RETURN(auto change,
                               events_.remove(*slots[i], matcher_of(user.removed_events)));
      event_changes.push_back({*slots[i], nullptr});
      staged.push_back(std::move(change));
    }
    is_new.push_back(!slots[i]);
    if (!slots[i]) slots[i] = next_slot++;
    // A write that failed may have left events in a new slot.
    if (is_new[i] || user.replaces_events) {
      TESSERA_ASSIGN_OR_RETURN(auto change, events_.replace(*slots[i], user.events));
      event_changes.push_back({*slots[i], nullptr});
      staged.push_back(std::move(change));
    } else if (!user.events.empty()) {
      TESSERA_ASSIGN_OR_RETURN(auto change, events_.append(*slots[i], user.events));
      if (!change.blocks.empty()) event_changes.push_back({*slots[i], &user.events});
      staged.push_back(std::move(change));
    }
  }

  collection_.next_slot_ = next_slot;
  for (UserEventPlan::Staged& change : staged) events_.accept(std::move(change));
  event_changes_.insert(event_changes_.end(), event_changes.begin(), event_changes.end());
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
  for (UserEventPlan::Staged& change : staged) {
    event_changes_.push_back({change.slot, nullptr});
    events_.accept(std::move(change));
  }
  return {};
}

void WriteGroup::tell_mixtures() const {
  for (const EventChange& change : event_changes_) {
    for (auto& [name, field] : collection_.fields_) {
      if (change.appended != nullptr) {
        field.mixtures.append(change.slot, *change.appended);
      } else {
        field.mixtures.drop(change.slot);
      }
    }
  }
}

void WriteGroup::apply_user(const Change& change) {
  collection_.slots_.insert(change.id, change.slot, change.version);
  for (const auto& [name, values] : change.user->vectors) {
    collection_.fields_.at(name).vectors->put(change.slot, change.version, values.data());
  }
}

}  // namespace tessera::engine
