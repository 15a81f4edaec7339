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

constexpr std::uint64_t kSeed = 20240611;
constexpr std::size_t kDim = 24;
constexpr std::size_t kLimit = 10;
constexpr std::size_t kQueryCount = 16;
constexpr std::size_t kSegmentRows = 3000;
constexpr double kRecallMin = 0.95;

enum class Bias : std::uint8_t { kNone, kNear, kFar };
const char* name_of(Bias bias) {
  if (bias == Bias::kNone) return "matches anywhere";
  return bias == Bias::kNear ? "matches near the query" : "matches far from the query";
}

const char* name_of(PlanChoice plan) {
  if (plan == PlanChoice::kCheapest) return "cheapest plan";
  return plan == PlanChoice::kScan ? "scan" : "walk";
}

/// A field with several sealed segments and some fresh rows, and what it should hold.
class Fixture {
 public:
  Fixture()
      : random_(kSeed),
        directory_(storage::DataDirectory::open(temporary_.path() + "/data").value()),
        store_(storage::Store::open(directory_->store_path(), {}).value()),
        field_(VectorField::Identity{"v", "c", 1, 0, kDim, Metric::kEuclid}, slots_, *store_,
               *directory_) {
    rules_.indexing_threshold = 1;
    rules_.vacuum_min_vector_number = 100;
    timing_.idle = std::chrono::milliseconds(0);
    queries_ = rows_of(kQueryCount, 1);
  }

  void fill() {
    for (std::size_t segment = 0; segment < 4; ++segment) {
      insert(rows_of(kSegmentRows, 2 + segment));
      build_new_rows();
    }
    insert(rows_of(300, 8));
  }
  /// Half of the points go and come back with other vectors, in new slots, between builds.
  void replace_half() {
    for (std::size_t round = 0; round < 3; ++round) {
      std::vector<std::uint32_t> victims;
      for (const auto& [slot, vector] : rows_) {
        if (random_() % 6 == 0) victims.push_back(slot);
      }
      for (const std::uint32_t slot : victims) {
        field_.remove(slot);
        slots_.erase(slots_.id_of(slot), slot);
        rows_.erase(slot);
      }
      insert(rows_of(victims.size(), 20 + round));
      build_new_rows();
      merge_all();
    }
    insert(rows_of(300, 40));
  }

  [[nodiscard]] std::size_t sealed_count() const { return field_.view()->sealed.size(); }

  void check(double share, Bias bias, PlanChoice choice) {
    std::size_t found_count = 0, wanted_count = 0, walk_count = 0, short_walk_count = 0;
    for (std::size_t i = 0; i < kQueryCount; ++i) {
      const float* query = queries_.row(i);
      const auto order = by_distance(query);
      const SlotBits allowed = pick(order, share, bias);
      const std::size_t match_count = allowed.count();
      FieldSearch search;
      search.query = query;
      search.k = kLimit;
      search.allowed = &allowed;
      search.allowed_count = match_count;
      search.plan = choice;
      search.reports_segments = true;
      std::vector<SlotHit> hits;
      FieldSearchStats stats;
      REQUIRE(field_.search(*field_.view(), search, hits, stats).ok());
      REQUIRE(hits.size() == std::min(kLimit, match_count));
      wanted_count += hits.size();
      found_count += count_found(hits, order, allowed);
      std::size_t reported = 0;
      for (const SegmentPlan& plan : stats.segments) {
        if (!plan.is_match_estimated) reported += plan.match_count;
        if (plan.strategy == std::string("filtered_walk")) ++walk_count;
        // A walk that must be helped out although there was enough to find is a bad walk.
        const bool is_short = plan.strategy == std::string("walk_then_scan");
        if (is_short && plan.match_count >= 5 * kLimit) ++short_walk_count;
      }
      if (choice == PlanChoice::kScan) REQUIRE(reported == match_count);
    }
    const double recall = static_cast<double>(found_count) / static_cast<double>(wanted_count);
    INFO("seed " << kSeed << ", " << share * 100 << " %, " << name_of(bias) << ", "
                 << name_of(choice) << ": recall " << recall << ", walks " << walk_count);
    CHECK(recall >= (choice == PlanChoice::kScan ? 1 : kRecallMin));
    if (choice == PlanChoice::kWalk && share >= 0.1) {
      CHECK(walk_count > 0);
      CHECK(short_walk_count == 0);
    }
  }

