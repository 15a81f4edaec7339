#include <algorithm>

#include <catch2/catch.hpp>

#include "fake_searcher.h"
#include "retrieval/refine.h"
#include "tests/adapter/oracle.h"

namespace tessera::retrieval {
namespace {

using adapter::testing::MadeAdapter;
using adapter::testing::MadeShape;
using adapter::testing::Oracle;
using testing::FakeSearcher;
using testing::Rows;
using testing::slots_of;

constexpr std::size_t kDim = 6;

struct Trained {
  MadeShape shape;
  MadeAdapter made;
  std::shared_ptr<const adapter::Adapter> adapter;
};

Trained trained(std::mt19937_64& random, bool has_item_bias, const std::string& backbone) {
  Trained result;
  result.shape.backbone = backbone;
  result.shape.dim = kDim;
  result.shape.context_size = 4;
  result.shape.has_item_bias = has_item_bias;
  result.made = make_adapter(result.shape, random);
  auto read = adapter::Adapter::read(write_adapter(result.made));
  REQUIRE(read.has_value());
  result.adapter = *read;
  return result;
}

Oracle::Row head_of(const std::vector<float>& row) {
  return {row.begin(), row.begin() + kDim};
}

struct Expected {
  std::vector<Slot> slots;
  std::vector<std::size_t> sizes;
  bool is_ambiguous = false;  ///< Scores so near that the rounding of a vector decides.
};

constexpr float kGapMin = 3e-5F;

/// The method word for word: rounds that exclude earlier rounds and `excluded` by exhaustive search
/// with the vectors of the oracle; then the list again with those vectors, without `known`.
class Method {
 public:
  Method(const Trained& trained, const FakeSearcher& searcher)
      : trained_(trained), oracle_(trained.made, trained.shape), searcher_(searcher) {}

  Expected run(const std::vector<HistoryItem>& history, const std::vector<float>& query,
               std::size_t limit, std::uint32_t rounds, const SlotSet& known,
               bool context_includes_known) const {
    Oracle::Rows encoded;
    for (const HistoryItem& item : history) encoded.push_back(head_of(item.vector));
    const std::size_t size = (limit + rounds - 1) / rounds;
    std::vector<Oracle::Rows> contexts;
    Oracle::Rows vectors;
    SlotSet seen = context_includes_known ? SlotSet() : known;
    Expected expected;
    for (std::uint32_t round = 0; round < rounds; ++round) {
      Oracle::Row vector = oracle_.vector(encoded, contexts, vectors);
      if (round == 0 && !query.empty()) vector = head_of(query);
      vectors.push_back(vector);
      Oracle::Rows items;
      for (const Slot slot : search(vector, seen, size, expected)) {
        seen.add(slot);
        items.push_back(head_of(searcher_.rows()[slot]));
      }
      contexts.push_back(items);
    }
    SlotSet listed = known;
    for (const Oracle::Row& vector : vectors) {
      const std::size_t wanted = std::min(size, limit - expected.slots.size());
      const auto found = search(vector, listed, wanted, expected);
      if (found.empty()) break;
      for (const Slot slot : found) {
        listed.add(slot);
        expected.slots.push_back(slot);
      }
      expected.sizes.push_back(found.size());
      if (found.size() < wanted || expected.slots.size() == limit) break;
    }
    return expected;
  }

 private:
  std::vector<Slot> search(const Oracle::Row& vector, const SlotSet& excluded, std::size_t count,
                           Expected& expected) const {
    std::vector<float> query(vector.begin(), vector.end());
    if (trained_.shape.has_item_bias) query.push_back(1);
    if (searcher_.metric() == Metric::kCosine) testing::make_unit(query);
    auto hits = searcher_.ranking(query, -1, &excluded);
    for (std::size_t i = 1; i < std::min(hits.size(), count + 1); ++i) {
      if (hits[i - 1].score - hits[i].score < kGapMin) expected.is_ambiguous = true;
    }
    if (hits.size() > count) hits.resize(count);
    return slots_of(hits);
  }

