#include "api/lifted_vectors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>

#include "api/decode.h"
#include "api/float_reader.h"
#include "tests/api/support.h"

namespace tessera::api {
namespace {

/// What the schema layer makes of the text; nothing if it is no finite float32.
std::optional<float> number_by_parser(const std::string& text) {
  const auto decoded = decode<std::optional<std::vector<float>>>(
      "[" + text + "]", [](const Value& value) { return value.floats(); });
  if (!decoded.status.ok() || !decoded.value || !*decoded.value) return std::nullopt;
  if ((*decoded.value)->size() != 1) return std::nullopt;
  return (*decoded.value)->front();
}

void check_number(const std::string& text, bool must_be_read) {
  const std::optional<float> expected = number_by_parser(text);
  // Whatever is behind the number, and however near the end is.
  for (const std::string tail : {"", ",", "]                ", ",1234567890123456789"}) {
    const std::string bytes = text + tail;
    FloatReader reader(bytes.data(), bytes.data() + bytes.size());
    float number = 0;
    const bool is_read = reader.read(number);
    CAPTURE(text, tail);
    if (must_be_read) REQUIRE(is_read);
    if (!is_read || reader.at() != bytes.data() + text.size()) continue;
    REQUIRE(expected);
    CHECK(std::bit_cast<std::uint32_t>(number) == std::bit_cast<std::uint32_t>(*expected));
  }
}

TEST_CASE("float reader: numbers become what a parser of JSON makes of them", "[unit]") {
  const auto seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    const auto any = std::bit_cast<float>(bits);
    const double usual = normal(random) / 28;
    char text[64];
    switch (i % 5) {
      case 0:
        *std::to_chars(text, text + sizeof text, std::isfinite(any) ? any : 0).ptr = '\0';
        break;
      case 1:
        *std::to_chars(text, text + sizeof text, static_cast<float>(usual)).ptr = '\0';
        break;
      case 2:
        *std::to_chars(text, text + sizeof text, usual).ptr = '\0';
        break;
      case 3:
        *std::to_chars(text, text + sizeof text, static_cast<int>(bits >> (bits % 31))).ptr = '\0';
        break;
      default:
        std::snprintf(text, sizeof text, "%.*f", static_cast<int>(bits % 20), usual * 1000);
    }
    check_number(text, true);
  }
}

TEST_CASE("float reader: numbers beside the middle of two float32 go where a double goes",
          "[unit]") {
  const auto seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(-20, 19);
  for (int i = 0; i < 4'000; ++i) {
    const auto below = static_cast<float>(std::pow(10, exponent(random)));
    const float above = std::nextafter(below, std::numeric_limits<float>::max());
    const double middle = (double{below} + double{above}) / 2;
    const double up = std::nextafter(middle, above), down = std::nextafter(middle, below);
    for (const double number : {middle, up, down, std::nextafter(up, above)}) {
      char text[80];
      for (const int digits : {17, 18, 19, 20, 25}) {
        std::snprintf(text, sizeof text, "%.*g", digits, number);
        check_number(text, std::strpbrk(text, ".e") != nullptr);
        // More zeros than a number needs.
        std::snprintf(text, sizeof text, "%.*f", digits + 4, number);
        check_number(text, true);
      }
    }
  }
}

TEST_CASE("float reader: what is no number of JSON is not read as one", "[unit]") {
  for (const char* text : {"",      "-",     "+1",   ".5",    "1.",
                           "1.e5",  "1e",    "1e+",  "-e5",   "00",
                           "01",    "-01",   "1e39", "-1e39", "3.5e38",
                           "1e400", "NaN",   "inf",  "0x10",  "12345678901234567890",
                           "null",  "\"1\"", "[1]",  "--1",   "1e5000000000000000000000"}) {
    const std::string bytes(text);
    FloatReader reader(bytes.data(), bytes.data() + bytes.size());
    float number = 0;
    CAPTURE(text);
    CHECK_FALSE((reader.read(number) && reader.at() == bytes.data() + bytes.size()));
  }
  for (const char* text :
       {"0", "-0", "-0.0", "0.0", "1E5", "1e+22", "1e-22", "0e999999999", "9007199254740993.0",
        "0.12345678901234567890123", "123456789012345678", "9007199254740992e22", "3.4028235e38"}) {
    check_number(text, true);
  }
}

bool is_equal(const engine::VectorInput& a, const engine::VectorInput& b) {
  return a == b;
}

bool is_equal(const engine::InterestsQuery& a, const engine::InterestsQuery& b) {
  return a.vector == b.vector && a.blend == b.blend && a.history.size() == b.history.size() &&
         std::equal(a.components.begin(), a.components.end(), b.components.begin(),
                    b.components.end(), [](const auto& x, const auto& y) {
                      return x.vector == y.vector && x.weight == y.weight &&
                             x.filter.has_value() == y.filter.has_value();
                    });
}

template <class... Kinds>
bool is_equal(const std::variant<Kinds...>& a, const std::variant<Kinds...>& b);

bool is_equal(const engine::RefineQuery& a, const engine::RefineQuery& b) {
  return is_equal<engine::VectorInput, engine::InterestsQuery, std::monostate>(a.query, b.query) &&
         a.rounds == b.rounds && a.strategy.index() == b.strategy.index();
}

/// Of kinds without vectors that are lifted nothing is compared.
template <class Kind>
bool is_equal(const Kind& /*a*/, const Kind& /*b*/) {
  return true;
}

template <class... Kinds>
bool is_equal(const std::variant<Kinds...>& a, const std::variant<Kinds...>& b) {
  return a.index() == b.index() &&
         std::visit(
             [&b](const auto& kind) {
               return is_equal(kind, std::get<std::decay_t<decltype(kind)>>(b));
             },
             a);
}

bool is_equal(const engine::QueryRequest& a, const engine::QueryRequest& b) {
  return is_equal<>(a.query, b.query) && a.using_vector == b.using_vector && a.limit == b.limit &&
         a.offset == b.offset && a.score_threshold == b.score_threshold &&
         a.params.hnsw_ef == b.params.hnsw_ef && a.params.exact == b.params.exact &&
         a.filter.has_value() == b.filter.has_value() && a.explain == b.explain &&
         a.with_payload.kind == b.with_payload.kind && a.with_vector.all == b.with_vector.all;
}

bool is_equal(const engine::UpsertPoints& a, const engine::UpsertPoints& b) {
  return std::equal(a.points.begin(), a.points.end(), b.points.begin(), b.points.end(),
                    [](const auto& x, const auto& y) {
                      return x.id == y.id && x.vectors == y.vectors && x.payload == y.payload;
                    });
}

/// Decodes with lifted vectors; nothing where the whole body would have to be parsed.
template <class T>
std::optional<T> decode_lifted(const std::string& body, T (*decoder)(const Value&),
                               VectorPlaces places) {
  auto lifted = lift_vectors(body, places);
  if (!lifted) return std::nullopt;
  auto decoded = decode(lifted->rest, decoder);
  if (!decoded.value || !decoded.status.ok()) return std::nullopt;
  if (!put_back(*lifted, *decoded.value)) return std::nullopt;
  return std::move(decoded.value);
}

/// What is decoded with lifted vectors is decoded without, to the same.
template <class T>
bool check_same(const std::string& body, T (*decoder)(const Value&), VectorPlaces places) {
  const std::optional<T> lifted = decode_lifted(body, decoder, places);
  if (!lifted) return false;
  const auto whole = decode(body, decoder);
  CAPTURE(body, whole.status.message());
  REQUIRE(whole.status.ok());
  CHECK(is_equal(*lifted, *whole.value));
  return true;
}

const std::vector<std::string> kQueries = {
    R"({"query":[0.25,-1e-3,3],"limit":5})",
    R"( { "limit" : 7 , "query" : [ 1 , 2.5 ] , )"
    R"("params" : { "hnsw_ef" : 64 , "exact" : false } } )",
    R"({"filter":{"must":[{"key":"a","match":{"value":"x\"],[{"}}]},)"
    R"("query":[1],"with_payload":["a"]})",
    R"({"query":[1,2,3],"using":"image","offset":2,"score_threshold":0.5,"with_vector":true})",
    R"({"query":{"nearest":[1,-2.5]},"limit":3})",
    R"({"query":{"interests":{"components":[{"vector":[1,2],"weight":0.5},)"
    R"({"weight":2,"filter":{"must":[{"has_id":[1]}]},"vector":[3,4]}],"min_quota":2}},"limit":9})",
    R"({"limit":4,"query":{"interests":{"vector":[1,2],"blend":0.25,"history":[1,2]}}})",
    R"({"query":{"interests":{"vector":[9,8],"components":[{"vector":[1,2]}]}}})",
    R"({"query":{"refine":{"rounds":2,"query":[5,6,7],"strategy":{"explore":{"beta":0.5}}}}})",
    R"({"query":{"refine":{"query":{"interests":{"components":[{"vector":[1]}]}}}}})",
};
const std::vector<std::string> kUpserts = {
    R"({"points":[{"id":1,"vector":[1,2.5]},)"
    R"({"id":2,"vector":[3,4],"payload":{"vector":[9,9],"s":"]}"}}]})",
    R"({"points":[{"id":1,"vector":{"a":[1],"b":[2,3]}},{"payload":{"x":[1,[2]]},)"
    R"("id":"550e8400-e29b-41d4-a716-446655440000","vector":{"b":[4,5]}}]})",
    R"({ "shard_key" : null, "points" : [ { "vector" : [ 7 ] , "id" : 3 , "payload" : null } ] })",
};

