// A byte that picks the form, then a body -> vectors as bytes, or taken out of JSON. A decoded body
// keeps its promises (finite vectors of one size each), and JSON whose vectors were taken out means
// what it means when it is parsed as a whole.

#include <cmath>
#include <cstring>
#include <optional>

#include "api/binary_body.h"
#include "api/decode.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

using api::LiftedVectors;
using api::VectorPlaces;

template <class T>
using Decode = T (*)(const api::Value&);

template <class T>
std::optional<T> decode_json(std::string_view body, Decode<T> decode) {
  api::Issues issues;
  const api::Document document(body, 0, issues);
  if (!document.ok()) return std::nullopt;
  T decoded = decode(document.root());
  if (!issues.status().ok()) return std::nullopt;
  return decoded;
}

template <class T>
std::optional<T> decode_rest(LiftedVectors& lifted, Decode<T> decode) {
  std::optional<T> decoded = decode_json(lifted.rest, decode);
  if (decoded && !api::put_back(lifted, *decoded)) decoded.reset();
  return decoded;
}

/// Those that may be lifted.
struct VectorsOf {
  std::vector<std::vector<float>> all;
  void operator()(const engine::VectorInput& input) {
    if (const auto* vector = std::get_if<std::vector<float>>(&input)) all.push_back(*vector);
  }
  void operator()(const engine::InterestsQuery& query) {
    for (const engine::ComponentInput& component : query.components) {
      all.push_back(component.vector);
    }
    all.push_back(query.vector);
  }
  void operator()(const engine::RefineQuery& refine) {
    std::visit([this](const auto& query) { (*this)(query); }, refine.query);
  }
  template <class Other>
  void operator()(const Other& /*query*/) {}
};

std::vector<std::vector<float>> vectors_of(const engine::QueryKind& kind) {
  VectorsOf vectors;
  std::visit([&vectors](const auto& query) { vectors(query); }, kind);
  return vectors.all;
}

void check_equal(const engine::QueryRequest& a, const engine::QueryRequest& b) {
  TESSERA_ASSERT(a.query.index() == b.query.index());
  TESSERA_ASSERT(vectors_of(a.query) == vectors_of(b.query));
  TESSERA_ASSERT(a.limit == b.limit && a.offset == b.offset && a.using_vector == b.using_vector);
  TESSERA_ASSERT(a.filter.has_value() == b.filter.has_value());
}

void check_equal(const engine::UpsertPoints& a, const engine::UpsertPoints& b) {
  TESSERA_ASSERT(a.points.size() == b.points.size());
  for (std::size_t i = 0; i < a.points.size(); ++i) {
    TESSERA_ASSERT(a.points[i].id == b.points[i].id);
    TESSERA_ASSERT(a.points[i].vectors == b.points[i].vectors);
    TESSERA_ASSERT(a.points[i].payload == b.points[i].payload);
  }
}

template <class T>
void check_lifted(std::string_view body, VectorPlaces places, Decode<T> decode) {
  auto lifted = api::lift_vectors(body, places);
  if (!lifted) return;
  const std::optional<T> decoded = decode_rest(*lifted, decode);
  if (!decoded) return;
  const std::optional<T> whole = decode_json(body, decode);
  TESSERA_ASSERT(whole.has_value());
  check_equal(*decoded, *whole);
}

void check_vector(const std::vector<float>& vector) {
  TESSERA_ASSERT(!vector.empty());
  for (const float number : vector) TESSERA_ASSERT(std::isfinite(number));
}

void check_binary_points(std::string_view body) {
  const auto decoded = api::decode_binary_points(body);
  if (decoded.has_error()) return;
  std::size_t bytes = 0;
  for (const engine::PointInput& point : decoded->points) {
    TESSERA_ASSERT(point.vectors.size() == decoded->points.front().vectors.size());
    for (const auto& [name, vector] : point.vectors) {
      check_vector(vector);
      bytes += vector.size() * sizeof(float);
    }
  }
  TESSERA_ASSERT(bytes <= body.size());
}

void check_binary_query(std::string_view body) {
  auto lifted = api::decode_binary_query(body, VectorPlaces::kQuery);
  if (lifted.has_error()) return;
  check_vector(lifted->vectors.at(0));
  (void)decode_rest(*lifted, Decode<engine::QueryRequest>(api::decode_query));
}

void check_body(std::string_view input) {
  switch (take_byte(input) % 5) {
    case 0:
      return check_binary_points(input);
    case 1:
      return check_binary_query(input);
    case 2:
      return check_lifted<engine::QueryRequest>(input, VectorPlaces::kQuery, api::decode_query);
    case 3:
      return check_lifted<engine::QueryRequest>(input, VectorPlaces::kSearch, api::decode_search);
    default:
      return check_lifted<engine::UpsertPoints>(input, VectorPlaces::kPoints, api::decode_upsert);
  }
}

void append(std::string& out, std::uint64_t number, std::size_t byte_count) {
  for (std::size_t i = 0; i < byte_count; ++i) out += static_cast<char>(number >> (8 * i));
}

std::string points_seed() {
  std::string body = "TSRP";
  append(body, 1, 4);
  append(body, 2, 4);
  append(body, 2, 2);
  append(body, 0, 1);
  append(body, 1, 1);
  append(body, 1, 4);
  append(body, 0, 2);
  append(body, 2, 4);
  append(body, 1, 2);
  body += 'a';
  append(body, 5, 8);
  append(body, 6, 8);
  for (int i = 0; i < 6; ++i) append(body, 0x3F800000, 4);
  append(body, 7, 4);
  append(body, 0, 4);
  return body + R"({"a":1})";
}

std::string query_seed() {
  std::string body = "TSRQ";
  append(body, 1, 4);
  append(body, 11, 4);
  append(body, 1, 4);
  body += R"({"limit":3})";
  append(body, 0x3F800000, 4);
  return body;
}

}  // namespace

std::vector<std::string> seeds() {
  return {std::string(1, '\0') + points_seed(),
          "\1" + query_seed(),
          "\2{\"query\":[0.25,-1e-3,3],\"limit\":5,\"params\":{\"hnsw_ef\":7}}",
          "\2{\"query\":[1.5],\"filter\":{\"must\":[]},\"using\":\"a\"}",
          "\3{\"vector\":[1,2],\"limit\":3}",
          "\4{\"points\":[{\"id\":1,\"vector\":[1]},{\"id\":2,\"vector\":{\"a\":[2,3]},"
          "\"payload\":{\"b\":[1]}}]}"};
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_body(tessera::fuzz::text_of(data, size));
  return 0;
}
