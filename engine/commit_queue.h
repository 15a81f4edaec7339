#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "engine/requests.h"

namespace tessera::engine {

/// One write on its way.
struct PendingWrite {
  WriteOperation operation;
  bool wait = true;
  std::optional<Result<WriteResult>> result;  ///< Set by the group that carries it.
  bool is_done = false;  ///< Guarded by the queue: only then may the writer read the result.
};

/// Whether the operation changes the schema or an adapter, and so has a group of its own.
[[nodiscard]] bool must_be_alone(const WriteOperation& operation);

/// Group commit: writers that arrive while a group is being written share the next one. The first
/// waiting writer becomes the leader of a group, carries the others' operations with its own and
/// hands them their results.
///
/// An operation that must see all earlier ones applied (it selects points by a filter) begins a
/// group; one that changes the schema or an adapter has a group of its own.
/// Thread rule: safe from any thread. `commit` runs on a writer's thread, one group at a time.
class CommitQueue {
 public:
  /// Must set the result of every write of the group. Should it throw, the queue closes: memory may
  /// be behind the store then, and only a restart brings them together.
  using Commit = std::function<void(std::vector<PendingWrite*>& group)>;
  explicit CommitQueue(Commit commit) : commit_(std::move(commit)) {}

  /// Returns once a group has carried `write`, or with close()'s status.
  void run(PendingWrite& write);
  /// Waits for the group in progress; every later write fails with `status`.
  void close(Status status);
  /// Takes writes again.
  void reopen();
  [[nodiscard]] std::size_t length() const;

 private:
  std::vector<PendingWrite*> take_group() TESSERA_REQUIRES(mutex_);

  const Commit commit_;
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<PendingWrite*> queue_ TESSERA_GUARDED_BY(mutex_);
  bool has_leader_ TESSERA_GUARDED_BY(mutex_) = false;
  Status closed_ TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::engine
