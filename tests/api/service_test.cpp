#include <chrono>
#include <set>

#include <catch2/catch.hpp>

#include "api/envelope.h"
#include "support.h"

using namespace tessera;
using namespace tessera::api;
using namespace tessera::engine;

namespace {

constexpr Method kGet = Method::kGet;
constexpr Method kPost = Method::kPost;
constexpr Method kPut = Method::kPut;
constexpr Method kDelete = Method::kDelete;

Record record_of(std::uint64_t id) {
  return {PointId(id), R"({"a":1})", {{"", {0.5F, 1.0F}}}};
}

}  // namespace

TEST_CASE("service: the root names the product, the dialect and the build", "[unit]") {
  ServiceUnderTest under_test;
  const Answer answer = under_test.call(kGet, "/");
  CHECK(answer.status == 200);
  CHECK(answer.at("/title") == "\"tessera - vector search engine\"");
  CHECK(answer.at("/version") == "\"1.19.0\"");
  CHECK(answer.at("/tessera/version") != "<none>");
  CHECK(answer.at("/tessera/commit") != "<none>");
  CHECK(answer.at("/tessera/cpu") != "<none>");
  CHECK(answer.at("/result") == "<none>");
}

TEST_CASE("service: probes answer in plain text and readiness follows the flag", "[unit]") {
  ServiceUnderTest under_test;
  for (const char* path : {"/healthz", "/livez"}) {
    const Answer answer = under_test.call(kGet, path);
    CHECK(answer.status == 200);
    CHECK(answer.body == "healthz check passed");
    CHECK(answer.content_type == "text/plain; charset=utf-8");
  }
  CHECK(under_test.call(kGet, "/readyz").body == "all shards are ready");
  under_test.service.set_ready(false);
  CHECK(under_test.call(kGet, "/readyz").status == 503);
  under_test.service.set_ready(true);
  CHECK(under_test.call(kGet, "/readyz").status == 200);
}

TEST_CASE("service: a service that nobody declared ready is not", "[unit]") {
  FakeDatabase database;
  metrics::Registry registry;
  Service service(database, registry);
  HttpRequest request;
  request.target = "/readyz";
  CHECK(service.handle(request).status == 503);
}

TEST_CASE("service: success has the envelope and its time", "[unit]") {
  ServiceUnderTest under_test;
  const Answer answer = under_test.call(kGet, "/collections");
  CHECK(answer.status == 200);
  CHECK(answer.content_type == "application/json");
  CHECK(answer.at("/result") == R"({"collections":[{"name":"c"}]})");
  CHECK(answer.at("/status") == "\"ok\"");
  CHECK(keys_at(answer.body, "") == std::vector<std::string>{"result", "status", "time"});
  CHECK(std::stod(answer.at("/time")) < 60);
}

TEST_CASE("service: every code has its HTTP status and prefix", "[unit]") {
  struct Form {
    Code code;
    int status;
    const char* error;
    const char* retry_after;
  };
  const Form forms[] = {
      {Code::kInvalidArgument, 400, "Wrong input: why", ""},
      {Code::kBadRequest, 400, "Bad request: why", ""},
      {Code::kFormat, 400, "why", ""},
      {Code::kValidation, 422, "why", ""},
      {Code::kNotFound, 404, "Not found: why", ""},
      {Code::kAlreadyExists, 409, "Wrong input: why", ""},
      {Code::kForbidden, 403, "Forbidden: why", ""},
      {Code::kTimeout, 408, "Timeout: why", ""},
      {Code::kCancelled, 503, "Shard temporarily unavailable: why", "1"},
      {Code::kResourceExhausted, 429, "Rate limiting exceeded: why", "1"},
      {Code::kUnavailable, 503, "Shard temporarily unavailable: why", "1"},
      {Code::kDiskFull, 507, "Service internal error: why", ""},
      {Code::kUnimplemented, 501, "Not implemented: why", ""},
      {Code::kCorrupt, 500, "Service internal error: why", ""},
      {Code::kInternal, 500, "Service internal error: why", ""},
  };
  ServiceUnderTest under_test;
  for (const Form& form : forms) {
    CAPTURE(code_name(form.code));
    under_test.collection.failure = Status(form.code, "why");
    const Answer answer = under_test.call(kPost, "/collections/c/points/query", "{}");
    CHECK(answer.status == form.status);
    CHECK(answer.error() == form.error);
    CHECK(answer.header("Retry-After") == form.retry_after);
    CHECK(keys_at(answer.body, "") == std::vector<std::string>{"status", "time"});
  }
}

