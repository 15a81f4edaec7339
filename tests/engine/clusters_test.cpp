#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "index/kernels.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using testing::Matrix;

constexpr std::size_t kDim = 8;

CollectionConfig config_of(Metric metric) {
  CollectionConfig config;
  config.vectors[""].dim = kDim;
  config.vectors[""].metric = metric;
  config.optimizers.indexing_threshold = 8;
  return config;
}

using Vector = std::vector<float>;

Vector row_of(const Matrix& rows, std::size_t i) {
  return {rows.row(i), rows.row(i) + rows.dim};
}

/// A collection and what it should hold.
struct Model {
  std::shared_ptr<Collection> collection;
  std::map<std::uint64_t, Vector> points;

  void put(std::uint64_t id, Vector vector, const std::string& payload = {}) {
    UpsertPoints operation;
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(id);
    point.vectors.emplace_back("", vector);
    if (!payload.empty()) point.payload = payload;
    REQUIRE(collection->write(std::move(operation), true).has_value());
    points[id] = std::move(vector);
  }
  void remove(std::uint64_t id) {
    REQUIRE(collection->write(DeletePoints{std::vector<PointId>{PointId(id)}}, true).has_value());
    points.erase(id);
  }
};

std::uint64_t train(Database& database, Collection& collection,
                    const TrainClustersRequest& request) {
  const std::uint64_t job = collection.start_clusters(request).value();
  for (int i = 0; i < 6000 && database.job(job)->state < JobState::kDone; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  INFO(database.job(job)->error);
  REQUIRE(database.job(job)->state == JobState::kDone);
  return job;
}

QueryResult answer_of(const Collection& collection, const QueryRequest& request) {
  auto result = collection.query(request, CancelToken());
  INFO((result.has_error() ? result.error().to_string() : std::string()));
  REQUIRE(result.has_value());
  return std::move(*result);
}

/// The cluster that a vector falls in, asked for as the only item of a history.
std::uint32_t cluster_of(const Collection& collection, const Vector& vector) {
  QueryRequest request;
  InterestsQuery interests;
  interests.history.push_back({vector, 1, {}});
  request.query = interests;
  request.limit = 0;
  return answer_of(collection, request).interests.at(0).cluster.value();
}

std::map<std::uint64_t, std::uint32_t> clusters_of(const Model& model) {
  std::map<std::uint64_t, std::uint32_t> clusters;
  for (const auto& [id, vector] : model.points) {
    clusters[id] = cluster_of(*model.collection, vector);
  }
  return clusters;
}

void check_sizes(const Model& model) {
  const ClustersInfo info = model.collection->clusters("").value();
  std::vector<std::uint64_t> sizes(info.count, 0);
  for (const auto& [id, cluster] : clusters_of(model)) ++sizes[cluster];
  CHECK(info.sizes == sizes);
  CHECK(info.unassigned == 0);
}

float score_of(Metric metric, Vector query, Vector row) {
  if (metric == Metric::kCosine) {
    (void)index::normalise(query);
    (void)index::normalise(row);
  }
  return index::score_of(metric, index::distance(metric, query.data(), row.data(), kDim));
}

/// The ids of a cluster, nearest first.
std::vector<std::uint64_t> nearest_in(const Model& model, Metric metric, const Vector& query,
                                      std::uint32_t cluster,
                                      const std::map<std::uint64_t, std::uint32_t>& clusters) {
  std::vector<std::pair<float, std::uint64_t>> hits;
  for (const auto& [id, vector] : model.points) {
    if (clusters.at(id) != cluster) continue;
    const float score = score_of(metric, query, vector);
    hits.emplace_back(higher_is_nearer(metric) ? -score : score, id);
  }
  std::sort(hits.begin(), hits.end());
  std::vector<std::uint64_t> ids;
  for (const auto& [score, id] : hits) ids.push_back(id);
  return ids;
}

std::vector<std::uint64_t> ids_of(const QueryResult& result) {
  std::vector<std::uint64_t> ids;
  for (const ScoredPoint& point : result.points) ids.push_back(point.record.id.number());
  return ids;
}

}  // namespace

