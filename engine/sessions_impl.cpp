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

constexpr std::chrono::seconds kSweepInterval{1};
constexpr std::size_t kSweepCountMax = 1000;

std::int64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

Status no_such_session() {
  return {Code::kNotFound, "There is no such session"};
}

}  // namespace

/// Holds a session for one call. What the call changed is in `state` when it ends.
class SessionsImpl::Claim {
 public:
  static Result<Claim> take(SessionTable& table, const SessionId& id, const CancelToken& cancel) {
    TESSERA_ASSIGN_OR_RETURN(const auto state, table.claim(id, now_us(), cancel));
    if (!state) return no_such_session();
    return Claim(table, id, *state);
  }
  Claim(SessionTable& table, const SessionId& id, const SessionState& state)
      : state(state), table_(&table), id_(id) {}
  Claim(Claim&& other) noexcept : state(other.state), table_(other.table_), id_(other.id_) {
    other.table_ = nullptr;
  }
  Claim& operator=(Claim&&) = delete;
  ~Claim() {
    if (table_ != nullptr) table_->release(id_, state);
  }
  /// The session is no more.
  void forget() {
    table_->forget(id_);
    table_ = nullptr;
  }

  SessionState state;

 private:
  SessionTable* table_;
  SessionId id_;
};

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

  SessionRun run(owner_, request.options, cancel);
  TESSERA_RETURN_IF_ERROR(run.prepare());
  TESSERA_ASSIGN_OR_RETURN(auto definition, run.define(request));
  definition.created_at_us = now_us();
  definition.options = std::move(request.options_text);
  const std::string definition_bytes = storage::encode_session_definition(definition);
  TESSERA_RETURN_IF_ERROR(check_bytes(definition_bytes.size(), shared_.settings));
  TESSERA_ASSIGN_OR_RETURN(auto made, run.make(definition, {}, {}, request.options.limit));
  made.record.at_us = now_us();
  const std::string round_bytes = storage::encode_session_round(made.record);
  TESSERA_RETURN_IF_ERROR(
      check_bytes(definition_bytes.size() + round_bytes.size(), shared_.settings));

  TESSERA_ASSIGN_OR_RETURN(const SessionId id, random_bits_128());
  const SessionState state{made.record.at_us, ttl_s, 1};
  if (!table_.add(id, state, limits.count_max)) {
    remove_ended(state.used_at_us);
    if (!table_.add(id, state, limits.count_max)) {
      return Status(Code::kResourceExhausted,
                    "the collection has " + std::to_string(limits.count_max) +
                        " sessions, as many as sessions.count_max allows");
    }
  }
  Claim claim(table_, id, state);
  storage::Batch batch;
  batch.put_session_record(number(), {id, SessionKey::Part::kState, 0},
                           storage::encode_session_state(state));
  batch.put_session_record(number(), {id, SessionKey::Part::kDefinition, 0}, definition_bytes);
  batch.put_session_record(number(), {id, SessionKey::Part::kRound, 1}, round_bytes);
  if (Status status = write(std::move(batch), wait); !status.ok()) {
    claim.forget();
    return status;
  }
  return session_answer(id, state, request.options, made.record, std::move(made.result));
}

Result<SessionRoundAnswer> SessionsImpl::next(const SessionId& id, const NextRound& request,
                                              const SessionOptionsReader& read_options, bool wait,
                                              const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(Claim claim, Claim::take(table_, id, cancel));
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
  made.record.at_us = now_us();
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

Result<SessionInfo> SessionsImpl::take_back(const SessionId& id, bool takes_all, bool wait,
                                            const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(Claim claim, Claim::take(table_, id, cancel));
  TESSERA_ASSIGN_OR_RETURN(StoredSession stored, read(id));
  if (stored.rounds.empty() && !takes_all) {
    return Status(Code::kBadRequest, "the session has no round to take back");
  }
  storage::Batch batch;
  while (!stored.rounds.empty()) {
    const auto number_of_last = static_cast<std::uint32_t>(stored.rounds.size());
    batch.delete_session_record(number(), {id, SessionKey::Part::kRound, number_of_last});
    stored.record_bytes -= storage::session_record_bytes(stored.rounds.back());
    stored.rounds.pop_back();
    if (!takes_all) break;
  }
  stored.state.used_at_us = now_us();
  stored.state.round_count = static_cast<std::uint32_t>(stored.rounds.size());
  batch.put_session_record(number(), {id, SessionKey::Part::kState, 0},
                           storage::encode_session_state(stored.state));
  TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
  claim.state = stored.state;
  return session_info(id, stored);
}

Result<SessionInfo> SessionsImpl::undo(const SessionId& id, bool wait, const CancelToken& cancel) {
  return take_back(id, false, wait, cancel);
}

Result<SessionInfo> SessionsImpl::reset(const SessionId& id, bool wait, const CancelToken& cancel) {
  return take_back(id, true, wait, cancel);
}

Status SessionsImpl::remove(const SessionId& id, bool wait, const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(Claim claim, Claim::take(table_, id, cancel));
  storage::Batch batch;
  storage::delete_session(batch, number(), id, claim.state.round_count);
  TESSERA_RETURN_IF_ERROR(write(std::move(batch), wait));
  claim.forget();
  return {};
}

Result<SessionInfo> SessionsImpl::get(const SessionId& id, bool with_vectors,
                                      const SessionOptionsReader& read_options,
                                      const CancelToken& cancel) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  TESSERA_ASSIGN_OR_RETURN(const Claim claim, Claim::take(table_, id, cancel));
  TESSERA_ASSIGN_OR_RETURN(const StoredSession stored, read(id));
  SessionInfo info = session_info(id, stored);
  if (!with_vectors || stored.rounds.empty()) return info;
  TESSERA_ASSIGN_OR_RETURN(SessionOptions options, read_options(stored.definition.options));
  options.filter.reset();
  SessionRun run(owner_, options, cancel);
  TESSERA_RETURN_IF_ERROR(run.prepare());
  std::vector<SessionRound> rounds;
  for (std::size_t i = 0; i < stored.rounds.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(cancel.check());
    rounds.push_back(stored.rounds[i]);
    TESSERA_ASSIGN_OR_RETURN(auto moved, run.vectors(stored.definition, rounds));
    for (std::size_t j = 0; j < moved.size(); ++j) {
      info.rounds[i].moves[j].vector = std::move(moved[j].vector);
    }
  }
  return info;
}

std::uint64_t SessionsImpl::count() const {
  return table_.count(now_us());
}

// ---- the end ------------------------------------------------------------------------------------

void SessionsImpl::sweep() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_sweep_) return;
  next_sweep_ = now + kSweepInterval;
  remove_ended(now_us());
}

void SessionsImpl::remove_ended(std::int64_t now) {
  while (true) {
    const auto ended = table_.claim_ended(now, kSweepCountMax);
    if (ended.empty()) return;
    storage::Batch batch;
    for (const auto& [id, state] : ended) {
      storage::delete_session(batch, number(), id, state.round_count);
    }
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
