#include "engine/session_table.h"

#include <algorithm>
#include <chrono>

namespace tessera::engine {
namespace {

/// How often a waiting request looks whether it should stop.
constexpr std::chrono::milliseconds kPollInterval{20};
constexpr std::int64_t kMicrosecondsPerSecond = 1'000'000;

}  // namespace

SessionTable::~SessionTable() {
  open_count_.add(-static_cast<double>(entries_.size()));
}

std::int64_t SessionTable::now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::int64_t SessionTable::end_of(const SessionState& state) {
  return state.used_at_us + kMicrosecondsPerSecond * std::int64_t{state.ttl_s};
}

Result<std::optional<SessionState>> SessionTable::claim(const SessionId& id, std::int64_t now_us,
                                                        const CancelToken& cancel) {
  return wait_for(id, now_us, cancel, true);
}

Result<std::optional<SessionState>> SessionTable::insist(const SessionId& id, std::int64_t now_us,
                                                         const CancelToken& cancel) {
  return wait_for(id, now_us, cancel, false);
}

Result<std::optional<SessionState>> SessionTable::wait_for(const SessionId& id, std::int64_t now_us,
                                                           const CancelToken& cancel,
                                                           bool is_bounded) {
  const auto give_up = std::chrono::steady_clock::now() + kWaitMax;
  bool has_waited = false;
  Lock lock(mutex_);
  while (true) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || end_of(found->second.state) <= now_us) {
      return std::optional<SessionState>();
    }
    Entry& entry = found->second;
    if (!entry.is_claimed) {
      entry.is_claimed = true;
      return std::optional(entry.state);
    }
    TESSERA_RETURN_IF_ERROR(cancel.check());
    const bool is_late = std::chrono::steady_clock::now() > give_up;
    const bool is_one_too_many = !has_waited && entry.waiting >= kWaitingMax;
    if (is_bounded && (is_one_too_many || is_late)) {
      return Status(Code::kResourceExhausted,
                    "the session is in use by another call: its calls follow each other");
    }
    has_waited = true;
    ++entry.waiting;
    (void)released_.wait_for(lock, kPollInterval);
    // It may be gone by now.
    if (const auto again = entries_.find(id); again != entries_.end()) --again->second.waiting;
  }
}

void SessionTable::release(const SessionId& id, const SessionState& state) {
  {
    Lock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    found->second.state = state;
    found->second.is_claimed = false;
  }
  released_.notify_all();
}

void SessionTable::forget(const SessionId& id) {
  {
    Lock lock(mutex_);
    open_count_.add(-static_cast<double>(entries_.erase(id)));
  }
  released_.notify_all();
}

bool SessionTable::add(const SessionId& id, const SessionState& state, std::size_t count_max) {
  Lock lock(mutex_);
  if (entries_.size() >= count_max) return false;
  entries_[id] = {state, true, 0};
  open_count_.add(1);
  return true;
}

void SessionTable::load(const SessionId& id, const SessionState& state) {
  Lock lock(mutex_);
  entries_[id] = {state, false, 0};
  open_count_.add(1);
}

std::vector<std::pair<SessionId, SessionState>> SessionTable::claim_ended(std::int64_t now_us,
                                                                          std::size_t count_max) {
  std::vector<std::pair<SessionId, SessionState>> ended;
  Lock lock(mutex_);
  for (auto& [id, entry] : entries_) {
    if (ended.size() == count_max) break;
    if (entry.is_claimed || end_of(entry.state) > now_us) continue;
    entry.is_claimed = true;
    ended.emplace_back(id, entry.state);
  }
  return ended;
}

std::size_t SessionTable::size() const {
  SharedLock lock(mutex_);
  return entries_.size();
}

std::size_t SessionTable::count(std::int64_t now_us) const {
  SharedLock lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [&](const auto& entry) { return end_of(entry.second.state) > now_us; }));
}

}  // namespace tessera::engine
