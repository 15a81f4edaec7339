#include "index/row_codes.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <catch2/catch.hpp>

#include "tests/index/decoded_codes.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::Matrix;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
constexpr CodeType kTypes[] = {CodeType::kSq8, CodeType::kSq4, CodeType::kBinary, CodeType::kPq};
constexpr float kHuge = std::numeric_limits<float>::max();
constexpr unsigned kSeed = 20241018;

std::vector<std::uint32_t> all_of(const Matrix& rows) {
  std::vector<std::uint32_t> ids(rows.row_count);
  std::iota(ids.begin(), ids.end(), 0U);
  return ids;
}

IndexSpec spec_of(CodeType type) {
  IndexSpec spec;
  spec.codes = type;
  return spec;
}

/// Null where these rows get none.
std::unique_ptr<const RowCodes> build(CodeType type, Metric metric, const Matrix& rows) {
  auto built = build_row_codes(spec_of(type), metric, span_of(rows), all_of(rows), {});
  REQUIRE(built.has_value());
  return std::move(*built);
}

std::vector<float> distances_of(const RowCodes& codes, CodeQuery& query) {
  std::vector<std::uint32_t> ids(codes.row_count());
  std::iota(ids.begin(), ids.end(), 0U);
  std::vector<float> found(ids.size());
  codes.distances_at(query, ids, found.data());
  return found;
}

void check(const std::vector<float>& found, const CodeOracle& oracle) {
  for (std::size_t row = 0; row < found.size(); ++row) {
    const Expected expected = oracle.of_row(row);
    if (std::fabs(found[row] - expected.distance) <= expected.tolerance) continue;
    CAPTURE(row, found[row], expected.distance, expected.tolerance);
    FAIL("a distance is not the decoded row's");
  }
}

/// Queries near the rows, far from them, and none in particular.
Matrix queries_for(const Matrix& rows, std::uint64_t seed) {
  Matrix queries = clustered_rows({.row_count = 4, .dim = rows.dim, .seed = seed, .sample = 1});
  const auto add = [&](float factor, float summand) {
    for (std::size_t d = 0; d < rows.dim; ++d) {
      queries.values.push_back(rows.row(7)[d] * factor + summand);
    }
    ++queries.row_count;
  };
  add(1, 0);
  add(0, 0);
  add(-2, 0.5F);
  add(50, -3);
  return queries;
}

template <class Function>
void for_each_kind(const Function& function) {
  for (const Metric metric : kMetrics) {
    for (const CodeType type : kTypes) {
      CAPTURE(metric_name(metric), static_cast<int>(type));
      function(metric, type);
    }
  }
}

}  // namespace

TEST_CASE("row codes: distances are those of the decoded rows, whatever the dimension") {
  CAPTURE(kSeed);
  for (const std::size_t dim : {1, 5, 48, 64, 65, 128, 129, 200, 513}) {
    const Matrix rows = clustered_rows({.row_count = 150, .dim = dim, .seed = kSeed});
    const Matrix queries = queries_for(rows, kSeed);
    for_each_kind([&](Metric metric, CodeType type) {
      CAPTURE(dim);
      const auto codes = build(type, metric, rows);
      REQUIRE(codes != nullptr);
      REQUIRE(codes->row_count() == rows.row_count);
      // There is no L1 distance of packed codes.
      const bool is_wider = type == CodeType::kSq4 && metric == Metric::kManhattan;
      REQUIRE(codes->type() == (is_wider ? CodeType::kSq8 : type));
      const DecodedCodes decoded(saved(codes.get(), dim));
      REQUIRE(decoded.codes.size() == rows.row_count * decoded.code_bytes());
      CodeQuery prepared;
      for (std::size_t q = 0; q < queries.row_count; ++q) {
        CAPTURE(q);
        REQUIRE(codes->prepare(queries.row(q), prepared));
        check(distances_of(*codes, prepared), CodeOracle(metric, decoded, queries.row(q), false));
      }
    });
  }
}

