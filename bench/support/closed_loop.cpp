#include "bench/support/closed_loop.h"

#include <algorithm>
#include <atomic>
#include <ctime>
#include <exception>
#include <thread>
#include <vector>

namespace tessera::bench {
namespace {

double thread_cpu_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct ThreadRecord {
  std::vector<float> latencies_ms;
  double cpu_seconds = 0;
  std::exception_ptr failure;
};

/// The value below which `share` of the sorted values lie.
double percentile(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(index, sorted.size() - 1)];
}

}  // namespace

Rate run_closed_loop(const Watch& watch, const LoopOptions& options,
                     const std::function<Work(unsigned thread)>& make_work) {
  std::vector<Work> works;
  for (unsigned i = 0; i < options.thread_count; ++i) works.push_back(make_work(i));
  std::vector<ThreadRecord> records(options.thread_count);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> has_failed = false;
  const auto start = Watch::Clock::now();

  const auto run = [&](ThreadRecord& record, const Work& work) {
    const double cpu_start = thread_cpu_seconds();
    try {
      while (!has_failed) {
        const std::size_t item = next.fetch_add(1);
        if (options.seconds == 0 && item >= options.item_count) break;
        if (options.seconds > 0 && seconds_since(start) >= options.seconds) break;
        watch.check();
        const auto item_start = Watch::Clock::now();
        work(item % options.item_count);
        record.latencies_ms.push_back(static_cast<float>(seconds_since(item_start) * 1e3));
      }
    } catch (...) {
      record.failure = std::current_exception();
      has_failed = true;
    }
    record.cpu_seconds = thread_cpu_seconds() - cpu_start;
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < options.thread_count; ++i) {
    threads.emplace_back([&, i] { run(records[i], works[i]); });
  }
  threads.clear();

  Rate rate;
  rate.seconds = seconds_since(start);
  std::vector<float> all;
  double cpu_seconds = 0;
  for (const ThreadRecord& record : records) {
    if (record.failure) std::rethrow_exception(record.failure);
    all.insert(all.end(), record.latencies_ms.begin(), record.latencies_ms.end());
    cpu_seconds += record.cpu_seconds;
  }
  std::sort(all.begin(), all.end());
  rate.count = all.size();
  if (rate.count == 0) return rate;
  rate.per_second = static_cast<double>(rate.count) / rate.seconds;
  rate.p50_ms = percentile(all, 0.5);
  rate.p99_ms = percentile(all, 0.99);
  rate.cpu_us = cpu_seconds * 1e6 / static_cast<double>(rate.count);
  return rate;
}

}  // namespace tessera::bench
