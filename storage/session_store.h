#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/store.h"

namespace tessera::storage {

/// Everything that is stored of one session.
struct StoredSession {
  SessionState state;
  SessionDefinition definition;
  std::vector<SessionRound> rounds;  ///< As many as the state says; no id is in two of them.
  std::size_t record_bytes = 0;      ///< Keys and values.
};

/// Nothing when there is no such session. kCorrupt, naming the session by its label, when its
/// records do not make up one: one is missing or does not decode, an id is in two rounds, feedback
/// names what no earlier round returned.
[[nodiscard]] Result<std::optional<StoredSession>> read_session(const Store& store,
                                                                CollectionNumber collection,
                                                                const SessionId& id);

/// The states of a collection's sessions, without reading more of them than that. Nothing instead
/// of one that does not decode or is missing. The visitor returns false to stop.
using SessionStateVisitor =
    std::function<bool(const SessionId& id, const std::optional<SessionState>& state)>;
Status visit_session_states(const Store& store, CollectionNumber collection,
                            const SessionStateVisitor& visitor);

/// Every session as read_session() gives it.
using SessionVisitor =
    std::function<bool(const SessionId& id, const Result<StoredSession>& session)>;
Status visit_sessions(const Store& store, CollectionNumber collection,
                      const SessionVisitor& visitor);

/// How the sessions of a collection began, without their rounds. Nothing instead of what does not
/// decode or is missing. The visitor returns false to stop.
using SessionDefinitionVisitor =
    std::function<bool(const SessionId& id, const std::optional<SessionDefinition>& definition)>;
Status visit_session_definitions(const Store& store, CollectionNumber collection,
                                 const SessionDefinitionVisitor& visitor);

/// What a round adds to StoredSession::record_bytes.
[[nodiscard]] std::size_t session_record_bytes(const SessionRound& round);

}  // namespace tessera::storage
