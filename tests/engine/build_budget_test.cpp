#include "engine/build_budget.h"

#include <numeric>
#include <thread>

#include <catch2/catch.hpp>

#include "index/row_codes.h"
#include "tests/datasets/dataset.h"

namespace tessera::engine {
namespace {

using index::CodeType;
using index::IndexSpec;
using testing::Matrix;

constexpr CodeType kTypes[] = {CodeType::kNone, CodeType::kAuto,   CodeType::kSq8,
                               CodeType::kSq4,  CodeType::kBinary, CodeType::kPq};

IndexSpec spec_of(CodeType codes, std::uint32_t m = 16) {
  IndexSpec spec;
  spec.codes = codes;
  spec.m = m;
  return spec;
}

std::uint64_t code_memory(CodeType type, const Matrix& rows) {
  std::vector<std::uint32_t> ids(rows.row_count);
  std::iota(ids.begin(), ids.end(), 0U);
  const auto codes = index::build_row_codes(
      spec_of(type), Metric::kEuclid, {rows.values.data(), rows.row_count, rows.dim}, ids, {});
  REQUIRE(codes.has_value());
  return *codes == nullptr ? 0 : (*codes)->memory_bytes();
}

struct Budget {
  metrics::Registry registry;
  BuildBudget builds;
  explicit Budget(std::uint64_t bytes) : builds({bytes, 50}, registry) {}
};

}  // namespace

TEST_CASE(
    "build budget: what is reserved for a row covers the graph, its links and all its codes") {
  for (const std::size_t dim : {20, 64, 129}) {
    const Matrix rows = testing::clustered_rows({.row_count = 1500, .dim = dim, .seed = 9});
    const std::uint64_t fine_bytes = code_memory(CodeType::kAuto, rows);
    for (const CodeType type : kTypes) {
      for (const std::uint32_t m : {4U, 16U}) {
        CAPTURE(dim, m, static_cast<int>(type));
        const IndexSpec spec = spec_of(type, m);
        const auto built = index::build_index(spec, Metric::kEuclid,
                                              {rows.values.data(), rows.row_count, rows.dim}, {});
        REQUIRE(built.has_value());
        const bool is_coarse =
            type == CodeType::kSq4 || type == CodeType::kBinary || type == CodeType::kPq;
        // Links have their room while the compact graph is made, and codes are put in its order.
        const std::uint64_t links = rows.row_count * 2 * m * sizeof(std::uint32_t);
        const std::uint64_t taken = (*built)->memory_bytes() + links + code_memory(type, rows) +
                                    (is_coarse ? fine_bytes : 0);
        const std::uint64_t fixed = build_memory_bytes(spec, 0, dim);
        const std::uint64_t tables = type == CodeType::kPq ? 2 * 1024 * dim : 2 * 8 * dim;
        REQUIRE(build_memory_bytes(spec, rows.row_count, dim) - fixed + tables + 4096 >= taken);
        REQUIRE(fixed >= tables);
      }
    }
  }
}

TEST_CASE("build budget: coarse codes need room for fine ones too, and more never takes less") {
  for (const std::size_t dim : {48, 768, 4096}) {
    for (const CodeType type : {CodeType::kSq4, CodeType::kBinary, CodeType::kPq}) {
      CAPTURE(dim, static_cast<int>(type));
      const IndexSpec coarse = spec_of(type);
      const std::uint64_t kept = 2 * index::row_code_bytes(coarse, dim) * 1000;
      const std::uint64_t without = build_memory_bytes(spec_of(CodeType::kNone), 1000, dim);
      REQUIRE(build_memory_bytes(coarse, 1000, dim) >= without + kept + 1000 * dim);
    }
    for (const CodeType type : kTypes) {
      std::uint64_t before = 0;
      for (const std::size_t rows : {0, 1, 1000, 1000000}) {
        const std::uint64_t now = build_memory_bytes(spec_of(type), rows, dim);
        REQUIRE(now > before);
        REQUIRE(now < build_memory_bytes(spec_of(type, 32), rows + 1, dim));
        before = now;
      }
    }
  }
}

TEST_CASE("build budget: the largest build is the last that fits") {
  for (const CodeType type : kTypes) {
    for (const std::uint64_t bytes : {1ULL << 20, 13ULL << 20, 1ULL << 30}) {
      CAPTURE(static_cast<int>(type), bytes);
      const Budget budget(bytes);
      const IndexSpec spec = spec_of(type);
      const std::size_t most = budget.builds.row_count_max(spec, 100);
      REQUIRE(build_memory_bytes(spec, most + 1, 100) > bytes);
      if (most > 0) REQUIRE(build_memory_bytes(spec, most, 100) <= bytes);
      REQUIRE((most > 0) == (bytes > 1ULL << 20));
    }
  }
}

TEST_CASE("build budget: reservations never exceed the limit, and come back when they end") {
  Budget budget(1000);
  REQUIRE(budget.builds.memory_bytes_max() == 1000);
  REQUIRE(budget.builds.reserve(1001) == nullptr);
  BuildBudget::Reservation first = budget.builds.reserve(600);
  REQUIRE(first != nullptr);
  REQUIRE(budget.builds.reserve(401) == nullptr);
  const BuildBudget::Reservation second = budget.builds.reserve(400);
  REQUIRE(second != nullptr);
  REQUIRE(budget.builds.reserve(1) == nullptr);
  REQUIRE(budget.builds.reserve(~0ULL) == nullptr);
  first.reset();
  REQUIRE(budget.builds.reserve(600) != nullptr);
}

TEST_CASE("build budget: who waits gets memory once it is there, an error when it never will be") {
  Budget budget(1000);
  CancelToken cancel;
  const auto never = budget.builds.reserve_within(1001, cancel);
  REQUIRE(never.has_error());
  REQUIRE(never.error().code() == Code::kResourceExhausted);
  REQUIRE_THAT(never.error().message(), Catch::Contains("index.build_memory_bytes_max"));

  BuildBudget::Reservation held = budget.builds.reserve(700);
  {
    Result<BuildBudget::Reservation> waited = Status(Code::kInternal, "not yet");
    std::jthread waiter([&] { waited = budget.builds.reserve_within(500, cancel); });
    held.reset();
    waiter.join();
    REQUIRE(waited.has_value());
    REQUIRE(budget.builds.reserve(501) == nullptr);
  }
  held = budget.builds.reserve(700);
  REQUIRE(held != nullptr);
  cancel.cancel();
  const auto cancelled = budget.builds.reserve_within(500, cancel);
  REQUIRE(cancelled.has_error());
  REQUIRE(cancelled.error().code() == Code::kCancelled);
}

}  // namespace tessera::engine