TEST_CASE(
    "row codes: a row in place of a query is its decoded values, and about the query of them") {
  CAPTURE(kSeed);
  for (const std::size_t dim : {1, 66, 140}) {
    const Matrix rows = clustered_rows({.row_count = 100, .dim = dim, .seed = kSeed + 1});
    for_each_kind([&](Metric metric, CodeType type) {
      CAPTURE(dim);
      const auto codes = build(type, metric, rows);
      const DecodedCodes decoded(saved(codes.get(), dim));
      CodeQuery as_row, as_query;
      for (std::uint32_t row = 0; row < rows.row_count; row += 9) {
        CAPTURE(row);
        const std::vector<float> values = decoded.row(row);
        codes->prepare_row(row, as_row);
        const std::vector<float> found = distances_of(*codes, as_row);
        check(found, CodeOracle(metric, decoded, values.data(), true));
        REQUIRE(codes->prepare(values.data(), as_query));
        const std::vector<float> about = distances_of(*codes, as_query);
        const CodeOracle oracle(metric, decoded, values.data(), false);
        for (std::size_t i = 0; i < found.size(); ++i) {
          REQUIRE(std::fabs(found[i] - about[i]) <= 2 * oracle.of_row(i).tolerance);
        }
      }
    });
  }
}

TEST_CASE("row codes: every value is on the nearest level of its grid, in 8 and 4 bits") {
  CAPTURE(kSeed);
  for (const std::size_t dim : {1, 64, 65, 128, 200}) {
    const Matrix rows = clustered_rows({.row_count = 150, .dim = dim, .seed = kSeed + 7});
    for_each_kind([&](Metric metric, CodeType type) {
      if (type != CodeType::kSq8 && type != CodeType::kSq4) return;
      const DecodedCodes codes(saved(build(type, metric, rows).get(), dim));
      CAPTURE(dim, codes.step);
      for (std::size_t i = 0; i < rows.row_count; ++i) {
        for (std::size_t d = 0; d < dim; ++d) {
          const double low = codes.center[d] - codes.step * codes.half();
          const double high = codes.center[d] + codes.step * (codes.half() - 1);
          const double nearest = std::clamp<double>(rows.row(i)[d], low, high);
          REQUIRE(std::fabs(codes.value(i, d) - nearest) <= codes.step * 0.501);
        }
      }
    });
  }
}

TEST_CASE("row codes: bits say which values are above the mean, product codes the nearest words") {
  const Matrix rows = clustered_rows({.row_count = 400, .dim = 70, .seed = kSeed + 2});
  std::vector<double> mean(rows.dim, 0);
  for (std::size_t i = 0; i < rows.values.size(); ++i) mean[i % rows.dim] += rows.values[i] / 400.0;
  const auto bits = build(CodeType::kBinary, Metric::kEuclid, rows);
  const DecodedCodes binary(saved(bits.get(), rows.dim));
  double squares = 0;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    for (std::size_t d = 0; d < rows.dim; ++d) {
      REQUIRE(std::fabs(binary.center[d] - mean[d]) < 1e-5);
      squares += std::pow(rows.row(i)[d] - mean[d], 2);
      if (binary.bit(i, d) != (rows.row(i)[d] > binary.center[d])) FAIL("a wrong bit");
    }
  }
  REQUIRE(binary.norm == Approx(std::sqrt(squares / 400)).epsilon(1e-5));

  const auto product = build(CodeType::kPq, Metric::kEuclid, rows);
  const DecodedCodes words(saved(product.get(), rows.dim));
  REQUIRE(words.segment_count == 35);  // The least divisor of 70 that is at least a quarter.
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    for (std::size_t d = 0; d < rows.dim; d += 2) {
      const auto error = [&](const float* word) {
        return std::pow(double{rows.row(i)[d]} - word[0], 2) +
               std::pow(double{rows.row(i)[d + 1]} - word[1], 2);
      };
      const float* const own_words = words.words.data() + d / 2 * 512;
      double least = error(own_words);
      for (int word = 1; word < 256; ++word) least = std::min(least, error(own_words + 2 * word));
      // Nearly equal words are told apart by rounding.
      REQUIRE(error(own_words + 2 * words.byte(i, d / 2)) <= least + 1e-4);
    }
  }
}

