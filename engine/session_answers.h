#pragma once

#include <vector>

#include "engine/session_requests.h"
#include "storage/session_store.h"

namespace tessera::engine {

/// Between what a session is stored as and what clients say and are told.

/// Points that the rounds returned.
[[nodiscard]] std::size_t session_returned_count(const std::vector<storage::SessionRound>& rounds);

/// Feedback as it is stored, in the order given. kInvalidArgument names what is wrong with it: a
/// point that no round returned, or that is given twice.
[[nodiscard]] Result<std::vector<storage::SessionJudgement>> checked_session_feedback(
    const SessionFeedback& feedback, const std::vector<storage::SessionRound>& rounds);

/// Without vectors.
[[nodiscard]] SessionInfo session_info(const SessionId& id, const storage::StoredSession& stored);

/// Of the round that made `result`, which is the last one that `state` counts.
[[nodiscard]] SessionRoundAnswer session_answer(const SessionId& id,
                                                const storage::SessionState& state,
                                                const SessionOptions& options,
                                                const storage::SessionRound& round,
                                                QueryResult result);

}  // namespace tessera::engine
