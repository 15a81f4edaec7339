#include "engine/estimate.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using index::CodeType;
using testing::Matrix;

/// What docs/api.md promises.
constexpr double kFactor = 1.5;

EstimateInput input_of(const IndexSpec& spec, std::uint32_t dim, std::uint64_t points) {
  EstimateInput input;
  input.spec = spec;
  input.dim = dim;
  input.point_count = points;
  input.distance_seconds = 1e-7;
  return input;
}

void check_against_built(const IndexSpec& spec, const Matrix& rows) {
  index::BuildControl control;
  control.thread_count = 2;
  const index::VectorSpan span{rows.values.data(), rows.row_count, rows.dim};
  const auto built = index::build_index(spec, Metric::kEuclid, span, control);
  REQUIRE(built.has_value());
  const VectorEstimate estimate =
      estimate_vector(input_of(spec, static_cast<std::uint32_t>(rows.dim), rows.row_count));
  const auto real = static_cast<double>((*built)->memory_bytes());
  const auto predicted = static_cast<double>(estimate.code_bytes + estimate.graph_bytes);
  CAPTURE(index::index_type_name(spec.type), static_cast<int>(spec.codes), spec.m, rows.dim, real,
          predicted);
  CHECK(predicted <= kFactor * real);
  CHECK(real <= kFactor * predicted);
}

}  // namespace

TEST_CASE("estimate: memory is that of really built indexes within the promised factor") {
  for (const std::size_t dim : {32, 128}) {
    const Matrix rows = testing::clustered_rows({.row_count = 4000, .dim = dim, .seed = 7});
    for (const std::uint32_t m : {8U, 16U, 32U}) {
      IndexSpec spec;
      spec.m = m;
      spec.codes = CodeType::kNone;
      check_against_built(spec, rows);
    }
    for (const IndexType type : {IndexType::kIvfFlat, IndexType::kIvfSq8, IndexType::kIvfPq}) {
      IndexSpec spec;
      spec.type = type;
      spec.codes = CodeType::kNone;
      check_against_built(spec, rows);
    }
  }
}

TEST_CASE(
    "estimate: memory of graphs with codes is that of really built ones, whatever the dimension") {
  constexpr CodeType kTypes[] = {CodeType::kAuto, CodeType::kSq8, CodeType::kSq4, CodeType::kBinary,
                                 CodeType::kPq};
  for (const std::size_t dim : {20, 48, 97, 128, 260}) {
    const Matrix rows = testing::clustered_rows({.row_count = 3000, .dim = dim, .seed = 8});
    for (const CodeType codes : kTypes) {
      IndexSpec spec;
      spec.codes = codes;
      check_against_built(spec, rows);
    }
  }
}

TEST_CASE("estimate: memory is that of graphs over digits and text embeddings") {
  const auto directory = testing::data_directory();
  if (!directory) {
    WARN("skipped: no data directory");
    return;
  }
  const auto digits = testing::read_idx_images(
      *directory / "mnist" / "train-images-reconstructed-idx3-ubyte.gz", 3000);
  const auto text = testing::read_npy(*directory / "text-768" / "base.npy", 3000);
  for (const auto& rows : {digits, text}) {
    if (rows.has_error()) {
      WARN("skipped: " << rows.error().message());
      continue;
    }
    for (const std::uint32_t m : {8U, 16U, 32U}) {
      for (const CodeType codes : {CodeType::kNone, CodeType::kAuto, CodeType::kBinary}) {
        IndexSpec spec;
        spec.m = m;
        spec.codes = codes;
        check_against_built(spec, *rows);
      }
    }
  }
}

TEST_CASE("estimate: parts add up, codes are what they say, vectors on disk need no memory") {
  IndexSpec spec;
  const struct {
    CodeType codes;
    std::uint64_t bytes_a_row;
  } kCodes[] = {{CodeType::kNone, 0},
                {CodeType::kSq8, 768},
                {CodeType::kSq4, 384},
                {CodeType::kBinary, 128},  // Whole cache lines.
                {CodeType::kPq, 48}};
  constexpr std::uint64_t kPoints = 1'000'000;
  for (const auto& [codes, bytes_a_row] : kCodes) {
    spec.codes = codes;
    spec.pq_segment_count = 48;
    EstimateInput input = input_of(spec, 768, kPoints);
    const VectorEstimate in_memory = estimate_vector(input);
    CHECK(in_memory.vector_bytes == kPoints * 768 * 4);
    CHECK(in_memory.code_bytes >= kPoints * bytes_a_row);
    CHECK(in_memory.code_bytes <= kPoints * bytes_a_row + (4 << 20));  // Tables.
    CHECK(in_memory.ram_bytes == in_memory.vector_bytes + in_memory.code_bytes +
                                     in_memory.graph_bytes + in_memory.id_bytes);
    CHECK(in_memory.disk_bytes > 2 * in_memory.vector_bytes);
    input.is_on_disk = true;
    const VectorEstimate on_disk = estimate_vector(input);
    CHECK(on_disk.ram_bytes == in_memory.ram_bytes - in_memory.vector_bytes);
    CHECK(on_disk.disk_bytes == in_memory.disk_bytes);
  }
}

