#include "api/binary_body.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/api/support.h"

namespace tessera::api {
namespace {

template <class Number>
std::string bytes_of(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}
std::string u8(int number) {
  return bytes_of(static_cast<std::uint8_t>(number));
}
std::string u16(int number) {
  return bytes_of(static_cast<std::uint16_t>(number));
}
std::string u32(std::uint64_t number) {
  return bytes_of(static_cast<std::uint32_t>(number));
}
std::string u64(std::uint64_t number) {
  return bytes_of(number);
}
std::string floats(const std::vector<float>& numbers) {
  std::string bytes;
  for (const float number : numbers) bytes += bytes_of(number);
  return bytes;
}

/// The parts of a body, each of which a test can damage.
struct PointsBody {
  std::string magic = "TSRP";
  std::string version = u32(1);
  std::string point_count = u32(2);
  std::string vector_count = u16(2);
  std::string id_kind = u8(0);
  std::string has_payloads = u8(1);
  std::string first_dim = u32(2);
  std::string first_name = u16(0);
  std::string second_dim = u32(1);
  std::string second_name = u16(5) + "image";
  std::string ids = u64(7) + u64(UINT64_MAX);
  std::string first_rows = floats({1, -2.5F, 3, 1e-30F});
  std::string second_rows = floats({4, 5});
  std::string payload_bytes = u32(8) + u32(0);
  std::string payloads = R"({"a": 1})";
  std::string end;

