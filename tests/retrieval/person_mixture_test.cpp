#include "retrieval/person_mixture.h"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

namespace tessera::retrieval {
namespace {

constexpr std::size_t kDim = 5;

struct Event {
  Slot slot = 0;
  double weight = 1;
  std::uint32_t cluster = 0;
};

std::vector<float> vector_of(Slot slot) {
  std::mt19937_64 random(slot);
  std::vector<float> vector(kDim);
  for (float& value : vector) value = static_cast<float>(random() % 1000) / 300 - 1;
  return vector;
}

std::vector<std::vector<float>> vectors_of(std::span<const Slot> slots) {
  std::vector<std::vector<float>> vectors;
  for (const Slot slot : slots) vectors.push_back(vector_of(slot));
  return vectors;
}

void add(MixtureBuilder& builder, const Event& event) {
  builder.add(event.slot, event.weight, event.cluster, vector_of(event.slot));
}

void require_equal(const PersonMixture& a, const PersonMixture& b) {
  REQUIRE(a.weight == b.weight);
  REQUIRE(a.sum == b.sum);
  REQUIRE(a.parts.size() == b.parts.size());
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    REQUIRE(a.parts[i]->cluster() == b.parts[i]->cluster());
    REQUIRE(a.parts[i]->weight() == b.parts[i]->weight());
    REQUIRE(a.parts[i]->mean() == b.parts[i]->mean());
    REQUIRE(a.parts[i]->slots() == b.parts[i]->slots());
    const auto near_a = a.parts[i]->nearest(Metric::kEuclid, vectors_of);
    const auto near_b = b.parts[i]->nearest(Metric::kEuclid, vectors_of);
    REQUIRE(near_a.items == near_b.items);
    REQUIRE(near_a.medoid == near_b.medoid);
    REQUIRE(near_a.item_count == near_b.item_count);
  }
}

}  // namespace

TEST_CASE("person mixture: made longer in steps it is to the bit the one made at once") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    MixtureBuilder at_once;
    PersonMixture in_steps;
    std::size_t event_count = 0;
    for (std::uint64_t step = random() % 8; step > 0; --step) {
      const PersonMixture before = in_steps;
      MixtureBuilder longer(in_steps);
      for (std::uint64_t i = random() % 6; i > 0; --i) {
        const Event event{static_cast<Slot>(random() % 40),
                          0.1 * static_cast<double>(random() % 9 + 1),
                          static_cast<std::uint32_t>(random() % 7)};
        add(longer, event);
        add(at_once, event);
        ++event_count;
      }
      in_steps = longer.finish();
      // The one that it was made of stays as it was.
      std::size_t known = 0, all = 0;
      for (const auto& part : before.parts) known += part->slots().size();
      for (const auto& part : in_steps.parts) all += part->slots().size();
      REQUIRE(all == event_count);
      REQUIRE(known <= all);
    }
    require_equal(in_steps, at_once.finish());
  }
}

TEST_CASE("person mixture: the nearest items are those of a sort, each once") {
  const std::vector<Slot> slots = {3, 9, 3, 4, 8, 1, 4, 7, 2};
  const Wide centre(kDim, 0.5);
  std::vector<std::pair<double, Slot>> expected;
  for (const Slot slot : {1, 2, 3, 4, 7, 8, 9}) {
    expected.emplace_back(separation(Metric::kEuclid, widen(vector_of(slot)), centre), slot);
  }
  std::sort(expected.begin(), expected.end());
  const NearestItems found = nearest_items(slots, centre, Metric::kEuclid, vectors_of);
  CHECK(found.item_count == 7);
  REQUIRE(found.items.size() == 5);
  for (std::size_t i = 0; i < found.items.size(); ++i) CHECK(found.items[i] == expected[i].second);
  CHECK(found.medoid == expected.front().second);

  // Of equally near ones the newer; without a vector none.
  const auto all_alike = [](std::span<const Slot> asked) {
    return std::vector<std::vector<float>>(asked.size(), std::vector<float>(kDim, 1));
  };
  CHECK(nearest_items(slots, centre, Metric::kEuclid, all_alike).medoid == 2U);
  const auto gone = [](std::span<const Slot> asked) {
    return std::vector<std::vector<float>>(asked.size());
  };
  CHECK_FALSE(nearest_items(slots, centre, Metric::kEuclid, gone).medoid.has_value());
}

TEST_CASE("person mixture: weights that sums could lose are told") {
  CHECK(is_summable(1));
  CHECK(is_summable(1e-100));
  CHECK_FALSE(is_summable(1e200));
  CHECK_FALSE(is_summable(1e-200));
  CHECK_FALSE(is_summable(0));
}

}  // namespace tessera::retrieval
