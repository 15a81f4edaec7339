#include "engine/slot_bits.h"

#include <random>
#include <set>

#include <catch2/catch.hpp>

namespace tessera::engine {
namespace {

/// `bits` holds those of `expected` that are below its size, and says so in every way it can.
void check_equal(const SlotBits& bits, const std::set<std::uint32_t>& expected) {
  std::size_t count = 0, in_words = 0;
  for (std::uint32_t slot = 0; slot < bits.size() + 130; ++slot) {
    const bool is_expected = slot < bits.size() && expected.count(slot) != 0;
    count += is_expected ? 1 : 0;
    REQUIRE(bits.contains(slot) == is_expected);
  }
  for (std::size_t i = 0; i < bits.word_count(); ++i) {
    in_words += static_cast<std::size_t>(__builtin_popcountll(bits.words()[i]));
  }
  CHECK(bits.count() == count);
  CHECK(in_words == count);
}

TEST_CASE("slot bits: hold what a bitmap holds, few or nearly all", "[unit]") {
  const auto seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (const std::size_t size : {0U, 1U, 63U, 64U, 65U, 128U, 1000U, 70'000U}) {
    for (const double share : {0.0, 0.02, 0.49, 0.51, 0.98, 1.0}) {
      CAPTURE(size, share);
      index::Bitmap slots;
      std::set<std::uint32_t> expected;
      std::bernoulli_distribution is_in(share);
      // Some are beyond the size: a point that was written after the size was read.
      for (std::uint32_t slot = 0; slot < size + 10; ++slot) {
        if (!is_in(random)) continue;
        slots.add(slot);
        expected.insert(slot);
      }
      SlotBits bits = SlotBits::from(slots, size);
      check_equal(bits, expected);
      index::Bitmap removed;
      for (std::uint32_t slot = 0; slot < size + 10; slot += 3) {
        removed.add(slot);
        expected.erase(slot);
      }
      bits.clear_all(removed);
      check_equal(bits, expected);
    }
    std::set<std::uint32_t> every;
    for (std::uint32_t slot = 0; slot < size; ++slot) every.insert(slot);
    check_equal(SlotBits(size, true), every);
    check_equal(SlotBits(size, false), {});
  }
}

TEST_CASE("slot bits: an intersection ends where the shorter one does", "[unit]") {
  SlotBits bits(200, true);
  SlotBits other(70, true);
  other.clear(3);
  bits.intersect(other);
  std::set<std::uint32_t> expected;
  for (std::uint32_t slot = 0; slot < 70; ++slot) expected.insert(slot);
  expected.erase(3);
  check_equal(bits, expected);
}

}  // namespace
}  // namespace tessera::engine
