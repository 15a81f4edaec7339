#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "engine/payload.h"
#include "index/kernels.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 8;
constexpr std::uint64_t kRows = 400;
constexpr std::uint64_t kSeed = 20'261'129;

using Ranking = std::vector<std::pair<std::uint64_t, float>>;
using Allowed = std::function<bool(std::uint64_t)>;

Filter group_filter(std::int64_t group) {
  FieldCondition condition;
  condition.path = parse_payload_path("group").value();
  condition.test = MatchValue{group};
  Filter filter;
  filter.must.emplace_back(condition);
  return filter;
}

std::uint64_t group_of(std::uint64_t id) {
  return id % 3;
}

/// A collection of kRows points, and the same answers by looking at every point.
class Fixture {
 public:
  explicit Fixture(Metric metric) : metric_(metric) {
    rows_ = testing::clustered_rows(
        {.row_count = kRows, .dim = kDim, .cluster_count = 12, .spread = 0.5F, .seed = kSeed});
    CollectionConfig config;
    config.vectors[""].dim = kDim;
    config.vectors[""].metric = metric;
    config.optimizers.indexing_threshold = 0;
    collection_ = database_.create(config);
    UpsertPoints operation;
    for (std::uint64_t i = 0; i < kRows; ++i) {
      PointInput& point = operation.points.emplace_back();
      point.id = PointId(i);
      point.vectors.emplace_back("", std::vector<float>(rows_.row(i), rows_.row(i) + kDim));
      point.payload = "{\"group\":" + std::to_string(group_of(i)) + "}";
    }
    REQUIRE(collection_->write(std::move(operation), true).has_value());
  }

  [[nodiscard]] const Collection& collection() const { return *collection_; }
  Collection& collection() { return *collection_; }
  OpenDatabase& database() { return database_; }

  /// What the query should find, not cut to pages.
  [[nodiscard]] Ranking expected(const QueryRequest& query, const Allowed& inherited,
                                 bool& is_higher_better) const {
    const Allowed allowed = [&](std::uint64_t id) {
      return inherited(id) && (!query.filter || group_of(id) == wanted_group(*query.filter));
    };
    std::vector<Ranking> sources;
    std::vector<bool> orders;
    for (const QueryRequest& prefetch : query.prefetch) {
      bool order = true;
      sources.push_back(expected(prefetch, allowed, order));
      orders.push_back(order);
    }
    Ranking ranking;
    is_higher_better = true;
    if (const auto* fusion = std::get_if<FusionQuery>(&query.query)) {
      ranking = fused(*fusion, sources, orders);
    } else if (const auto* input = std::get_if<VectorInput>(&query.query)) {
      is_higher_better = higher_is_nearer(metric_);
      ranking = nearest(*input, [&](std::uint64_t id) {
        if (!allowed(id)) return false;
        if (sources.empty()) return true;
        return std::any_of(sources.begin(), sources.end(), [id](const Ranking& source) {
          return std::any_of(source.begin(), source.end(),
                             [id](const auto& entry) { return entry.first == id; });
        });
      });
    } else {
      for (std::uint64_t id = 0; id < kRows; ++id) {
        if (allowed(id)) ranking.emplace_back(id, 0.0F);
      }
    }
    if (query.score_threshold) {
      std::erase_if(ranking, [&](const auto& entry) {
        const float score = entry.second;
        const float least = *query.score_threshold;
        return is_higher_better ? score < least : score > least;
      });
    }
    if (ranking.size() > query.limit) ranking.resize(query.limit);
    return ranking;
  }

  [[nodiscard]] std::vector<float> vector_near(std::mt19937_64& random) const {
    std::normal_distribution<float> normal;
    const std::uint64_t row = random() % kRows;
    std::vector<float> vector(rows_.row(row), rows_.row(row) + kDim);
    for (float& value : vector) value += 0.3F * normal(random);
    return vector;
  }

 private:
  static std::uint64_t wanted_group(const Filter& filter) {
    const auto& condition = std::get<FieldCondition>(filter.must.front());
    return static_cast<std::uint64_t>(
        std::get<std::int64_t>(std::get<MatchValue>(condition.test).value));
  }

