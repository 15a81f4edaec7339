#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "engine/payload.h"
#include "index/kernels.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using nlohmann::json;

constexpr std::size_t kDim = 6;
constexpr std::uint64_t kRows = 1500;
constexpr std::uint64_t kSeed = 20'261'130;

/// Values of all kinds, of which most make groups; a few groups have most points.
json value_of(std::mt19937_64& random) {
  const auto number = static_cast<int>(random() % (1 + random() % 60));
  switch (random() % 12) {
    case 0:
      return json::array({"s" + std::to_string(number), number, "s" + std::to_string(number / 2)});
    case 1:
      return number / 7.0 + 0.01;
    case 2:
      return random() % 2 == 0 ? json(nullptr) : json::array();
    case 3:
      return random() % 2 == 0 ? json(true) : json({{"deeper", number}});
    case 4:
    case 5:
      return number;
    default:
      return "s" + std::to_string(number);
  }
}

/// The groups that a point is in, as JSON text.
std::vector<std::string> groups_of(const json& payload) {
  std::vector<std::string> groups;
  const auto add = [&](const json& value) {
    if (!value.is_string() && !value.is_number_integer()) return;
    const std::string text = value.dump();
    if (std::find(groups.begin(), groups.end(), text) == groups.end()) groups.push_back(text);
  };
  if (!payload.contains("shop")) return groups;
  const json& value = payload["shop"];
  if (value.is_array()) {
    for (const json& element : value) add(element);
  } else {
    add(value);
  }
  return groups;
}

struct Fixture {
  Fixture() : random(kSeed) {
    rows = testing::clustered_rows({.row_count = kRows, .dim = kDim, .seed = kSeed});
    CollectionConfig config;
    config.vectors[""].dim = kDim;
    config.vectors[""].metric = Metric::kEuclid;
    config.optimizers.indexing_threshold = 0;
    collection = database.create(config);
    UpsertPoints operation;
    for (std::uint64_t i = 0; i < kRows; ++i) {
      PointInput& point = operation.points.emplace_back();
      point.id = PointId(i);
      point.vectors.emplace_back("", std::vector<float>(rows.row(i), rows.row(i) + kDim));
      payloads.push_back(json::object());
      if (random() % 10 != 0) payloads.back()["shop"] = value_of(random);
      payloads.back()["third"] = i % 3;
      point.payload = payloads.back().dump();
    }
    REQUIRE(collection->write(std::move(operation), true).has_value());
  }

  using Groups = std::vector<std::pair<std::string, std::vector<std::uint64_t>>>;

  /// Of a plain query, by looking at every point.
  [[nodiscard]] Groups expected(const QueryGroupsRequest& request) const {
    const auto& query = std::get<std::vector<float>>(std::get<VectorInput>(request.query.query));
    std::vector<std::pair<float, std::uint64_t>> all;
    for (std::uint64_t i = 0; i < kRows; ++i) {
      if (request.query.filter && i % 3 != 1) continue;
      const float score = index::score_of(
          Metric::kEuclid, index::distance(Metric::kEuclid, query.data(), rows.row(i), kDim));
      if (request.query.score_threshold && score > *request.query.score_threshold) continue;
      all.emplace_back(score, i);
    }
    std::sort(all.begin(), all.end());
    Groups groups;
    for (const auto& [score, id] : all) {
      for (const std::string& value : groups_of(payloads[id])) {
        auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const auto& known) { return known.first == value; });
        if (group == groups.end()) {
          if (groups.size() == request.limit) continue;
          group = groups.insert(groups.end(), {value, {}});
        }
        if (group->second.size() < request.group_size) group->second.push_back(id);
      }
    }
    return groups;
  }

  [[nodiscard]] Groups found(const QueryGroupsRequest& request) const {
    const auto result = collection->query_groups(request, CancelToken());
    INFO((result.has_error() ? result.error().to_string() : std::string()));
    REQUIRE(result.has_value());
    Groups groups;
    for (const PointGroup& group : result->groups) {
      auto& hits = groups.emplace_back(group.value, std::vector<std::uint64_t>()).second;
      for (const ScoredPoint& point : group.points) {
        hits.push_back(point.record.id.number());
        CHECK(point.record.payload == canonical_payload(payloads[hits.back()].dump()).value());
      }
    }
    return groups;
  }

  QueryGroupsRequest request() {
    QueryGroupsRequest request;
    const std::uint64_t row = random() % kRows;
    request.query.query = VectorInput(std::vector<float>(rows.row(row), rows.row(row) + kDim));
    request.query.params.exact = true;
    request.query.with_payload.kind = PayloadSelector::Kind::kAll;
    request.group_by = parse_payload_path("shop").value();
    return request;
  }

  std::mt19937_64 random;
  testing::Matrix rows;
  std::vector<json> payloads;
  OpenDatabase database;
  std::shared_ptr<Collection> collection;
};

}  // namespace