  const Trained& trained_;
  const Oracle oracle_;
  const FakeSearcher& searcher_;
};

/// Rows without equal ones, so that the rounding of a vector does not decide.
FakeSearcher searcher_of(std::mt19937_64& random, Metric metric, std::size_t dim) {
  std::normal_distribution<float> normal;
  Rows rows(150, std::vector<float>(dim));
  for (auto& row : rows) {
    for (float& value : row) value = normal(random);
    if (metric == Metric::kCosine) testing::make_unit(row);
  }
  return {metric, std::move(rows)};
}

std::vector<HistoryItem> history_of(std::mt19937_64& random, const FakeSearcher& searcher,
                                    std::size_t count) {
  std::vector<HistoryItem> history;
  while (history.size() < count) {
    const auto slot = static_cast<Slot>(random() % searcher.rows().size());
    HistoryItem item;
    item.vector = searcher.rows()[slot];
    if (random() % 5 != 0) item.slot = slot;  // Inline vectors have none.
    history.push_back(std::move(item));
  }
  return history;
}

SlotSet slots_in(const std::vector<HistoryItem>& history) {
  SlotSet slots;
  for (const HistoryItem& item : history) {
    if (item.slot) slots.add(*item.slot);
  }
  return slots;
}

}  // namespace

TEST_CASE("adapted: rounds are those of the method, whatever is excluded from where") {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  int compared_count = 0;
  for (int trial = 0; trial < 80; ++trial) {
    const Metric metric = trial % 3 == 0 ? Metric::kCosine : Metric::kDot;
    const bool has_bias = trial % 3 == 1;
    const char* const backbones[] = {"sasrec", "gru4rec", "mean"};
    const Trained with = trained(random, has_bias, backbones[random() % 3]);
    FakeSearcher searcher = searcher_of(random, metric, kDim + (has_bias ? 1 : 0));
    if (random() % 4 == 0) searcher.matches = [](Slot slot) { return slot % 5 == 0; };
    RefineRequest request;
    request.adapter = with.adapter;
    request.history = history_of(random, searcher, 1 + random() % 12);
    request.rounds = static_cast<std::uint32_t>(1 + random() % 6);
    if (random() % 2 == 0) request.known = slots_in(request.history);
    request.context_includes_known = random() % 2 == 0;
    std::vector<float> query;
    if (random() % 3 == 0) query = searcher.rows()[random() % 100];
    if (!query.empty() && has_bias) query.back() = 1;
    request.query = query;
    const std::size_t limit = 1 + random() % 40;
    const auto result = retrieve_refined(request, limit, {}, searcher);
    REQUIRE(result.has_value());
    const Expected expected = Method(with, searcher)
                                  .run(request.history, query, limit, request.rounds, request.known,
                                       request.context_includes_known);
    if (expected.is_ambiguous) continue;
    ++compared_count;
    INFO("trial " << trial << ", limit " << limit << ", rounds " << request.rounds);
    CHECK(slots_of(result->hits) == expected.slots);
    std::vector<std::size_t> sizes;
    for (const RoundReport& round : result->rounds) sizes.push_back(round.returned);
    CHECK(sizes == expected.sizes);
    CHECK(result->interests.empty());
    SlotSet seen;
    for (const RefineHit& hit : result->hits) {
      CHECK(seen.addChecked(hit.hit.slot));
      CHECK_FALSE(request.known.contains(hit.hit.slot));
      CHECK_FALSE(hit.component.has_value());
    }
  }
  CHECK(compared_count > 20);
}

TEST_CASE("adapted: one round with a query is a plain search, and the shift begins at 1") {
  std::mt19937_64 random(4);
  const Trained with = trained(random, false, "sasrec");
  FakeSearcher searcher = searcher_of(random, Metric::kDot, kDim);
  RefineRequest request;
  request.adapter = with.adapter;
  request.history = history_of(random, searcher, 3);
  request.query = searcher.rows()[5];
  request.rounds = 1;
  const auto one = retrieve_refined(request, 10, {}, searcher);
  REQUIRE(one.has_value());
  auto plain = searcher.ranking(searcher.rows()[5]);
  plain.resize(10);
  CHECK(slots_of(one->hits) == slots_of(plain));
  request.rounds = 4;
  const auto four = retrieve_refined(request, 10, {}, searcher);
  REQUIRE(four.has_value());
  REQUIRE(four->rounds.size() == 4);
  CHECK(four->rounds[0].shift == 1);
  CHECK(four->rounds[1].shift < 1);
  CHECK(four->hits[0].hit.slot == plain[0].slot);
}

namespace {

/// Rows in two groups: even slots along the first axis, odd ones along the second.
Rows two_groups(std::mt19937_64& random) {
  Rows rows;
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < 200; ++i) {
    std::vector<float> row(kDim);
    for (float& value : row) value = 0.3F * normal(random);
    row[i % 2] += 2;
    rows.push_back(row);
  }
  return rows;
}

std::vector<HistoryItem> items_at(const Rows& rows, std::initializer_list<Slot> slots) {
  std::vector<HistoryItem> history;
  for (const Slot slot : slots) {
    HistoryItem item;
    item.vector = rows[slot];
    item.slot = slot;
    history.push_back(std::move(item));
  }
  return history;
}

}  // namespace

