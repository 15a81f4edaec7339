#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/status.h"
#include "index/ann_index.h"

namespace tessera::engine {

/// Heap bytes that building an index over `row_count` rows takes at most, beside the rows, which
/// are in a mapped file: links and codes while they are built and as they are kept, and what the
/// engine remembers of each row.
std::uint64_t build_memory_bytes(const index::IndexSpec& spec, std::size_t row_count,
                                 std::size_t dim);

/// What background builds may take of the machine: memory in all, and processor time while searches
/// are answered. Thread rule: safe from any thread.
class BuildBudget {
 public:
  struct Limits {
    std::uint64_t memory_bytes_max = 0;  ///< 0: half of the machine's memory.
    unsigned cpu_percent = 50;           ///< 1..100
  };
  BuildBudget(const Limits& limits, metrics::Registry& registry);

  /// Memory that is taken until this is destroyed.
  using Reservation = std::shared_ptr<void>;
  /// Null when running builds leave too little: the build has to wait.
  Reservation reserve(std::uint64_t bytes);
  /// Waits until it can be had. kCancelled; kResourceExhausted when that will never be.
  Result<Reservation> reserve_within(std::uint64_t bytes, const CancelToken& cancel);
  [[nodiscard]] std::uint64_t memory_bytes_max() const { return memory_bytes_max_; }
  /// Rows of the largest build that can ever run.
  [[nodiscard]] std::size_t row_count_max(const index::IndexSpec& spec, std::size_t dim) const;

  void search_begins() { searches_.fetch_add(1, std::memory_order_relaxed); }
  void search_ends();
  /// Whether one is running or ended a moment ago.
  [[nodiscard]] bool is_searched() const;
  /// Returns when no search is answered any more, at the latest after `longest`.
  void wait_for_quiet(std::chrono::nanoseconds longest, const CancelToken& cancel);
  /// For a writer that is ahead of the builds: returns when `is_behind` no longer holds, when
  /// nothing is being built, or after `longest`.
  void wait_for_builds(std::chrono::nanoseconds longest, const std::function<bool()>& is_behind,
                       const CancelToken& cancel);
  [[nodiscard]] unsigned cpu_percent() const { return cpu_percent_; }

 private:
  using Clock = std::chrono::steady_clock;

  const std::uint64_t memory_bytes_max_;
  const unsigned cpu_percent_;
  metrics::Gauge& reserved_gauge_;
  metrics::Counter& delayed_count_;
  Mutex mutex_;
  std::condition_variable_any changed_;  ///< Memory was given back.
  std::uint64_t reserved_bytes_ TESSERA_GUARDED_BY(mutex_) = 0;
  std::atomic<int> searches_ = 0;
  std::atomic<Clock::rep> last_search_ = 0;
};

/// Marks a search as running for its lifetime.
class SearchMark {
 public:
  explicit SearchMark(BuildBudget* budget) : budget_(budget) {
    if (budget_ != nullptr) budget_->search_begins();
  }
  ~SearchMark() {
    if (budget_ != nullptr) budget_->search_ends();
  }
  SearchMark(const SearchMark&) = delete;
  SearchMark& operator=(const SearchMark&) = delete;

 private:
  BuildBudget* const budget_;
};

/// Slows one build down while searches are answered: each of its threads then rests so long that it
/// works for the budget's share of the time. A rest ends when the searches do, and is short, so the
/// build always goes on. Thread rule: pause() from any of the build's threads.
class BuildPacer {
 public:
  BuildPacer(BuildBudget& budget, const CancelToken& cancel) : budget_(budget), cancel_(cancel) {}
  void pause();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point& work_begin_of_this_thread();

  BuildBudget& budget_;
  const CancelToken& cancel_;
  Mutex mutex_;
  std::vector<std::pair<std::thread::id, std::unique_ptr<Clock::time_point>>> threads_
      TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::engine
