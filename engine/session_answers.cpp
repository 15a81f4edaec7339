#include "engine/session_answers.h"

#include <unordered_set>

#include "engine/session_run.h"
#include "engine/session_table.h"

namespace tessera::engine {

using storage::SessionJudgement;
using storage::SessionRound;
using storage::StoredSession;

std::size_t session_returned_count(const std::vector<SessionRound>& rounds) {
  std::size_t count = 0;
  for (const SessionRound& round : rounds) count += round.hits.size();
  return count;
}

Result<std::vector<SessionJudgement>> checked_session_feedback(
    const SessionFeedback& feedback, const std::vector<SessionRound>& rounds) {
  std::unordered_set<PointId> returned, judged;
  for (const SessionRound& round : rounds) {
    for (const storage::SessionHit& hit : round.hits) returned.insert(hit.id);
  }
  std::vector<SessionJudgement> judgements;
  Status status;
  const auto add = [&](const char* list, std::size_t i, const PointId& id, double score) {
    if (!status.ok()) return;
    const std::string where =
        "feedback." + std::string(list) + "[" + std::to_string(i) + "]: point " + id.to_string();
    if (!returned.contains(id)) {
      status = Status(Code::kInvalidArgument, where + " was not returned by this session");
    } else if (!judged.insert(id).second) {
      status = Status(Code::kInvalidArgument, where + " is given twice");
    } else {
      judgements.push_back({id, score});
    }
  };
  for (std::size_t i = 0; i < feedback.positive.size(); ++i) {
    add("positive", i, feedback.positive[i], 1);
  }
  for (std::size_t i = 0; i < feedback.negative.size(); ++i) {
    add("negative", i, feedback.negative[i], -1);
  }
  for (std::size_t i = 0; i < feedback.scores.size(); ++i) {
    add("scores", i, feedback.scores[i].first, feedback.scores[i].second);
  }
  if (!status.ok()) return status;
  return judgements;
}

SessionInfo session_info(const SessionId& id, const StoredSession& stored) {
  SessionInfo info;
  info.session = id;
  info.created_at_us = stored.definition.created_at_us;
  info.expires_at_us = SessionTable::end_of(stored.state);
  info.ttl_s = stored.state.ttl_s;
  info.has_interests = stored.definition.has_interests;
  info.returned = session_returned_count(stored.rounds);
  info.record_bytes = stored.record_bytes;
  for (const SessionRound& round : stored.rounds) {
    SessionRoundInfo& shown = info.rounds.emplace_back();
    shown.round = static_cast<std::uint32_t>(info.rounds.size());
    shown.at_us = round.at_us;
    shown.limit = round.limit;
    shown.shift = SessionRun::shift_of(round);
    for (const SessionJudgement& judgement : round.feedback) {
      shown.feedback.emplace_back(judgement.id, judgement.score);
    }
    for (const storage::SessionMove& move : round.moves) {
      const auto component = static_cast<std::uint32_t>(shown.moves.size());
      shown.moves.push_back({component, move.weight, move.quota, 0, move.shift, {}});
    }
    for (const storage::SessionHit& hit : round.hits) {
      shown.points.push_back(hit.id);
      ++shown.moves[hit.component].returned;
    }
  }
  return info;
}

SessionRoundAnswer session_answer(const SessionId& id, const SessionState& state,
                                  const SessionOptions& options, const SessionRound& round,
                                  QueryResult result) {
  SessionRoundAnswer answer;
  answer.session = id;
  answer.round = state.round_count;
  answer.shift = SessionRun::shift_of(round);
  answer.expires_at_us = SessionTable::end_of(state);
  answer.with_payload = options.with_payload;
  answer.with_vector = options.with_vector;
  answer.result = std::move(result);
  return answer;
}

}  // namespace tessera::engine
