#pragma once

#include <atomic>
#include <chrono>
#include <optional>

#include "base/status.h"

namespace tessera {

/// Tells long work to stop: because somebody cancelled it, or because its deadline passed.
/// Every loop over rows, files or rounds polls one. Thread rule: safe from any thread.
class CancelToken {
 public:
  using Clock = std::chrono::steady_clock;

  CancelToken() = default;
  explicit CancelToken(Clock::time_point deadline) : deadline_(deadline) {}
  /// Also stops when `parent` does: a request whose caller asked for less time. The parent outlives
  /// it and may be null.
  CancelToken(const CancelToken* parent, Clock::time_point deadline)
      : deadline_(deadline), parent_(parent) {}
  CancelToken(const CancelToken&) = delete;
  CancelToken& operator=(const CancelToken&) = delete;

  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_cancelled() const {
    return cancelled_.load(std::memory_order_relaxed) ||
           (parent_ != nullptr && parent_->is_cancelled());
  }

  /// ok, kCancelled or kTimeout. Reads the clock: poll every few hundred rows, not every row.
  [[nodiscard]] Status check() const {
    if (is_cancelled()) return {Code::kCancelled, "the operation was cancelled"};
    if (deadline_ && Clock::now() > *deadline_) return {Code::kTimeout, "the deadline has passed"};
    return parent_ != nullptr ? parent_->check() : Status();
  }

 private:
  std::atomic<bool> cancelled_ = false;
  const std::optional<Clock::time_point> deadline_;
  const CancelToken* const parent_ = nullptr;
};

}  // namespace tessera
