#include "retrieval/fanout.h"

#include <numeric>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "retrieval/vector_math.h"

using namespace tessera;
using namespace tessera::retrieval;
using namespace tessera::retrieval::testing;

namespace {

std::size_t total_size(const std::vector<std::vector<Hit>>& lists) {
  std::size_t total = 0;
  for (const auto& list : lists) total += list.size();
  return total;
}

/// No lane and item would both rather have each other: whatever a lane passed over although it
/// takes something further away belongs to a lane that scores it at least as well.
void require_stable(const FakeSearcher& searcher, const std::vector<Fanout::Lane>& lanes,
                    const SlotSet& excluded, const std::vector<std::vector<Hit>>& lists) {
  std::vector<std::pair<std::size_t, Hit>> owner(searcher.rows().size(), {lanes.size(), {}});
  for (std::size_t lane = 0; lane < lists.size(); ++lane) {
    for (const Hit& hit : lists[lane]) {
      REQUIRE(owner[hit.slot].first == lanes.size());
      owner[hit.slot] = {lane, hit};
    }
  }
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    if (!lanes[lane].is_active) REQUIRE(lists[lane].empty());
    if (lists[lane].empty()) continue;
    for (const Hit& hit :
         searcher.ranking(lanes[lane].vector, lanes[lane].component_filter, &excluded)) {
      if (searcher.precedes(lists[lane].back(), hit)) break;
      const auto& [owning, held] = owner[hit.slot];
      REQUIRE(owning < lanes.size());
      if (owning != lane) REQUIRE_FALSE(searcher.precedes(hit, held));
    }
  }
}

}  // namespace

TEST_CASE(
    "fanout: an item found by two lanes stays with the better score, the other takes its next") {
  FakeSearcher searcher(Metric::kDot, {{1.0F, 0.9F}, {0.5F, 0.2F}, {0.1F, 0.8F}, {0.0F, 0.1F}});
  const SlotSet nothing;
  const auto lists =
      Fanout({{{1, 0}, 0.5, -1, 2, true}, {{0, 1}, 0.5, -1, 2, true}}, nothing, searcher)
          .run()
          .value();
  CHECK(slots_of(lists[0]) == std::vector<Slot>{0, 1});
  CHECK(slots_of(lists[1]) == std::vector<Slot>{2, 3});
  CHECK(lists[0][0].score == 1.0F);
}

TEST_CASE("fanout: equal scores belong to the first lane") {
  FakeSearcher searcher(Metric::kDot, {{1}, {0.9F}, {0.8F}, {0.7F}});
  const SlotSet nothing;
  const auto lists =
      Fanout({{{1}, 0.5, -1, 2, true}, {{1}, 0.5, -1, 2, true}}, nothing, searcher).run().value();
  CHECK(slots_of(lists[0]) == std::vector<Slot>{0, 1});
  CHECK(slots_of(lists[1]) == std::vector<Slot>{2, 3});
}

TEST_CASE("fanout: seats that a lane cannot fill go to the others by weight") {
  Rows rows(40, std::vector<float>{1, 1, 1});
  FakeSearcher searcher(Metric::kDot, rows);
  searcher.filters = {[](Slot slot) { return slot < 2; }};
  const SlotSet nothing;
  const auto lists = Fanout({{{1, 0, 0}, 0.5, 0, 10, true},
                             {{0, 2, 0}, 0.375, -1, 7, true},
                             {{0, 0, 2}, 0.125, -1, 3, true}},
                            nothing, searcher)
                         .run()
                         .value();
  // Lane 0 loses its two rows to lane 1, which scores them better: ten seats, split 3 : 1.
  CHECK(lists[0].empty());
  CHECK(lists[1].size() == 15);
  CHECK(lists[2].size() == 5);
}

TEST_CASE("fanout: stable, complete and within its budget on random data") {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    FakeSearcher searcher(metric, random_rows(random, metric, 1 + random() % 200, 4));
    SlotSet excluded;
    for (Slot slot = 0; slot < searcher.rows().size(); ++slot) {
      if (random() % 10 == 0) excluded.add(slot);
    }
    const std::size_t modulus = 2 + random() % 5;
    searcher.filters = {[&](Slot slot) { return slot % modulus == 0; }};
    std::vector<Fanout::Lane> lanes(1 + random() % 6);
    std::size_t limit = 0;
    bool is_open = false;
    for (auto& lane : lanes) {
      lane.vector = searcher.rows()[random() % searcher.rows().size()];
      lane.weight = static_cast<double>(random() % 4);
      lane.component_filter = random() % 3 == 0 ? 0 : -1;
      lane.quota = random() % 30;
      lane.is_active = random() % 8 != 0;
      if (!lane.is_active) lane.quota = 0;
      limit += lane.quota;
      is_open = is_open || (lane.is_active && lane.component_filter < 0);
    }
    if (random() % 4 == 0) lanes.push_back(lanes.front());
    if (lanes.size() > 1 && lanes.back().vector == lanes.front().vector) {
      limit = 0;
      for (const auto& lane : lanes) limit += lane.quota;
    }
    const auto lists = Fanout(lanes, excluded, searcher).run().value();
    require_stable(searcher, lanes, excluded, lists);
    const std::size_t reachable =
        is_open ? searcher.ranking(lanes[0].vector, -1, &excluded).size() : 0;
    if (is_open) REQUIRE(total_size(lists) == std::min(limit, reachable));
    for (const auto& list : lists) {
      for (const Hit& hit : list) REQUIRE_FALSE(excluded.contains(hit.slot));
      REQUIRE(std::is_sorted(list.begin(), list.end(),
                             [&](const Hit& a, const Hit& b) { return searcher.precedes(a, b); }));
    }
    REQUIRE(searcher.hit_count <= lanes.size() * limit);
    REQUIRE(searcher.search_count <= lanes.size() * 12);
  }
}

