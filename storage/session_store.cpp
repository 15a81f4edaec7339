#include "storage/session_store.h"

#include <unordered_set>

namespace tessera::storage {
namespace {

constexpr std::size_t kKeyBytes = sizeof(CollectionNumber) + sizeof(SessionId) + 1;
/// Puts the records of one session together, in the order of their keys.
class Assembly {
 public:
  explicit Assembly(const SessionId& id) : id_(id) {}

  void add(const SessionKey& key, std::string_view value) {
    session_.record_bytes += kKeyBytes + value.size();
    switch (key.part) {
      case SessionKey::Part::kState:
        return take(decode_session_state(value), session_.state, has_state_, "the state");
      case SessionKey::Part::kDefinition:
        return take(decode_session_definition(value), session_.definition, has_definition_,
                    "the definition");
      case SessionKey::Part::kRound:
        return add_round(key.round, value);
    }
  }

  Result<StoredSession> finish() && {
    if (!has_state_) fail("the state is missing");
    if (!has_definition_) fail("the definition is missing");
    if (session_.rounds.size() != session_.state.round_count) {
      fail("the state says " + std::to_string(session_.state.round_count) + " rounds, there are " +
           std::to_string(session_.rounds.size()));
    }
    for (std::size_t i = 0; i < session_.rounds.size(); ++i) check_round(i);
    if (!problem_.empty()) return Status(Code::kCorrupt, session_label(id_) + ": " + problem_);
    return std::move(session_);
  }

 private:
  void fail(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }

  template <class Part>
  void take(std::optional<Part> decoded, Part& place, bool& is_there, const std::string& name) {
    is_there = true;
    if (decoded) {
      place = std::move(*decoded);
    } else {
      fail(name + " does not decode");
    }
  }

  void add_round(std::uint32_t number, std::string_view value) {
    const std::string name = "round " + std::to_string(number);
    if (number != session_.rounds.size() + 1) fail(name + " follows no round before it");
    bool is_there = false;
    take(decode_session_round(value), session_.rounds.emplace_back(), is_there, name);
  }

  void check_round(std::size_t index) {
    const SessionRound& round = session_.rounds[index];
    const std::string name = "round " + std::to_string(index + 1);
    if (round.moves.size() != session_.definition.interests.size()) {
      fail(name + " has " + std::to_string(round.moves.size()) + " interests");
    }
    for (const SessionJudgement& judgement : round.feedback) {
      if (!returned_.contains(judgement.id)) {
        fail(name + " has feedback for point " + judgement.id.to_string() +
             ", which was not returned before");
      }
    }
    for (const SessionHit& hit : round.hits) {
      if (!returned_.insert(hit.id).second) {
        fail(name + " repeats point " + hit.id.to_string());
      }
    }
  }

  const SessionId id_;
  StoredSession session_;
  bool has_state_ = false, has_definition_ = false;
  std::unordered_set<PointId> returned_;
  std::string problem_;
};

}  // namespace

Result<std::optional<StoredSession>> read_session(const Store& store, CollectionNumber collection,
                                                  const SessionId& id) {
  std::optional<Assembly> assembly;
  TESSERA_RETURN_IF_ERROR(store.visit_session_records(
      collection, id, [&](const SessionKey& key, std::string_view value) {
        if (!assembly) assembly.emplace(id);
        assembly->add(key, value);
        return SessionWalk::kOn;
      }));
  if (!assembly) return std::optional<StoredSession>();
  TESSERA_ASSIGN_OR_RETURN(StoredSession session, std::move(*assembly).finish());
  return std::optional(std::move(session));
}

Status visit_session_states(const Store& store, CollectionNumber collection,
                            const SessionStateVisitor& visitor) {
  return store.visit_session_records(
      collection, std::nullopt, [&](const SessionKey& key, std::string_view value) {
        std::optional<SessionState> state;
        if (key.part == SessionKey::Part::kState) state = decode_session_state(value);
        return visitor(key.session, state) ? SessionWalk::kNextSession : SessionWalk::kStop;
      });
}

Status visit_sessions(const Store& store, CollectionNumber collection,
                      const SessionVisitor& visitor) {
  std::optional<SessionId> current;
  std::optional<Assembly> assembly;
  const auto finish = [&] {
    if (!assembly) return true;
    const bool goes_on = visitor(*current, std::move(*assembly).finish());
    assembly.reset();
    return goes_on;
  };
  bool is_stopped = false;
  TESSERA_RETURN_IF_ERROR(store.visit_session_records(
      collection, std::nullopt, [&](const SessionKey& key, std::string_view value) {
        if (!current || key.session != *current) {
          if (!finish()) {
            is_stopped = true;
            return SessionWalk::kStop;
          }
          current = key.session;
          assembly.emplace(key.session);
        }
        assembly->add(key, value);
        return SessionWalk::kOn;
      }));
  if (!is_stopped) (void)finish();
  return {};
}

Status visit_session_definitions(const Store& store, CollectionNumber collection,
                                 const SessionDefinitionVisitor& visitor) {
  return store.visit_session_records(
      collection, std::nullopt, [&](const SessionKey& key, std::string_view value) {
        if (key.part == SessionKey::Part::kState) return SessionWalk::kOn;
        std::optional<SessionDefinition> definition;
        if (key.part == SessionKey::Part::kDefinition)
          definition = decode_session_definition(value);
        return visitor(key.session, definition) ? SessionWalk::kNextSession : SessionWalk::kStop;
      });
}

std::size_t session_record_bytes(const SessionRound& round) {
  return kKeyBytes + encode_session_round(round).size();
}

}  // namespace tessera::storage
