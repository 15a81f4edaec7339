#include <catch2/catch.hpp>

#include "api/decode.h"
#include "api/encode.h"
#include "support.h"

using namespace tessera;
using namespace tessera::api;
using namespace tessera::engine;

namespace {

template <class T>
T good(const std::string& body, T (*decoder)(const Value&)) {
  auto decoded = decode(body, decoder);
  INFO(body);
  INFO(decoded.status.to_string());
  REQUIRE(decoded.status.ok());
  return *std::move(decoded.value);
}

}  // namespace

TEST_CASE("decode collection: one unnamed vector", "[unit]") {
  const auto config =
      good(R"({"vectors":{"size":65536,"distance":"Cosine"}})", decode_create_collection);
  REQUIRE(config.vectors.size() == 1);
  const VectorConfig& vector = config.vectors.at("");
  CHECK(vector.dim == 65536);
  CHECK(vector.metric == Metric::kCosine);
  CHECK_FALSE(vector.hnsw);
  CHECK_FALSE(vector.index);
  CHECK_FALSE(vector.on_disk);
  CHECK(config.shard_number == 1);
  CHECK(config.on_disk_payload);
}

TEST_CASE("decode collection: named vectors, also with names like parameters", "[unit]") {
  const auto config = good(R"({"vectors":{
      "size": {"size":4,"distance":"Dot"},
      "distance": {"size":5,"distance":"Euclid"},
      "": {"size":6,"distance":"Manhattan"}}})",
                           decode_create_collection);
  REQUIRE(config.vectors.size() == 3);
  CHECK(config.vectors.at("size").dim == 4);
  CHECK(config.vectors.at("distance").metric == Metric::kEuclid);
  CHECK(config.vectors.at("").metric == Metric::kManhattan);
  CHECK(good(R"({"vectors":{}})", decode_create_collection).vectors.empty());
  CHECK(good("{}", decode_create_collection).vectors.empty());
}

TEST_CASE("decode collection: every setting arrives, and only what was set", "[unit]") {
  const auto config = good(R"({
    "vectors": {"size": 8, "distance": "Dot", "on_disk": true,
      "hnsw_config": {"m": 0, "ef_construct": 4},
      "index": {"type": "ivf_pq", "lists": 64, "probes": 8, "pq_segments": 4}},
    "hnsw_config": {"m": 24, "full_scan_threshold": 0, "max_indexing_threads": 2,
                    "on_disk": false, "payload_m": 16},
    "optimizers_config": {"deleted_threshold": 1, "vacuum_min_vector_number": 100,
      "default_segment_number": 2, "max_segment_size": 1000, "memmap_threshold": 0,
      "indexing_threshold": 0, "flush_interval_sec": 1, "max_optimization_threads": 3},
    "wal_config": {"wal_capacity_mb": 1, "wal_segments_ahead": 2, "wal_retain_closed": 3},
    "shard_number": 2, "replication_factor": 3, "write_consistency_factor": 2,
    "on_disk_payload": false, "metadata": {"a": [1, 2.0]}})",
                           decode_create_collection);
  const VectorConfig& vector = config.vectors.at("");
  CHECK(vector.on_disk == true);
  CHECK(vector.hnsw->m == 0);
  CHECK(vector.hnsw->ef_construct == 4);
  CHECK_FALSE(vector.hnsw->payload_m);
  CHECK(*vector.index == IndexConfig{IndexType::kIvfPq, 64, 8, 4});
  CHECK(config.hnsw == HnswConfig{24, std::nullopt, 0, 2, false, 16});
  CHECK(config.optimizers == OptimizersConfig{1.0, 100, 2, 1000, 0, 0, 1, 3});
  CHECK(config.wal.wal_capacity_mb == 1);
  CHECK(config.wal.wal_segments_ahead == 2);
  CHECK(config.wal.wal_retain_closed == 3);
  CHECK(config.shard_number == 2);
  CHECK(config.replication_factor == 3);
  CHECK(config.write_consistency_factor == 2);
  CHECK_FALSE(config.on_disk_payload);
  CHECK(config.metadata_json == R"({"a":[1,2.0]})");
}

TEST_CASE("decode collection: null and default values of what is missing are accepted", "[unit]") {
  (void)good(R"({
    "vectors": {"size": 8, "distance": "Dot", "quantization_config": null, "datatype": "float32",
                "multivector_config": null, "memory": null, "on_disk": null},
    "sparse_vectors": {}, "quantization_config": null, "strict_mode_config": {"enabled": false},
    "sharding_method": "auto", "payload": null, "init_from": null, "wal_config": null,
    "optimizers_config": {"max_optimization_threads": "auto", "prevent_unoptimized": false},
    "hnsw_config": {"inline_storage": false}, "something_new": 7})",
             decode_create_collection);
}

TEST_CASE("decode collection: every datatype, shown again when it was given", "[unit]") {
  const std::pair<const char*, ValueType> types[] = {{"float32", ValueType::kFloat32},
                                                     {"float16", ValueType::kFloat16},
                                                     {"uint8", ValueType::kUint8}};
  for (const auto& [name, type] : types) {
    CollectionInfo info;
    info.config = good(R"({"vectors":{"a":{"size":8,"distance":"Dot","datatype":")" +
                           std::string(name) + R"("},"b":{"size":2,"distance":"Dot"}}})",
                       decode_create_collection);
    CHECK(info.config.vectors.at("a").value_type == type);
    CHECK_FALSE(info.config.vectors.at("b").value_type);
    std::string text;
    JsonWriter json(text);
    encode_collection_info(json, info);
    CHECK(json_at(text, "/config/params/vectors/a/datatype") == "\"" + std::string(name) + "\"");
    CHECK(json_at(text, "/config/params/vectors/b") == R"({"size":2,"distance":"Dot"})");
  }
}

