#include <chrono>
#include <unordered_set>

#include "base/log.h"
#include "engine/collection_impl.h"
#include "engine/sessions_impl.h"

namespace tessera::engine {
namespace {

/// For who deletes a user: as long as a search may take.
constexpr std::chrono::seconds kInsistMax{60};
constexpr std::size_t kSweepCountMax = 1000;

}  // namespace

void SessionsImpl::sweep() {
  remove_ended(SessionTable::now_us());
}

Status SessionsImpl::remove_of(const std::vector<UserId>& users, bool wait) {
  if (table_.size() == 0) return {};
  std::unordered_set<std::string> names;
  for (const UserId& user : users) names.insert(user.to_string());
  std::vector<SessionId> theirs;
  TESSERA_RETURN_IF_ERROR(storage::visit_session_definitions(
      shared_.store, number(), [&](const SessionId& id, const auto& definition) {
        const bool is_theirs = definition && (names.contains(definition->person_id) ||
                                              names.contains(definition->user));
        if (is_theirs) theirs.push_back(id);
        return true;
      }));
  const CancelToken patience(std::chrono::steady_clock::now() + kInsistMax);
  for (const SessionId& id : theirs) {
    TESSERA_ASSIGN_OR_RETURN(const auto state, table_.insist(id, SessionTable::now_us(), patience));
    // One that has ended is the next sweep's.
    if (!state) continue;
    SessionClaim claim(table_, id, *state);
    storage::Batch batch;
    batch.delete_session(number(), id);
    TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
    claim.forget();
  }
  return {};
}

void SessionsImpl::remove_ended(std::int64_t now) {
  while (true) {
    const auto ended = table_.claim_ended(now, kSweepCountMax);
    if (ended.empty()) return;
    storage::Batch batch;
    for (const auto& [id, state] : ended) batch.delete_session(number(), id);
    const Status status = write(std::move(batch), false);
    for (const auto& [id, state] : ended) {
      // What is still in the store is tried again at the next sweep.
      if (status.ok()) {
        table_.forget(id);
      } else {
        table_.release(id, state);
      }
    }
    if (!status.ok()) {
      log::warn("sessions that have ended could not be removed",
                {{"collection", owner_.name()}, {"error", status.to_string()}});
      return;
    }
    shared_.registry
        .counter("tessera_sessions_expired_total", "Sessions that were not used for their time")
        .add(static_cast<double>(ended.size()));
  }
}

}  // namespace tessera::engine