TEST_CASE("fanout: a lane that fills its seats at once is read once") {
  std::mt19937_64 random(5);
  FakeSearcher searcher(Metric::kCosine, random_rows(random, Metric::kCosine, 500, 8));
  const SlotSet nothing;
  const auto lists =
      Fanout({{searcher.rows()[0], 1, -1, 50, true}}, nothing, searcher).run().value();
  CHECK(searcher.search_count == 1);
  CHECK(searcher.hit_count == 50);
  auto plain = searcher.ranking(searcher.rows()[0]);
  plain.resize(50);
  CHECK(slots_of(lists[0]) == slots_of(plain));
}

TEST_CASE("fanout: driven search by search it finds the same, and says which searches are parts") {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Metric metric = metric_by_number(random());
    FakeSearcher searcher(metric, random_rows(random, metric, 150, 4));
    const SlotSet nothing;
    std::vector<Fanout::Lane> lanes(1 + random() % 5);
    for (auto& lane : lanes) {
      lane.vector = searcher.rows()[random() % searcher.rows().size()];
      lane.weight = 1;
      lane.quota = random() % 30;
    }
    const auto expected = Fanout(lanes, nothing, searcher).run().value();
    Fanout driven(lanes, nothing, searcher);
    for (auto searches = driven.wanted(); !searches.empty(); searches = driven.wanted()) {
      std::vector<std::vector<Hit>> answers;
      for (const Search& search : searches) {
        CHECK(search.is_part == (lanes.size() > 1));
        answers.push_back(searcher.search(search).value());
      }
      REQUIRE(driven.accept(std::move(answers)).ok());
    }
    const auto lists = driven.collect();
    REQUIRE(lists.size() == expected.size());
    for (std::size_t i = 0; i < lists.size(); ++i) {
      CHECK(slots_of(lists[i]) == slots_of(expected[i]));
    }
  }
}

TEST_CASE("fanout: answers that nobody asked for are refused") {
  FakeSearcher searcher(Metric::kDot, {{1}, {0.9F}, {0.8F}});
  const SlotSet nothing;
  Fanout fanout({{{1}, 1, -1, 2, true}}, nothing, searcher);
  REQUIRE(fanout.wanted().size() == 1);
  CHECK(fanout.accept({}).code() == Code::kInternal);
  CHECK(fanout.accept({std::vector<Hit>(3)}).code() == Code::kInternal);
}

TEST_CASE("fanout: a failing search is reported, whichever it is") {
  std::mt19937_64 random(6);
  FakeSearcher searcher(Metric::kDot, random_rows(random, Metric::kDot, 60, 3));
  const SlotSet nothing;
  const std::vector<Fanout::Lane> lanes(3, {searcher.rows()[0], 1, -1, 15, true});
  REQUIRE(Fanout(lanes, nothing, searcher).run().has_value());
  const std::size_t search_count = searcher.search_count;
  REQUIRE(search_count > 3);
  for (std::size_t i = 0; i < search_count; ++i) {
    searcher.search_count = 0;
    searcher.fail_at = i;
    const auto lists = Fanout(lanes, nothing, searcher).run();
    REQUIRE(lists.has_error());
    REQUIRE(lists.error().code() == Code::kTimeout);
  }
}

TEST_CASE("interleave: the largest deficit comes next") {
  using Order = std::vector<std::size_t>;
  CHECK(interleave({0.5, 0.3, 0.2}, {5, 3, 2}) == Order{0, 1, 2, 0, 0, 1, 0, 2, 1, 0});
  CHECK(interleave({0.5, 0.5}, {3, 3}) == Order{0, 1, 0, 1, 0, 1});
  CHECK(interleave({0.9, 0.1}, {1, 3}) == Order{0, 1, 1, 1});
  CHECK(interleave({0, 1}, {1, 2}) == Order{1, 1, 0});
  CHECK(interleave({}, {}).empty());
}

TEST_CASE("interleave: at every prefix each list is within a seat of its share") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<std::size_t> sizes(1 + random() % 6);
    for (auto& size : sizes) size = 1 + random() % 20;
    const auto total = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), 0UL));
    std::vector<double> shares;
    for (const auto size : sizes) shares.push_back(static_cast<double>(size) / total);
    std::vector<std::size_t> got(sizes.size(), 0);
    std::size_t taken = 0;
    for (const std::size_t list : interleave(shares, sizes)) {
      ++got[list];
      ++taken;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const double due = shares[i] * static_cast<double>(taken);
        REQUIRE(static_cast<double>(got[i]) < due + 1);
      }
    }
    REQUIRE(got == sizes);
  }
}
