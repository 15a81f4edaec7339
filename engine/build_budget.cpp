#include "engine/build_budget.h"

#include <algorithm>

#include <unistd.h>

#include "index/row_codes.h"

namespace tessera::engine {
namespace {

/// A client's next query is expected within this time of the last.
constexpr std::chrono::milliseconds kRecent{50};
constexpr std::chrono::milliseconds kRestMax{250};
constexpr std::chrono::milliseconds kRestSlice{5};
constexpr std::chrono::milliseconds kMemoryPoll{50};

/// The values that codes are trained with, and odds and ends.
constexpr std::uint64_t kBuildBytesFixed = 12ULL << 20;
/// Slot, version, and where the row came from.
constexpr std::uint64_t kRowBookBytes = sizeof(std::uint32_t) + sizeof(std::uint64_t) + 16;

std::uint64_t half_of_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
  constexpr std::uint64_t kUnknown = 1ULL << 30;
  if (pages <= 0 || page_bytes <= 0) return kUnknown;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes) / 2;
}

/// What the index keeps of a row.
std::uint64_t row_bytes(const index::IndexSpec& spec, std::uint64_t dim) {
  // A code's own numbers (norm, offset) and an id.
  constexpr std::uint64_t kExtra = 16;
  switch (spec.type) {
    case index::IndexType::kFlat:
      return kExtra;
    case index::IndexType::kHnsw:
      // 2m links on the lowest level; those above add an m-th part of m each.
      return (std::uint64_t{2} * spec.m + 4) * sizeof(std::uint32_t) +
             index::row_code_bytes(spec, dim) + kExtra;
    case index::IndexType::kIvfFlat:
      return dim * sizeof(float) + kExtra;
    case index::IndexType::kIvfSq8:
      return dim + kExtra;
    case index::IndexType::kIvfPq: {
      index::IndexSpec product = spec;
      product.codes = index::CodeType::kPq;
      return index::row_code_bytes(product, dim) + kExtra;
    }
  }
  return dim * sizeof(float) + kExtra;
}

/// Twice: the structure that is built and the compact one that is kept. Graphs with coarse codes
/// are linked over 8-bit ones.
std::uint64_t build_row_bytes(const index::IndexSpec& spec, std::uint64_t dim) {
  const bool has_coarse_codes =
      spec.type == index::IndexType::kHnsw &&
      (spec.codes == index::CodeType::kSq4 || spec.codes == index::CodeType::kBinary ||
       spec.codes == index::CodeType::kPq);
  index::IndexSpec fine = spec;
  fine.codes = index::CodeType::kAuto;
  return 2 * row_bytes(spec, dim) + (has_coarse_codes ? index::row_code_bytes(fine, dim) : 0) +
         kRowBookBytes;
}

/// What does not grow with the rows.
std::uint64_t fixed_bytes(const index::IndexSpec& spec, std::uint64_t dim) {
  const bool has_words =
      spec.type == index::IndexType::kIvfPq ||
      (spec.type == index::IndexType::kHnsw && spec.codes == index::CodeType::kPq);
  // 256 words of each segment, while they are trained and as they are kept.
  constexpr std::uint64_t kWordBytes = 2 * 256 * sizeof(float);
  return kBuildBytesFixed + (has_words ? kWordBytes * dim : 0);
}

}  // namespace

std::uint64_t build_memory_bytes(const index::IndexSpec& spec, std::size_t row_count,
                                 std::size_t dim) {
  return fixed_bytes(spec, dim) + row_count * build_row_bytes(spec, dim);
}

BuildBudget::BuildBudget(const Limits& limits, metrics::Registry& registry)
    : memory_bytes_max_(limits.memory_bytes_max == 0 ? half_of_memory() : limits.memory_bytes_max),
      cpu_percent_(std::clamp(limits.cpu_percent, 1U, 100U)),
      reserved_gauge_(registry.gauge("tessera_index_build_memory_bytes",
                                     "Memory that running index builds may take at most")),
      delayed_count_(registry.counter("tessera_index_builds_delayed_total",
                                      "Times that an index build waited for memory")) {
  registry
      .gauge("tessera_index_build_memory_limit_bytes",
             "Memory that all index builds together may take (index.build_memory_bytes_max)")
      .set(static_cast<double>(memory_bytes_max_));
}

