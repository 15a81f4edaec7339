#include "base/thread_priority.h"

#include <algorithm>
#include <cstdint>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tessera {
namespace {

/// The kernel's struct sched_attr, first version. The headers that have it cannot be included
/// together with the C library's.
struct SchedulingAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime_ns;  ///< Of the ordinary policy: the slice.
  std::uint64_t deadline_ns;
  std::uint64_t period_ns;
};
static_assert(sizeof(SchedulingAttributes) == 48);

}  // namespace

void set_thread_priority(const ThreadPriority& priority) {
  SchedulingAttributes attributes = {};
  attributes.size = sizeof(attributes);
  // The process may have been started with a higher one, below which nothing is granted.
  const int current = ::getpriority(PRIO_PROCESS, 0);
  attributes.nice = priority.nice == 0 ? current : std::max(priority.nice, current);
  constexpr std::uint32_t kOrdinary = 0, kBatch = 3;  // SCHED_OTHER, SCHED_BATCH
  attributes.policy = priority.is_batch ? kBatch : kOrdinary;
  attributes.runtime_ns = static_cast<std::uint64_t>(priority.slice.count());
  constexpr long kThisThread = 0, kNoFlags = 0;
  (void)::syscall(SYS_sched_setattr, kThisThread, &attributes, kNoFlags);
}

}  // namespace tessera
