#include <algorithm>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "engine/segment_plan.h"
#include "engine/vector_field.h"
#include "index/kernels.h"
#include "tests/datasets/dataset.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

constexpr std::uint64_t kSeed = 20'261'127;

/// A field with two sealed segments, fresh rows and dead ones, and what it should hold.
class Fixture {
 public:
  Fixture(Metric metric, std::size_t dim)
      : metric_(metric),
        dim_(dim),
        directory_(storage::DataDirectory::open(temporary_.path() + "/data").value()),
        store_(storage::Store::open(directory_->store_path(), {}).value()),
        field_(VectorField::Identity{"v", "c", 1, 0, static_cast<std::uint32_t>(dim), metric},
               slots_, *store_, *directory_) {
    OptimizersConfig rules;
    rules.indexing_threshold = 1;
    MaintenanceRules timing;
    timing.idle = std::chrono::milliseconds(0);
    for (std::size_t segment = 0; segment < 2; ++segment) {
      insert(rows_of(1500, segment));
      while (const auto plan = field_.plan_build(rules, timing)) {
        REQUIRE(field_.build(*plan, IndexSpec(), {}).ok());
      }
    }
    insert(rows_of(1300, 2));
    for (std::uint32_t slot = 0; slot < next_slot_; slot += 11) {
      field_.remove(slot);
      rows_.erase(slot);
    }
  }

  [[nodiscard]] testing::Matrix rows_of(std::size_t count, std::uint64_t sample) const {
    return testing::clustered_rows({.row_count = count,
                                    .dim = dim_,
                                    .cluster_count = 30,
                                    .spread = 0.4F,
                                    .is_unit = metric_ == Metric::kCosine,
                                    .seed = kSeed,
                                    .sample = sample});
  }

  /// The k nearest of what is allowed, by looking at every row.
  [[nodiscard]] std::vector<std::pair<float, std::uint32_t>> nearest(
      const FieldSearch& search) const {
    std::vector<std::pair<float, std::uint32_t>> all;
    for (const auto& [slot, vector] : rows_) {
      if (search.allowed != nullptr && !search.allowed->contains(slot)) continue;
      all.emplace_back(index::distance(metric_, search.query, vector.data(), dim_), slot);
    }
    std::sort(all.begin(), all.end());
    if (all.size() > search.k) all.resize(search.k);
    return all;
  }

  [[nodiscard]] const VectorField& field() const { return field_; }
  [[nodiscard]] std::uint32_t slot_count() const { return next_slot_; }

 private:
  void insert(const testing::Matrix& rows) {
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      const std::uint32_t slot = next_slot_++;
      slots_.insert(PointId(slot), slot, slot + 1);
      field_.put(slot, slot + 1, rows.row(i));
      rows_.emplace(slot, std::vector<float>(rows.row(i), rows.row(i) + dim_));
    }
  }

  const Metric metric_;
  const std::size_t dim_;
  test::TemporaryDirectory temporary_;
  std::unique_ptr<storage::DataDirectory> directory_;
  std::unique_ptr<storage::Store> store_;
  SlotTable slots_;
  VectorField field_;
  std::map<std::uint32_t, std::vector<float>> rows_;
  std::uint32_t next_slot_ = 0;
};

std::vector<std::pair<float, std::uint32_t>> pairs_of(const std::vector<SlotHit>& hits) {
  std::vector<std::pair<float, std::uint32_t>> pairs;
  for (const SlotHit& hit : hits) pairs.emplace_back(hit.distance, hit.slot);
  return pairs;
}

