#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/requests.h"
#include "retrieval/session.h"
#include "storage/session_record.h"

namespace tessera::engine {

using storage::SessionId;

/// Trained weights as a session's strategy, and whose history they encode.
struct SessionAdapter {
  std::string name;
  std::vector<HistoryInput> history;
  std::optional<UserId> user;  ///< Whose events are the history, as they are at each round.
  bool exclude_history = true;
  bool has_query = false;  ///< The vector of round 1 is the client's.
};

/// What stays as it is for the whole of a session.
struct SessionOptions {
  std::string using_vector;  ///< "" is the unnamed one.
  std::optional<Filter> filter;
  /// Of the components that the client gave, one each; else none.
  std::vector<std::optional<Filter>> component_filters;
  SearchParams params;
  std::size_t limit = 10;  ///< Of a round that names none.
  retrieval::SessionStrategy strategy;
  std::optional<SessionAdapter> adapter;  ///< Instead of a strategy.
  PayloadSelector with_payload;
  VectorSelector with_vector;
};
/// Options are stored as the text that the client's are made of; this reads it again.
using SessionOptionsReader = std::function<Result<SessionOptions>(std::string_view text)>;

struct StartSession {
  /// The components' filters are in the options.
  /// Nothing with an adapter only, which then makes the vector of round 1 too.
  std::variant<VectorInput, InterestsQuery, std::monostate> query;
  SessionOptions options;
  std::string options_text;
  std::optional<std::uint32_t> ttl_s;  ///< Absent: sessions.ttl_s.
};

struct SessionFeedback {
  std::vector<PointId> positive;  ///< Score 1 each.
  std::vector<PointId> negative;  ///< Score -1.
  std::vector<std::pair<PointId, double>> scores;

  [[nodiscard]] bool empty() const {
    return positive.empty() && negative.empty() && scores.empty();
  }
};
struct NextRound {
  SessionFeedback feedback;
  std::optional<std::size_t> limit;
  /// The round that this call is to make. The last one again: its answer is repeated.
  std::optional<std::uint32_t> round;
};

/// A round as it is answered.
struct SessionRoundAnswer {
  SessionId session{};
  std::uint32_t round = 0;
  double shift = 1;  ///< Of the interests, averaged by weight.
  std::int64_t expires_at_us = 0;
  PayloadSelector with_payload;
  VectorSelector with_vector;
  QueryResult result;  ///< Points, and the interests if there are any.
};

/// An interest in a round.
struct SessionMoveInfo {
  std::uint32_t component = 0;
  double weight = 0;
  std::uint32_t quota = 0;
  std::size_t returned = 0;  ///< In this round.
  double shift = 1;
  std::vector<float> vector;  ///< When asked for.
};
struct SessionRoundInfo {
  std::uint32_t round = 0;
  std::int64_t at_us = 0;
  std::uint32_t limit = 0;
  double shift = 1;
  std::vector<std::pair<PointId, double>> feedback;
  std::vector<PointId> points;
  std::vector<SessionMoveInfo> moves;  ///< One an interest.
};
struct SessionInfo {
  SessionId session{};
  std::int64_t created_at_us = 0;
  std::int64_t expires_at_us = 0;
  std::uint32_t ttl_s = 0;
  bool has_interests = false;
  std::size_t returned = 0;
  std::size_t record_bytes = 0;  ///< In the store.
  std::vector<SessionRoundInfo> rounds;
};

}  // namespace tessera::engine
