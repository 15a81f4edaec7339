#pragma once

#include <optional>
#include <span>
#include <vector>

#include "adapter/adapter.h"
#include "base/metric.h"

namespace tessera::retrieval {

/// A round of a session as an adapter reads it. Vectors as stored, with the bias where there is
/// one.
struct AdaptedSessionRound {
  std::vector<std::vector<float>> history;  ///< Oldest first; may be empty where `start` is given.
  std::vector<std::vector<float>> context;  ///< What it returned, best first; of the last, nothing.
};

/// The vectors that `rounds` are searched with, one each: every round is gone through with what it
/// knew and what those before it returned. Without a history a round keeps `start`, which is also
/// the vector of the first round where it is given. kInvalidArgument when a vector leaves the range
/// of float.
Result<std::vector<std::vector<float>>> adapted_session_vectors(
    const adapter::Adapter& adapter, std::span<const AdaptedSessionRound> rounds,
    const std::optional<std::vector<float>>& start, Metric metric, const adapter::Check& check);

}  // namespace tessera::retrieval
