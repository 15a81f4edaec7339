#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <thread>

#include "base/mutex.h"

namespace tessera::server {

/// Waits for SIGTERM and SIGINT on a thread of its own. Make it before any other thread: it blocks
/// both signals, and threads inherit that. The first signal asks to stop; then `force` is called
/// once: with the second signal, or with 0 when `stop_timeout` has passed since the first.
/// Thread rule: guarded by mutex_.
class StopSignal {
 public:
  StopSignal(std::chrono::milliseconds stop_timeout, std::function<void(int signal)> force);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Waits until the first signal has come or `is_enough` says so after wake().
  void wait(const std::function<bool()>& is_enough);
  /// Has wait() look again.
  void wake();
  [[nodiscard]] bool is_raised() const;

 private:
  void watch();
  /// The signal that came, or 0 after `timeout`.
  int next_signal(std::chrono::milliseconds timeout) const;

  const std::chrono::milliseconds stop_timeout_;
  const std::function<void(int)> force_;
  sigset_t signals_{};
  sigset_t signals_before_{};
  std::atomic<bool> is_ending_ = false;
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  bool is_raised_ TESSERA_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera::server
