#include "index/huge_pages.h"

#include <cstdlib>
#include <new>

#include <sys/mman.h>

namespace tessera::index {
namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kHugePageBytes = 2U << 20;

}  // namespace

void* allocate_huge(std::size_t size) {
  const std::size_t alignment = size >= 2 * kHugePageBytes ? kHugePageBytes : kLineBytes;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  if (whole < size) throw std::bad_alloc();
  void* const memory = std::aligned_alloc(alignment, whole);
  if (memory == nullptr) throw std::bad_alloc();
  // Only a wish: without huge pages everything works, slower.
  if (alignment == kHugePageBytes) (void)madvise(memory, whole, MADV_HUGEPAGE);
  return memory;
}

void free_huge(void* memory) {
  std::free(memory);
}

}  // namespace tessera::index
