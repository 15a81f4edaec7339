#include <cmath>
#include <filesystem>
#include <map>

#include <catch2/catch.hpp>

#include "engine/collection_impl.h"
#include "index/kernels.h"
#include "storage/segment_file.h"
#include "storage/verify.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 20, kRows = 500;
constexpr std::uint64_t kSeed = 20'261'127;
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
constexpr ValueType kTypes[] = {ValueType::kFloat16, ValueType::kUint8};

CollectionConfig config_of(Metric metric, ValueType type, std::uint64_t indexing_threshold) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  config.vectors[""].value_type = type;
  config.optimizers.indexing_threshold = indexing_threshold;
  return config;
}

/// Values that the type can store: bytes for kUint8, which are no multiples of each other.
Matrix storable_rows(ValueType type, std::size_t row_count, std::uint64_t sample = 0) {
  Matrix rows = testing::clustered_rows({.row_count = row_count,
                                         .dim = kDim,
                                         .cluster_count = 25,
                                         .spread = 0.4F,
                                         .seed = kSeed,
                                         .sample = sample});
  if (type != ValueType::kUint8) return rows;
  for (float& value : rows.values) value = std::clamp(std::round(40 * value + 120), 0.0F, 255.0F);
  return rows;
}

/// What is to be read back of a written vector.
std::vector<float> stored(Metric metric, ValueType type, std::vector<float> values) {
  if (type == ValueType::kUint8) return values;
  if (metric == Metric::kCosine) (void)index::normalise(values);
  for (float& value : values) value = to_float(to_float16(value));
  return values;
}

using Model = std::map<std::uint64_t, std::vector<float>>;

/// In double; of directions where rows of bytes are compared by Cosine.
double score_of(Metric metric, ValueType type, const std::vector<float>& query,
                const std::vector<float>& row) {
  double product = 0, squares_query = 0, squares_row = 0, squared = 0, absolute = 0;
  for (std::size_t d = 0; d < kDim; ++d) {
    const double x = query[d], y = row[d];
    product += x * y;
    squares_query += x * x;
    squares_row += y * y;
    squared += (x - y) * (x - y);
    absolute += std::fabs(x - y);
  }
  if (metric == Metric::kDot) return product;
  if (metric == Metric::kEuclid) return std::sqrt(squared);
  if (metric == Metric::kManhattan) return absolute;
  const double norm =
      std::sqrt(squares_query) * (type == ValueType::kUint8 ? std::sqrt(squares_row) : 1);
  return norm > 0 ? product / norm : 0;
}

QueryRequest query_of(std::vector<float> vector, bool exact = true) {
  QueryRequest query;
  query.query = VectorInput(std::move(vector));
  query.limit = 10;
  query.params.exact = exact;
  query.params.hnsw_ef = 200;
  query.params.probe_count = 1000;
  return query;
}

QueryResult answer(const Collection& collection, const QueryRequest& query) {
  auto result = collection.query(query, CancelToken());
  INFO((result.has_error() ? result.error().to_string() : std::string()));
  REQUIRE(result.has_value());
  return std::move(*result);
}

bool is_close(double a, double b) {
  return std::fabs(a - b) <= 2e-5 * std::max({1.0, std::fabs(a), std::fabs(b)});
}

/// Every point with the score of its vector as it is stored, and no nearer point left out.
void check_answer(const Collection& collection, const Model& model, const QueryRequest& query,
                  Metric metric, ValueType type) {
  const auto& vector = std::get<std::vector<float>>(std::get<VectorInput>(query.query));
  std::vector<double> scores;
  for (const auto& [id, row] : model) scores.push_back(score_of(metric, type, vector, row));
  std::sort(scores.begin(), scores.end());
  if (higher_is_nearer(metric)) std::reverse(scores.begin(), scores.end());
  const QueryResult result = answer(collection, query);
  REQUIRE(result.points.size() == std::min(query.limit, model.size()));
  for (std::size_t i = 0; i < result.points.size(); ++i) {
    const ScoredPoint& point = result.points[i];
    CAPTURE(i, point.score, scores[i]);
    const auto& row = model.at(point.record.id.number());
    REQUIRE(is_close(point.score, score_of(metric, type, vector, row)));
    if (query.params.exact) REQUIRE(is_close(point.score, scores[i]));
  }
}

