#include "api/encode.h"

namespace tessera::api {
namespace {

void encode_feedback(JsonWriter& json, const std::vector<std::pair<PointId, double>>& feedback) {
  json.begin_array();
  for (const auto& [id, score] : feedback) {
    json.begin_object();
    json.key("id");
    encode_point_id(json, id);
    json.field("score", score);
    json.end_object();
  }
  json.end_array();
}

void encode_vector_if_any(JsonWriter& json, const std::vector<float>& vector) {
  if (vector.empty()) return;
  json.key("vector");
  encode_floats(json, vector);
}

void encode_moves(JsonWriter& json, const std::vector<engine::SessionMoveInfo>& moves) {
  json.begin_array();
  for (const engine::SessionMoveInfo& move : moves) {
    json.begin_object();
    json.field("component", move.component);
    json.field("weight", move.weight);
    json.field("quota", move.quota);
    json.field("returned", move.returned);
    json.field("shift", move.shift);
    encode_vector_if_any(json, move.vector);
    json.end_object();
  }
  json.end_array();
}

void encode_round(JsonWriter& json, const engine::SessionRoundInfo& round, bool has_interests) {
  json.begin_object();
  json.field("round", round.round);
  json.field("at", format_datetime(round.at_us));
  json.field("limit", round.limit);
  json.field("returned", round.points.size());
  json.field("shift", round.shift);
  json.key("feedback");
  encode_feedback(json, round.feedback);
  json.key("points");
  json.begin_array();
  for (const PointId& id : round.points) encode_point_id(json, id);
  json.end_array();
  if (has_interests) {
    json.key("interests");
    encode_moves(json, round.moves);
  } else {
    encode_vector_if_any(json, round.moves.front().vector);
  }
  json.end_object();
}

}  // namespace

void encode_session_round(JsonWriter& json, const engine::SessionRoundAnswer& answer) {
  json.begin_object();
  json.field("session", storage::session_text(answer.session));
  json.field("round", answer.round);
  json.field("returned", answer.result.points.size());
  json.field("shift", answer.shift);
  json.field("expires_at", format_datetime(answer.expires_at_us));
  json.key("points");
  encode_scored_points(json, answer.result.points,
                       shown_of(answer.with_payload, answer.with_vector));
  if (!answer.result.interests.empty()) {
    json.key("interests");
    encode_interests(json, answer.result.interests);
  }
  json.end_object();
}

void encode_session(JsonWriter& json, const engine::SessionInfo& info) {
  json.begin_object();
  json.field("session", storage::session_text(info.session));
  json.field("created_at", format_datetime(info.created_at_us));
  json.field("expires_at", format_datetime(info.expires_at_us));
  json.field("ttl", info.ttl_s);
  json.field("round", info.rounds.size());
  json.field("returned", info.returned);
  json.field("bytes", info.record_bytes);
  json.key("rounds");
  json.begin_array();
  for (const engine::SessionRoundInfo& round : info.rounds) {
    encode_round(json, round, info.has_interests);
  }
  json.end_array();
  json.end_object();
}

}  // namespace tessera::api
