#pragma once

#include <atomic>
#include <condition_variable>

#include "base/mutex.h"
#include "engine/session_table.h"
#include "engine/sessions.h"
#include "storage/session_store.h"

namespace tessera::engine {

class CollectionImpl;
struct Shared;

/// Sessions over the store: the table says which there are, a call reads the records of its session
/// and writes what it changes in one batch. The batches do not go through the commit queue: nothing
/// in them depends on the points' writes, and they need not wait behind large ones.
/// Thread rule: safe from any thread. Lock order: none is held while another is taken.
class SessionsImpl final : public Sessions {
 public:
  SessionsImpl(CollectionImpl& owner, Shared& shared);

  /// From the store; called once, before any other use.
  Status load();
  /// Waits for the write in progress; none follows.
  void close();
  void reopen();
  /// Removes sessions that have ended.
  void sweep();
  /// Removes the sessions that were made of the data of one of these users.
  Status remove_of(const std::vector<UserId>& users, bool wait);

  Result<SessionRoundAnswer> start(StartSession request, bool wait,
                                   const CancelToken& cancel) override;
  Result<SessionRoundAnswer> next(const SessionId& id, const NextRound& request,
                                  const SessionOptionsReader& read_options, bool wait,
                                  const CancelToken& cancel) override;
  Result<SessionInfo> undo(const SessionId& id, std::optional<std::uint32_t> round, bool wait,
                           const CancelToken& cancel) override;
  Result<SessionInfo> reset(const SessionId& id, bool wait, const CancelToken& cancel) override;
  Status remove(const SessionId& id, bool wait, const CancelToken& cancel) override;
  [[nodiscard]] Result<SessionInfo> get(const SessionId& id, bool with_vectors,
                                        const SessionOptionsReader& read_options,
                                        const CancelToken& cancel) override;
  [[nodiscard]] std::uint64_t count() const override;

 private:
  [[nodiscard]] storage::CollectionNumber number() const;
  Result<SessionClaim> take(const SessionId& id, const CancelToken& cancel);
  Result<storage::StoredSession> read(const SessionId& id) const;
  Status write(storage::Batch batch, bool wait);
  Status check_limit(std::size_t limit, std::size_t returned) const;
  Status check_next(const storage::StoredSession& stored, std::size_t limit) const;
  Result<SessionRoundAnswer> repeat(const SessionId& id, const NextRound& request,
                                    const storage::StoredSession& stored,
                                    const SessionOptions& options, const CancelToken& cancel) const;
  Status check_room();
  Status check_person(const SessionId& id, const storage::SessionDefinition& definition, bool wait);
  /// Rounds from `first` on.
  Result<SessionInfo> take_back(const SessionId& id, storage::StoredSession stored,
                                std::size_t first, bool wait, SessionClaim& claim);
  void remove_ended(std::int64_t now_us);

  CollectionImpl& owner_;
  Shared& shared_;
  SessionTable table_;

  Mutex mutex_;
  std::condition_variable_any written_;
  std::size_t writer_count_ TESSERA_GUARDED_BY(mutex_) = 0;
  bool is_closed_ TESSERA_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera::engine
