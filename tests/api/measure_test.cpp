#include <catch2/catch.hpp>

#include "api/decode.h"
#include "support.h"

using namespace tessera;
using namespace tessera::api;
using namespace tessera::engine;
using Kind = QuantizationConfig::Kind;

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

TEST_CASE("quantization: an answer shows what was set, and null where nothing was", "[unit]") {
  const std::string given[] = {
      R"({"scalar":{"type":"int8"}})",
      R"({"scalar":{"type":"int8","quantile":0.99,"always_ram":true}})",
      R"({"product":{"compression":"x16","always_ram":false}})",
      R"({"product":{"compression":"x4"}})",
      R"({"binary":{}})",
      R"({"binary":{"always_ram":true,"encoding":"one_bit","query_encoding":"binary"}})"};
  for (const std::string& quantization : given) {
    CAPTURE(quantization);
    ServiceUnderTest under_test;
    const std::string body =
        R"({"vectors":{"size":8,"distance":"Dot"},"quantization_config":)" + quantization + "}";
    REQUIRE(under_test.call(Method::kPut, "/collections/q", body).status == 200);
    const Answer info = under_test.call(Method::kGet, "/collections/q");
    CHECK(info.at("/result/config/quantization_config") == quantization);
    CHECK(info.at("/result/config/params/vectors/quantization_config") == "<none>");
    const std::string own =
        R"({"vectors":{"a":{"size":8,"distance":"Dot","quantization":)" + quantization + "}}}";
    REQUIRE(under_test.call(Method::kPut, "/collections/own", own).status == 200);
    const Answer own_info = under_test.call(Method::kGet, "/collections/own");
    CHECK(own_info.at("/result/config/quantization_config") == "null");
    CHECK(own_info.at("/result/config/params/vectors/a/quantization_config") == quantization);
  }
}

TEST_CASE("quantization: a change sets it or takes it away", "[unit]") {
  const CollectionConfig changes = good(
      R"({"quantization_config":"Disabled","vectors":{"a":{"quantization":"Disabled"},
          "b":{"quantization_config":{"product":{"compression":"x32"}}},"c":{}}})",
      decode_update_collection);
  CHECK(changes.quantization->kind == Kind::kDisabled);
  CHECK(changes.vectors.at("a").quantization->kind == Kind::kDisabled);
  CHECK(changes.vectors.at("b").quantization->kind == Kind::kProduct);
  CHECK(changes.vectors.at("b").quantization->compression == 32);
  CHECK_FALSE(changes.vectors.at("c").quantization);
  CHECK_FALSE(good(R"({"quantization_config":null})", decode_update_collection).quantization);
  CHECK(good(R"({"quantization_config":{"binary":{}}})", decode_reindex).quantization->kind ==
        Kind::kBinary);
  CHECK(good(R"({"index":{"type":"ivf_flat"},"quantization_config":"Disabled"})", decode_reindex)
            .quantization->kind == Kind::kDisabled);
}

TEST_CASE("params: quantization, dims and acorn arrive; rescoring is the default", "[unit]") {
  const SearchParams none = good("{}", decode_params);
  CHECK_FALSE(none.ignore_codes);
  CHECK(none.rescore);
  CHECK_FALSE(none.oversampling);
  CHECK_FALSE(none.dims);
  const SearchParams params = good(
      R"({"quantization":{"ignore":true,"rescore":false,"oversampling":2.5},"dims":64,
          "acorn":{"enable":true,"max_selectivity":0.4}})",
      decode_params);
  CHECK(params.ignore_codes);
  CHECK_FALSE(params.rescore);
  CHECK(params.oversampling == 2.5);
  CHECK(params.dims == 64);
  const SearchParams nulls = good(
      R"({"quantization":{"ignore":null,"rescore":null,"oversampling":null},"dims":null,
          "acorn":{"enable":null}})",
      decode_params);
  CHECK(nulls.rescore);
}

TEST_CASE("explain: the plan shows every segment and a hit its dimensions", "[unit]") {
  ServiceUnderTest under_test;
  QueryResult& answer = under_test.collection.query_answer;
  ScoredPoint& point = answer.points.emplace_back();
  point.record.id = PointId(7);
  point.contributions = {{3, 0.5F}, {0, -1, "length"}};
  answer.plan.emplace();
  answer.plan->strategy = "walk";
  answer.plan->segments.push_back({1, "sealed", "hnsw", "walk", 9, 8, 7, false, 6, 5});
  const Answer shown = under_test.call(Method::kPost, "/collections/c/points/query",
                                       R"({"query":[1],"explain":true})");
  CHECK(shown.at("/result/points/0/contributions") ==
        R"([{"dim":3,"contribution":0.5},{"dim":0,"contribution":-1.0,"name":"length"}])");
  CHECK(shown.at("/result/plan/segments") ==
        R"([{"type":"hnsw","strategy":"walk","rows":9,"live":8,"matches":7,"visited":6,)"
        R"("reranked":5}])");
  CHECK(under_test.collection.queries.at(0).explain);
}

