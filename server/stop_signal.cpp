#include "server/stop_signal.h"

#include <ctime>
#include <utility>

#include <pthread.h>

namespace tessera::server {
namespace {

/// How long the end of the watch may take.
constexpr auto kPoll = std::chrono::milliseconds(100);

}  // namespace

StopSignal::StopSignal(std::chrono::milliseconds stop_timeout, std::function<void(int)> force)
    : stop_timeout_(stop_timeout), force_(std::move(force)) {
  ::sigemptyset(&signals_);
  ::sigaddset(&signals_, SIGTERM);
  ::sigaddset(&signals_, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals_, &signals_before_);
  thread_ = std::thread([this] { watch(); });
}

StopSignal::~StopSignal() {
  is_ending_ = true;
  thread_.join();
  ::pthread_sigmask(SIG_SETMASK, &signals_before_, nullptr);
}

int StopSignal::next_signal(std::chrono::milliseconds timeout) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec limit{};
  limit.tv_sec = seconds.count();
  limit.tv_nsec = std::chrono::nanoseconds(timeout - seconds).count();
  const int signal = ::sigtimedwait(&signals_, nullptr, &limit);
  return signal > 0 ? signal : 0;
}

void StopSignal::watch() {
  using Clock = std::chrono::steady_clock;
  while (next_signal(kPoll) == 0) {
    if (is_ending_) return;
  }
  {
    const Lock lock(mutex_);
    is_raised_ = true;
  }
  changed_.notify_all();
  const Clock::time_point deadline = Clock::now() + stop_timeout_;
  int second = 0;
  while (second == 0 && Clock::now() < deadline) {
    if (is_ending_) return;
    second = next_signal(kPoll);
  }
  force_(second);
}

void StopSignal::wait(const std::function<bool()>& is_enough) {
  Lock lock(mutex_);
  while (!is_raised_ && !is_enough()) changed_.wait(lock);
}

void StopSignal::wake() {
  // Taking the lock orders this after a waiter's look and before its sleep.
  { const Lock lock(mutex_); }
  changed_.notify_all();
}

bool StopSignal::is_raised() const {
  const SharedLock lock(mutex_);
  return is_raised_;
}

}  // namespace tessera::server
