#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "engine/database.h"
#include "engine/payload.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

constexpr std::uint32_t kDim = 8;

/// What the collection should hold, kept in a map.
struct ModelPoint {
  std::map<std::string, std::vector<float>> vectors;
  std::map<std::string, int> payload;
};
using Model = std::map<PointId, ModelPoint>;

std::string payload_text(const std::map<std::string, int>& payload) {
  std::string text = "{";
  for (const auto& [key, value] : payload) {
    if (text.size() > 1) text += ",";
    text += "\"" + key + "\":" + std::to_string(value);
  }
  return text + "}";
}

class Run {
 public:
  explicit Run(std::uint64_t seed) : random_(seed) {
    settings_.storage.path = directory_.path() + "/data";
    settings_.storage.free_bytes_min = 0;
    settings_.index.build_thread_count = 1;
    settings_.index.build_idle_ms = 0;  // Indexes are built, merged and vacuumed all the time.
    open();
    CollectionConfig config;
    config.vectors["a"] = {kDim, Metric::kEuclid, {}, {}, {}};
    config.vectors["b"] = {kDim, Metric::kCosine, {}, {}, {}};
    config.optimizers.indexing_threshold = 2;
    config.optimizers.vacuum_min_vector_number = 20;
    REQUIRE(database_->create_collection("m", config).ok());
    collection_ = database_->collection("m").value();
  }

  void step() {
    switch (random_() % 12) {
      case 0:
        reopen();
        break;
      case 1:
        remove_some();
        break;
      case 2:
        remove_by_filter();
        break;
      case 3:
        set_payload();
        break;
      case 4:
        overwrite_or_clear_payload();
        break;
      case 5:
        toggle_index();
        break;
      default:
        upsert();
        break;
    }
    if (random_() % 4 == 0) check();
  }

  void check() {
    CancelToken cancel;
    REQUIRE(collection_->count({}, cancel).value() == model_.size());
    check_scroll(cancel);
    for (const char* name : {"a", "b"}) check_search(name, cancel);
    check_filter(cancel);
  }

 private:
  void open() { database_ = Database::open(settings_, registry_).value(); }
  void reopen() {
    collection_.reset();
    database_.reset();
    open();
    collection_ = database_->collection("m").value();
  }
  PointId random_id() {
    const std::uint64_t number = random_() % 120;
    if (number % 5 != 0) return PointId(number);
    std::array<std::uint8_t, 16> bytes{};
    bytes[15] = static_cast<std::uint8_t>(number);
    return PointId::from_uuid(bytes);
  }
  std::vector<float> random_vector() {
    std::normal_distribution<float> normal;
    std::vector<float> values(kDim);
    for (float& value : values) value = normal(random_);
    return values;
  }
  std::vector<PointId> random_ids() {
    std::vector<PointId> ids(1 + random_() % 10);
    for (PointId& id : ids) id = random_id();
    return ids;
  }
  void write(WriteOperation operation, Code expected = Code::kOk) {
    const auto result = collection_->write(std::move(operation), random_() % 2 == 0);
    REQUIRE((result.has_value() ? Code::kOk : result.error().code()) == expected);
  }

  void upsert() {
    UpsertPoints upsert;
    for (const PointId& id : random_ids()) {
      PointInput& point = upsert.points.emplace_back();
      point.id = id;
      ModelPoint& model = model_[id];
      model = {};
      for (const char* name : {"a", "b"}) {
        if (random_() % 4 == 0) continue;
        point.vectors.emplace_back(name, random_vector());
        model.vectors[name] = point.vectors.back().second;
      }
      if (random_() % 3 != 0) {
        model.payload["n"] = static_cast<int>(random_() % 10);
        point.payload = payload_text(model.payload);
      }
    }
    write(std::move(upsert));
  }
  void remove_some() {
    const auto ids = random_ids();
    for (const PointId& id : ids) model_.erase(id);
    write(DeletePoints{ids});
  }
  static Filter n_equals(int value) {
    Filter filter;
    filter.must.emplace_back(
        FieldCondition{parse_payload_path("n").value(), MatchValue{std::int64_t{value}}, false});
    return filter;
  }
  void remove_by_filter() {
    const int value = static_cast<int>(random_() % 10);
    std::erase_if(model_, [&](const auto& entry) {
      const auto found = entry.second.payload.find("n");
      return found != entry.second.payload.end() && found->second == value;
    });
    write(DeletePoints{n_equals(value)});
  }
  void set_payload() {
    const int value = static_cast<int>(random_() % 10);
    const std::string key = random_() % 2 == 0 ? "n" : "other";
    const auto ids = random_ids();
    bool any_missing = false;
    for (const PointId& id : ids) {
      if (const auto found = model_.find(id); found != model_.end()) {
        found->second.payload[key] = value;
      } else {
        any_missing = true;
      }
    }
    write(SetPayload{ids, payload_text({{key, value}}), std::nullopt},
          any_missing ? Code::kNotFound : Code::kOk);
  }
  void overwrite_or_clear_payload() {
    const int from = static_cast<int>(random_() % 10), to = static_cast<int>(random_() % 10);
    const bool clears = random_() % 2 == 0;
    for (auto& [id, point] : model_) {
      const auto found = point.payload.find("n");
      if (found == point.payload.end() || found->second != from) continue;
      point.payload.clear();
      if (!clears) point.payload["n"] = to;
    }
    if (clears) {
      write(ClearPayload{n_equals(from)});
    } else {
      write(OverwritePayload{n_equals(from), payload_text({{"n", to}})});
    }
  }
  void toggle_index() {
    const PayloadPath path = parse_payload_path("n").value();
    if (has_index_) {
      write(DeletePayloadIndex{path});
    } else {
      write(CreatePayloadIndex{path, PayloadIndexType::kInteger, std::nullopt});
    }
    has_index_ = !has_index_;
  }

