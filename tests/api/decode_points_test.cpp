#include <catch2/catch.hpp>

#include "api/decode.h"
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

using Vectors = std::vector<std::pair<std::string, std::vector<float>>>;

}  // namespace

TEST_CASE("decode points: rows with unnamed and named vectors", "[unit]") {
  const auto request = good(R"({"points":[
      {"id":1,"vector":[1,2.5],"payload":{"a":1}},
      {"id":18446744073709551615,"vector":{"x":[1],"":[2]},"payload":null},
      {"id":"{6BA7B810-9dad-11d1-80b4-00c04fd430c8}","vector":{}}], "update_mode":"upsert"})",
                            decode_upsert);
  REQUIRE(request.points.size() == 3);
  CHECK(request.points[0].id == PointId(1));
  CHECK(request.points[0].vectors == Vectors{{"", {1, 2.5F}}});
  CHECK(request.points[0].payload == R"({"a":1})");
  CHECK(request.points[1].id == PointId(UINT64_MAX));
  CHECK(request.points[1].vectors == Vectors{{"x", {1}}, {"", {2}}});
  CHECK_FALSE(request.points[1].payload);
  CHECK(request.points[2].id.to_string() == "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
  CHECK(request.points[2].vectors.empty());
}

TEST_CASE("decode points: columns give the same points as rows", "[unit]") {
  const auto columns = good(R"({"batch":{"ids":[1,2],"vectors":[[1,2],[3,4]],
      "payloads":[{"a":1},null]}})",
                            decode_upsert);
  REQUIRE(columns.points.size() == 2);
  CHECK(columns.points[1].id == PointId(2));
  CHECK(columns.points[1].vectors == Vectors{{"", {3, 4}}});
  CHECK(columns.points[0].payload == R"({"a":1})");
  CHECK_FALSE(columns.points[1].payload);
  const auto named =
      good(R"({"batch":{"ids":[1,2],"vectors":{"a":[[1],[2]],"b":[[3],[4]]}}})", decode_upsert);
  CHECK(named.points[1].vectors == Vectors{{"a", {2}}, {"b", {4}}});
}

TEST_CASE("decode points: an empty list of points is no error", "[unit]") {
  CHECK(good(R"({"points":[]})", decode_upsert).points.empty());
}

TEST_CASE("decode points: selectors by ids and by filter", "[unit]") {
  const auto by_ids = good(R"({"points":[1,2],"filter":null,"shard_key":null})", decode_delete);
  CHECK(std::get<std::vector<PointId>>(by_ids.selector) ==
        std::vector<PointId>{PointId(1), PointId(2)});
  const auto by_filter =
      good(R"({"filter":{"must":{"key":"a","match":{"value":1}}}})", decode_clear_payload);
  CHECK(std::get<Filter>(by_filter.selector).must.size() == 1);
}

TEST_CASE("decode points: payload changes", "[unit]") {
  const auto set = good(R"({"points":[1],"payload":{"b":[1, 2]},"key":"a.c"})", decode_set_payload);
  CHECK(set.payload == R"({"b":[1,2]})");
  REQUIRE(set.key);
  CHECK(set.key->text == "a.c");
  CHECK_FALSE(good(R"({"points":[1],"payload":{}})", decode_set_payload).key);
  const auto overwrite =
      good(R"({"filter":{},"payload":{"b":1},"key":null})", decode_overwrite_payload);
  CHECK(overwrite.payload == R"({"b":1})");
  CHECK(std::get<Filter>(overwrite.selector).empty());
  const auto removal = good(R"({"points":[1],"keys":["a","b[].c"]})", decode_delete_payload);
  REQUIRE(removal.keys.size() == 2);
  CHECK(removal.keys[1].text == "b[].c");
}

TEST_CASE("decode points: operations keep their order", "[unit]") {
  const auto operations = good(R"({"operations":[
      {"upsert":{"points":[{"id":1,"vector":[1]}]}},
      {"delete":{"points":[2]}},
      {"set_payload":{"points":[1],"payload":{"a":1}}},
      {"overwrite_payload":{"points":[1],"payload":{"a":1}}},
      {"delete_payload":{"points":[1],"keys":["a"]}},
      {"clear_payload":{"filter":{}}}]})",
                               decode_operations);
  REQUIRE(operations.size() == 6);
  CHECK(std::holds_alternative<UpsertPoints>(operations[0]));
  CHECK(std::holds_alternative<DeletePoints>(operations[1]));
  CHECK(std::holds_alternative<SetPayload>(operations[2]));
  CHECK(std::holds_alternative<OverwritePayload>(operations[3]));
  CHECK(std::holds_alternative<DeletePayloadKeys>(operations[4]));
  CHECK(std::holds_alternative<ClearPayload>(operations[5]));
}

TEST_CASE("decode points: retrieve and scroll show payloads by default", "[unit]") {
  using Kind = PayloadSelector::Kind;
  const auto retrieve = good(R"({"ids":[1]})", decode_retrieve);
  CHECK(retrieve.with_payload.kind == Kind::kAll);
  CHECK(retrieve.with_vector.none());
  const auto scroll = good("{}", decode_scroll);
  CHECK(scroll.with_payload.kind == Kind::kAll);
  CHECK(scroll.limit == 10);
  CHECK_FALSE(scroll.offset);
  CHECK_FALSE(scroll.filter);
  const auto full = good(R"({"limit":18446744073709551615,"offset":7,"filter":{},
      "with_payload":false,"with_vectors":["a","b"],"order_by":null})",
                         decode_scroll);
  CHECK(full.limit == UINT64_MAX);
  CHECK(full.offset == PointId(7));
  CHECK(full.filter);
  CHECK(full.with_payload.kind == Kind::kNone);
  CHECK(full.with_vector.names == std::vector<std::string>{"a", "b"});
}

TEST_CASE("decode points: payload selectors", "[unit]") {
  using Kind = PayloadSelector::Kind;
  const auto selector = [](const std::string& json) { return good(json, decode_payload_selector); };
  CHECK(selector("true").kind == Kind::kAll);
  CHECK(selector("false").kind == Kind::kNone);
  CHECK(selector(R"(["a","b.c"])").kind == Kind::kInclude);
  CHECK(selector(R"(["a","b.c"])").paths[1].text == "b.c");
  CHECK(selector(R"({"include":["a"]})").kind == Kind::kInclude);
  CHECK(selector(R"({"exclude":["a"]})").kind == Kind::kExclude);
  CHECK(selector(R"({"exclude":["a"]})").paths.size() == 1);
}

TEST_CASE("decode points: count is exact unless told otherwise", "[unit]") {
  CHECK(good("{}", decode_count).exact);
  CHECK_FALSE(good(R"({"exact":false})", decode_count).exact);
}
