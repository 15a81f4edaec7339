#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "server/byte_budget.h"

namespace tessera::server {

/// A request's body in one piece, with padding behind it for parsers that read in blocks. Its
/// memory comes out of a budget that all requests share. Thread rule: confined to its request.
class RequestBody {
 public:
  static constexpr std::size_t kPaddingBytes = 64;

  RequestBody() = default;
  ~RequestBody() { release(); }
  RequestBody(const RequestBody&) = delete;
  RequestBody& operator=(const RequestBody&) = delete;
  RequestBody(RequestBody&&) = delete;
  RequestBody& operator=(RequestBody&&) = delete;

  /// Borrowed; before the first byte. `expected_bytes`: the length the client announced, or 0. The
  /// announcement bounds the growth, it is not trusted with memory before the bytes arrive.
  void open(ByteBudget& budget, std::uint64_t expected_bytes) {
    release();
    budget_ = &budget;
    expected_bytes_ = expected_bytes;
  }

  /// false if the budget is spent; the body is then as before.
  [[nodiscard]] bool append(const char* data, std::size_t count) {
    if (count > storage_.size() - std::min(storage_.size(), size_ + kPaddingBytes) &&
        !grow(size_ + count)) {
      return false;
    }
    std::memcpy(storage_.data() + size_, data, count);
    size_ += count;
    return true;
  }

  [[nodiscard]] std::string_view view() const { return {storage_.data(), size_}; }
  /// Bytes behind view() that may be read.
  [[nodiscard]] std::size_t padding_bytes() const { return storage_.size() - size_; }

  void release() {
    if (budget_ != nullptr) budget_->give_back(storage_.size());
    storage_ = {};
    size_ = 0;
  }

 private:
  static constexpr std::size_t kGrowthBytesMin = 4096;

  bool grow(std::size_t needed) {
    std::size_t target = std::max({needed, size_ * 2, kGrowthBytesMin});
    // An announced length that is near is reached in one step, and never overshot.
    const auto expected = static_cast<std::size_t>(expected_bytes_);
    if (expected >= needed && expected <= target * 16) target = expected;
    target += kPaddingBytes;
    const std::size_t added = target - storage_.size();
    if (budget_ == nullptr || !budget_->take(added)) return false;
    try {
      storage_.resize(target);
    } catch (...) {
      budget_->give_back(added);
      return false;
    }
    return true;
  }

  ByteBudget* budget_ = nullptr;
  std::uint64_t expected_bytes_ = 0;
  std::string storage_;
  std::size_t size_ = 0;
};

}  // namespace tessera::server
