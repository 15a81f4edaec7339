#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>

namespace tessera::engine {

/// An array that grows without ever moving an element, so that readers need no lock.
/// Chunk c holds kFirstChunk << c elements, value-initialised.
/// Thread rule: one writer calls ensure(); any thread may read an element whose index it learnt
/// through a release/acquire pair after ensure() covered it.
template <class T>
class StableVector {
 public:
  StableVector() = default;
  ~StableVector() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }
  StableVector(const StableVector&) = delete;
  StableVector& operator=(const StableVector&) = delete;

  /// Makes the elements 0..index usable.
  void ensure(std::size_t index) {
    for (std::size_t c = chunk_count_; c <= place_of(index).chunk; ++c) {
      chunks_[c].store(std::make_unique<T[]>(kFirstChunk << c).release(),
                       std::memory_order_release);
      chunk_count_ = c + 1;
    }
  }
  [[nodiscard]] T& operator[](std::size_t index) {
    const Place place = place_of(index);
    return chunks_[place.chunk].load(std::memory_order_acquire)[place.offset];
  }
  [[nodiscard]] const T& operator[](std::size_t index) const {
    const Place place = place_of(index);
    return chunks_[place.chunk].load(std::memory_order_acquire)[place.offset];
  }
  /// Elements that ensure() has made usable. Writer only.
  [[nodiscard]] std::size_t capacity() const { return (kFirstChunk << chunk_count_) - kFirstChunk; }

 private:
  static constexpr std::size_t kFirstChunk = 1024;
  static constexpr std::size_t kChunkCountMax = 32;
  struct Place {
    std::size_t chunk, offset;
  };
  static Place place_of(std::size_t index) {
    const std::size_t shifted = index + kFirstChunk;
    const auto chunk = static_cast<std::size_t>(std::bit_width(shifted / kFirstChunk)) - 1;
    return {chunk, shifted - (kFirstChunk << chunk)};
  }

  std::array<std::atomic<T*>, kChunkCountMax> chunks_{};
  std::size_t chunk_count_ = 0;
};

}  // namespace tessera::engine
