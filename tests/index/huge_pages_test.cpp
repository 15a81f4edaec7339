#include "index/huge_pages.h"

#include <cstdint>
#include <new>

#include <catch2/catch.hpp>

#include "index/aligned_bytes.h"

using namespace tessera::index;

TEST_CASE("huge pages: blocks of every size begin on a line, large ones on a huge page") {
  constexpr std::size_t kHugePage = 2U << 20;
  for (const std::size_t size : {std::size_t{1}, std::size_t{63}, std::size_t{4096},
                                 2 * kHugePage - 1, 2 * kHugePage, 3 * kHugePage + 5}) {
    AlignedBytes bytes(size);
    const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    CAPTURE(size);
    CHECK(address % (size >= 2 * kHugePage ? kHugePage : 64) == 0);
    CHECK(bytes.size() == size);
    CHECK(bytes.data()[0] == 0);
    CHECK(bytes.data()[size - 1] == 0);
  }
  CHECK(AlignedBytes(0).data() == nullptr);
}

TEST_CASE("huge pages: a vector keeps its values while it grows across sizes of page") {
  HugeVector<std::uint32_t> values;
  constexpr std::uint32_t kCount = 3'000'000;
  for (std::uint32_t i = 0; i < kCount; ++i) values.push_back(i * 7);
  std::uint32_t wrong_count = 0;
  for (std::uint32_t i = 0; i < kCount; ++i) wrong_count += values[i] != i * 7 ? 1 : 0;
  CHECK(wrong_count == 0);
  CHECK_THROWS_AS(allocate_huge(SIZE_MAX - 5), std::bad_alloc);
}