void check_records(const Collection& collection, const Model& model) {
  RetrieveRequest retrieve;
  for (std::uint64_t id = 0; id < kRows; ++id) retrieve.ids.emplace_back(id);
  retrieve.with_vector.all = true;
  const auto records = collection.retrieve(retrieve);
  REQUIRE(records.has_value());
  REQUIRE(records->size() == model.size());
  for (const Record& record : *records) {
    REQUIRE(record.vectors.front().second == model.at(record.id.number()));
  }
}

void check_everything(const Collection& collection, const Model& model, Metric metric,
                      ValueType type) {
  check_records(collection, model);
  const Matrix queries = storable_rows(ValueType::kFloat16, 6, 3);
  for (std::size_t q = 0; q < queries.row_count; ++q) {
    std::vector<float> vector(queries.row(q), queries.row(q) + kDim);
    if (type == ValueType::kUint8) {
      for (float& value : vector) value = 40 * value + 120.3F;
    }
    for (const bool exact : {true, false}) {
      check_answer(collection, model, query_of(vector, exact), metric, type);
    }
    // Candidates by all first values but one are the whole collection here.
    QueryRequest prefix = query_of(vector);
    prefix.params.dims = kDim - 1;
    prefix.params.oversampling = 1e9;
    check_answer(collection, model, prefix, metric, type);
    // Few matches are looked up.
    Filter filter;
    HasId few;
    Model matching;
    for (const auto& [id, row] : model) {
      if (id % 97 != 1) continue;
      few.ids.emplace_back(id);
      matching.emplace(id, row);
    }
    filter.must.emplace_back(std::move(few));
    QueryRequest filtered = query_of(vector);
    filtered.filter = std::move(filter);
    check_answer(collection, matching, filtered, metric, type);
  }
}

Model insert(Collection& collection, const Matrix& rows, Metric metric, ValueType type) {
  insert_rows(collection, rows);
  Model model;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    model[i] = stored(metric, type, {rows.row(i), rows.row(i) + kDim});
  }
  return model;
}

/// A point is replaced and another deleted.
void change_some(Collection& collection, Model& model, Metric metric, ValueType type) {
  const Matrix rows = storable_rows(type, 40, 7);
  UpsertPoints upsert;
  DeletePoints remove;
  std::vector<PointId> ids;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    const std::uint64_t id = 11 * i;
    PointInput& point = upsert.points.emplace_back();
    point.id = PointId(id);
    point.vectors.emplace_back("", std::vector<float>(rows.row(i), rows.row(i) + kDim));
    model[id] = stored(metric, type, point.vectors.front().second);
    ids.emplace_back(id + 1);
    model.erase(id + 1);
  }
  remove.selector = ids;
  REQUIRE(collection.write(std::move(upsert), true).has_value());
  REQUIRE(collection.write(std::move(remove), true).has_value());
}

void check_segment_files(const std::string& data_path, ValueType type) {
  std::size_t file_count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data_path + "/segments")) {
    if (entry.path().extension() != ".seg") continue;
    ++file_count;
    const auto file = storage::SegmentFile::open(entry.path().string());
    REQUIRE(file.has_value());
    CHECK((*file)->header().value_type == type);
    CHECK((*file)->header().row_bytes() == kDim * value_bytes(type));
  }
  CHECK(file_count > 0);
}

std::string refusal(Collection& collection, std::vector<float> vector) {
  UpsertPoints upsert;
  PointInput& point = upsert.points.emplace_back();
  point.id = PointId(7);
  point.vectors.emplace_back("", std::move(vector));
  const auto result = collection.write(std::move(upsert), true);
  REQUIRE(result.has_error());
  CHECK(result.error().code() == Code::kInvalidArgument);
  return result.error().message();
}

}  // namespace