TEST_CASE("adapted: every interest goes its own way from its own items, within its quota") {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Trained with = trained(random, false, "gru4rec");
  const Rows rows = two_groups(random);
  FakeSearcher searcher(Metric::kDot, rows);
  // Each looks at rows of its own, so that they do not compete.
  searcher.filters = {[](Slot slot) { return slot % 2 == 0; },
                      [](Slot slot) { return slot % 2 == 1; }};
  InterestsRequest interests;
  interests.components = {{std::vector<float>{1, 0, 0, 0, 0, 0}, 4, 0},
                          {std::vector<float>{0, 1, 0, 0, 0, 0}, 1, 1}};
  RefineRequest request;
  request.adapter = with.adapter;
  request.query = interests;
  request.history = items_at(rows, {0, 2, 1, 4, 6, 3});
  request.known = slots_in(request.history);
  request.rounds = 3;
  const auto result = retrieve_refined(request, 30, {}, searcher);
  REQUIRE(result.has_value());
  REQUIRE(result->interests.size() == 2);
  REQUIRE(result->hits.size() == 30);
  const std::vector<std::vector<Slot>> own = {{0, 2, 4, 6}, {1, 3}};
  for (std::uint32_t component = 0; component < 2; ++component) {
    const std::size_t size = component == 0 ? 8 : 2;
    CHECK(result->interests[component].quota == 3 * size);
    CHECK(result->interests[component].returned == 3 * size);
    const Oracle oracle(with.made, with.shape);
    Oracle::Rows history;
    for (const Slot slot : own[component]) history.push_back(head_of(rows[slot]));
    Oracle::Rows vectors = {head_of(interests.components[component].vector)};
    std::vector<Oracle::Rows> contexts;
    SlotSet seen = request.known;
    std::vector<Slot> expected, got;
    bool is_ambiguous = false;
    for (std::uint32_t round = 1; round <= 3; ++round) {
      const std::vector<float> query(vectors.back().begin(), vectors.back().end());
      auto hits = searcher.ranking(query, static_cast<int>(component), &seen);
      for (std::size_t i = 1; i <= size; ++i) {
        is_ambiguous = is_ambiguous || hits[i - 1].score - hits[i].score < kGapMin;
      }
      hits.resize(size);
      Oracle::Rows items;
      for (const Hit& hit : hits) {
        seen.add(hit.slot);
        expected.push_back(hit.slot);
        items.push_back(head_of(rows[hit.slot]));
      }
      contexts.push_back(items);
      vectors.push_back(oracle.vector(history, contexts, vectors));
    }
    for (const RefineHit& hit : result->hits) {
      if (hit.component == component) got.push_back(hit.hit.slot);
    }
    if (!is_ambiguous) CHECK(got == expected);
  }
}

TEST_CASE("adapted: interests of a history encode the items of their cluster") {
  std::mt19937_64 random(8);
  const Trained with = trained(random, false, "mean");
  const Rows rows = two_groups(random);
  FakeSearcher searcher(Metric::kDot, rows);
  index::Clusters clusters;
  clusters.metric = Metric::kDot;
  clusters.dim = kDim;
  clusters.centroids.assign(2 * kDim, 0);
  clusters.centroids[0] = 1;
  clusters.centroids[kDim + 1] = 1;
  InterestsRequest interests;
  interests.history = items_at(rows, {0, 2, 4, 1, 6});
  interests.clusters = &clusters;
  RefineRequest request;
  request.adapter = with.adapter;
  request.query = interests;
  request.rounds = 2;
  const auto result = retrieve_refined(request, 20, {}, searcher);
  REQUIRE(result.has_value());
  REQUIRE(result->interests.size() == 2);
  CHECK(result->interests[0].positions == std::vector<std::uint32_t>{0, 1, 2, 4});
  CHECK(result->interests[1].positions == std::vector<std::uint32_t>{3});
  CHECK(result->interests[0].returned == 16);
  CHECK(result->interests[1].returned == 4);
  REQUIRE(result->rounds.size() == 2);
  CHECK(result->rounds[1].shift < 1);
  // The first round is that of the interests without an adapter.
  const auto plain = retrieve_interests(interests, 20, {}, searcher);
  REQUIRE(plain.has_value());
  CHECK(result->interests[0].vector == plain->interests[0].vector);
  for (const RefineHit& hit : result->hits) CHECK(hit.hit.slot > 0);

  // How a page is arranged changes no later round, and goes by the adapter's scores alone.
  interests.blend = 0.5;
  interests.blend_with = BlendWith::kHistory;
  const auto rounds_of = [&] {
    request.query = interests;
    return retrieve_refined(request, 20, {}, searcher).value();
  };
  const auto slots = [](const RefineResult& of, bool is_sorted) {
    std::vector<Slot> found;
    for (const RefineHit& hit : of.hits) found.push_back(hit.hit.slot);
    if (is_sorted) std::sort(found.begin(), found.end());
    return found;
  };
  const RefineResult unpaged = rounds_of();
  interests.page = 10;
  interests.diversity = Diversity{Mmr{0.3}, 0};
  const RefineResult paged = rounds_of();
  CHECK(slots(paged, false) != slots(unpaged, false));
  CHECK(slots(paged, true) == slots(unpaged, true));
  CHECK(paged.rounds[1].shift == unpaged.rounds[1].shift);
  interests.page_blend = 0;
  CHECK(slots(rounds_of(), false) == slots(paged, false));
}

