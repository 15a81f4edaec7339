#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "index/huge_pages.h"

namespace tessera::index {

/// Zeroed memory of allocate_huge. Thread rule: as a vector.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  /// May throw bad_alloc.
  explicit AlignedBytes(std::size_t size) : size_(size) {
    if (size == 0) return;
    memory_.reset(static_cast<std::uint8_t*>(allocate_huge(size)));
    std::memset(memory_.get(), 0, size);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint8_t* data() { return memory_.get(); }
  [[nodiscard]] const std::uint8_t* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const { free_huge(memory); }
  };
  std::unique_ptr<std::uint8_t[], Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace tessera::index