TEST_CASE("lifted vectors: usual bodies are read without parsing their vectors", "[unit]") {
  for (const std::string& body : kQueries) {
    CAPTURE(body);
    CHECK(check_same(body, decode_query, VectorPlaces::kQuery));
  }
  for (const std::string& body : kUpserts) {
    CAPTURE(body);
    CHECK(check_same(body, decode_upsert, VectorPlaces::kPoints));
  }
  CHECK(check_same(R"({"vector":[1,2],"limit":3})", decode_search, VectorPlaces::kSearch));
  const auto lifted = lift_vectors(kUpserts[0], VectorPlaces::kPoints);
  REQUIRE(lifted);
  CHECK(lifted->rest == R"({"points":[{"id":1,"vector":[0]},)"
                        R"({"id":2,"vector":[1],"payload":{"vector":[9,9],"s":"]}"}}]})");
}

TEST_CASE("lifted vectors: bodies nested a million deep are passed over", "[unit]") {
  constexpr int kDepth = 1'000'000;
  for (const std::string level : {R"({"nearest":)", R"({"refine":{"query":)", R"({"interests":)"}) {
    std::string body = R"({"query":)";
    for (int i = 0; i < kDepth; ++i) body += level;
    body += "[1]";
    CAPTURE(level);
    CHECK_FALSE(decode_lifted(body, decode_query, VectorPlaces::kQuery));
    const auto closing = std::count(level.begin(), level.end(), '{') * kDepth + 1;
    body.append(static_cast<std::size_t>(closing), '}');
    CHECK_FALSE(decode_lifted(body, decode_query, VectorPlaces::kQuery));
  }
}