TEST_CASE("service: a refusal of the server has the same envelope", "[unit]") {
  const HttpResponse response = Service::refusal(413, "the body is larger than 32 MiB");
  CHECK(response.status == 413);
  CHECK(response.body == R"({"status":{"error":"the body is larger than 32 MiB"},"time":0.0})");
}

TEST_CASE("service: a collection is created, shown, changed and deleted", "[unit]") {
  ServiceUnderTest under_test;
  const Answer created =
      under_test.call(kPut, "/collections/films%20%26%20more/",
                      R"({"vectors":{"size":4,"distance":"Cosine","index":{"type":"flat"}}})");
  CHECK(created.at("/result") == "true");
  CHECK(under_test.database.collections.contains("films & more"));
  const Answer info = under_test.call(kGet, "/collections/films+&+more");
  CHECK(info.status == 404);
  CHECK(under_test.call(kGet, "/collections/films%20&%20more")
            .at("/result/config/params/vectors/index") == R"({"type":"flat"})");
  CHECK(under_test.call(kGet, "/collections/films%20&%20more/exists").at("/result") ==
        R"({"exists":true})");
  CHECK(under_test
            .call(Method::kPatch, "/collections/c",
                  R"({"optimizers_config":{"indexing_threshold":1}})")
            .at("/result") == "true");
  CHECK(under_test.database.updates.at(0).optimizers.indexing_threshold == 1);
  CHECK(under_test.call(kDelete, "/collections/c?timeout=5").at("/result") == "true");
  const Answer again = under_test.call(kDelete, "/collections/c");
  CHECK(again.status == 200);
  CHECK(again.at("/result") == "false");
  CHECK(under_test.call(kGet, "/collections/c/exists").at("/result") == R"({"exists":false})");
}

TEST_CASE("service: collection info reports the defaults of the dialect", "[unit]") {
  ServiceUnderTest under_test;
  CollectionInfo& info = under_test.collection.info_answer;
  info.config.vectors[""].dim = 4;
  info.config.vectors[""].metric = Metric::kDot;
  info.point_count = 7;
  info.indexed_vector_count = 5;
  info.segment_count = 2;
  info.payload_schema["a.b"] = {PayloadIndexType::kDatetime, std::nullopt, 3};
  info.payload_schema["k"] = {PayloadIndexType::kKeyword, R"({"type":"keyword"})", 0};
  const Answer answer = under_test.call(kGet, "/collections/c");
  CHECK(answer.at("/result") ==
        R"({"status":"green","optimizer_status":"ok","indexed_vectors_count":5,"points_count":7,)"
        R"("segments_count":2,"config":{"params":{"vectors":{"size":4,"distance":"Dot"},)"
        R"("shard_number":1,"replication_factor":1,"write_consistency_factor":1,)"
        R"("on_disk_payload":true},"hnsw_config":{"m":16,"ef_construct":100,)"
        R"("full_scan_threshold":10000,"max_indexing_threads":0,"on_disk":false},)"
        R"("optimizer_config":{"deleted_threshold":0.2,"vacuum_min_vector_number":1000,)"
        R"("default_segment_number":0,"max_segment_size":null,"memmap_threshold":null,)"
        R"("indexing_threshold":10000,"flush_interval_sec":5,"max_optimization_threads":null},)"
        R"("wal_config":{"wal_capacity_mb":32,"wal_segments_ahead":0,"wal_retain_closed":1},)"
        R"("quantization_config":null},"payload_schema":{"a.b":{"data_type":"datetime",)"
        R"("points":3},"k":{"data_type":"keyword","params":{"type":"keyword"},"points":0}}})");
  info.is_optimizing = true;
  CHECK(under_test.call(kGet, "/collections/c").at("/result/status") == "\"yellow\"");
  info.optimizer_error = "no space";
  const Answer red = under_test.call(kGet, "/collections/c");
  CHECK(red.at("/result/status") == "\"red\"");
  CHECK(red.at("/result/optimizer_status") == R"({"error":"no space"})");
}

