#pragma once

#include "base/cancel.h"
#include "engine/requests.h"
#include "engine/user_requests.h"

namespace tessera::engine {

/// The people of one collection: a vector each, in the space of the points, and the events of what
/// they engaged with. Events name points by id and count as far as these exist when they are used.
///
/// Writes are as Collection::write(): all or nothing, in order, visible once answered, synced with
/// `wait`; so are its errors. Thread rule: safe from any thread.
class Users {
 public:
  virtual ~Users() = default;

  /// kInvalidArgument: a user given twice; a vector that does not fit.
  virtual Result<WriteResult> put(PutUsers request, bool wait) = 0;
  virtual Result<WriteResult> append(AppendEvents request, bool wait) = 0;
  /// kNotFound as get().
  virtual Result<WriteResult> remove_events(RemoveEvents request, bool wait) = 0;
  /// Users that are not there are passed over.
  virtual Result<WriteResult> remove(const std::vector<UserId>& ids, bool wait) = 0;

  /// kNotFound "No user with id x found". Cost: with the user's events.
  [[nodiscard]] virtual Result<UserInfo> get(const UserRequest& request,
                                             const CancelToken& cancel) const = 0;
  [[nodiscard]] virtual Result<UserEventsPage> events(const UserEventsRequest& request,
                                                      const CancelToken& cancel) const = 0;
  [[nodiscard]] virtual Result<UserPage> scroll(const ScrollUsersRequest& request,
                                                const CancelToken& cancel) const = 0;
  [[nodiscard]] virtual Result<std::uint64_t> count() const = 0;
};

}  // namespace tessera::engine