TEST_CASE("lifted vectors: unusual bodies are parsed as a whole", "[unit]") {
  for (const char* body :
       {R"({"query":[]})",
        R"({"query":[[1]]})",
        R"({"query":[1,null]})",
        R"({"query":[1,]})",
        R"({"query":[1e99]})",
        R"({"query":7})",
        R"({"query":{"nearest":7}})",
        R"({"query":{"nearest":[[1]]}})",
        R"({"query":{"nearest":[1],"nearest":[2]}})",
        R"({"query":{"interests":{"components":[{"vector":[1],"vector":[2]}]}}})",
        R"({"query":{"interests":{"components":[{"vector":[1]}],"components":[{"vector":[2]}]}}})",
        R"({"query":{"interests":{"components":[{"vector":7}]}}})",
        R"({"query":{"refine":{"query":[1],"query":[2]}}})",
        R"({"query":{"refine":[1]}})",
        R"({"query":[1],"query":[2]})",
        R"({"query":[1]}x)",
        R"({"query":[1])",
        R"([1])",
        "",
        R"({"query":[1],"limit":0})",
        R"({"query":[1 2]})",
        R"({"query":[01]})"}) {
    CAPTURE(body);
    CHECK_FALSE(decode_lifted(body, decode_query, VectorPlaces::kQuery));
  }
  for (const char* body :
       {R"({"points":[{"id":1,"vector":[]}]})", R"({"points":[{"id":1,"vector":[[1]]}]})",
        R"({"points":[{"id":1,"vector":[1],"vector":[2]}]})", R"({"points":[{"id":1}]})",
        R"({"points":[{"id":-1,"vector":[1]}]})", R"({"points":[{"vector":[1]}]})",
        R"({"batch":{"ids":[1],"vectors":[[1]]}})", R"({"points":[]})"}) {
    CAPTURE(body);
    CHECK_FALSE(decode_lifted(body, decode_upsert, VectorPlaces::kPoints));
  }
}

TEST_CASE("lifted vectors: damaged bodies are never read as something else", "[unit]") {
  const auto seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  static constexpr std::string_view kPieces[] = {
      "[",          "]",   "{", "}",   ",",   ":", "\"",   "\\",      "0",           "1",
      "-",          ".",   "e", "[0]", "[1]", " ", "null", "\"id\":", "\"vector\":", "\"points\":[",
      "\"query\":", "\xC3"};
  const auto damage = [&](std::string body) {
    for (auto i = random() % 3; i < 3; ++i) {
      const std::size_t at = random() % (body.size() + 1);
      const std::string_view piece = kPieces[random() % std::size(kPieces)];
      body.replace(at, std::min<std::size_t>(random() % 3, body.size() - at), piece);
    }
    return body;
  };
  int read_count = 0;
  for (int i = 0; i < 4'000; ++i) {
    const std::string query = damage(kQueries[random() % kQueries.size()]);
    read_count += check_same(query, decode_query, VectorPlaces::kQuery);
    const std::string upsert = damage(kUpserts[random() % kUpserts.size()]);
    read_count += check_same(upsert, decode_upsert, VectorPlaces::kPoints);
  }
  CHECK(read_count > 0);
}

}  // namespace
}  // namespace tessera::api
