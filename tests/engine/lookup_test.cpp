#include <catch2/catch.hpp>

#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kDim = 8;

CollectionConfig config_of(Metric metric) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  return config;
}

/// Searched is "c"; "people" has other points, in vectors of other names and dims.
struct Fixture {
  Fixture() {
    collection = database.create(config_of(Metric::kCosine));
    insert_rows(*collection, rows);
    CollectionConfig config;
    config.vectors["taste"] = {kDim, Metric::kEuclid, {}, {}, {}};
    config.vectors["face"] = {3, Metric::kEuclid, {}, {}, {}};
    REQUIRE(database->create_collection("people", config).ok());
    people = database->collection("people").value();
    UpsertPoints operation;
    PointInput& person = operation.points.emplace_back();
    person.id = PointId(7);
    person.vectors.emplace_back("taste", taste);
    person.vectors.emplace_back("face", std::vector<float>{1, 2, 3});
    operation.points.emplace_back().id = PointId(8);
    REQUIRE(people->write(std::move(operation), true).has_value());
  }

  QueryRequest request(std::uint64_t id, std::optional<std::string> vector) const {
    QueryRequest request;
    request.params.exact = true;
    request.query = VectorInput(PointId(id));
    request.lookup_from = VectorLookup{"people", std::move(vector)};
    return request;
  }
  std::string error_of(const QueryRequest& request, Code code) const {
    const auto failed = collection->query(request, CancelToken());
    REQUIRE(failed.has_error());
    CHECK(failed.error().code() == code);
    return failed.error().message();
  }

  testing::Matrix rows =
      testing::clustered_rows({.row_count = 300, .dim = kDim, .spread = 0.5F, .seed = 5});
  std::vector<float> taste = std::vector<float>(rows.row(4), rows.row(4) + kDim);
  OpenDatabase database;
  std::shared_ptr<Collection> collection, people;
};

void require_equal_points(const QueryResult& a, const QueryResult& b) {
  REQUIRE(a.points.size() == b.points.size());
  for (std::size_t i = 0; i < a.points.size(); ++i) {
    REQUIRE(a.points[i].record.id == b.points[i].record.id);
    REQUIRE(a.points[i].score == b.points[i].score);
  }
}

}  // namespace

TEST_CASE("lookup: an id of another collection is searched with its vector and left out nowhere") {
  const Fixture fixture;
  QueryRequest plain;
  plain.params.exact = true;
  plain.query = VectorInput(fixture.taste);
  const auto expected = fixture.collection->query(plain, CancelToken()).value();
  CHECK(expected.points.front().record.id == PointId(4));
  const auto request = fixture.request(7, "taste");
  require_equal_points(fixture.collection->query(request, CancelToken()).value(), expected);

  // The same in a prefetch, in a batch, and of the collection itself.
  QueryRequest outer;
  outer.query = FusionQuery(retrieval::ReciprocalRank{});
  outer.prefetch = {request};
  CHECK(fixture.collection->query(outer, CancelToken())->points.front().record.id == PointId(4));
  const auto batch = fixture.collection->query_many(std::vector{request, request}, CancelToken());
  require_equal_points(batch->at(1), expected);
  QueryRequest own = fixture.request(4, std::nullopt);
  own.lookup_from->collection = "c";
  require_equal_points(fixture.collection->query(own, CancelToken()).value(), expected);
}

TEST_CASE("lookup: what is not there is named") {
  const Fixture fixture;
  using Catch::Contains;
  QueryRequest request = fixture.request(7, "taste");
  request.lookup_from->collection = "nowhere";
  CHECK(fixture.error_of(request, Code::kNotFound) == "lookup_from: Collection nowhere not found");
  CHECK(fixture.error_of(fixture.request(9, "taste"), Code::kNotFound) ==
        "lookup_from: No point with id 9 found");
  CHECK_THAT(fixture.error_of(fixture.request(8, "taste"), Code::kNotFound),
             Contains("has no vector `taste`"));
  CHECK_THAT(fixture.error_of(fixture.request(7, std::nullopt), Code::kInvalidArgument),
             Contains("Not existing vector name error"));
  CHECK(fixture.error_of(fixture.request(7, "face"), Code::kInvalidArgument) ==
        "lookup_from: Vector dimension error: expected dim: 8, got 3");
}

}  // namespace tessera::engine
