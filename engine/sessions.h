#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/cancel.h"
#include "engine/session_requests.h"

namespace tessera::engine {

/// The sessions of one collection: rounds of retrieval with a person's feedback in between. No
/// round returns what an earlier one returned, by id, whatever became of the points meanwhile.
///
/// A session is named by 128 random bits, and knowing them is what allows its use: there is no list
/// of them. Calls on one session follow each other: few may wait, and not for long, the others are
/// answered kResourceExhausted. A call that changes a session is all or nothing, and durable like a
/// write of points: logged when it is answered, synced first with `wait`. A session ends when it
/// was not changed for its time to live; then, and after the deletion of its collection or of the
/// user whose data it was made of, it is as if it had never been: kNotFound "There is no such
/// session".
///
/// Errors besides those of queries: kDiskFull, kUnavailable as for writes; kCorrupt when its
/// records are damaged. Thread rule: safe from any thread.
class Sessions {
 public:
  virtual ~Sessions() = default;

  /// Round 1. kResourceExhausted at sessions.count_max; kBadRequest beyond the other limits.
  virtual Result<SessionRoundAnswer> start(StartSession request, bool wait,
                                           const CancelToken& cancel) = 0;
  /// The next round. kInvalidArgument naming what is wrong with the feedback; kBadRequest beyond
  /// the limits; kAlreadyExists for another round than the next one, or the last one with other
  /// feedback.
  virtual Result<SessionRoundAnswer> next(const SessionId& id, const NextRound& request,
                                          const SessionOptionsReader& read_options, bool wait,
                                          const CancelToken& cancel) = 0;
  /// Takes back the last round: what it returned can be returned again, what was said before it is
  /// forgotten. kBadRequest before round 1.
  /// With `round` that one, which is the last or has just been taken back: then nothing is done, so
  /// that a call can be repeated; kAlreadyExists for any other.
  virtual Result<SessionInfo> undo(const SessionId& id, std::optional<std::uint32_t> round,
                                   bool wait, const CancelToken& cancel) = 0;
  /// Takes back all rounds.
  virtual Result<SessionInfo> reset(const SessionId& id, bool wait, const CancelToken& cancel) = 0;
  virtual Status remove(const SessionId& id, bool wait, const CancelToken& cancel) = 0;

  /// Not a use: the session ends no later for it. Vectors are computed anew, from the items as they
  /// are now.
  [[nodiscard]] virtual Result<SessionInfo> get(const SessionId& id, bool with_vectors,
                                                const SessionOptionsReader& read_options,
                                                const CancelToken& cancel) = 0;
  /// Of sessions that have not ended.
  [[nodiscard]] virtual std::uint64_t count() const = 0;
};

}  // namespace tessera::engine