  void check_scroll(const CancelToken& cancel) {
    ScrollRequest request;
    request.limit = 7;
    request.with_vector.all = true;
    auto expected = model_.begin();
    while (true) {
      const ScrollPage page = collection_->scroll(request, cancel).value();
      for (const Record& record : page.records) {
        REQUIRE(expected != model_.end());
        REQUIRE(record.id == expected->first);
        REQUIRE(record.payload == payload_text(expected->second.payload));
        REQUIRE(record.vectors.size() == expected->second.vectors.size());
        for (const auto& [name, values] : record.vectors) {
          check_same_direction(name, values, expected->second.vectors.at(name));
        }
        ++expected;
      }
      if (!page.next_offset) break;
      request.offset = page.next_offset;
    }
    REQUIRE(expected == model_.end());
  }
  static void check_same_direction(const std::string& name, const std::vector<float>& stored,
                                   const std::vector<float>& given) {
    double norm = 0;
    for (const float value : given) norm += double{value} * value;
    const double scale = name == "b" ? 1 / std::sqrt(norm) : 1;
    for (std::size_t i = 0; i < kDim; ++i) {
      REQUIRE(stored[i] == Approx(given[i] * scale).margin(1e-6));
    }
  }
  double score(const std::string& name, const std::vector<float>& a, const std::vector<float>& b) {
    double product = 0, norm_a = 0, norm_b = 0, squares = 0;
    for (std::size_t i = 0; i < kDim; ++i) {
      product += double{a[i]} * b[i];
      norm_a += double{a[i]} * a[i];
      norm_b += double{b[i]} * b[i];
      squares += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    }
    return name == "a" ? std::sqrt(squares) : product / std::sqrt(norm_a * norm_b);
  }
  void check_search(const std::string& name, const CancelToken& cancel) {
    const std::vector<float> query = random_vector();
    const bool is_filtered = random_() % 2 == 0;
    const int value = static_cast<int>(random_() % 10);
    std::vector<std::pair<double, PointId>> expected;
    for (const auto& [id, point] : model_) {
      const auto vector = point.vectors.find(name);
      if (vector == point.vectors.end()) continue;
      const auto n = point.payload.find("n");
      if (is_filtered && (n == point.payload.end() || n->second != value)) continue;
      const double distance = score(name, query, vector->second);
      expected.emplace_back(name == "a" ? distance : -distance, id);
    }
    std::sort(expected.begin(), expected.end());
    QueryRequest request;
    request.query = VectorInput{query};
    request.using_vector = name;
    request.limit = 15;
    request.params.exact = random_() % 2 == 0;
    if (is_filtered) request.filter = n_equals(value);
    const auto points = collection_->query(request, cancel).value().points;
    // Segments are tiny here, so that a walk finds everything too.
    REQUIRE(points.size() == std::min<std::size_t>(15, expected.size()));
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double distance = name == "a" ? points[i].score : -points[i].score;
      CAPTURE(i, name, points[i].record.id.to_string(), expected[i].second.to_string());
      REQUIRE(distance == Approx(expected[i].first).margin(1e-5));
    }
  }
  void check_filter(const CancelToken& cancel) {
    const int value = static_cast<int>(random_() % 10);
    const auto expected = std::count_if(model_.begin(), model_.end(), [&](const auto& entry) {
      const auto found = entry.second.payload.find("n");
      return found != entry.second.payload.end() && found->second == value;
    });
    REQUIRE(collection_->count({n_equals(value), true}, cancel).value() ==
            static_cast<std::uint64_t>(expected));
  }

  std::mt19937_64 random_;
  test::TemporaryDirectory directory_;
  config::Settings settings_;
  metrics::Registry registry_;
  std::unique_ptr<Database> database_;
  std::shared_ptr<Collection> collection_;
  Model model_;
  bool has_index_ = false;
};

}  // namespace

TEST_CASE("engine: random operations, reopened at random, agree with a map and exact search") {
  const std::uint64_t seed = std::random_device{}();
  for (std::uint64_t round = 0; round < 4; ++round) {
    CAPTURE(seed, round);
    Run run(seed + round);
    for (int step = 0; step < 250; ++step) {
      CAPTURE(step);
      run.step();
    }
    run.check();
  }
}

}  // namespace tessera::engine