TEST_CASE("service: writes pass `wait` on and answer with their number", "[unit]") {
  ServiceUnderTest under_test;
  const std::string body = R"({"points":[{"id":1,"vector":[1]}]})";
  CHECK(under_test.call(kPut, "/collections/c/points", body).at("/result") ==
        R"({"operation_id":1,"status":"acknowledged"})");
  CHECK(under_test.call(kPut, "/collections/c/points?wait=true&ordering=weak&timeout=3", body)
            .at("/result") == R"({"operation_id":2,"status":"completed"})");
  CHECK(under_test.collection.waits == std::vector<bool>{false, true});
  CHECK(under_test
            .call(kPost, "/collections/c/points/batch?wait=true",
                  R"({"operations":[{"delete":{"points":[1]}},{"clear_payload":{"points":[2]}}]})")
            .at("/result") ==
        R"([{"operation_id":3,"status":"completed"},{"operation_id":4,"status":"completed"}])");
  CHECK(under_test.collection.writes.size() == 4);
}

TEST_CASE("service: every write reaches the engine as its own operation", "[unit]") {
  ServiceUnderTest under_test;
  const auto index_of_last = [&](Method method, const std::string& path, const std::string& body) {
    const Answer answer = under_test.call(method, "/collections/c" + path, body);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return under_test.collection.writes.back().index();
  };
  const auto kind = [](const WriteOperation& operation) { return operation.index(); };
  CHECK(index_of_last(kPut, "/points", R"({"points":[]})") == kind(UpsertPoints{}));
  CHECK(index_of_last(kPost, "/points/delete", R"({"points":[]})") == kind(DeletePoints{}));
  CHECK(index_of_last(kPost, "/points/payload", R"({"points":[],"payload":{}})") ==
        kind(SetPayload{}));
  CHECK(index_of_last(kPut, "/points/payload", R"({"points":[],"payload":{}})") ==
        kind(OverwritePayload{}));
  CHECK(index_of_last(kPost, "/points/payload/delete", R"({"points":[],"keys":[]})") ==
        kind(DeletePayloadKeys{}));
  CHECK(index_of_last(kPost, "/points/payload/clear", R"({"points":[]})") == kind(ClearPayload{}));
  CHECK(index_of_last(kPut, "/index", R"({"field_name":"a","field_schema":"bool"})") ==
        kind(CreatePayloadIndex{}));
  CHECK(index_of_last(kDelete, "/index/a%5B%5D.b", "") == kind(DeletePayloadIndex{}));
  CHECK(std::get<DeletePayloadIndex>(under_test.collection.writes.back()).path.text == "a[].b");
}

TEST_CASE("service: records show what was asked for and nothing else", "[unit]") {
  ServiceUnderTest under_test;
  under_test.collection.records = {record_of(1), {PointId(2), std::nullopt, {}}};
  CHECK(under_test.call(kPost, "/collections/c/points", R"({"ids":[2,1,3]})").at("/result") ==
        R"([{"id":2,"payload":{}},{"id":1,"payload":{"a":1}}])");
  CHECK(under_test
            .call(kPost, "/collections/c/points",
                  R"({"ids":[1,2],"with_payload":false,"with_vector":true})")
            .at("/result") == R"([{"id":1,"vector":[0.5,1.0]},{"id":2,"vector":{}}])");
  CHECK(under_test.call(kGet, "/collections/c/points/1").at("/result") ==
        R"({"id":1,"payload":{"a":1},"vector":[0.5,1.0]})");
  CHECK(under_test.call(kGet, "/collections/c/points/5").status == 404);
}