  [[nodiscard]] Ranking nearest(const VectorInput& input, const Allowed& allowed) const {
    const auto* id = std::get_if<PointId>(&input);
    std::vector<float> query;
    if (id != nullptr) {
      query.assign(rows_.row(id->number()), rows_.row(id->number()) + kDim);
    } else {
      query = std::get<std::vector<float>>(input);
    }
    std::vector<std::pair<float, std::uint64_t>> all;
    for (std::uint64_t row = 0; row < kRows; ++row) {
      if (!allowed(row) || (id != nullptr && id->number() == row)) continue;
      all.emplace_back(index::distance(metric_, query.data(), rows_.row(row), kDim), row);
    }
    std::sort(all.begin(), all.end());
    Ranking ranking;
    for (const auto& [distance, row] : all) {
      ranking.emplace_back(row, index::score_of(metric_, distance));
    }
    return ranking;
  }

  static Ranking fused(const FusionQuery& fusion, const std::vector<Ranking>& sources,
                       const std::vector<bool>& orders) {
    std::map<std::uint64_t, double> sums;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const double sign = orders[i] ? 1 : -1;
      const auto count = static_cast<double>(sources[i].size());
      double sum = 0, squares = 0;
      for (const auto& [id, score] : sources[i]) sum += sign * score;
      for (const auto& [id, score] : sources[i]) {
        squares += (sign * score - sum / count) * (sign * score - sum / count);
      }
      const double deviation = count < 2 ? 0 : std::sqrt(squares / (count - 1));
      for (std::size_t place = 0; place < sources[i].size(); ++place) {
        const auto& [id, score] = sources[i][place];
        if (const auto* rule = std::get_if<retrieval::ReciprocalRank>(&fusion)) {
          const double weight = rule->weights.empty() ? 1 : rule->weights[i];
          sums[id] += 1 / (static_cast<double>(place + 1) / weight + rule->k - 1);
        } else {
          sums[id] += deviation == 0
                          ? 0.5
                          : (sign * score - (sum / count - 3 * deviation)) / (6 * deviation);
        }
      }
    }
    Ranking ranking;
    for (const auto& [id, score] : sums) ranking.emplace_back(id, static_cast<float>(score));
    std::stable_sort(ranking.begin(), ranking.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    return ranking;
  }

  const Metric metric_;
  Matrix rows_;
  OpenDatabase database_;
  std::shared_ptr<Collection> collection_;
};

/// A query, with prefetches down to `depth`.
QueryRequest random_query(std::mt19937_64& random, const Fixture& fixture, int depth) {
  QueryRequest query;
  query.limit = 1 + random() % 40;
  query.params.exact = true;
  if (random() % 3 == 0) query.filter = group_filter(static_cast<std::int64_t>(random() % 3));
  const std::uint64_t kind = random() % (depth > 0 ? 5 : 3);
  if (depth > 0) {
    for (std::uint64_t i = kind >= 3 ? 1 + random() % 3 : random() % 3; i > 0; --i) {
      query.prefetch.push_back(random_query(random, fixture, depth - 1));
    }
  }
  if (kind == 3) {
    retrieval::ReciprocalRank rule;
    rule.k = static_cast<double>(1 + random() % 60);
    if (random() % 2 == 0) {
      for (std::size_t i = 0; i < query.prefetch.size(); ++i) {
        rule.weights.push_back(static_cast<double>(1 + random() % 5));
      }
    }
    query.query = FusionQuery(rule);
  } else if (kind == 4) {
    query.query = FusionQuery(ScoreFusion{});
  } else if (kind == 2 && query.prefetch.empty()) {
    query.query = NoQuery{};
  } else if (random() % 4 == 0) {
    query.query = VectorInput(PointId(random() % kRows));
  } else {
    query.query = VectorInput(fixture.vector_near(random));
  }
  return query;
}

Ranking ranking_of(const QueryResult& result) {
  Ranking ranking;
  for (const ScoredPoint& point : result.points) {
    ranking.emplace_back(point.record.id.number(), point.score);
  }
  return ranking;
}

InterestsQuery given_interests(std::mt19937_64& random, const Fixture& fixture, std::size_t count) {
  InterestsQuery interests;
  for (std::size_t i = 0; i < count; ++i) {
    interests.components.push_back(
        {fixture.vector_near(random), static_cast<double>(1 + random() % 3), std::nullopt});
  }
  return interests;
}

}  // namespace

