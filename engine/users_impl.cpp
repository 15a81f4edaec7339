#include "engine/users_impl.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <unordered_map>

#include "engine/collection_impl.h"
#include "engine/user_keys.h"

namespace tessera::engine {

using storage::Event;
using storage::EventBlock;

namespace {

/// Now, in whole milliseconds.
std::int64_t received_at_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return 1000 * std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

/// As they are stored. An event without a time has that of its receipt, one microsecond after the
/// one before it in the list, so that the order of the list stays. The first of equal ones counts.
std::vector<Event> stored_events(const std::vector<EventInput>& given, std::int64_t now_us) {
  std::vector<Event> events;
  events.reserve(given.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::int64_t at_us = given[i].at_us.value_or(now_us + static_cast<std::int64_t>(i));
    events.push_back({given[i].id, at_us, given[i].weight});
  }
  std::stable_sort(events.begin(), events.end(), storage::precedes);
  const auto is_same = [](const Event& a, const Event& b) { return a.position() == b.position(); };
  events.erase(std::unique(events.begin(), events.end(), is_same), events.end());
  return events;
}

Status not_found(const UserId& id) {
  return {Code::kNotFound, "No user with id " + id.to_string() + " found"};
}

}  // namespace

std::shared_ptr<CollectionImpl> UsersImpl::stored() const {
  SharedLock lock(mutex_);
  return stored_;
}

void UsersImpl::attach(std::shared_ptr<CollectionImpl> stored) {
  Lock lock(mutex_);
  stored_ = std::move(stored);
}

Result<std::shared_ptr<CollectionImpl>> UsersImpl::stored_or_created() {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  if (auto known = stored()) return known;
  Lock lock(creation_mutex_);
  if (auto known = stored()) return known;
  TESSERA_RETURN_IF_ERROR(owner_.shared_.create_users(owner_));
  return stored();
}

// ---- writes -----------------------------------------------------------------------------------

Result<WriteResult> UsersImpl::put(PutUsers request, bool wait) {
  const std::int64_t now_us = received_at_us();
  WriteUsers write;
  std::unordered_map<PointId, std::size_t> places;
  for (std::size_t i = 0; i < request.users.size(); ++i) {
    UserInput& user = request.users[i];
    if (!places.emplace(user.id.key, i).second) {
      return Status(Code::kInvalidArgument, "users[" + std::to_string(i) + "].id: the user " +
                                                user.id.to_string() + " is given twice");
    }
    UserChange& change = write.users.emplace_back();
    change.id = std::move(user.id);
    change.vectors = std::move(user.vectors);
    change.replaces_events = user.history.has_value();
    if (user.history) change.events = stored_events(*user.history, now_us);
  }
  TESSERA_ASSIGN_OR_RETURN(const auto stored, stored_or_created());
  return stored->write(std::move(write), wait);
}

Result<WriteResult> UsersImpl::append(AppendEvents request, bool wait) {
  const std::int64_t now_us = received_at_us();
  std::unordered_map<PointId, std::size_t> places;
  std::vector<UserEvents> users;
  for (std::size_t i = 0; i < request.users.size(); ++i) {
    UserEvents& user = request.users[i];
    const auto [place, is_new] = places.emplace(user.id.key, users.size());
    if (is_new) {
      users.push_back(std::move(user));
      continue;
    }
    UserEvents& known = users[place->second];
    if (known.id != user.id) {
      return Status(Code::kInvalidArgument, "users[" + std::to_string(i) + "].id: the user id " +
                                                user.id.to_string() +
                                                " has the same key as the id of another user");
    }
    known.events.insert(known.events.end(), user.events.begin(), user.events.end());
  }
  WriteUsers write;
  for (UserEvents& user : users) {
    UserChange& change = write.users.emplace_back();
    change.id = std::move(user.id);
    change.events = stored_events(user.events, now_us);
  }
  TESSERA_ASSIGN_OR_RETURN(const auto stored, stored_or_created());
  return stored->write(std::move(write), wait);
}

Result<WriteResult> UsersImpl::remove_events(RemoveEvents request, bool wait) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  const auto stored = this->stored();
  if (stored == nullptr) return not_found(request.id);
  // Whether the user is there is known once the writes before this one are.
  WriteUsers write;
  UserChange& change = write.users.emplace_back();
  change.id = std::move(request.id);
  change.removed_events = std::move(request.events);
  return stored->write(std::move(write), wait);
}