TEST_CASE("clusters: the sizes are those of the points that are there") {
  const Matrix rows = testing::clustered_rows({.row_count = 500, .dim = kDim, .seed = 1});
  OpenDatabase database;
  Model model{database.create(config_of(Metric::kEuclid)), {}};
  for (std::uint64_t id = 0; id < 300; ++id) model.put(id, row_of(rows, id));
  TrainClustersRequest request;
  request.count = 12;
  train(*database, *model.collection, request);
  check_sizes(model);
  CHECK(model.collection->clusters("")->drift == 0);
  std::mt19937_64 random(1);
  for (int i = 0; i < 150; ++i) {
    const std::uint64_t id = random() % 400;
    if (random() % 3 == 0) {
      model.remove(id);
    } else {
      model.put(id, row_of(rows, random() % 500));
    }
  }
  check_sizes(model);
  database.reopen();
  model.collection = database->collection("c").value();
  check_sizes(model);
  CHECK(model.collection->clusters("")->version == 1);
  // Rows that lie elsewhere are farther from their centres.
  for (std::uint64_t id = 1000; id < 1300; ++id) {
    Vector far = row_of(rows, id % 500);
    for (float& value : far) value += 20;
    model.put(id, far);
  }
  CHECK(model.collection->clusters("")->drift > 1);
}

TEST_CASE("clusters: a search inside clusters finds what brute force finds there, at once") {
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclid, Metric::kManhattan}) {
    CAPTURE(static_cast<int>(metric));
    const Matrix rows = testing::clustered_rows(
        {.row_count = 800, .dim = kDim, .cluster_count = 10, .spread = 0.5F, .seed = 2});
    OpenDatabase database;
    Model model{database.create(config_of(metric)), {}};
    insert_rows(*model.collection, rows);
    for (std::uint64_t id = 0; id < 800; ++id) model.points[id] = row_of(rows, id);
    QueryRequest request;
    InterestsQuery interests;
    interests.scope = retrieval::Scope::kCluster;
    interests.components.push_back({row_of(rows, 3), 1, {}});
    request.query = interests;
    const auto refused = model.collection->query(request, CancelToken());
    REQUIRE(refused.has_error());
    CHECK(refused.error().message().find("query.interests.scope") == 0);

    TrainClustersRequest training;
    training.count = 8;
    train(*database, *model.collection, training);
    std::mt19937_64 random(2);
    for (int round = 0; round < 20; ++round) {
      // Written just now, and moved from cluster to cluster.
      const std::uint64_t id = random() % 900;
      model.put(id, row_of(rows, random() % 800));
      if (round % 4 == 0) model.remove(model.points.begin()->first);
      const auto clusters = clusters_of(model);
      const Vector query = row_of(rows, random() % 800);
      interests.components[0].vector = query;
      request.query = interests;
      request.limit = 1 + random() % 30;
      request.params.exact = round % 2 == 0;
      const QueryResult result = answer_of(*model.collection, request);
      const std::uint32_t cluster = result.interests.at(0).cluster.value();
      auto expected = nearest_in(model, metric, query, cluster, clusters);
      CHECK(cluster == cluster_of(*model.collection, query));
      if (expected.size() > request.limit) expected.resize(request.limit);
      CHECK(ids_of(result) == expected);
    }
  }
}