BuildBudget::Reservation BuildBudget::reserve(std::uint64_t bytes) {
  Lock lock(mutex_);
  if (bytes > memory_bytes_max_ || reserved_bytes_ > memory_bytes_max_ - bytes) {
    delayed_count_.add();
    return nullptr;
  }
  reserved_bytes_ += bytes;
  reserved_gauge_.set(static_cast<double>(reserved_bytes_));
  return {this, [bytes](void* budget) {
            auto& self = *static_cast<BuildBudget*>(budget);
            Lock release_lock(self.mutex_);
            self.reserved_bytes_ -= bytes;
            self.reserved_gauge_.set(static_cast<double>(self.reserved_bytes_));
            self.changed_.notify_all();
          }};
}

Result<BuildBudget::Reservation> BuildBudget::reserve_within(std::uint64_t bytes,
                                                             const CancelToken& cancel) {
  if (bytes > memory_bytes_max_) {
    return Status(Code::kResourceExhausted, "more memory than index.build_memory_bytes_max");
  }
  for (;;) {
    if (Reservation reservation = reserve(bytes); reservation != nullptr) return reservation;
    Lock lock(mutex_);
    changed_.wait_for(lock, kMemoryPoll);
    TESSERA_RETURN_IF_ERROR(cancel.check());
  }
}

std::size_t BuildBudget::row_count_max(const index::IndexSpec& spec, std::size_t dim) const {
  const std::uint64_t fixed = fixed_bytes(spec, dim);
  if (memory_bytes_max_ <= fixed) return 0;
  return (memory_bytes_max_ - fixed) / build_row_bytes(spec, dim);
}

void BuildBudget::search_ends() {
  last_search_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  searches_.fetch_sub(1, std::memory_order_relaxed);
}

bool BuildBudget::is_searched() const {
  if (searches_.load(std::memory_order_relaxed) > 0) return true;
  const Clock::time_point last{Clock::duration(last_search_.load(std::memory_order_relaxed))};
  return last.time_since_epoch().count() != 0 && Clock::now() - last < kRecent;
}

void BuildBudget::wait_for_quiet(std::chrono::nanoseconds longest, const CancelToken& cancel) {
  const Clock::time_point end = Clock::now() + longest;
  Lock lock(mutex_);
  // Searches do not pay for waking anybody, so the end of the last is looked for now and then.
  while (is_searched() && !cancel.is_cancelled() && Clock::now() < end) {
    changed_.wait_for(lock, std::min<Clock::duration>(kRestSlice, end - Clock::now()));
  }
}

void BuildBudget::wait_for_builds(std::chrono::nanoseconds longest,
                                  const std::function<bool()>& is_behind,
                                  const CancelToken& cancel) {
  const Clock::time_point end = Clock::now() + longest;
  Lock lock(mutex_);
  while (reserved_bytes_ > 0 && !cancel.is_cancelled() && Clock::now() < end && is_behind()) {
    changed_.wait_for(lock, std::min<Clock::duration>(kRestSlice, end - Clock::now()));
  }
}

BuildPacer::Clock::time_point& BuildPacer::work_begin_of_this_thread() {
  Lock lock(mutex_);
  const auto id = std::this_thread::get_id();
  for (auto& [known, begin] : threads_) {
    if (known == id) return *begin;
  }
  return *threads_.emplace_back(id, std::make_unique<Clock::time_point>(Clock::now())).second;
}

void BuildPacer::pause() {
  Clock::time_point& begin = work_begin_of_this_thread();
  const Clock::time_point now = Clock::now();
  const Clock::duration rest = std::min<Clock::duration>(
      (now - begin) * (100 - budget_.cpu_percent()) / budget_.cpu_percent(), kRestMax);
  budget_.wait_for_quiet(rest, cancel_);
  begin = Clock::now();
}

}  // namespace tessera::engine