 private:
  using Order = std::vector<std::pair<float, std::uint32_t>>;

  static testing::Matrix rows_of(std::size_t count, std::uint64_t sample) {
    testing::ClusterShape shape;
    shape.row_count = count;
    shape.dim = kDim;
    shape.cluster_count = 60;
    shape.seed = kSeed;
    shape.sample = sample;
    return testing::clustered_rows(shape);
  }
  void insert(const testing::Matrix& rows) {
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      const std::uint32_t slot = next_slot_++;
      slots_.insert(PointId(slot), slot, slot + 1);
      field_.put(slot, slot + 1, rows.row(i));
      rows_.emplace(slot, std::vector<float>(rows.row(i), rows.row(i) + kDim));
    }
  }
  void run(const BuildPlan& plan) {
    IndexSpec spec;
    REQUIRE(field_.build(plan, spec, {}).ok());
  }
  void build_new_rows() {
    while (const auto plan = field_.plan_build(rules_, timing_)) run(*plan);
  }
  void merge_all() {
    while (const auto plan = field_.plan_merge(rules_, timing_)) run(*plan);
  }
  /// Every row's distance, nearest first.
  [[nodiscard]] Order by_distance(const float* query) const {
    Order order;
    for (const auto& [slot, vector] : rows_) {
      order.emplace_back(index::distance(Metric::kEuclid, query, vector.data(), kDim), slot);
    }
    std::sort(order.begin(), order.end());
    return order;
  }
  SlotBits pick(const Order& order, double share, Bias bias) {
    SlotBits allowed(next_slot_, false);
    const auto count = static_cast<std::size_t>(share * static_cast<double>(order.size()));
    // Twice as many candidates as matches, so that rows that do not match are among those that do.
    const std::size_t candidates =
        bias == Bias::kNone ? order.size() : std::min(order.size(), 2 * count);
    const std::size_t first = bias == Bias::kFar ? order.size() - candidates : 0;
    std::vector<std::uint32_t> slots;
    for (std::size_t i = 0; i < candidates; ++i) slots.push_back(order[first + i].second);
    std::shuffle(slots.begin(), slots.end(), random_);
    for (std::size_t i = 0; i < count; ++i) allowed.set(slots[i]);
    return allowed;
  }
  static std::size_t count_found(const std::vector<SlotHit>& hits, const Order& order,
                                 const SlotBits& allowed) {
    Order expected;
    for (const auto& entry : order) {
      if (allowed.contains(entry.second)) expected.push_back(entry);
      if (expected.size() == hits.size()) break;
    }
    std::size_t found = 0;
    for (const SlotHit& hit : hits) {
      REQUIRE(allowed.contains(hit.slot));
      if (hit.distance <= expected.back().first) ++found;
    }
    return found;
  }

  std::mt19937_64 random_;
  test::TemporaryDirectory temporary_;
  std::unique_ptr<storage::DataDirectory> directory_;
  std::unique_ptr<storage::Store> store_;
  SlotTable slots_;
  VectorField field_;
  OptimizersConfig rules_;
  MaintenanceRules timing_;
  testing::Matrix queries_;
  std::map<std::uint32_t, std::vector<float>> rows_;
  std::uint32_t next_slot_ = 0;
};

void check_all(Fixture& fixture) {
  for (const double share : {0.5, 0.1, 0.01, 0.001}) {
    for (const Bias bias : {Bias::kNone, Bias::kNear, Bias::kFar}) {
      for (const PlanChoice plan : {PlanChoice::kCheapest, PlanChoice::kScan, PlanChoice::kWalk}) {
        fixture.check(share, bias, plan);
      }
    }
  }
}

}  // namespace

TEST_CASE(
    "search: filters of every share keep their recall under every plan, before and after "
    "half of the points were replaced") {
  Fixture fixture;
  fixture.fill();
  REQUIRE(fixture.sealed_count() == 4);
  check_all(fixture);
  fixture.replace_half();
  check_all(fixture);
}

}  // namespace tessera::engine