TEST_CASE("clusters: a search inside clusters keeps the filter and leaves the history out") {
  const Matrix rows = testing::clustered_rows(
      {.row_count = 600, .dim = kDim, .cluster_count = 6, .spread = 0.5F, .seed = 5});
  OpenDatabase database;
  Model model{database.create(config_of(Metric::kCosine)), {}};
  insert_rows(*model.collection, rows);
  for (std::uint64_t id = 0; id < 600; ++id) model.points[id] = row_of(rows, id);
  TrainClustersRequest training;
  training.count = 6;
  train(*database, *model.collection, training);
  const auto clusters = clusters_of(model);
  InterestsQuery interests;
  interests.scope = retrieval::Scope::kCluster;
  for (std::uint64_t id = 0; id < 40; ++id) interests.history.push_back({PointId(id), 1, {}});
  QueryRequest request;
  HasId even;
  for (std::uint64_t id = 0; id < 600; id += 2) even.ids.emplace_back(id);
  request.filter.emplace();
  request.filter->must.emplace_back(even);
  request.query = interests;
  request.limit = 60;
  const QueryResult result = answer_of(*model.collection, request);
  REQUIRE(result.points.size() == 60);
  for (const ScoredPoint& point : result.points) {
    const std::uint64_t id = point.record.id.number();
    CHECK(id >= 40);
    CHECK(id % 2 == 0);
    CHECK(clusters.at(id) == result.interests.at(point.interest->component).cluster);
  }
}

TEST_CASE("clusters: are labelled with the most frequent values of the named field") {
  const Matrix rows = testing::clustered_rows({.row_count = 400, .dim = kDim, .seed = 3});
  OpenDatabase database;
  Model model{database.create(config_of(Metric::kEuclid)), {}};
  std::map<std::uint64_t, std::vector<std::string>> values;
  std::mt19937_64 random(3);
  for (std::uint64_t id = 0; id < 400; ++id) {
    std::string list;
    std::set<std::string> own;
    for (std::size_t n = random() % 4; n > 0; --n) {
      const std::string value =
          random() % 5 == 0 ? "true" : "\"g" + std::to_string(random() % 4) + "\"";
      if (own.insert(value).second) list += (list.empty() ? "" : ",") + value;
    }
    values[id].assign(own.begin(), own.end());
    model.put(id, row_of(rows, id), R"({"film":{"genre":[)" + list + R"(,1.5,null]}})");
    if (list.empty()) model.put(id, row_of(rows, id), R"({"film":{}})");
  }
  TrainClustersRequest request;
  request.count = 5;
  request.label_field = parse_payload_path("film.genre").value();
  train(*database, *model.collection, request);

  std::vector<std::map<std::string, std::uint64_t>> counts(5);
  for (const auto& [id, cluster] : clusters_of(model)) {
    for (const std::string& value : values[id]) ++counts[cluster][value];
  }
  const auto check_labels = [&] {
    const ClustersInfo info = model.collection->clusters("").value();
    CHECK(info.label_field == "film.genre");
    REQUIRE(info.labels.size() == 5);
    for (std::size_t cluster = 0; cluster < 5; ++cluster) {
      std::vector<std::pair<std::int64_t, std::string>> sorted;
      for (const auto& [value, count] : counts[cluster]) {
        sorted.emplace_back(-static_cast<std::int64_t>(count), value);
      }
      std::sort(sorted.begin(), sorted.end());
      REQUIRE(info.labels[cluster].size() == std::min<std::size_t>(3, sorted.size()));
      for (std::size_t i = 0; i < info.labels[cluster].size(); ++i) {
        CHECK(info.labels[cluster][i].value == sorted[i].second);
        CHECK(info.labels[cluster][i].count == static_cast<std::uint64_t>(-sorted[i].first));
      }
    }
  };
  check_labels();
  database.reopen();
  model.collection = database->collection("c").value();
  check_labels();
  // An interest is told by its cluster's label.
  QueryRequest query;
  InterestsQuery interests;
  interests.history.push_back({PointId(7), 1, {}});
  query.query = interests;
  query.limit = 0;
  const InterestInfo interest = answer_of(*model.collection, query).interests.at(0);
  const auto label = model.collection->clusters("")->labels.at(*interest.cluster);
  REQUIRE(interest.label.size() == label.size());
  for (std::size_t i = 0; i < label.size(); ++i) CHECK(interest.label[i] == label[i].value);
}

