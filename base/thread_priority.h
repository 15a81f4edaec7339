#pragma once

#include <chrono>

namespace tessera {

/// What a thread asks of the scheduler. Wishes all: where the kernel does not grant them (they need
/// Linux; slices Linux 6.12) everything works, and requests wait longer for a processor that
/// background work occupies. A thread inherits them from the one that starts it.
struct ThreadPriority {
  int nice = 0;  ///< 1..19, more: less of the processor when others want it; 0: as it is.
  /// How long it would run at a stretch. A thread that wakes up takes the processor at once from
  /// one with a longer slice, but waits for one with an equal or shorter slice. 0: the kernel's
  /// own.
  std::chrono::nanoseconds slice{0};
  /// It waits for its turn when it wakes up, instead of taking the processor from who has it.
  bool is_batch = false;
};

/// Of the calling thread. The nice value can only be raised.
void set_thread_priority(const ThreadPriority& priority);

}  // namespace tessera