TEST_CASE("prefetch: random trees of queries, filters and fusions agree with brute force") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (const Metric metric : {Metric::kDot, Metric::kEuclid}) {
    const Fixture fixture(metric);
    for (int round = 0; round < 300; ++round) {
      CAPTURE(metric_name(metric), round);
      QueryRequest query = random_query(random, fixture, static_cast<int>(random() % 4));
      if (!std::holds_alternative<NoQuery>(query.query) && random() % 4 == 0) {
        query.score_threshold = static_cast<float>(random() % 100) / 50;
      }
      const auto result = fixture.collection().query(query, CancelToken());
      REQUIRE(result.has_value());
      bool is_higher_better = true;
      const Ranking expected = fixture.expected(
          query, [](std::uint64_t) { return true; }, is_higher_better);
      const Ranking found = ranking_of(*result);
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        REQUIRE(found[i].first == expected[i].first);
        CHECK(found[i].second == Approx(expected[i].second).margin(1e-6));
      }
    }
  }
}

TEST_CASE("prefetch: ranking anew gives the same bits as searching") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  const Fixture fixture(Metric::kDot);
  QueryRequest plain;
  plain.query = VectorInput(fixture.vector_near(random));
  QueryRequest over = plain;
  over.prefetch = {plain};
  const auto direct = fixture.collection().query(plain, CancelToken());
  const auto ranked = fixture.collection().query(over, CancelToken());
  REQUIRE(ranking_of(*direct) == ranking_of(*ranked));
}

TEST_CASE("prefetch: hits keep the interest and the round that they had") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  const Fixture fixture(Metric::kDot);
  const auto run = [&](const QueryRequest& query) {
    auto result = fixture.collection().query(query, CancelToken());
    INFO((result.has_error() ? result.error().to_string() : std::string()));
    REQUIRE(result.has_value());
    return *std::move(result);
  };
  for (int round = 0; round < 30; ++round) {
    CAPTURE(round);
    QueryRequest first, second, third, fusion;
    first.query = given_interests(random, fixture, 3);
    second.query = given_interests(random, fixture, 2);
    RefineQuery refine;
    refine.query = VectorInput(fixture.vector_near(random));
    refine.rounds = 3;
    third.query = refine;
    for (QueryRequest* request : {&first, &second, &third}) {
      request->limit = 20;
      request->params.exact = true;
    }
    fusion.prefetch = {first, second, third};
    fusion.limit = 100;
    if (round % 2 == 0) {
      fusion.query = FusionQuery(retrieval::ReciprocalRank{});
    } else {
      fusion.query = VectorInput(fixture.vector_near(random));
    }
    const QueryResult a = run(first), b = run(second), c = run(third), all = run(fusion);
    REQUIRE(all.interests.size() == a.interests.size() + b.interests.size());
    for (std::size_t i = 0; i < all.interests.size(); ++i) {
      CHECK(all.interests[i].component == i);
      const auto& own =
          i < a.interests.size() ? a.interests[i] : b.interests[i - a.interests.size()];
      CHECK(all.interests[i].quota == own.quota);
    }
    CHECK(all.rounds.size() == c.rounds.size());
    const auto find = [](const QueryResult& result, const PointId& id) {
      return std::find_if(result.points.begin(), result.points.end(),
                          [&](const ScoredPoint& point) { return point.record.id == id; });
    };
    for (const ScoredPoint& point : all.points) {
      const auto in_a = find(a, point.record.id), in_b = find(b, point.record.id);
      const auto in_c = find(c, point.record.id);
      CHECK(point.round.has_value() == (in_c != c.points.end()));
      if (in_c != c.points.end()) CHECK(point.round == in_c->round);
      const bool is_in_a = in_a != a.points.end();
      REQUIRE(point.interest.has_value() == (is_in_a || in_b != b.points.end()));
      if (!point.interest) continue;
      const HitInterest& own = is_in_a ? *in_a->interest : *in_b->interest;
      CHECK(point.interest->component == own.component + (is_in_a ? 0 : a.interests.size()));
      CHECK(point.interest->rank == own.rank);
      CHECK(point.interest->score == own.score);
    }
  }
}

