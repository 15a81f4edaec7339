#pragma once

#include <cstddef>
#include <vector>

namespace tessera::index {

/// Memory that begins on a cache line. A large block begins on a huge page and asks for huge ones:
/// the random reads of a graph walk then miss the address cache far less often. May throw
/// bad_alloc. Thread rule: as malloc and free.
void* allocate_huge(std::size_t size);
void free_huge(void* memory);

/// For standard containers that a search reads at random.
template <class Value>
struct HugePageAllocator {
  using value_type = Value;

  HugePageAllocator() = default;
  template <class Other>
  HugePageAllocator(const HugePageAllocator<Other>& /*other*/) {}

  Value* allocate(std::size_t count) {
    return static_cast<Value*>(allocate_huge(count * sizeof(Value)));
  }
  void deallocate(Value* memory, std::size_t /*count*/) { free_huge(memory); }

  bool operator==(const HugePageAllocator& /*other*/) const { return true; }
};

template <class Value>
using HugeVector = std::vector<Value, HugePageAllocator<Value>>;

}  // namespace tessera::index
