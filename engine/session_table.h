#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "base/cancel.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "storage/session_record.h"

namespace tessera::engine {

using storage::SessionId;
using storage::SessionState;

/// Which sessions a collection has, and when they end: their states, 28 bytes each plus what the
/// table costs, about 100 together. Everything else of a session stays in the store.
/// Thread rule: safe from any thread; a session that was claimed belongs to its claimant.
class SessionTable {
 public:
  /// `open_count` shows the sessions of all tables.
  explicit SessionTable(metrics::Gauge& open_count) : open_count_(open_count) {}
  ~SessionTable();
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  /// The state of a session that nobody else uses meanwhile; waits for others to release it, as
  /// long as `cancel` allows. Nothing when there is none, or it has ended.
  Result<std::optional<SessionState>> claim(const SessionId& id, std::int64_t now_us,
                                            const CancelToken& cancel);
  /// Ends a claim; with the state that the session has now, or without the session.
  void release(const SessionId& id, const SessionState& state);
  void forget(const SessionId& id);
  /// A new session, claimed; false when there are `count_max` already.
  bool add(const SessionId& id, const SessionState& state, std::size_t count_max);
  /// As it was loaded.
  void load(const SessionId& id, const SessionState& state);
  /// Claims sessions that have ended, at most so many.
  std::vector<std::pair<SessionId, SessionState>> claim_ended(std::int64_t now_us,
                                                              std::size_t count_max);
  /// Of sessions that have not ended.
  [[nodiscard]] std::size_t count(std::int64_t now_us) const;

  [[nodiscard]] static std::int64_t end_of(const SessionState& state);

 private:
  struct Entry {
    SessionState state;
    bool is_claimed = false;
  };
  /// Ids are random: any of their bits will do.
  struct Hash {
    std::size_t operator()(const SessionId& id) const {
      std::size_t bits = 0;
      std::memcpy(&bits, id.data(), sizeof(bits));
      return bits;
    }
  };

  metrics::Gauge& open_count_;
  mutable Mutex mutex_;
  std::condition_variable_any released_;
  std::unordered_map<SessionId, Entry, Hash> entries_ TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::engine
