#pragma once

#include <cstddef>
#include <functional>

#include "bench/support/watch.h"

namespace tessera::bench {

struct Rate {
  double per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double seconds = 0;     ///< Wall clock of the whole loop.
  double cpu_us = 0;      ///< CPU time of the calling threads, an item.
  std::size_t count = 0;  ///< Items done.
};

struct LoopOptions {
  unsigned thread_count = 1;
  std::size_t item_count = 0;
  double seconds = 0;  ///< How long items are taken round and round; 0: each item once.
};

/// Does one item. A thread calls its own.
using Work = std::function<void(std::size_t item)>;

/// Threads that each start the next item as soon as theirs is done. `make_work` is called once for
/// each thread, before the clock starts. What a thread throws is thrown again here.
Rate run_closed_loop(const Watch& watch, const LoopOptions& options,
                     const std::function<Work(unsigned thread)>& make_work);

}  // namespace tessera::bench
