#include "engine/sessions_impl.h"

#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "engine/collection_impl.h"
#include "engine/session_answers.h"
#include "engine/session_run.h"

namespace tessera::engine {

using storage::SessionKey;
using storage::SessionRound;
using storage::StoredSession;

namespace {

Status no_such_session() {
  return {Code::kNotFound, "There is no such session"};
}

}  // namespace

SessionsImpl::SessionsImpl(CollectionImpl& owner, Shared& shared)
    : owner_(owner),
      shared_(shared),
      table_(shared.registry.gauge("tessera_sessions_open",
                                   "Sessions that have not ended, of all collections")) {}

storage::CollectionNumber SessionsImpl::number() const {
  return owner_.number();
}

// ---- the store ----------------------------------------------------------------------------------

Status SessionsImpl::load() {
  std::size_t damaged = 0;
  TESSERA_RETURN_IF_ERROR(storage::visit_session_states(
      shared_.store, number(), [&](const SessionId& id, const std::optional<SessionState>& state) {
        if (state) {
          table_.load(id, *state);
        } else {
          ++damaged;
          log::error("a session cannot be used: its state is damaged or missing",
                     {{"collection", owner_.name()}, {"session", storage::session_label(id)}});
        }
        return true;
      }));
  if (damaged > 0) {
    log::error("sessions are damaged; `tessera verify` says more",
               {{"collection", owner_.name()}, {"sessions", damaged}});
  }
  return {};
}

Result<SessionClaim> SessionsImpl::take(const SessionId& id, const CancelToken& cancel) {
  TESSERA_ASSIGN_OR_RETURN(const auto state, table_.claim(id, SessionTable::now_us(), cancel));
  if (!state) return no_such_session();
  return SessionClaim(table_, id, *state);
}

Result<StoredSession> SessionsImpl::read(const SessionId& id) const {
  TESSERA_ASSIGN_OR_RETURN(auto stored, storage::read_session(shared_.store, number(), id));
  if (!stored) return no_such_session();
  return std::move(*stored);
}

Status SessionsImpl::write(storage::Batch batch, bool wait) {
  {
    Lock lock(mutex_);
    if (is_closed_) {
      TESSERA_RETURN_IF_ERROR(owner_.check_open());
      return {Code::kUnavailable, "the collection's deletion has just been tried"};
    }
    ++writer_count_;
  }
  const bool syncs = wait && shared_.settings.storage.durability == config::Durability::kSync;
  const Status status = shared_.store.write(std::move(batch), syncs);
  if (status.ok() && !syncs) shared_.has_unsynced_writes.store(true, std::memory_order_release);
  {
    Lock lock(mutex_);
    --writer_count_;
  }
  written_.notify_all();
  return status;
}

void SessionsImpl::close() {
  Lock lock(mutex_);
  is_closed_ = true;
  while (writer_count_ > 0) written_.wait(lock);
}

void SessionsImpl::reopen() {
  Lock lock(mutex_);
  is_closed_ = false;
}

// ---- limits -------------------------------------------------------------------------------------

Status SessionsImpl::check_limit(std::size_t limit, std::size_t returned) const {
  const std::size_t most = shared_.settings.sessions.returned_count_max;
  if (returned >= most) {
    return {Code::kBadRequest, "the session has returned " + std::to_string(returned) +
                                   " points, as many as sessions.returned_count_max allows"};
  }
  if (limit <= most - returned) return {};
  return {Code::kBadRequest, "limit: " + std::to_string(limit) + " points beside the " +
                                 std::to_string(returned) +
                                 " that the session has returned are more than the " +
                                 std::to_string(most) + " that sessions.returned_count_max allows"};
}

Status SessionsImpl::check_next(const StoredSession& stored, std::size_t limit) const {
  const std::size_t most = shared_.settings.sessions.round_count_max;
  if (stored.rounds.size() >= most) {
    return {Code::kBadRequest, "the session has had " + std::to_string(stored.rounds.size()) +
                                   " rounds, as many as sessions.round_count_max allows"};
  }
  return check_limit(limit, session_returned_count(stored.rounds));
}

namespace {

Status check_bytes(std::size_t bytes, const config::Settings& settings) {
  if (bytes <= settings.sessions.bytes_max) return {};
  return {Code::kBadRequest,
          "the session would take " + std::to_string(bytes) + " bytes, more than the " +
              std::to_string(settings.sessions.bytes_max) + " that sessions.bytes_max allows"};
}

Status check_disk(const Shared& shared) {
  if (!shared.is_disk_full.load(std::memory_order_relaxed)) return {};
  return {Code::kDiskFull,
          "the data directory has less free disk space than storage.free_bytes_min; "
          "free some space"};
}

}  // namespace

// ---- calls --------------------------------------------------------------------------------------

/// Before the search, which would be for nothing.
Status SessionsImpl::check_room() {
  const std::size_t most = shared_.settings.sessions.count_max;
  if (table_.size() >= most) remove_ended(SessionTable::now_us());
  if (table_.size() < most) return {};
  return {Code::kResourceExhausted, "the collection has " + std::to_string(most) +
                                        " sessions, as many as sessions.count_max allows"};
}

/// Who deletes a user removes the sessions that there are, and this one may have come later.
Status SessionsImpl::check_person(const SessionId& id, const storage::SessionDefinition& definition,
                                  bool wait) {
  if (definition.person_id.empty()) return {};
  TESSERA_ASSIGN_OR_RETURN(const UserId person, UserId::parse(definition.person_id));
  const auto slot = owner_.users_.slot_of(person);
  if (slot.has_value()) return {};
  storage::Batch batch;
  batch.delete_session(number(), id);
  TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
  return slot.error();
}

Result<SessionRoundAnswer> SessionsImpl::start(StartSession request, bool wait,
                                               const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_RETURN_IF_ERROR(check_disk(shared_));
  const config::SessionSettings& limits = shared_.settings.sessions;
  const std::uint32_t ttl_s = request.ttl_s.value_or(std::min(limits.ttl_s, limits.ttl_s_max));
  if (ttl_s > limits.ttl_s_max) {
    return Status(Code::kBadRequest, "ttl: " + std::to_string(ttl_s) + " seconds are more than " +
                                         "the " + std::to_string(limits.ttl_s_max) +
                                         " that sessions.ttl_s_max allows");
  }
  TESSERA_RETURN_IF_ERROR(check_limit(request.options.limit, 0));
  TESSERA_RETURN_IF_ERROR(check_room());

  SessionRun run(owner_, request.options, cancel);
  TESSERA_RETURN_IF_ERROR(run.prepare());
  TESSERA_ASSIGN_OR_RETURN(auto definition, run.define(request));
  definition.created_at_us = SessionTable::now_us();
  definition.options = std::move(request.options_text);
  const std::string definition_bytes = storage::encode_session_definition(definition);
  TESSERA_RETURN_IF_ERROR(check_bytes(definition_bytes.size(), shared_.settings));
  TESSERA_ASSIGN_OR_RETURN(auto made, run.make(definition, {}, {}, request.options.limit));
  made.record.at_us = SessionTable::now_us();
  const std::string round_bytes = storage::encode_session_round(made.record);
  TESSERA_RETURN_IF_ERROR(
      check_bytes(definition_bytes.size() + round_bytes.size(), shared_.settings));

  TESSERA_ASSIGN_OR_RETURN(const SessionId id, random_bits_128());
  const SessionState state{made.record.at_us, ttl_s, 1};
  while (!table_.add(id, state, limits.count_max)) TESSERA_RETURN_IF_ERROR(check_room());
  SessionClaim claim(table_, id, state);
  storage::Batch batch;
  batch.put_session_record(number(), {id, SessionKey::Part::kState, 0},
                           storage::encode_session_state(state));
  batch.put_session_record(number(), {id, SessionKey::Part::kDefinition, 0}, definition_bytes);
  batch.put_session_record(number(), {id, SessionKey::Part::kRound, 1}, round_bytes);
  Status status = write(std::move(batch), wait);
  if (status.ok()) status = check_person(id, definition, wait);
  if (!status.ok()) {
    claim.forget();
    return status;
  }
  return session_answer(id, state, request.options, made.record, std::move(made.result));
}

Result<SessionRoundAnswer> SessionsImpl::next(const SessionId& id, const NextRound& request,
                                              const SessionOptionsReader& read_options, bool wait,
                                              const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(SessionClaim claim, take(id, cancel));
  TESSERA_ASSIGN_OR_RETURN(const StoredSession stored, read(id));
  TESSERA_ASSIGN_OR_RETURN(const SessionOptions options, read_options(stored.definition.options));
  const std::size_t limit = request.limit.value_or(options.limit);
  const auto last = static_cast<std::uint32_t>(stored.rounds.size());
  if (request.round && *request.round == last && last > 0) {
    return repeat(id, request, stored, options, cancel);
  }
  if (request.round && *request.round != last + 1) {
    return Status(Code::kAlreadyExists, "round: the session has had " + std::to_string(last) +
                                            " rounds, so this call cannot make round " +
                                            std::to_string(*request.round));
  }
  TESSERA_RETURN_IF_ERROR(check_disk(shared_));
  TESSERA_RETURN_IF_ERROR(check_next(stored, limit));
  TESSERA_ASSIGN_OR_RETURN(auto feedback,
                           checked_session_feedback(request.feedback, stored.rounds));

  SessionRun run(owner_, options, cancel);
  TESSERA_RETURN_IF_ERROR(run.prepare());
  TESSERA_ASSIGN_OR_RETURN(auto made,
                           run.make(stored.definition, stored.rounds, std::move(feedback), limit));
  made.record.at_us = SessionTable::now_us();
  const std::string round_bytes = storage::encode_session_round(made.record);
  TESSERA_RETURN_IF_ERROR(check_bytes(stored.record_bytes + round_bytes.size(), shared_.settings));

  SessionState state = stored.state;
  state.used_at_us = made.record.at_us;
  state.round_count = last + 1;
  storage::Batch batch;
  batch.put_session_record(number(), {id, SessionKey::Part::kState, 0},
                           storage::encode_session_state(state));
  batch.put_session_record(number(), {id, SessionKey::Part::kRound, state.round_count},
                           round_bytes);
  TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
  claim.state = state;
  return session_answer(id, state, options, made.record, std::move(made.result));
}

Result<SessionRoundAnswer> SessionsImpl::repeat(const SessionId& id, const NextRound& request,
                                                const StoredSession& stored,
                                                const SessionOptions& options,
                                                const CancelToken& cancel) const {
  const SessionRound& last = stored.rounds.back();
  const std::vector<SessionRound> before(stored.rounds.begin(), stored.rounds.end() - 1);
  TESSERA_ASSIGN_OR_RETURN(const auto feedback, checked_session_feedback(request.feedback, before));
  if (feedback != last.feedback || request.limit.value_or(options.limit) != last.limit) {
    return Status(Code::kAlreadyExists, "round: round " + std::to_string(stored.rounds.size()) +
                                            " was made with other feedback or another limit");
  }
  SessionRun run(owner_, options, cancel);
  TESSERA_RETURN_IF_ERROR(run.prepare());
  TESSERA_ASSIGN_OR_RETURN(QueryResult result, run.repeat(stored.definition, stored.rounds));
  return session_answer(id, stored.state, options, last, std::move(result));
}

Result<SessionInfo> SessionsImpl::take_back(const SessionId& id, StoredSession stored,
                                            std::size_t first, bool wait, SessionClaim& claim) {
  storage::Batch batch;
  for (; stored.rounds.size() >= first; stored.rounds.pop_back()) {
    const auto last = static_cast<std::uint32_t>(stored.rounds.size());
    batch.delete_session_record(number(), {id, SessionKey::Part::kRound, last});
    stored.record_bytes -= storage::session_record_bytes(stored.rounds.back());
  }
  stored.state.used_at_us = SessionTable::now_us();
  stored.state.round_count = static_cast<std::uint32_t>(stored.rounds.size());
  batch.put_session_record(number(), {id, SessionKey::Part::kState, 0},
                           storage::encode_session_state(stored.state));
  TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
  claim.state = stored.state;
  return session_info(id, stored);
}

Result<SessionInfo> SessionsImpl::undo(const SessionId& id, std::optional<std::uint32_t> round,
                                       bool wait, const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(SessionClaim claim, take(id, cancel));
  TESSERA_ASSIGN_OR_RETURN(StoredSession stored, read(id));
  const std::size_t last = stored.rounds.size();
  if (round && *round == last + 1) return session_info(id, stored);
  if (round && *round != last) {
    return Status(Code::kAlreadyExists, "round: the session has had " + std::to_string(last) +
                                            " rounds, so this call cannot take back round " +
                                            std::to_string(*round));
  }
  if (last == 0) return Status(Code::kBadRequest, "the session has no round to take back");
  return take_back(id, std::move(stored), last, wait, claim);
}

Result<SessionInfo> SessionsImpl::reset(const SessionId& id, bool wait, const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(SessionClaim claim, take(id, cancel));
  TESSERA_ASSIGN_OR_RETURN(StoredSession stored, read(id));
  return take_back(id, std::move(stored), 1, wait, claim);
}

Status SessionsImpl::remove(const SessionId& id, bool wait, const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(SessionClaim claim, take(id, cancel));
  storage::Batch batch;
  batch.delete_session(number(), id);
  TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
  claim.forget();
  return {};
}

Result<SessionInfo> SessionsImpl::get(const SessionId& id, bool with_vectors,
                                      const SessionOptionsReader& read_options,
                                      const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(const SessionClaim claim, take(id, cancel));
  TESSERA_ASSIGN_OR_RETURN(const StoredSession stored, read(id));
  SessionInfo info = session_info(id, stored);
  if (!with_vectors || stored.rounds.empty()) return info;
  TESSERA_ASSIGN_OR_RETURN(SessionOptions options, read_options(stored.definition.options));
  options.filter.reset();
  SessionRun run(owner_, options, cancel);
  TESSERA_RETURN_IF_ERROR(run.prepare());
  TESSERA_ASSIGN_OR_RETURN(auto moved, run.vectors(stored.definition, stored.rounds));
  for (std::size_t i = 0; i < moved.size(); ++i) {
    for (std::size_t j = 0; j < moved[i].size(); ++j) {
      info.rounds[i].moves[j].vector = std::move(moved[i][j].vector);
    }
  }
  return info;
}

std::uint64_t SessionsImpl::count() const {
  return table_.count(SessionTable::now_us());
}

}  // namespace tessera::engine
