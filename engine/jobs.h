#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/mutex.h"
#include "base/thread_priority.h"
#include "engine/requests.h"

namespace tessera::engine {

/// What a running job uses to report and to learn that it should stop.
class JobContext {
 public:
  explicit JobContext(CancelToken& cancel) : cancel_(cancel) {}
  [[nodiscard]] const CancelToken& cancel() const { return cancel_; }
  void report(std::uint64_t done, std::uint64_t total) {
    done_.store(done, std::memory_order_relaxed);
    total_.store(total, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t done() const { return done_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t total() const { return total_.load(std::memory_order_relaxed); }

 private:
  CancelToken& cancel_;
  std::atomic<std::uint64_t> done_ = 0, total_ = 0;
};

/// Long work with an id, progress and cancellation. Queued jobs run one at a time on a background
/// thread of low priority; run_here() lists work that another thread does. The newest kFinishedMax
/// finished jobs are remembered; jobs do not outlive the process.
/// Thread rule: safe from any thread.
class Jobs {
 public:
  using Work = std::function<Status(JobContext&)>;
  struct Description {
    std::string kind, collection, detail;
  };

  Jobs();
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  /// Queues `work`. kAlreadyExists when one with the same description waits or runs; kUnavailable
  /// while shutting down.
  Result<std::uint64_t> start(const Description& description, Work work);
  /// Runs `work` on the calling thread, listed as a job. Its status; kCancelled when shutting down.
  Status run_here(const Description& description, const Work& work);

  [[nodiscard]] std::vector<JobInfo> list() const;
  [[nodiscard]] Result<JobInfo> get(std::uint64_t id) const;
  Status cancel(std::uint64_t id);
  /// Cancels the waiting and running jobs of a collection and waits until none runs.
  void cancel_collection(const std::string& collection);
  void begin_shutdown();
  /// begin_shutdown(), and waits for the queued job that runs. Nothing starts afterwards.
  void stop();

 private:
  struct Job;
  static constexpr std::size_t kFinishedMax = 200;

  std::shared_ptr<Job> add_job(const Description& description) TESSERA_REQUIRES(mutex_);
  void finish(Job& job, const Status& status) TESSERA_REQUIRES(mutex_);
  void execute(const std::shared_ptr<Job>& job, const Work& work);
  void run();
  static JobInfo info_of(const Job& job);

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::uint64_t, std::shared_ptr<Job>> jobs_ TESSERA_GUARDED_BY(mutex_);
  std::deque<std::pair<std::shared_ptr<Job>, Work>> queue_ TESSERA_GUARDED_BY(mutex_);
  std::uint64_t next_id_ TESSERA_GUARDED_BY(mutex_) = 1;
  bool is_stopping_ TESSERA_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

/// Of the threads that index new rows, which a search must scan until then, and of those that do
/// the rest. Whoever answers a request takes the processor from them at once.
inline constexpr ThreadPriority kNewRowsPriority = {10, std::chrono::milliseconds(100), true};
inline constexpr ThreadPriority kBackgroundPriority = {15, std::chrono::milliseconds(100), true};

}  // namespace tessera::engine
