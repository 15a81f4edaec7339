#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <utility>
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

  /// How many calls may wait for one session, and how long.
  static constexpr std::uint32_t kWaitingMax = 2;
  static constexpr std::chrono::milliseconds kWaitMax{2000};

  /// The state of a session that nobody else uses meanwhile. Waits for others to release it as long
  /// as `cancel` allows; kResourceExhausted beyond kWaitingMax and kWaitMax, so that the calls on
  /// one session do not keep all threads waiting. Nothing when there is none, or it has ended.
  Result<std::optional<SessionState>> claim(const SessionId& id, std::int64_t now_us,
                                            const CancelToken& cancel);
  /// As claim(), for who must have it: waits without these limits.
  Result<std::optional<SessionState>> insist(const SessionId& id, std::int64_t now_us,
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
  /// Of all that it holds, ended or not.
  [[nodiscard]] std::size_t size() const;
  /// Of sessions that have not ended.
  [[nodiscard]] std::size_t count(std::int64_t now_us) const;

  [[nodiscard]] static std::int64_t end_of(const SessionState& state);
  [[nodiscard]] static std::int64_t now_us();

 private:
  struct Entry {
    SessionState state;
    bool is_claimed = false;
    std::uint32_t waiting = 0;
  };
  /// Ids are random: any of their bits will do.
  struct Hash {
    std::size_t operator()(const SessionId& id) const {
      std::size_t bits = 0;
      std::memcpy(&bits, id.data(), sizeof(bits));
      return bits;
    }
  };

  Result<std::optional<SessionState>> wait_for(const SessionId& id, std::int64_t now_us,
                                               const CancelToken& cancel, bool is_bounded);

  metrics::Gauge& open_count_;
  mutable Mutex mutex_;
  std::condition_variable_any released_;
  std::unordered_map<SessionId, Entry, Hash> entries_ TESSERA_GUARDED_BY(mutex_);
};

/// Holds a session that was claimed or added, for one call. What the call changed is in `state`
/// when it ends.
class SessionClaim {
 public:
  SessionClaim(SessionTable& table, const SessionId& id, const SessionState& state)
      : state(state), table_(&table), id_(id) {}
  SessionClaim(SessionClaim&& other) noexcept
      : state(other.state), table_(std::exchange(other.table_, nullptr)), id_(other.id_) {}
  SessionClaim& operator=(SessionClaim&&) = delete;
  ~SessionClaim() {
    if (table_ != nullptr) table_->release(id_, state);
  }
  /// The session is no more.
  void forget() { std::exchange(table_, nullptr)->forget(id_); }

  SessionState state;

 private:
  SessionTable* table_;
  SessionId id_;
};

}  // namespace tessera::engine