TEST_CASE("clusters: a seed decides them, wherever the rows lie") {
  const Matrix rows = testing::clustered_rows({.row_count = 3000, .dim = kDim, .seed = 4});
  TrainClustersRequest request;
  request.count = 20;
  request.sample = 1500;
  std::vector<ClustersInfo> all;
  for (const bool is_indexed : {false, true}) {
    OpenDatabase database;
    auto config = config_of(Metric::kCosine);
    config.optimizers.indexing_threshold = is_indexed ? 1 : 0;
    auto collection = database.create(config);
    insert_rows(*collection, rows);
    if (is_indexed) wait_until_indexed(*collection, 3000);
    train(*database, *collection, request);
    all.push_back(collection->clusters("").value());
  }
  CHECK(all[0].sizes == all[1].sizes);
  CHECK(all[0].drift == all[1].drift);
}

TEST_CASE("clusters: training again under writes switches at once and loses nothing") {
  const Matrix rows = testing::clustered_rows({.row_count = 2000, .dim = kDim, .seed = 6});
  OpenDatabase database;
  Model model{database.create(config_of(Metric::kEuclid)), {}};
  insert_rows(*model.collection, rows);
  for (std::uint64_t id = 0; id < 2000; ++id) model.points[id] = row_of(rows, id);
  TrainClustersRequest request;
  request.count = 30;
  train(*database, *model.collection, request);

  std::atomic<bool> is_training = true;
  std::atomic<int> failures = 0;
  std::thread reader([&] {
    InterestsQuery interests;
    for (std::uint64_t id = 1990; id < 2000; ++id)
      interests.history.push_back({PointId(id), 1, {}});
    interests.scope = retrieval::Scope::kCluster;
    QueryRequest query;
    query.query = interests;
    query.limit = 20;
    std::uint64_t version = 1;
    while (is_training) {
      const auto info = model.collection->clusters("");
      const auto result = model.collection->query(query, CancelToken());
      const bool is_good = info.has_value() && info->version >= version && result.has_value() &&
                           result->points.size() == 20 && info->sizes.size() == info->count;
      if (!is_good) ++failures;
      if (info.has_value()) version = info->version;
    }
  });
  std::mt19937_64 random(6);
  for (int round = 0; round < 4; ++round) {
    request.count = static_cast<std::uint32_t>(10 + 10 * round);
    request.seed = static_cast<std::uint64_t>(round);
    const std::uint64_t job = model.collection->start_clusters(request).value();
    while (database->job(job)->state < JobState::kDone) {
      const std::uint64_t id = random() % 1990;
      if (random() % 4 == 0) {
        model.remove(id);
      } else {
        model.put(id, row_of(rows, random() % 2000));
      }
    }
    REQUIRE(database->job(job)->state == JobState::kDone);
  }
  is_training = false;
  reader.join();
  CHECK(failures == 0);
  const ClustersInfo info = model.collection->clusters("").value();
  CHECK(info.version == 5);
  CHECK(info.count >= 16);
  check_sizes(model);
  database.reopen();
  model.collection = database->collection("c").value();
  CHECK(model.collection->clusters("")->version == 5);
  check_sizes(model);
}

TEST_CASE("clusters: a training that is stopped keeps the clusters that were there") {
  const Matrix rows = testing::clustered_rows({.row_count = 2000, .dim = kDim, .seed = 7});
  OpenDatabase database;
  Model model{database.create(config_of(Metric::kCosine)), {}};
  insert_rows(*model.collection, rows);
  for (std::uint64_t id = 0; id < 2000; ++id) model.points[id] = row_of(rows, id);
  TrainClustersRequest request;
  request.count = 10;
  train(*database, *model.collection, request);
  request.count = 50;
  request.iterations = 10'000;
  const std::uint64_t job = model.collection->start_clusters(request).value();
  REQUIRE(database->cancel_job(job).ok());
  for (int i = 0; i < 6000 && database->job(job)->state < JobState::kDone; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(database->job(job)->state == JobState::kCancelled);
  const ClustersInfo info = model.collection->clusters("").value();
  CHECK(info.version == 1);
  CHECK(info.count == 10);
  model.put(5, row_of(rows, 6));
  check_sizes(model);
}

}  // namespace tessera::engine