TEST_CASE("estimate: smaller values take less, and rows of bytes no codes unless asked for") {
  constexpr std::uint64_t kPoints = 1'000'000;
  EstimateInput input = input_of(IndexSpec(), 768, kPoints);
  input.metric = Metric::kDot;
  const VectorEstimate floats = estimate_vector(input);
  input.value_type = ValueType::kFloat16;
  const VectorEstimate halves = estimate_vector(input);
  CHECK(halves.vector_bytes == kPoints * 768 * 2);
  CHECK(halves.code_bytes == floats.code_bytes);
  CHECK(halves.disk_bytes == floats.disk_bytes - floats.vector_bytes);
  input.value_type = ValueType::kUint8;
  const VectorEstimate bytes = estimate_vector(input);
  CHECK(bytes.vector_bytes == kPoints * 768);
  CHECK(bytes.code_bytes == 0);
  CHECK(bytes.id_bytes == floats.id_bytes);
  // By Cosine every row of bytes has a factor.
  input.metric = Metric::kCosine;
  CHECK(estimate_vector(input).id_bytes == bytes.id_bytes + 4 * kPoints);
  input.spec.codes = CodeType::kSq8;
  CHECK(estimate_vector(input).code_bytes >= kPoints * 768);
  for (const ValueType type : {ValueType::kFloat32, ValueType::kFloat16, ValueType::kUint8}) {
    CHECK(measure_distance_seconds(Metric::kEuclid, 96, type) > 0);
  }
}

TEST_CASE("estimate: more of anything never takes less, and nothing takes nothing") {
  const IndexSpec spec;
  const VectorEstimate none = estimate_vector(input_of(spec, 128, 0));
  CHECK(none.ram_bytes <= 4096);
  CHECK(none.build_seconds == 0);
  VectorEstimate before;
  for (const std::uint64_t points : {1'000ULL, 10'000ULL, 1'000'000ULL, 1'000'000'000ULL}) {
    const VectorEstimate now = estimate_vector(input_of(spec, 128, points));
    CHECK(now.ram_bytes > before.ram_bytes);
    CHECK(now.disk_bytes > before.disk_bytes);
    CHECK(now.build_seconds > before.build_seconds);
    before = now;
  }
  IndexSpec wide = spec;
  wide.ef_construct = 400;
  CHECK(estimate_vector(input_of(wide, 128, 1000)).build_seconds >
        estimate_vector(input_of(spec, 128, 1000)).build_seconds);
  EstimateInput two = input_of(spec, 128, 1000);
  two.thread_count = 2;
  CHECK(estimate_vector(two).build_seconds <
        estimate_vector(input_of(spec, 128, 1000)).build_seconds);
}

TEST_CASE("estimate: a collection is asked about its own vectors or about others") {
  OpenDatabase database;
  CollectionConfig config;
  config.vectors["a"].dim = 16;
  config.vectors["b"].dim = 32;
  auto collection = database.create(config);
  EstimateRequest request;
  request.point_count = 5000;
  const Estimate all = collection->estimate_size(request).value();
  REQUIRE(all.vectors.size() == 2);
  CHECK(all.vectors.at("b").vector_bytes == 5000 * 32 * 4);
  CHECK(all.ram_bytes ==
        all.point_bytes + all.vectors.at("a").ram_bytes + all.vectors.at("b").ram_bytes);
  CHECK(all.build_seconds > 0);
  request.vector_name = "a";
  request.index = IndexConfig{IndexType::kFlat, {}, {}, {}};
  request.on_disk = true;
  const Estimate one = collection->estimate_size(request).value();
  REQUIRE(one.vectors.size() == 1);
  CHECK(one.vectors.at("a").index_type == "flat");
  CHECK(one.vectors.at("a").graph_bytes == 0);
  CHECK(one.vectors.at("a").ram_bytes == one.vectors.at("a").id_bytes);
  request.vector_name = "missing";
  CHECK(collection->estimate_size(request).error().message() ==
        "Not existing vector name error: missing");
  request.vector_name.reset();
  request.vectors["new"].dim = 768;
  CHECK(collection->estimate_size(request)->vectors.at("new").vector_bytes == 5000 * 768 * 4);
  request.point_count.reset();
  CHECK(collection->estimate_size(request)->point_count == 0);
}

}  // namespace tessera::engine