Result<WriteResult> UsersImpl::remove(const std::vector<UserId>& ids, bool wait) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  const auto stored = this->stored();
  if (stored == nullptr) return WriteResult{0, wait};
  std::vector<PointId> keys;
  for (const UserId& id : ids) {
    // Who has the key but another id is not meant. Who is not there yet may be by then.
    const auto slot = slot_of(id);
    if (slot.has_value() || !stored->slot_of(id.key)) {
      keys.push_back(id.key);
    } else if (slot.error().code() != Code::kNotFound) {
      return slot.error();
    }
  }
  // What sessions were made of them goes too; those that begin meanwhile, after it.
  TESSERA_RETURN_IF_ERROR(owner_.sessions_.remove_of(ids, wait));
  TESSERA_ASSIGN_OR_RETURN(const WriteResult result,
                           stored->write(DeletePoints{std::move(keys)}, wait));
  TESSERA_RETURN_IF_ERROR(owner_.sessions_.remove_of(ids, wait));
  return result;
}

// ---- reads ------------------------------------------------------------------------------------

Result<std::uint32_t> UsersImpl::slot_of(const UserId& id) const {
  const auto stored = this->stored();
  if (stored == nullptr) return not_found(id);
  const auto slot = stored->slot_of(id.key);
  if (!slot) return not_found(id);
  if (!id.key.is_uuid()) return *slot;
  TESSERA_ASSIGN_OR_RETURN(const auto payloads,
                           owner_.shared_.store.get_payloads(stored->number(), {&*slot, 1}));
  if (payloads.front().value_or("") != user_payload(id)) return not_found(id);
  return *slot;
}

Result<std::vector<Event>> UsersImpl::all_events(std::uint32_t slot,
                                                 const CancelToken& cancel) const {
  std::vector<Event> events;
  Status status;
  TESSERA_RETURN_IF_ERROR(owner_.shared_.store.visit_events(
      stored()->number(), slot, [&](std::uint32_t, EventBlock&& block) {
        if (events.empty()) {
          events = std::move(block.events);
        } else {
          events.insert(events.end(), block.events.begin(), block.events.end());
        }
        status = cancel.check();
        return status.ok();
      }));
  TESSERA_RETURN_IF_ERROR(status);
  return events;
}

Result<UserInfo> UsersImpl::get(const UserRequest& request, const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, slot_of(request.id));
  RetrieveRequest retrieve;
  retrieve.ids = {request.id.key};
  retrieve.with_payload = PayloadSelector{PayloadSelector::Kind::kNone, {}};
  retrieve.with_vector.all = true;
  TESSERA_ASSIGN_OR_RETURN(auto records, stored()->retrieve(retrieve));
  if (records.empty()) return not_found(request.id);
  UserInfo info;
  info.id = request.id;
  info.vectors = std::move(records.front().vectors);
  TESSERA_RETURN_IF_ERROR(add_interests(slot, request, cancel, info));
  return info;
}

Result<UserEventsPage> UsersImpl::events(const UserEventsRequest& request,
                                         const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, slot_of(request.id));
  TESSERA_ASSIGN_OR_RETURN(std::vector<Event> events, all_events(slot, cancel));
  UserEventsPage page;
  page.event_count = events.size();
  std::reverse(events.begin(), events.end());
  events.erase(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(
                                                    std::min(request.offset, events.size())));
  if (events.size() > request.limit) events.resize(request.limit);
  page.events = std::move(events);
  return page;
}

Result<UserPage> UsersImpl::scroll(const ScrollUsersRequest& request,
                                   const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  UserPage page;
  const auto stored = this->stored();
  if (stored == nullptr) return page;
  ScrollRequest scroll;
  // One more than asked for: its id is the next page's offset, and is not only its key.
  scroll.limit = request.limit + (request.limit < ~std::size_t{0} ? 1 : 0);
  if (request.offset) scroll.offset = request.offset->key;
  scroll.with_vector.all = request.with_vector;
  TESSERA_ASSIGN_OR_RETURN(ScrollPage found, stored->scroll(scroll, cancel));
  for (Record& record : found.records) {
    TESSERA_ASSIGN_OR_RETURN(UserId id, stored_user_id(record.id, record.payload));
    if (page.users.size() == request.limit) {
      page.next_offset = std::move(id);
      break;
    }
    const auto slot = stored->slot_of(record.id);
    if (!slot) continue;  // Deleted meanwhile.
    UserInfo& user = page.users.emplace_back();
    user.id = std::move(id);
    user.vectors = std::move(record.vectors);
    TESSERA_ASSIGN_OR_RETURN(const auto events, all_events(*slot, cancel));
    user.event_count = events.size();
  }
  return page;
}

Result<std::uint64_t> UsersImpl::count() const {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  const auto stored = this->stored();
  return stored == nullptr ? std::uint64_t{0} : stored->point_count();
}

}  // namespace tessera::engine
