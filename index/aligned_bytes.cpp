#include "index/aligned_bytes.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include <sys/mman.h>

namespace tessera::index {
namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kHugePageBytes = 2U << 20;

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size) : size_(size) {
  if (size == 0) return;
  const std::size_t alignment = size >= 2 * kHugePageBytes ? kHugePageBytes : kLineBytes;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  if (whole < size) throw std::bad_alloc();
  memory_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(alignment, whole)));
  if (memory_ == nullptr) throw std::bad_alloc();
  // Only a wish: without huge pages everything works, slower.
  if (alignment == kHugePageBytes) (void)madvise(memory_.get(), whole, MADV_HUGEPAGE);
  std::memset(memory_.get(), 0, whole);
}

void AlignedBytes::Free::operator()(std::uint8_t* memory) const {
  std::free(memory);
}

}  // namespace tessera::index
