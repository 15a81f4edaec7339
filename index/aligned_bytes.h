#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tessera::index {

/// Zeroed memory that begins on a cache line. A large block begins on a huge page and asks for
/// huge ones: the random reads of a graph walk then miss the address cache far less often.
/// Thread rule: as a vector.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  /// May throw bad_alloc.
  explicit AlignedBytes(std::size_t size);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint8_t* data() { return memory_.get(); }
  [[nodiscard]] const std::uint8_t* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const;
  };
  std::unique_ptr<std::uint8_t[], Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace tessera::index
