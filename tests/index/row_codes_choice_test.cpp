#include <numeric>

#include <catch2/catch.hpp>

#include "index/row_codes.h"
#include "tests/index/decoded_codes.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::Matrix;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};

std::unique_ptr<const RowCodes> build(CodeType type, Metric metric, const Matrix& rows) {
  std::vector<std::uint32_t> ids(rows.row_count);
  std::iota(ids.begin(), ids.end(), 0U);
  IndexSpec spec;
  spec.codes = type;
  auto built = build_row_codes(spec, metric, span_of(rows), ids, {});
  REQUIRE(built.has_value());
  return std::move(*built);
}

Matrix ordinary_rows(std::size_t dim, std::size_t row_count = 2000) {
  return clustered_rows({.row_count = row_count, .dim = dim, .is_unit = true, .seed = 31});
}

}  // namespace

TEST_CASE("codes chosen: 8 bits for ordinary rows, none where rows are short or there are none") {
  for (const Metric metric : kMetrics) {
    CAPTURE(metric_name(metric));
    for (const std::size_t dim : {48, 64, 100}) {
      const auto codes = build(CodeType::kAuto, metric, ordinary_rows(dim));
      REQUIRE(codes != nullptr);
      REQUIRE(codes->type() == CodeType::kSq8);
    }
    REQUIRE(build(CodeType::kAuto, metric, ordinary_rows(47)) == nullptr);
    REQUIRE(build(CodeType::kAuto, metric, ordinary_rows(1)) == nullptr);
    REQUIRE(build(CodeType::kAuto, metric, ordinary_rows(64, 5)) != nullptr);
    for (const CodeType type : {CodeType::kAuto, CodeType::kSq8, CodeType::kSq4, CodeType::kBinary,
                                CodeType::kPq, CodeType::kNone}) {
      REQUIRE(build(type, metric, ordinary_rows(64, 0)) == nullptr);
    }
    REQUIRE(build(CodeType::kNone, metric, ordinary_rows(64)) == nullptr);
  }
}

TEST_CASE("codes chosen: none where many different rows would have one code") {
  for (const std::size_t twin_count : {16, 17}) {
    Matrix rows = ordinary_rows(64);
    // So near each other that no level is between them, and not equal.
    for (std::size_t i = 1; i < twin_count; ++i) {
      std::copy_n(rows.row(0), rows.dim, rows.row(i));
      rows.row(i)[0] += 1e-6F * static_cast<float>(i);
    }
    CAPTURE(twin_count);
    REQUIRE((build(CodeType::kAuto, Metric::kEuclid, rows) == nullptr) == (twin_count == 17));
    // Who asks for codes gets them.
    REQUIRE(build(CodeType::kSq8, Metric::kEuclid, rows) != nullptr);
  }
}

TEST_CASE("codes chosen: none where a sample shows that they do not find the nearest rows") {
  // One dimension spans so much that the others, which decide, are on few levels: each row has its
  // own code, but far rows look as near as near ones.
  Matrix rows = ordinary_rows(64);
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    for (std::size_t d = 1; d < rows.dim; ++d) rows.row(i)[d] *= 5;
    rows.row(i)[0] = static_cast<float>(i % 2) * 500;
  }
  for (const Metric metric : {Metric::kEuclid, Metric::kManhattan}) {
    CAPTURE(metric_name(metric));
    REQUIRE(build(CodeType::kAuto, metric, rows) == nullptr);
    const auto asked = build(CodeType::kSq8, metric, rows);
    std::set<std::uint64_t> hashes;
    for (std::uint32_t row = 0; row < rows.row_count; ++row) hashes.insert(asked->hash(row));
    REQUIRE(hashes.size() > rows.row_count * 9 / 10);
  }
}