TEST_CASE("value type: what is stored is searched and read back, fresh, indexed and restarted") {
  INFO("seed " << kSeed);
  for (const ValueType type : kTypes) {
    for (const Metric metric : kMetrics) {
      CAPTURE(value_type_name(type), metric_name(metric));
      OpenDatabase database;
      auto collection = database.create(config_of(metric, type, 0));
      Model model = insert(*collection, storable_rows(type, kRows), metric, type);
      check_everything(*collection, model, metric, type);
      collection.reset();
      database.reopen();
      collection = database->collection("c").value();
      check_everything(*collection, model, metric, type);

      CollectionConfig change;
      change.optimizers.indexing_threshold = 1;
      REQUIRE(database->update_collection("c", change).ok());
      wait_until_indexed(*collection, kRows);
      check_everything(*collection, model, metric, type);
      change_some(*collection, model, metric, type);
      check_everything(*collection, model, metric, type);
      collection.reset();
      database.close();
      check_segment_files(database.data_path(), type);
      const auto report = storage::verify_data_directory(database.data_path(), {}, CancelToken());
      REQUIRE(report.has_value());
      CHECK(report->problems.empty());
      database.reopen();
      collection = database->collection("c").value();
      check_everything(*collection, model, metric, type);
    }
  }
}

TEST_CASE("value type: every index type and code, from one to another, on disk or in memory") {
  INFO("seed " << kSeed);
  for (const ValueType type : kTypes) {
    for (const Metric metric : {Metric::kCosine, Metric::kEuclid}) {
      CAPTURE(value_type_name(type), metric_name(metric));
      OpenDatabase database;
      CollectionConfig config = config_of(metric, type, 1);
      config.vectors[""].on_disk = type == ValueType::kUint8;
      auto collection = database.create(config);
      const Model model = insert(*collection, storable_rows(type, kRows), metric, type);
      wait_until_indexed(*collection, kRows);
      for (const IndexType index : {IndexType::kIvfFlat, IndexType::kIvfSq8, IndexType::kIvfPq,
                                    IndexType::kFlat, IndexType::kHnsw}) {
        CAPTURE(index::index_type_name(index));
        ReindexRequest request;
        request.index = IndexConfig{index, {}, {}, {}};
        reindex(*database, *collection, request);
        check_everything(*collection, model, metric, type);
      }
      for (const auto kind : {QuantizationConfig::Kind::kScalar, QuantizationConfig::Kind::kProduct,
                              QuantizationConfig::Kind::kBinary}) {
        ReindexRequest request;
        request.quantization.emplace().kind = kind;
        reindex(*database, *collection, request);
        check_everything(*collection, model, metric, type);
      }
      collection.reset();
      database.reopen();
      collection = database->collection("c").value();
      CHECK(collection->info().indexed_vector_count == kRows);
      check_everything(*collection, model, metric, type);
    }
  }
}