TEST_CASE("decode collection: every index type", "[unit]") {
  const std::pair<const char*, IndexType> types[] = {{"hnsw", IndexType::kHnsw},
                                                     {"ivf_flat", IndexType::kIvfFlat},
                                                     {"ivf_sq8", IndexType::kIvfSq8},
                                                     {"ivf_pq", IndexType::kIvfPq},
                                                     {"flat", IndexType::kFlat}};
  for (const auto& [name, type] : types) {
    const auto request =
        good(R"({"vector":"v","index":{"type":")" + std::string(name) + "\"}}", decode_reindex);
    CHECK(request.vector == "v");
    CHECK(request.index->type == type);
  }
}

TEST_CASE("decode collection: an update carries only what it sets", "[unit]") {
  const auto changes = good(R"({"optimizers_config":{"indexing_threshold":5},
    "vectors":{"":{"hnsw_config":{"m":8}}},"metadata":{},"params":null})",
                            decode_update_collection);
  CHECK(changes.optimizers.indexing_threshold == 5);
  CHECK_FALSE(changes.optimizers.deleted_threshold);
  CHECK(changes.hnsw == HnswConfig{});
  CHECK(changes.vectors.at("").hnsw->m == 8);
  CHECK(changes.metadata_json == "{}");
}

TEST_CASE("decode collection: what an answer shows decodes to the same settings", "[unit]") {
  CollectionInfo info;
  info.config = good(R"({"vectors":{"a":{"size":8,"distance":"Dot","on_disk":true,
      "hnsw_config":{"m":5},"index":{"type":"ivf_flat","lists":9}},
      "b":{"size":3,"distance":"Cosine","hnsw_config":{}}},"metadata":{"k":"v"}})",
                     decode_create_collection);
  std::string text;
  JsonWriter json(text);
  encode_collection_info(json, info);
  CHECK(json_at(text, "/config/params/vectors/b") == R"({"size":3,"distance":"Cosine"})");
  const auto again =
      good(R"({"vectors":)" + json_at(text, "/config/params/vectors") + R"(,"hnsw_config":)" +
               json_at(text, "/config/hnsw_config") + R"(,"optimizers_config":)" +
               json_at(text, "/config/optimizer_config") + "}",
           decode_create_collection);
  CHECK(again.vectors.at("a") == info.config.vectors.at("a"));
  CHECK(again.vectors.at("b").dim == 3);
  CHECK(again.hnsw == HnswConfig{16, 100, 10'000, 0, false, std::nullopt});
  CHECK(again.optimizers ==
        OptimizersConfig{0.2, 1000, 0, std::nullopt, std::nullopt, 10'000, 5, std::nullopt});
}

TEST_CASE("decode payload index: by name and as an object", "[unit]") {
  const std::pair<const char*, PayloadIndexType> types[] = {
      {"keyword", PayloadIndexType::kKeyword},
      {"integer", PayloadIndexType::kInteger},
      {"float", PayloadIndexType::kFloat},
      {"bool", PayloadIndexType::kBool},
      {"datetime", PayloadIndexType::kDatetime}};
  for (const auto& [name, type] : types) {
    const std::string quoted = "\"" + std::string(name) + "\"";
    const auto plain =
        good(R"({"field_name":"a.b","field_schema":)" + quoted + "}", decode_payload_index);
    CHECK(plain.type == type);
    CHECK(plain.path.text == "a.b");
    CHECK_FALSE(plain.params_json);
    const auto object =
        good(R"({"field_name":"a","field_schema":{"type":)" + quoted + R"(,"on_disk":false}})",
             decode_payload_index);
    CHECK(object.type == type);
    CHECK(object.params_json == R"({"type":)" + quoted + R"(,"on_disk":false})");
  }
  CHECK(good(R"({"field_name":"a","field_type":"float"})", decode_payload_index).type ==
        PayloadIndexType::kFloat);
}

TEST_CASE("decode clusters: defaults and every setting", "[unit]") {
  const auto plain = good("{}", decode_train_clusters);
  CHECK(plain.vector.empty());
  CHECK(plain.count == 0);
  CHECK(plain.iterations == 20);
  CHECK_FALSE(plain.sample);
  CHECK_FALSE(plain.label_field);
  const auto full = good(R"({"vector":"v","count":100,"iterations":5,"seed":7,"sample":1000,
                             "labels":{"field":"a.b[]"}})",
                         decode_train_clusters);
  CHECK(full.label_field->text == "a.b[]");
  CHECK(full.vector == "v");
  CHECK(full.count == 100);
  CHECK(full.iterations == 5);
  CHECK(full.seed == 7);
  CHECK(full.sample == 1000);
}

TEST_CASE("decode names: limits and forbidden characters", "[unit]") {
  CHECK(check_name("vector name", std::string(200, 'a'), 200).empty());
  CHECK(check_name("vector name", std::string(201, 'a'), 200) ==
        "vector name is 201 bytes long, must be at most 200");
  for (const char forbidden : std::string("<>:\"/\\|?*\x1f")) {
    CAPTURE(forbidden);
    CHECK_FALSE(check_name("vector name", std::string("a") + forbidden, 200).empty());
  }
  CHECK_FALSE(check_name("vector name", std::string(1, '\0'), 200).empty());
  CHECK(check_name("vector name", "Größe 1.0-a_b", 200).empty());
}