TEST_CASE("service: the unnamed vector beside others is shown in a map", "[unit]") {
  ServiceUnderTest under_test;
  under_test.collection.records = {{PointId(1), std::nullopt, {{"", {1}}, {"b", {2}}}},
                                   {PointId(2), std::nullopt, {{"b", {2}}}}};
  CHECK(under_test
            .call(kPost, "/collections/c/points",
                  R"({"ids":[1,2],"with_payload":false,"with_vector":true})")
            .at("/result") ==
        R"([{"id":1,"vector":{"":[1.0],"b":[2.0]}},{"id":2,"vector":{"b":[2.0]}}])");
}

TEST_CASE("service: a scroll page ends with null or the next id", "[unit]") {
  ServiceUnderTest under_test;
  under_test.collection.records = {record_of(1)};
  const std::string path = "/collections/c/points/scroll";
  CHECK(under_test.call(kPost, path, "{}").at("/result") ==
        R"({"points":[{"id":1,"payload":{"a":1}}],"next_page_offset":null})");
  under_test.collection.next_offset = PointId::parse_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
  CHECK(under_test.call(kPost, path, "{}").at("/result/next_page_offset") ==
        "\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"");
  CHECK(under_test.call(kPost, "/collections/c/points/count", "{}").at("/result") ==
        R"({"count":1})");
}

TEST_CASE("service: query answers carry interests, rounds and the plan", "[unit]") {
  ServiceUnderTest under_test;
  QueryResult& result = under_test.collection.query_answer;
  ScoredPoint point;
  point.record = record_of(9);
  point.version = 3;
  point.score = 0.75F;
  result.points = {point};
  const std::string path = "/collections/c/points/query";
  CHECK(under_test.call(kPost, path, R"({"query":[1,2]})").at("/result") ==
        R"({"points":[{"id":9,"version":3,"score":0.75}]})");
  result.points[0].interest = {1, 4, 0.75F};
  result.points[0].round = 2;
  result.interests = {
      {0, 17, 0.625, 3, 2, PointId(8), {PointId(8), PointId(5)}, {"\"a\"", "7"}, std::nullopt},
      {1, std::nullopt, 0.375, 1, 1, std::nullopt, {}, {}, std::nullopt}};
  result.rounds = {{1, 2, 1.0}, {2, 1, 0.5}};
  result.plan = QueryPlan{"exact_scan", 5, 6, 7, 8, {}};
  CHECK(under_test.call(kPost, path, R"({"query":[1,2],"explain":true,"with_payload":true})")
            .at("/result") ==
        R"({"points":[{"id":9,"version":3,"score":0.75,"payload":{"a":1},)"
        R"("interest":{"component":1,"rank":4,"score":0.75},"round":2}],)"
        R"("interests":[{"component":0,"cluster":17,"weight":0.625,"quota":3,"returned":2,)"
        R"("medoid":8,"items":[8,5],"label":["a",7]},)"
        R"({"component":1,"cluster":null,"weight":0.375,"quota":1,"returned":1,)"
        R"("medoid":null,"items":[]}],"rounds":[{"round":1,"returned":2,"shift":1.0},)"
        R"({"round":2,"returned":1,"shift":0.5}],"plan":{"strategy":"exact_scan",)"
        R"("match_count":5,"visited_count":6,"search_count":7,"segment_count":8,"segments":[]}})");
  result = {};
  result.points = {point};
  const Answer batch = under_test.call(kPost, path + "/batch",
                                       R"({"searches":[{"query":1},{"with_payload":true}]})");
  CHECK(batch.at("/result") ==
        R"([{"points":[{"id":9,"version":3,"score":0.75}]},)"
        R"({"points":[{"id":9,"version":3,"score":0.75,"payload":{"a":1}}]}])");
  CHECK(under_test.call(kPost, "/collections/c/points/search", R"({"vector":[1],"limit":1})")
            .at("/result") == R"([{"id":9,"version":3,"score":0.75}])");
  CHECK(under_test
            .call(kPost, "/collections/c/points/search/batch",
                  R"({"searches":[{"vector":[1],"limit":1}]})")
            .at("/result") == R"([[{"id":9,"version":3,"score":0.75}]])");
}

TEST_CASE("service: groups carry their hits and what was looked up", "[unit]") {
  ServiceUnderTest under_test;
  ScoredPoint point;
  point.record = record_of(9);
  point.version = 3;
  point.score = 0.75F;
  point.interest = {1, 4, 0.5F};
  QueryGroupsResult& result = under_test.collection.groups_answer;
  result.groups = {{"\"a \\\"b\\\"\"", {point, point}}, {"9", {point}}, {"-1", {point}}};
  under_test.collection.records = {record_of(9)};
  const std::string path = "/collections/c/points/query/groups";
  const std::string hit =
      R"({"id":9,"version":3,"score":0.75,"interest":{"component":1,"rank":4,"score":0.5}})";
  CHECK(under_test.call(kPost, path, R"({"query":[1,2],"group_by":"k"})").at("/result") ==
        R"({"groups":[{"id":"a \"b\"","hits":[)" + hit + "," + hit + R"(]},{"id":9,"hits":[)" +
            hit + R"(]},{"id":-1,"hits":[)" + hit + "]}]}");
  CHECK(under_test.collection.group_queries.at(0).group_by.text == "k");
  const Answer looked_up =
      under_test.call(kPost, path, R"({"query":[1,2],"group_by":"k","with_lookup":"c"})");
  CHECK(looked_up.at("/result/groups/0/lookup") == "<none>");
  CHECK(looked_up.at("/result/groups/1/lookup") == R"({"id":9,"payload":{"a":1}})");
  CHECK(looked_up.at("/result/groups/2/lookup") == "<none>");
  const Answer missing =
      under_test.call(kPost, path, R"({"query":[1],"group_by":"k","with_lookup":"nope"})");
  CHECK(missing.status == 404);
  CHECK(missing.error() == "Not found: Collection nope not found");
}

TEST_CASE("service: clusters, reindex and jobs", "[unit]") {
  ServiceUnderTest under_test;
  CHECK(under_test.call(kPost, "/collections/c/clusters", "").at("/result") == R"({"job":41})");
  CHECK(under_test.call(kPost, "/collections/c/clusters", R"({"vector":"v","count":3})")
            .at("/result") == R"({"job":41})");
  CHECK(under_test.collection.trainings.at(1).count == 3);
  CHECK(under_test.call(kPost, "/collections/c/reindex", R"({"index":{"type":"flat"}})")
            .at("/result") == R"({"job":42})");
  engine::ClustersInfo& clusters = under_test.collection.clusters_answer;
  clusters.count = 2;
  clusters.trained_at_us = 1'000'001;
  clusters.sizes = {3, 4};
  clusters.version = 5;
  clusters.drift = 0.25;
  CHECK(under_test.call(kGet, "/collections/c/clusters?vector=a%20b").at("/result") ==
        R"({"vector":"a b","count":2,"trained_at":"1970-01-01T00:00:01.000001Z","sizes":[3,4],)"
        R"("version":5,"drift":0.25})");
  clusters.unassigned = 6;
  clusters.label_field = "a.b";
  clusters.labels = {{{"\"x\"", 2}, {"true", 1}}, {}};
  CHECK(under_test.call(kGet, "/collections/c/clusters").at("/result/labels") ==
        R"([[{"value":"x","count":2},{"value":true,"count":1}],[]])");
  CHECK(under_test.call(kGet, "/collections/c/clusters").at("/result/label_field") == "\"a.b\"");
  CHECK(under_test.call(kGet, "/collections/c/clusters").at("/result/unassigned") == "6");
  JobInfo job;
  job.id = 7;
  job.kind = "clusters";
  job.collection = "c";
  job.state = JobState::kRunning;
  job.done = 1;
  job.total = 4;
  job.eta_seconds = 2.5;
  under_test.database.job_list = {job};
  const std::string running =
      R"({"id":7,"kind":"clusters","collection":"c","detail":"","state":"running","done":1,)"
      R"("total":4,"eta_seconds":2.5,"created_at":"1970-01-01T00:00:00.000000Z"})";
  CHECK(under_test.call(kGet, "/jobs/7").at("/result") == running);
  CHECK(under_test.call(kGet, "/jobs").at("/result") == R"({"jobs":[)" + running + "]}");
  CHECK(under_test.call(kDelete, "/jobs/7").at("/result") == "true");
  CHECK(under_test.database.cancelled == std::vector<std::uint64_t>{7});
  under_test.database.job_list[0].state = JobState::kDone;
  CHECK(under_test.call(kDelete, "/jobs/7").error() == "Bad request: Job 7 has finished");
}

TEST_CASE("service: `timeout` narrows the deadline and a cancelled request stops", "[unit]") {
  ServiceUnderTest under_test;
  CancelToken cancel;
  const auto count = [&](const std::string& parameters, CancelToken* token) {
    return under_test.call(kPost, "/collections/c/points/count" + parameters, "{}",
                           "application/json", token);
  };
  CHECK(count("", nullptr).status == 200);
  CHECK(count("?timeout=60", nullptr).status == 200);
  CHECK(count("?timeout=18446744073709551615", &cancel).status == 200);
  CancelToken expired(CancelToken::Clock::now() - std::chrono::seconds(1));
  CHECK(count("?timeout=60", &expired).status == 408);
  CHECK(count("", &expired).error() == "Timeout: the deadline has passed");
  cancel.cancel();
  CHECK(count("?timeout=60", &cancel).status == 503);
}

TEST_CASE("service: HEAD is answered like GET, and an unknown parameter is ignored", "[unit]") {
  ServiceUnderTest under_test;
  CHECK(under_test.call(Method::kHead, "/collections").status == 200);
  CHECK(under_test.call(kGet, "/collections?color=red").status == 200);
  CHECK(under_test.call(kGet, "/collections///").status == 200);
  CHECK(under_test.call(kPost, "/collections").header("Allow") == "GET, HEAD");
}

TEST_CASE("service: the cluster and the list of issues answer for one node", "[unit]") {
  ServiceUnderTest under_test;
  CHECK(under_test.call(kGet, "/cluster").at("/result") == R"({"status":"disabled"})");
  CHECK(under_test.call(kGet, "/issues").at("/result") == R"({"issues":[]})");
  CHECK(under_test.call(kDelete, "/issues").at("/result") == "true");
}

TEST_CASE("service: requests are counted by route and status, queries timed by kind", "[unit]") {
  ServiceUnderTest under_test;
  under_test.call(kGet, "/collections");
  under_test.call(kGet, "/collections");
  under_test.call(kGet, "/nowhere");
  under_test.call(kPost, "/collections/c/points/query", R"({"query":[1],"limit":0})");
  under_test.call(kPost, "/collections/c/points/query", R"({"query":[1]})");
  under_test.call(kPost, "/collections/c/points/query", "{}");
  under_test.call(kPost, "/collections/c/points/query",
                  R"({"query":{"interests":{"history":[1]}}})");
  under_test.call(kPost, "/collections/c/points/query", R"({"query":{"refine":{"query":[1]}}})");
  const Answer answer = under_test.call(kGet, "/metrics");
  CHECK(answer.content_type == "text/plain; version=0.0.4; charset=utf-8");
  const auto has = [&](const std::string& line) {
    INFO(answer.body);
    CHECK(answer.body.find(line + "\n") != std::string::npos);
  };
  has(R"(tessera_api_requests_total{route="GET /collections",status="200"} 2)");
  has(R"(tessera_api_requests_total{route="unmatched",status="404"} 1)");
  const std::string query = R"(route="POST /collections/{collection_name}/points/query")";
  has("tessera_api_requests_total{" + query + R"(,status="422"} 1)");
  has("tessera_api_requests_total{" + query + R"(,status="200"} 4)");
  for (const char* kind : {"nearest", "scroll", "interests", "refine"}) {
    has(R"(tessera_query_seconds_count{kind=")" + std::string(kind) + R"("} 1)");
  }
}