TEST_CASE("prefetch: interests over prefetches share out what these found") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  const Fixture fixture(Metric::kDot);
  QueryRequest source;
  source.query = VectorInput(fixture.vector_near(random));
  source.limit = 60;
  source.params.exact = true;
  QueryRequest query;
  query.query = given_interests(random, fixture, 3);
  query.prefetch = {source};
  query.limit = 100;
  const auto candidates = fixture.collection().query(source, CancelToken());
  const auto result = fixture.collection().query(query, CancelToken());
  REQUIRE(result->points.size() == 60);
  std::set<std::uint64_t> ids;
  for (const auto& [id, score] : ranking_of(*candidates)) ids.insert(id);
  for (const ScoredPoint& point : result->points) {
    CHECK(ids.contains(point.record.id.number()));
    CHECK(point.interest.has_value());
  }
}

TEST_CASE("prefetch: what is wrong in a prefetch is said") {
  const Fixture fixture(Metric::kDot);
  QueryRequest source;
  source.query = VectorInput(PointId(kRows + 7));
  QueryRequest query;
  query.query = VectorInput(std::vector<float>(kDim, 1.0F));
  query.prefetch = {source};
  const auto missing = fixture.collection().query(query, CancelToken());
  REQUIRE(missing.has_error());
  CHECK(missing.error().code() == Code::kNotFound);
  query.prefetch[0].query = VectorInput(std::vector<float>(3, 1.0F));
  CHECK(fixture.collection().query(query, CancelToken()).error().code() == Code::kInvalidArgument);
  query.prefetch[0].query = VectorInput(std::vector<float>(kDim, 1.0F));
  query.prefetch[0].using_vector = "other";
  CHECK(fixture.collection().query(query, CancelToken()).error().code() == Code::kInvalidArgument);
}

TEST_CASE("query_many: every answer is the one that its query alone gets") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  Fixture fixture(Metric::kDot);
  for (const bool is_indexed : {false, true}) {
    if (is_indexed) {
      ReindexRequest request;
      reindex(*fixture.database(), fixture.collection(), request);
    }
    std::vector<QueryRequest> requests;
    for (int i = 0; i < 150; ++i) {
      QueryRequest query = random_query(random, fixture, static_cast<int>(random() % 2));
      const std::uint64_t kind = random() % 5;
      if (kind == 0) query.query = given_interests(random, fixture, 1 + random() % 5);
      if (kind == 1) {
        RefineQuery refine;
        refine.query = given_interests(random, fixture, 2);
        query.query = refine;
      }
      query.params.exact = random() % 2 == 0;
      query.with_payload.kind = PayloadSelector::Kind::kAll;
      requests.push_back(std::move(query));
    }
    const auto results = fixture.collection().query_many(requests, CancelToken());
    REQUIRE(results.has_value());
    REQUIRE(results->size() == requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CAPTURE(is_indexed, i);
      const auto alone = fixture.collection().query(requests[i], CancelToken());
      REQUIRE(alone.has_value());
      REQUIRE(ranking_of((*results)[i]) == ranking_of(*alone));
      REQUIRE((*results)[i].interests.size() == alone->interests.size());
      for (std::size_t hit = 0; hit < alone->points.size(); ++hit) {
        const ScoredPoint& a = (*results)[i].points[hit];
        const ScoredPoint& b = alone->points[hit];
        CHECK(a.record.payload == b.record.payload);
        CHECK(a.round == b.round);
        REQUIRE(a.interest.has_value() == b.interest.has_value());
        if (a.interest) CHECK(a.interest->component == b.interest->component);
        if (a.interest) CHECK(a.interest->rank == b.interest->rank);
      }
    }
  }
}

TEST_CASE("query_many: fails with the error of the first request that has one, and in time") {
  const Fixture fixture(Metric::kDot);
  std::vector<QueryRequest> requests(100);
  for (QueryRequest& request : requests) {
    request.query = VectorInput(std::vector<float>(kDim, 1.0F));
  }
  requests[99].query = VectorInput(std::vector<float>(3, 1.0F));
  requests[40].query = VectorInput(PointId(kRows + 40));
  requests[70].query = VectorInput(PointId(kRows + 70));
  const auto failed = fixture.collection().query_many(requests, CancelToken());
  REQUIRE(failed.has_error());
  CHECK(failed.error().message() ==
        "searches[40]: No point with id " + std::to_string(kRows + 40) + " found");
  CHECK(fixture.collection().query_many({}, CancelToken())->empty());
  const CancelToken late(std::chrono::steady_clock::now() - std::chrono::seconds(1));
  CHECK(fixture.collection().query_many(requests, late).error().code() == Code::kTimeout);
}

}  // namespace tessera::engine
