#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/mutex.h"

namespace tessera::server {

/// Threads that run jobs in the order of submission, from a queue with a bound.
/// Thread rule: guarded by mutex_.
class WorkerPool {
 public:
  using Job = std::function<void()>;

  /// `queue_length` shows how many jobs wait; borrowed. Throws std::system_error when no thread can
  /// be had.
  WorkerPool(std::size_t thread_count, std::size_t queue_length_max, metrics::Gauge& queue_length);
  /// As stop().
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// false if the queue is full or the pool stops. Jobs must not throw.
  [[nodiscard]] bool submit(Job job);
  /// Forgets the jobs that have not begun, waits for those that have.
  void stop();

 private:
  void work();

  const std::size_t queue_length_max_;
  metrics::Gauge& queue_length_;  // Locks itself.
  Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Job> queue_ TESSERA_GUARDED_BY(mutex_);
  bool is_stopping_ TESSERA_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // Confined to the owner.
};

}  // namespace tessera::server