TEST_CASE("row codes: reordered, saved and loaded they give the same distances, and no others") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  const Matrix rows = clustered_rows({.row_count = 90, .dim = 67, .seed = kSeed + 3});
  const Matrix queries = queries_for(rows, kSeed + 3);
  for_each_kind([&](Metric metric, CodeType type) {
    const auto codes = build(type, metric, rows);
    // Some rows twice, some not at all.
    std::vector<std::uint32_t> order(120);
    for (std::uint32_t& row : order) row = static_cast<std::uint32_t>(random() % rows.row_count);
    const auto moved = codes->reordered(order);
    const std::string file = saved(moved.get(), rows.dim);
    std::span<const std::byte> bytes = as_bytes(file);
    const auto loaded = load_row_codes(metric, order.size(), rows.dim, bytes);
    REQUIRE(loaded.has_value());
    REQUIRE(bytes.empty());
    REQUIRE(saved(loaded->get(), rows.dim) == file);
    REQUIRE((*loaded)->type() == codes->type());
    REQUIRE((*loaded)->row_count() == order.size());
    REQUIRE((*loaded)->memory_bytes() == moved->memory_bytes());
    REQUIRE(moved->memory_bytes() >= file.size());
    const std::string longer = file + "the next field";
    bytes = as_bytes(longer);
    REQUIRE(load_row_codes(metric, order.size(), rows.dim, bytes).has_value());
    REQUIRE(bytes.size() == 14);
    CodeQuery prepared;
    const auto check_same = [&](const std::vector<float>& before) {
      const std::vector<float> after = distances_of(**loaded, prepared);
      for (std::size_t i = 0; i < order.size(); ++i) REQUIRE(after[i] == before[order[i]]);
    };
    for (std::size_t q = 0; q < queries.row_count; ++q) {
      REQUIRE(codes->prepare(queries.row(q), prepared));
      const std::vector<float> before = distances_of(*codes, prepared);
      REQUIRE((*loaded)->prepare(queries.row(q), prepared));
      check_same(before);
    }
    codes->prepare_row(order[3], prepared);
    const std::vector<float> before = distances_of(*codes, prepared);
    (*loaded)->prepare_row(3, prepared);
    check_same(before);
    for (std::uint32_t i = 0; i < order.size(); ++i) {
      REQUIRE(moved->hash(i) == codes->hash(order[i]));
      REQUIRE((*loaded)->hash(i) == codes->hash(order[i]));
    }
  });
}

TEST_CASE("row codes: rows chosen out of order are coded in that order") {
  const Matrix rows = clustered_rows({.row_count = 60, .dim = 64, .seed = kSeed + 4});
  const std::vector<std::uint32_t> chosen = {59, 3, 17, 0, 42};
  for_each_kind([&](Metric metric, CodeType type) {
    const auto codes = build_row_codes(spec_of(type), metric, span_of(rows), chosen, {});
    REQUIRE(codes.has_value());
    const DecodedCodes decoded(saved(codes->get(), rows.dim));
    REQUIRE(decoded.row_count == chosen.size());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      std::size_t nearest = 0;
      double least = std::numeric_limits<double>::infinity();
      const std::vector<float> values = decoded.row(i);
      for (std::size_t j = 0; j < chosen.size(); ++j) {
        const double error =
            distance(Metric::kEuclid, values.data(), rows.row(chosen[j]), rows.dim);
        if (error < least) nearest = j;
        least = std::min(least, error);
      }
      REQUIRE(nearest == i);
    }
  });
}