  [[nodiscard]] std::string bytes() const {
    return magic + version + point_count + vector_count + id_kind + has_payloads + first_dim +
           first_name + second_dim + second_name + ids + first_rows + second_rows + payload_bytes +
           payloads + end;
  }
};

std::string error_of(const std::string& body) {
  const auto decoded = decode_binary_points(body);
  if (decoded.has_value()) return "accepted";
  CHECK(decoded.error().code() == Code::kFormat);
  const std::string prefix = "Format error in binary body: ";
  CHECK(decoded.error().message().starts_with(prefix));
  return decoded.error().message().substr(prefix.size());
}

template <class Change>
std::string error_after(Change change) {
  PointsBody body;
  change(body);
  return error_of(body.bytes());
}

TEST_CASE("binary points: ids, vectors and payloads arrive as they were sent", "[unit]") {
  const auto decoded = decode_binary_points(PointsBody().bytes());
  REQUIRE(decoded.has_value());
  REQUIRE(decoded->points.size() == 2);
  const engine::PointInput& first = decoded->points[0];
  CHECK(first.id == PointId(7));
  CHECK(first.payload == R"({"a":1})");
  REQUIRE(first.vectors.size() == 2);
  CHECK(first.vectors[0] == std::pair<std::string, std::vector<float>>{"", {1, -2.5F}});
  CHECK(first.vectors[1] == std::pair<std::string, std::vector<float>>{"image", {4}});
  const engine::PointInput& second = decoded->points[1];
  CHECK(second.id == PointId(UINT64_MAX));
  CHECK_FALSE(second.payload);
  CHECK(second.vectors[0].second == std::vector<float>{3, 1e-30F});
}

TEST_CASE("binary points: ids may be UUIDs, and payloads may be missing", "[unit]") {
  const auto uuid = *PointId::parse_uuid("550e8400-e29b-41d4-a716-446655440000");
  const auto bytes = uuid.uuid_bytes();
  PointsBody body;
  body.id_kind = u8(1);
  body.ids = std::string(bytes.begin(), bytes.end()) + std::string(16, '\1');
  body.has_payloads = u8(0);
  body.payload_bytes.clear();
  body.payloads.clear();
  const auto decoded = decode_binary_points(body.bytes());
  REQUIRE(decoded.has_value());
  CHECK(decoded->points.at(0).id == uuid);
  CHECK(decoded->points.at(1).id.is_uuid());
  CHECK_FALSE(decoded->points.at(0).payload);
}

TEST_CASE("binary points: each damaged field is named", "[unit]") {
  CHECK(error_after([](auto& body) { body.magic = "TSRX"; }) == "magic: must be TSRP");
  CHECK(error_after([](auto& body) { body.version = u32(2); }) ==
        "version: 2 is not known, must be 1");
  CHECK(error_after([](auto& body) { body.point_count = u32(UINT32_MAX); }) ==
        "point_count: 4294967295 points of 20 bytes, the body has 56 left");
  CHECK(error_after([](auto& body) { body.point_count = u32(3); }) ==
        "point_count: 3 points of 20 bytes, the body has 56 left");
  CHECK(error_after([](auto& body) { body.point_count = u32(1); }) != "accepted");
  CHECK(error_after([](auto& body) { body.vector_count = u16(0); }) ==
        "vector_count: must be 1 or larger");
  CHECK(error_after([](auto& body) { body.id_kind = u8(2); }) ==
        "id_kind: must be 0 (integers) or 1 (UUIDs)");
  CHECK(error_after([](auto& body) { body.has_payloads = u8(2); }) ==
        "has_payloads: must be 0 or 1");
  CHECK(error_after([](auto& body) { body.first_dim = u32(0); }) ==
        "vectors[0].dim: 0 is not from 1 to 65536");
  CHECK(error_after([](auto& body) { body.second_dim = u32(UINT32_MAX); }) ==
        "vectors[1].dim: 4294967295 is not from 1 to 65536");
  CHECK(error_after([](auto& body) { body.second_dim = u32(65'536); }) ==
        "point_count: 2 points of 262160 bytes, the body has 56 left");
  CHECK(error_after([](auto& body) { body.second_name = u16(500) + "image"; }) ==
        "vectors[1].name: needs 500 bytes, the body has 61 left");
  CHECK(error_after([](auto& body) { body.second_name = u16(0); }) ==
        "vectors[1].name: \"\" stands there twice");
  CHECK(error_after([](auto& body) { body.second_name = u16(2) + "\xC3("; }) ==
        "vectors[1].name: is not valid UTF-8");
  CHECK(error_after([](auto& body) {
          body.first_rows = floats({1, 2, 3, NAN});
        }) == "vectors[0].rows[1][1]: is not finite");
  CHECK(error_after([](auto& body) {
          body.second_rows = floats({INFINITY, 2});
        }) == "vectors[1].rows[0][0]: is not finite");
  CHECK(error_after([](auto& body) { body.payload_bytes = u32(8) + u32(1); }) ==
        "payloads[1]: needs 1 bytes, the body has 0 left");
  CHECK(error_after([](auto& body) {
          body.payload_bytes = u32(7) + u32(1);
        }).starts_with("payloads[0]: Format error in JSON body: "));
  CHECK(error_after([](auto& body) {
          body.payloads = R"([1,2,3])"
                          " ";
        }) == "payloads[0]: Format error in JSON body: expected an object, found an array");
  CHECK(error_after([](auto& body) { body.end = "x"; }) == "end: 1 bytes are left over");
}

TEST_CASE("binary points: a body that ends early is refused wherever it ends", "[unit]") {
  const std::string whole = PointsBody().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(error_of(whole.substr(0, size)) != "accepted");
  }
}

TEST_CASE("binary points: damaged bytes are accepted only as another request", "[unit]") {
  const auto seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::string whole = PointsBody().bytes();
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = whole;
    for (auto k = random() % 3; k < 3; ++k) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const auto decoded = decode_binary_points(damaged);
    if (!decoded.has_value()) continue;
    for (const engine::PointInput& point : decoded->points) {
      for (const auto& [name, vector] : point.vectors) {
        CHECK_FALSE(vector.empty());
        for (const float number : vector) CHECK(std::isfinite(number));
      }
    }
  }
}

std::string query_body(const std::string& json, const std::vector<float>& vector) {
  return "TSRQ" + u32(1) + u32(json.size()) + u32(vector.size()) + json + floats(vector);
}

TEST_CASE("binary query: it asks what the same query in JSON asks", "[unit]") {
  ServiceUnderTest under_test;
  const auto ask = [&](const std::string& target, const std::string& body,
                       const std::string& type) {
    const Answer answer =
        under_test.call(Method::kPost, "/collections/c/points/" + target, body, type);
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    return under_test.collection.queries.back();
  };
  const std::string type = std::string(kBinaryQueryType);
  for (const std::string json : {"{}", " { } ", R"({"limit":3,"params":{"exact":true}})"}) {
    CAPTURE(json);
    const auto binary = ask("query", query_body(json, {0.5F, 2}), type + "; v=1");
    CHECK(std::get<engine::VectorInput>(binary.query) ==
          engine::VectorInput(std::vector<float>{0.5F, 2}));
    CHECK(binary.limit == (json.size() > 5 ? 3 : 10));
    CHECK(binary.params.exact == (json.size() > 5));
  }
  const auto search = ask("search", query_body(R"({"limit":4})", {7}), type);
  CHECK(std::get<engine::VectorInput>(search.query) == engine::VectorInput(std::vector<float>{7}));
  CHECK(search.limit == 4);
}

TEST_CASE("binary query: each damaged field is named", "[unit]") {
  ServiceUnderTest under_test;
  const auto error = [&](const std::string& body) {
    const Answer answer = under_test.call(Method::kPost, "/collections/c/points/query", body,
                                          std::string(kBinaryQueryType));
    CHECK((answer.status == 400 || answer.status == 422));
    return answer.error();
  };
  const std::string binary = "Format error in binary body: ";
  const std::string whole = query_body("{}", {1, 2});
  CHECK(error("TSRP" + whole.substr(4)) == binary + "magic: must be TSRQ");
  CHECK(error("TSRQ" + u32(3) + whole.substr(8)) == binary + "version: 3 is not known, must be 1");
  CHECK(error("TSRQ" + u32(1) + u32(99) + whole.substr(12)) ==
        binary + "json: needs 99 bytes, the body has 10 left");
  CHECK(error("TSRQ" + u32(1) + u32(2) + u32(0) + whole.substr(16)) ==
        binary + "dim: 0 is not from 1 to 65536");
  CHECK(error("TSRQ" + u32(1) + u32(2) + u32(3) + whole.substr(16)) ==
        binary + "vector: needs 12 bytes, the body has 8 left");
  CHECK(error(whole + "x") == binary + "end: 1 bytes are left over");
  CHECK(error(query_body("{}", {1, NAN})) == binary + "vector[1]: is not finite");
  CHECK(error(query_body("[]", {1})) == binary + "json: must be an object");
  CHECK(error(query_body("", {1})) == binary + "json: must be an object");
  CHECK(error(query_body(R"({"query":[2]})", {1})) ==
        "Format error in JSON body: duplicate field `query`");
  CHECK(error(query_body(R"({"limit":0})", {1})) ==
        "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(error(whole.substr(0, size)).starts_with(binary));
  }
}

TEST_CASE("binary bodies: the service says which it takes, and where", "[unit]") {
  ServiceUnderTest under_test;
  CHECK(under_test.call(Method::kGet, "/").at("/tessera/body_types") ==
        R"(["application/vnd.tessera.points","application/vnd.tessera.query"])");
  const Answer document = under_test.call(Method::kGet, "/openapi.json");
  const auto format_of = [&](const std::string& call, const std::string& type) {
    return document.at("/paths/~1collections~1{collection_name}~1" + call +
                       "/requestBody/content/application~1vnd.tessera." + type + "/schema/format");
  };
  CHECK(format_of("points/put", "points") == R"("binary")");
  CHECK(format_of("points~1query/post", "query") == R"("binary")");
  CHECK(format_of("points~1search/post", "query") == R"("binary")");
  CHECK(format_of("points~1delete/post", "points") == "<none>");
}

TEST_CASE("binary points: an upsert of them is a write, and other calls take none", "[unit]") {
  ServiceUnderTest under_test;
  const std::string type = std::string(kBinaryPointsType);
  const std::string body = PointsBody().bytes();
  const std::string target = "/collections/c/points";
  CHECK(under_test.call(Method::kPut, target + "?wait=true", body, type).status == 200);
  REQUIRE(under_test.collection.writes.size() == 1);
  const auto& write = std::get<engine::UpsertPoints>(under_test.collection.writes.front());
  CHECK(write.points.size() == 2);
  CHECK(under_test.collection.waits.front());
  CHECK(under_test.call(Method::kPut, target, "TSRP", type).status == 400);
  CHECK(under_test.call(Method::kPost, target + "/delete", body, type).error() ==
        "Format error in JSON body: the content type must be application/json, not \"" + type +
            "\"");
}

}  // namespace
}  // namespace tessera::api