TEST_CASE("groups: of plain queries they are complete and in the order of their best hits") {
  INFO("seed " << kSeed);
  Fixture fixture;
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    QueryGroupsRequest request = fixture.request();
    request.limit = 1 + fixture.random() % 40;
    request.group_size = 1 + fixture.random() % 8;
    if (fixture.random() % 3 == 0) {
      FieldCondition condition;
      condition.path = parse_payload_path("third").value();
      condition.test = MatchValue{std::int64_t{1}};
      request.query.filter.emplace().must.emplace_back(condition);
    }
    if (fixture.random() % 4 == 0) request.query.score_threshold = 1.5F;
    CHECK(fixture.found(request) == fixture.expected(request));
  }
  // Without a query: in the order of the ids.
  QueryGroupsRequest in_order = fixture.request();
  in_order.query.query = NoQuery{};
  std::vector<std::string> first;
  for (std::uint64_t id = 0; first.size() < in_order.limit; ++id) {
    for (const std::string& value : groups_of(fixture.payloads[id])) {
      const bool is_new = std::find(first.begin(), first.end(), value) == first.end();
      if (is_new && first.size() < in_order.limit) first.push_back(value);
    }
  }
  std::vector<std::string> groups;
  for (const auto& [value, hits] : fixture.found(in_order)) groups.push_back(value);
  CHECK(groups == first);
  // More groups than there are.
  QueryGroupsRequest request = fixture.request();
  request.limit = SIZE_MAX;
  request.group_size = SIZE_MAX;
  CHECK(fixture.found(request) == fixture.expected(request));
  // The same with an index on the field.
  REQUIRE(fixture.collection
              ->write(CreatePayloadIndex{parse_payload_path("shop").value(),
                                         PayloadIndexType::kKeyword, std::nullopt},
                      true)
              .has_value());
  for (int round = 0; round < 20; ++round) {
    request = fixture.request();
    CHECK(fixture.found(request) == fixture.expected(request));
  }
}

TEST_CASE("groups: interests keep theirs, and nothing is in a group twice") {
  INFO("seed " << kSeed);
  Fixture fixture;
  for (int round = 0; round < 20; ++round) {
    QueryGroupsRequest request = fixture.request();
    InterestsQuery interests;
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t row = fixture.random() % kRows;
      interests.components.push_back(
          {std::vector<float>(fixture.rows.row(row), fixture.rows.row(row) + kDim), 1.0, {}});
    }
    if (round % 2 == 0) {
      request.query.query = interests;
    } else {
      RefineQuery refine;
      refine.query = interests;
      request.query.query = refine;
    }
    const auto result = fixture.collection->query_groups(request, CancelToken());
    REQUIRE(result.has_value());
    CHECK(result->groups.size() == request.limit);
    REQUIRE(result->interests.size() == 3);
    std::size_t quotas = 0, shown = 0, returned = 0;
    for (const InterestInfo& interest : result->interests) {
      quotas += interest.quota;
      returned += interest.returned;
    }
    for (const PointGroup& group : result->groups) shown += group.points.size();
    CHECK(quotas == request.limit * request.group_size);
    CHECK(returned == shown);
    CHECK(result->rounds.empty() == (round % 2 == 0));
    for (const PointGroup& group : result->groups) {
      std::vector<PointId> ids;
      CHECK(group.points.size() <= request.group_size);
      for (const ScoredPoint& point : group.points) {
        CHECK(point.interest.has_value());
        CHECK(point.round.has_value() == (round % 2 == 1));
        const auto values = groups_of(fixture.payloads[point.record.id.number()]);
        CHECK(std::count(values.begin(), values.end(), group.value) == 1);
        ids.push_back(point.record.id);
      }
      std::sort(ids.begin(), ids.end());
      CHECK(std::unique(ids.begin(), ids.end()) == ids.end());
    }
  }
}

TEST_CASE("groups: no group where nothing has the field, and a deadline holds") {
  Fixture fixture;
  QueryGroupsRequest request = fixture.request();
  request.group_by = parse_payload_path("no.such").value();
  CHECK(fixture.found(request).empty());
  const CancelToken late(std::chrono::steady_clock::now() - std::chrono::seconds(1));
  CHECK(fixture.collection->query_groups(request, late).error().code() == Code::kTimeout);
}

TEST_CASE("groups: what they ask for beyond their room is not refused") {
  // Few groups in many points: the search grows past what a diverse answer may hold.
  OpenDatabase database;
  CollectionConfig config;
  config.vectors[""].dim = 2;
  auto collection = database.create(config);
  UpsertPoints operation;
  constexpr std::uint64_t kCount = 6000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(i);
    const auto angle = static_cast<float>(i) * 1e-4F;
    point.vectors.emplace_back("", std::vector<float>{std::cos(angle), std::sin(angle)});
    point.payload = json({{"shop", i % 5}}).dump();
  }
  REQUIRE(collection->write(std::move(operation), true).has_value());
  InterestsQuery interests;
  interests.components.push_back({{1, 0}, 2.0, {}});
  interests.components.push_back({{0, 1}, 1.0, {}});
  interests.page = 20;
  interests.diversity = retrieval::Diversity{retrieval::Mmr{0.5}, 0};
  RefineQuery refine;
  refine.query = interests;
  for (const QueryKind& query : {QueryKind(interests), QueryKind(refine)}) {
    QueryGroupsRequest request;
    request.query.query = query;
    request.group_by = parse_payload_path("shop").value();
    request.limit = 100;
    request.group_size = 3;
    const auto result = collection->query_groups(request, CancelToken());
    INFO((result.has_error() ? result.error().to_string() : std::string()));
    REQUIRE(result.has_value());
    CHECK(result->groups.size() == 5);
  }
}

}  // namespace tessera::engine