TEST_CASE("value type: a point is as near to its own vector as to itself") {
  for (const ValueType type : kTypes) {
    for (const Metric metric : kMetrics) {
      CAPTURE(value_type_name(type), metric_name(metric));
      OpenDatabase database;
      auto collection = database.create(config_of(metric, type, 1));
      const Model model = insert(*collection, storable_rows(type, kRows), metric, type);
      wait_until_indexed(*collection, kRows);
      QueryRequest by_id = query_of({});
      by_id.query = VectorInput(PointId(42));
      by_id.explain = true;
      const QueryResult others = answer(*collection, by_id);
      std::size_t next = 0;
      for (const ScoredPoint& point : answer(*collection, query_of(model.at(42))).points) {
        if (point.record.id == PointId(42)) continue;
        REQUIRE(others.points[next].record.id == point.record.id);
        CHECK(others.points[next++].score == point.score);
      }
      CHECK(next >= 9);
      // Contributions are of what is compared.
      const Contribution& most = others.points[0].contributions.front();
      const auto& own = model.at(others.points[0].record.id.number());
      const double x = model.at(42)[most.dim], y = own[most.dim];
      const double norms =
          metric == Metric::kCosine && type == ValueType::kUint8
              ? std::sqrt(score_of(Metric::kDot, type, model.at(42), model.at(42)) *
                          score_of(Metric::kDot, type, own, own))
              : 1;
      const double expected = higher_is_nearer(metric)    ? x * y / norms
                              : metric == Metric::kEuclid ? (x - y) * (x - y)
                                                          : std::fabs(x - y);
      CHECK(most.value == Approx(expected).epsilon(0.01));

      RecallRequest recall;
      recall.sample = 20;
      recall.params.exact = true;
      CHECK(*collection->recall(recall, CancelToken())->recall == 1);

      QueryRequest refine = query_of({});
      RefineQuery rounds;
      rounds.query = VectorInput(PointId(42));
      rounds.history = {{VectorInput(PointId(1)), 1, std::nullopt}};
      refine.query = rounds;
      CHECK(answer(*collection, refine).points.size() == 10);
    }
  }
}

TEST_CASE("value type: values that cannot be stored are refused with the vector and the position") {
  OpenDatabase database;
  auto bytes = database.create(config_of(Metric::kCosine, ValueType::kUint8, 0));
  for (const float value : {-1.0F, 256.0F, 0.5F, 1e30F}) {
    std::vector<float> vector(kDim, 3);
    vector[4] = value;
    const std::string message = refusal(*bytes, vector);
    CAPTURE(message);
    CHECK(message.find("Vector `` of point 7") != std::string::npos);
    CHECK(message.find("at position 4 cannot be stored as uint8") != std::string::npos);
  }
  CHECK(refusal(*bytes, std::vector<float>(kDim, NAN)).find("not finite") != std::string::npos);
  CHECK(bytes->info().point_count == 0);

  REQUIRE(database->create_collection("h", config_of(Metric::kDot, ValueType::kFloat16, 0)).ok());
  auto halves = database->collection("h").value();
  CHECK(refusal(*halves, std::vector<float>(kDim, 65520)).find("cannot be stored as float16") !=
        std::string::npos);
  // By Cosine only the direction counts.
  REQUIRE(
      database->create_collection("u", config_of(Metric::kCosine, ValueType::kFloat16, 0)).ok());
  auto units = database->collection("u").value();
  UpsertPoints upsert;
  PointInput& point = upsert.points.emplace_back();
  point.id = PointId(1);
  point.vectors.emplace_back("", std::vector<float>(kDim, 1e30F));
  CHECK(units->write(std::move(upsert), true).has_value());
}

TEST_CASE("value type: the catalog keeps it, and without one is what it was before") {
  CatalogEntry entry;
  entry.number = 3;
  entry.name = "c";
  entry.config.vectors[""].dim = 4;
  entry.vector_numbers[""] = 0;
  CHECK(entry.encode().find("\"format\":1,") != std::string::npos);
  CHECK(entry.encode().find("value_type") == std::string::npos);
  entry.config.vectors[""].value_type = ValueType::kFloat32;
  CHECK(entry.encode().find("\"format\":1,") != std::string::npos);
  for (const ValueType type : kTypes) {
    entry.config.vectors[""].value_type = type;
    CHECK(entry.encode().find("\"format\":2,") != std::string::npos);
    const auto decoded = CatalogEntry::decode(entry.encode());
    REQUIRE(decoded.has_value());
    CHECK(decoded->config.vectors == entry.config.vectors);
  }
  std::string wrong = encode_config(entry.config);
  wrong.replace(wrong.find("\"value_type\":2"), 14, "\"value_type\":3");
  const auto refused = decode_config(wrong);
  REQUIRE(refused.has_error());
  CHECK(refused.error().message().find("value_type") != std::string::npos);
}

}  // namespace tessera::engine
