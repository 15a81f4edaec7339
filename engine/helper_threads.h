#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

namespace tessera::engine {

/// The threads that requests may have beside their own, all requests together: each takes what is
/// free and goes on without the rest.
/// Thread rule: safe from any thread.
class HelperThreads {
 public:
  explicit HelperThreads(std::size_t count_max) : free_(count_max) {}

  /// Of one request, until it ends. Not for longer than the budget.
  class Share {
   public:
    Share(HelperThreads& owner, std::size_t count) : owner_(&owner), count_(count) {}
    Share(Share&& other) noexcept : owner_(other.owner_), count_(std::exchange(other.count_, 0)) {}
    Share& operator=(Share&&) = delete;
    ~Share() { owner_->free_ += count_; }
    [[nodiscard]] std::size_t count() const { return count_; }

   private:
    HelperThreads* owner_;
    std::size_t count_;
  };

  /// At most `wanted`, perhaps none. Never waits.
  [[nodiscard]] Share take(std::size_t wanted) {
    std::size_t free = free_;
    std::size_t taken = 0;
    do {
      taken = std::min(free, wanted);
    } while (!free_.compare_exchange_weak(free, free - taken));
    return {*this, taken};
  }

 private:
  std::atomic<std::size_t> free_;
};

}  // namespace tessera::engine
