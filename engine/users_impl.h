#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "engine/users.h"
#include "index/bitmap.h"
#include "retrieval/interests.h"

namespace tessera::engine {

class CollectionImpl;
class ItemClusters;
class VectorField;
struct MixtureSources;
struct TrainedClusters;
struct UserMixture;

/// What a person's events are now: those whose item is there and has the vector.
struct UserHistory {
  std::vector<retrieval::HistoryItem> items;  ///< Of the counted events, newest last.
  index::Bitmap known;                        ///< Slots of the items of all events.
};
/// Sets the clusters of stored items as far as they are known, so that they need not be computed.
void name_clusters(const ItemClusters& items, std::vector<retrieval::HistoryItem>& history);
/// So many of a user's newest events make the interests, and up to 1,023 before them, so that a new
/// event rarely means that an old one must go. All of them are left out of answers.
inline constexpr std::size_t kHistoryEventsMax = 10'000;
/// The first one that counts.
[[nodiscard]] std::size_t first_counted_event(std::size_t event_count);

/// The users of a collection are the points of another one, which is hidden: it has the same
/// vectors, the user's id where it is a text as payload, and the events beside. It is made by the
/// first write.
/// Thread rule: safe from any thread. Lock order: creation_mutex_, then the database's.
class UsersImpl final : public Users {
 public:
  explicit UsersImpl(CollectionImpl& owner) : owner_(owner) {}

  /// The hidden collection; null before the first user. Set by the database.
  [[nodiscard]] std::shared_ptr<CollectionImpl> stored() const;
  void attach(std::shared_ptr<CollectionImpl> stored);

  Result<WriteResult> put(PutUsers request, bool wait) override;
  Result<WriteResult> append(AppendEvents request, bool wait) override;
  Result<WriteResult> remove_events(RemoveEvents request, bool wait) override;
  Result<WriteResult> remove(const std::vector<UserId>& ids, bool wait) override;
  [[nodiscard]] Result<UserInfo> get(const UserRequest& request,
                                     const CancelToken& cancel) const override;
  [[nodiscard]] Result<UserEventsPage> events(const UserEventsRequest& request,
                                              const CancelToken& cancel) const override;
  [[nodiscard]] Result<UserPage> scroll(const ScrollUsersRequest& request,
                                        const CancelToken& cancel) const override;
  [[nodiscard]] Result<std::uint64_t> count() const override;

  /// kNotFound "No user with id x found".
  [[nodiscard]] Result<std::uint32_t> slot_of(const UserId& id) const;
  /// Of one of the owner's vectors. The slot is of stored().
  [[nodiscard]] Result<UserHistory> history(std::uint32_t slot, const std::string& vector,
                                            const CancelToken& cancel) const;
  /// What history() is by these clusters: of the last time as far as it is still true. Cost: with
  /// the user's points when points were written since, with the new events where there are some,
  /// else with all events.
  [[nodiscard]] Result<std::shared_ptr<const UserMixture>> mixture(std::uint32_t slot,
                                                                   const MixtureSources& sources,
                                                                   const CancelToken& cancel) const;
  /// The user's own vector as it is searched with; empty when there is none.
  [[nodiscard]] std::vector<float> vector_of(std::uint32_t slot, const std::string& name) const;

 private:
  Result<std::shared_ptr<CollectionImpl>> stored_or_created();
  Result<std::vector<storage::Event>> all_events(std::uint32_t slot,
                                                 const CancelToken& cancel) const;
  Result<UserHistory> history_of(std::span<const storage::Event> events, const std::string& vector,
                                 const CancelToken& cancel) const;
  /// Sets the interests and the number of events.
  Status add_interests(std::uint32_t slot, const UserRequest& request, const CancelToken& cancel,
                       UserInfo& info) const;
  [[nodiscard]] bool is_current(const UserMixture& known, const MixtureSources& sources) const;

  CollectionImpl& owner_;
  Mutex creation_mutex_;  ///< Held while the hidden collection is made.
  mutable Mutex mutex_;
  std::shared_ptr<CollectionImpl> stored_ TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::engine
