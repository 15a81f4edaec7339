#include "server/worker_pool.h"

#include <chrono>
#include <utility>

#include "base/thread_priority.h"

namespace tessera::server {
namespace {

/// Longer than what the kernel gives others: a client that has its answer, or a thread with a small
/// request, need not wait until a large request has had its turn.
constexpr std::chrono::milliseconds kSlice{10};

}  // namespace

WorkerPool::WorkerPool(std::size_t thread_count, std::size_t queue_length_max,
                       metrics::Gauge& queue_length)
    : queue_length_max_(queue_length_max), queue_length_(queue_length) {
  threads_.reserve(thread_count);
  try {
    for (std::size_t i = 0; i < thread_count; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

WorkerPool::~WorkerPool() {
  stop();
}

bool WorkerPool::submit(Job job) {
  {
    const Lock lock(mutex_);
    if (is_stopping_ || queue_.size() >= queue_length_max_) return false;
    queue_.push_back(std::move(job));
    queue_length_.set(static_cast<double>(queue_.size()));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::stop() {
  std::deque<Job> forgotten;
  {
    const Lock lock(mutex_);
    is_stopping_ = true;
    forgotten.swap(queue_);
    queue_length_.set(0);
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::work() {
  set_thread_priority({0, kSlice, true});
  for (;;) {
    Job job;
    {
      Lock lock(mutex_);
      while (queue_.empty() && !is_stopping_) wake_.wait(lock);
      if (is_stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
      queue_length_.set(static_cast<double>(queue_.size()));
    }
    job();
  }
}

}  // namespace tessera::server
