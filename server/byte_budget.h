#pragma once

#include <atomic>
#include <cstdint>

namespace tessera::server {

/// An amount of memory that many users share. Thread rule: safe from any thread.
class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t bytes) : bytes_left_(static_cast<std::int64_t>(bytes)) {}

  /// false, and nothing taken, if so much is not left.
  [[nodiscard]] bool take(std::uint64_t bytes) {
    const auto amount = static_cast<std::int64_t>(bytes);
    if (bytes_left_.fetch_sub(amount, std::memory_order_relaxed) >= amount) return true;
    give_back(bytes);
    return false;
  }
  void give_back(std::uint64_t bytes) {
    bytes_left_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> bytes_left_;
};

}  // namespace tessera::server
