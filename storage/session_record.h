#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/point_id.h"

namespace tessera::storage {

/// What a session is stored as: one record of its state, one of its definition, which is written
/// once, and one a round. docs/formats.md describes the bytes.

/// Random: whoever knows it may use the session.
using SessionId = std::array<std::uint8_t, 16>;
/// Lower-case hexadecimal, 32 digits.
[[nodiscard]] std::string session_text(const SessionId& id);
/// Nothing for any other text.
[[nodiscard]] std::optional<SessionId> parse_session_id(std::string_view text);
/// Its first digits: names a session where reading the name must not be enough to use it.
[[nodiscard]] std::string session_label(const SessionId& id);

/// Which record of a session; rounds count from 1.
struct SessionKey {
  enum class Part : std::uint8_t { kState = 0, kDefinition = 1, kRound = 2 };
  SessionId session{};
  Part part = Part::kState;
  std::uint32_t round = 0;  ///< Of kRound; else 0.

  friend auto operator<=>(const SessionKey&, const SessionKey&) = default;
};

struct SessionState {
  std::int64_t used_at_us = 0;  ///< Since 1970, UTC.
  std::uint32_t ttl_s = 0;      ///< It ends when it was not used for so long.
  std::uint32_t round_count = 0;

  friend bool operator==(const SessionState&, const SessionState&) = default;
};

/// An interest as the session began with it.
struct SessionInterest {
  std::optional<std::uint32_t> cluster;
  double weight = 1;  ///< Finite, >= 0.
  std::vector<float> vector;
  std::optional<PointId> medoid;
  std::vector<PointId> items;
  std::vector<float> page_offset = {};  ///< Of the vector's length, or none; for a page's rule.

  friend bool operator==(const SessionInterest&, const SessionInterest&) = default;
};

/// How a session began. Choices are the numbers of the engine's enums.
struct SessionDefinition {
  std::int64_t created_at_us = 0;
  std::string options;  ///< JSON: filter, strategy and so on, as the client gave them.
  bool has_interests = false;
  std::uint8_t allocation = 0;
  std::uint8_t merge = 0;
  std::uint32_t page = 0;
  std::optional<double> page_mmr_lambda;  ///< With a page; 0..1.
  std::uint8_t scope = 0;
  std::uint32_t min_quota = 0;
  double quota_power = 1;  ///< 0..10.
  std::uint64_t seed = 0;
  std::uint64_t clusters_version = 0;      ///< Whose numbers the interests' clusters are.
  std::string user;                        ///< Whose history is left out; empty: nobody's.
  std::vector<SessionInterest> interests;  ///< One at least, with vectors of one length.
  std::vector<float> person;               ///< Of that length too, or empty.
  std::vector<PointId> excluded;           ///< Never returned.
  std::string person_id;  ///< The user whose data it was made of; empty: nobody's, or not known.
  /// Of the adapter that makes its vectors; both 0: by none, or not known.
  std::uint64_t adapter_version = 0;
  std::int64_t adapter_created_at_us = 0;

  friend bool operator==(const SessionDefinition&, const SessionDefinition&) = default;
};

struct SessionHit {
  PointId id;
  float score = 0;
  std::uint32_t component = 0;
  std::uint32_t place = 0;  ///< Among its interest's hits of the round, nearest first.

  friend bool operator==(const SessionHit&, const SessionHit&) = default;
};
struct SessionJudgement {
  PointId id;
  double score = 0;  ///< Finite.

  friend bool operator==(const SessionJudgement&, const SessionJudgement&) = default;
};
/// An interest in one round.
struct SessionMove {
  double weight = 0;  ///< Finite, >= 0.
  std::uint32_t quota = 0;
  double shift = 1;  ///< -1..1

  friend bool operator==(const SessionMove&, const SessionMove&) = default;
};
struct SessionRound {
  std::int64_t at_us = 0;
  std::uint32_t limit = 0;
  std::vector<SessionJudgement> feedback;  ///< Given before the round; every id once.
  std::vector<SessionMove> moves;          ///< One an interest.
  std::vector<SessionHit> hits;            ///< Every id once.

  friend bool operator==(const SessionRound&, const SessionRound&) = default;
};

[[nodiscard]] std::string encode_session_state(const SessionState& state);
[[nodiscard]] std::string encode_session_definition(const SessionDefinition& definition);
[[nodiscard]] std::string encode_session_round(const SessionRound& round);

// Nothing for bytes that the encoders could not have meant: what comes back is as described above.
[[nodiscard]] std::optional<SessionState> decode_session_state(std::string_view bytes);
[[nodiscard]] std::optional<SessionDefinition> decode_session_definition(std::string_view bytes);
[[nodiscard]] std::optional<SessionRound> decode_session_round(std::string_view bytes);

}  // namespace tessera::storage