TEST_CASE("row codes: equal rows have equal codes, and rows that are all the same have some too") {
  for (const std::size_t dim : {1, 64, 100}) {
    Matrix rows;
    rows.row_count = 30;
    rows.dim = dim;
    rows.values.assign(rows.row_count * dim, 0.37F);
    for_each_kind([&](Metric metric, CodeType type) {
      CAPTURE(dim);
      const auto codes = build(type, metric, rows);
      REQUIRE(codes != nullptr);
      CodeQuery prepared;
      for (const float value : {0.37F, 0.0F, -4.0F}) {
        const std::vector<float> query(dim, value);
        REQUIRE(codes->prepare(query.data(), prepared));
        const std::vector<float> found = distances_of(*codes, prepared);
        for (const float distance : found) {
          REQUIRE(std::isfinite(distance));
          REQUIRE(distance == found.front());
        }
        for (std::uint32_t row = 1; row < 30; ++row) REQUIRE(codes->hash(row) == codes->hash(0));
      }
    });
  }
}

TEST_CASE("row codes: values near the greatest float give no codes or queries without, never NaN") {
  for (const float huge : {kHuge, 1e25F, 1e19F, 1e16F}) {
    for (const std::size_t huge_count : {1, 40, 5000}) {
      Matrix rows = clustered_rows({.row_count = 200, .dim = 50, .seed = kSeed + 5});
      std::mt19937 random(kSeed);
      for (std::size_t i = 0; i < huge_count; ++i) {
        rows.values[random() % rows.values.size()] = random() % 2 == 0 ? huge : -huge;
      }
      const Matrix ordinary = queries_for(rows, kSeed + 5);
      for_each_kind([&](Metric metric, CodeType type) {
        CAPTURE(huge, huge_count);
        const auto codes = build(type, metric, rows);
        const bool is_all_huge = huge == kHuge && huge_count == 5000;
        REQUIRE((codes == nullptr || !is_all_huge));
        if (codes == nullptr) return;
        CodeQuery prepared;
        const auto check_numbers = [&] {
          for (const float distance : distances_of(*codes, prepared)) {
            if (std::isnan(distance)) FAIL("a distance is NaN");
          }
        };
        for (std::size_t q = 0; q < ordinary.row_count; ++q) {
          if (codes->prepare(ordinary.row(q), prepared)) check_numbers();
        }
        for (std::uint32_t row = 0; row < rows.row_count; ++row) {
          codes->prepare_row(row, prepared);
          check_numbers();
        }
        const std::string file = saved(codes.get(), rows.dim);
        std::span<const std::byte> bytes = as_bytes(file);
        REQUIRE(load_row_codes(metric, rows.row_count, rows.dim, bytes).has_value());
      });
    }
  }
}

TEST_CASE("row codes: a query near the greatest float is left to the rows") {
  const Matrix rows = clustered_rows({.row_count = 100, .dim = 50, .seed = kSeed + 6});
  for_each_kind([&](Metric metric, CodeType type) {
    const auto codes = build(type, metric, rows);
    CodeQuery prepared;
    for (const float value : {kHuge, -kHuge, 1e37F}) {
      const std::vector<float> query(rows.dim, value);
      const bool is_sum_finite = metric == Metric::kManhattan && value == 1e37F;
      CAPTURE(value);
      if (!is_sum_finite) REQUIRE_FALSE(codes->prepare(query.data(), prepared));
    }
  });
}

TEST_CASE("row codes: a build that is cancelled says so") {
  const Matrix rows = clustered_rows({.row_count = 100, .dim = 50, .seed = kSeed});
  CancelToken cancel;
  cancel.cancel();
  BuildControl control;
  control.cancel = &cancel;
  for_each_kind([&](Metric metric, CodeType type) {
    const auto built = build_row_codes(spec_of(type), metric, span_of(rows), all_of(rows), control);
    REQUIRE(built.has_error());
    REQUIRE(built.error().code() == Code::kCancelled);
  });
}