/// Searches of all kinds: filters alone, shared, of every share; with and without an index.
std::vector<FieldSearch> random_searches(std::mt19937_64& random, const testing::Matrix& queries,
                                         const std::vector<SlotBits>& filters) {
  std::vector<FieldSearch> searches(1 + random() % 12);
  for (FieldSearch& search : searches) {
    search.query = queries.row(random() % queries.row_count);
    search.k = random() % 4 == 0 ? random() % 3 : random() % 80;
    if (random() % 3 != 0) {
      const SlotBits& filter = filters[random() % filters.size()];
      search.allowed = &filter;
      search.allowed_count = filter.count();
    }
    search.exact = random() % 2 == 0;
    search.indexed_only = random() % 8 == 0;
    search.is_part = random() % 2 == 0;
    if (random() % 6 == 0) search.prefix_dim = 16;
    search.plan = static_cast<PlanChoice>(random() % 3);
  }
  return searches;
}

}  // namespace

TEST_CASE("search_many: every answer is the one that its search alone gets, to the bit") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclid, Metric::kManhattan}) {
    for (const std::size_t dim : {20, 64}) {
      CAPTURE(metric_name(metric), dim);
      const Fixture fixture(metric, dim);
      const testing::Matrix queries = fixture.rows_of(40, 9);
      std::vector<SlotBits> filters;
      for (const std::size_t one_in : {1, 2, 10, 300}) {
        SlotBits& bits = filters.emplace_back(fixture.slot_count(), false);
        for (std::uint32_t slot = 0; slot < fixture.slot_count(); ++slot) {
          if (random() % one_in == 0) bits.set(slot);
        }
      }
      const auto view = fixture.field().view();
      for (int round = 0; round < 40; ++round) {
        const auto searches = random_searches(random, queries, filters);
        std::vector<FieldAnswer> answers(searches.size());
        REQUIRE(fixture.field().search_many(*view, searches, answers).ok());
        for (std::size_t i = 0; i < searches.size(); ++i) {
          CAPTURE(round, i, searches[i].k, searches[i].exact, searches[i].prefix_dim);
          std::vector<SlotHit> alone;
          FieldSearchStats stats;
          REQUIRE(fixture.field().search(*view, searches[i], alone, stats).ok());
          REQUIRE(pairs_of(answers[i].hits) == pairs_of(alone));
          CHECK(answers[i].stats.segment_count == stats.segment_count);
          const bool is_exact = searches[i].exact && searches[i].prefix_dim == 0;
          if (!is_exact || searches[i].indexed_only) continue;
          REQUIRE(pairs_of(answers[i].hits) == fixture.nearest(searches[i]));
        }
      }
    }
  }
}

TEST_CASE("search_many: a walk for a part keeps fewer candidates than one that stands alone") {
  index::IndexSpec spec;
  spec.ef_construct = 100;
  FieldSearch search;
  search.k = 25;
  CHECK(walk_ef(spec, search) == 100);
  search.is_part = true;
  CHECK(walk_ef(spec, search) == 50);
  search.k = 5;
  CHECK(walk_ef(spec, search) == 40);
  search.k = 80;
  CHECK(walk_ef(spec, search) == 100);
  search.k = 300;
  CHECK(walk_ef(spec, search) == 300);
  search.ef = 400;
  CHECK(walk_ef(spec, search) == 400);
  search.k = 25;
  search.ef = 64;
  CHECK(walk_ef(spec, search) == 64);
}

TEST_CASE("search_many: no searches, and a deadline that has passed") {
  const Fixture fixture(Metric::kEuclid, 64);
  const auto view = fixture.field().view();
  CHECK(fixture.field().search_many(*view, {}, {}).ok());
  const CancelToken late(nullptr, std::chrono::steady_clock::now() - std::chrono::seconds(1));
  const testing::Matrix queries = fixture.rows_of(3, 9);
  std::vector<FieldSearch> searches(3);
  for (std::size_t i = 0; i < searches.size(); ++i) {
    searches[i].query = queries.row(i);
    searches[i].k = 5;
    searches[i].cancel = &late;
  }
  std::vector<FieldAnswer> answers(searches.size());
  CHECK(fixture.field().search_many(*view, searches, answers).code() == Code::kTimeout);
}

}  // namespace tessera::engine