TEST_CASE("adapted: what cannot be is refused with the field's name") {
  std::mt19937_64 random(9);
  const Trained plain = trained(random, false, "mean");
  const Trained biased = trained(random, true, "mean");
  const auto error_of = [&](Metric metric, std::size_t dim, const Trained& with,
                            std::size_t history_count, std::vector<float> query) {
    FakeSearcher searcher = searcher_of(random, metric, dim);
    RefineRequest request;
    request.adapter = with.adapter;
    request.history = history_of(random, searcher, history_count);
    request.query = std::move(query);
    const auto result = retrieve_refined(request, 10, {}, searcher);
    return result.has_value() ? std::string("nothing") : result.error().message();
  };
  const auto begins = [](const std::string& text, const std::string& with) {
    INFO(text);
    return text.starts_with(with);
  };
  CHECK(error_of(Metric::kDot, kDim, plain, 2, {}) == "nothing");
  CHECK(error_of(Metric::kCosine, kDim, plain, 2, {}) == "nothing");
  CHECK(error_of(Metric::kDot, kDim + 1, biased, 2, {}) == "nothing");
  const std::string misfit = "query.refine.strategy.adapter: it is for vectors of ";
  CHECK(begins(error_of(Metric::kEuclid, kDim, plain, 2, {}), misfit));
  CHECK(begins(error_of(Metric::kManhattan, kDim, plain, 2, {}), misfit));
  CHECK(begins(error_of(Metric::kDot, kDim + 1, plain, 2, {}), misfit));
  CHECK(begins(error_of(Metric::kDot, kDim, biased, 2, {}), misfit));
  CHECK(begins(error_of(Metric::kCosine, kDim + 1, biased, 2, {}), misfit));
  CHECK(begins(error_of(Metric::kDot, kDim, plain, 0, {}), "query.refine.history: "));
  CHECK(begins(error_of(Metric::kDot, kDim, plain, 1, {1, 2}), "query.refine.query: "));
}

TEST_CASE("adapted: a search that fails or should stop ends the rounds") {
  std::mt19937_64 random(2);
  const Trained with = trained(random, false, "sasrec");
  RefineRequest request;
  request.adapter = with.adapter;
  FakeSearcher searcher = searcher_of(random, Metric::kDot, kDim);
  request.history = history_of(random, searcher, 4);
  request.known = slots_in(request.history);
  request.known.add(1);
  request.query = std::vector<float>();
  for (const bool rehearses : {false, true}) {
    request.context_includes_known = rehearses;
    for (std::size_t number = 0; number < (rehearses ? 9U : 5U); ++number) {
      FakeSearcher failing(Metric::kDot, searcher.rows());
      failing.fail_at = number;
      const auto result = retrieve_refined(request, 50, {}, failing);
      REQUIRE(result.has_error());
      CHECK(result.error().code() == Code::kTimeout);
    }
    // The last round of the rehearsal needs no search.
    FakeSearcher counting(Metric::kDot, searcher.rows());
    REQUIRE(retrieve_refined(request, 50, {}, counting).has_value());
    CHECK(counting.search_count == (rehearses ? 9U : 5U));
  }
  FakeSearcher stopped(Metric::kDot, searcher.rows());
  stopped.status = Status(Code::kCancelled, "the operation was cancelled");
  const auto result = retrieve_refined(request, 50, {}, stopped);
  REQUIRE(result.has_error());
  CHECK(result.error().code() == Code::kCancelled);
}

}  // namespace tessera::retrieval