TEST_CASE("dimension names: one for each dimension, shown as given", "[unit]") {
  ServiceUnderTest under_test;
  const std::string vectors = R"({"size":2,"distance":"Dot","dimension_names":["length","width"]})";
  REQUIRE(
      under_test.call(Method::kPut, "/collections/q", R"({"vectors":)" + vectors + "}").status ==
      200);
  CHECK(under_test.call(Method::kGet, "/collections/q").at("/result/config/params/vectors") ==
        vectors);
}

TEST_CASE("recall: defaults, every field, and the answer", "[unit]") {
  ServiceUnderTest under_test;
  RecallReport& report = under_test.collection.recall_answer;
  report.recall = 0.975;
  report.sample = 50;
  report.limit = 5;
  report.approximate = {100, 90, 200, 1000};
  report.exact = {1000, 900, 2000, 10'000};
  const Answer plain = under_test.call(Method::kPost, "/collections/c/recall");
  CHECK(plain.at("/result") ==
        R"({"recall":0.975,"sample":50,"limit":5,"approximate":{"mean_us":100.0,"p50_us":90.0,)"
        R"("p99_us":200.0,"visited_mean":1000.0},"exact":{"mean_us":1000.0,"p50_us":900.0,)"
        R"("p99_us":2000.0,"visited_mean":10000.0}})");
  report.recall.reset();
  const std::string body = R"({"using":"v","sample":7,"limit":3,"seed":5,"params":{"hnsw_ef":64},
                               "filter":{"must":{"has_id":[1]}}})";
  CHECK(under_test.call(Method::kPost, "/collections/c/recall?timeout=5", body)
            .at("/result/recall") == "null");
  const RecallRequest& first = under_test.collection.recalls.at(0);
  CHECK(first.vector.empty());
  CHECK(first.sample == 100);
  CHECK(first.limit == 10);
  CHECK_FALSE(first.filter);
  const RecallRequest& second = under_test.collection.recalls.at(1);
  CHECK(second.vector == "v");
  CHECK(second.sample == 7);
  CHECK(second.limit == 3);
  CHECK(second.seed == 5);
  CHECK(second.params.hnsw_ef == 64);
  CHECK(second.filter->must.size() == 1);
}

TEST_CASE("recall: a request that was cancelled is not answered", "[unit]") {
  ServiceUnderTest under_test;
  CancelToken cancel;
  cancel.cancel();
  const Answer answer =
      under_test.call(Method::kPost, "/collections/c/recall", "{}", "application/json", &cancel);
  CHECK(answer.status != 200);
  CHECK(under_test.collection.recalls.empty());
}

TEST_CASE("estimate: a vector of the collection, another one, or several", "[unit]") {
  const EstimateRequest none = good("{}", decode_estimate);
  CHECK_FALSE(none.vector_name);
  CHECK(none.vectors.empty());
  CHECK_FALSE(none.point_count);
  CHECK(good(R"({"vectors":""})", decode_estimate).vector_name == "");
  CHECK(good(R"({"vectors":{"size":8,"distance":"Dot"}})", decode_estimate).vectors.at("").dim ==
        8);
  const EstimateRequest full = good(
      R"({"vectors":{"a":{"size":8,"distance":"Dot"},"b":{"size":4,"distance":"Euclid"}},
          "points":1000000,"hnsw_config":{"m":8},"index":{"type":"hnsw"},
          "quantization_config":{"binary":{}},"on_disk":true})",
      decode_estimate);
  CHECK(full.vectors.size() == 2);
  CHECK(full.point_count == 1'000'000);
  CHECK(full.hnsw->m == 8);
  CHECK(full.index->type == IndexType::kHnsw);
  CHECK(full.quantization->kind == Kind::kBinary);
  CHECK(full.on_disk == true);
}

TEST_CASE("estimate: the answer has every part and the sums", "[unit]") {
  ServiceUnderTest under_test;
  Estimate& estimate = under_test.collection.estimate_answer;
  estimate.point_count = 10;
  estimate.vectors["a"] = {"hnsw", 1, 2, 3, 4, 5, 6, 7, 90};
  estimate.point_bytes = 8;
  estimate.ram_bytes = 13;
  estimate.disk_bytes = 6;
  estimate.build_seconds = 90;
  estimate.thread_count = 2;
  CHECK(under_test.call(Method::kPost, "/collections/c/estimate").at("/result") ==
        R"({"points":10,"vectors":{"a":{"index":"hnsw","vector_bytes":1,"code_bytes":2,)"
        R"("graph_bytes":3,"id_bytes":4,"ram_bytes":5,"disk_bytes":6,"build_ram_bytes":7,)"
        R"("build_minutes":1.5}},"point_bytes":8,"ram_bytes":13,"disk_bytes":6,)"
        R"("build_minutes":1.5,"build_threads":2})");
}
