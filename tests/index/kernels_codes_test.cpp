#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "index/kernel_table.h"

using namespace tessera::index;

namespace {

constexpr std::uint32_t kSeed = 20240915;
constexpr std::size_t kBlock = 64;

template <class Query>
std::int64_t dot_u8(const Query* query, const std::uint8_t* row, std::size_t stride) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < stride; ++i) sum += std::int64_t{query[i]} * row[i];
  return sum;
}

template <class Query>
std::int64_t sad_u8(const Query* query, const std::uint8_t* row, std::size_t stride) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < stride; ++i) sum += std::llabs(std::int64_t{query[i]} - row[i]);
  return sum;
}

template <class Query>
std::int64_t dot_u4(const Query* query, const std::uint8_t* row, std::size_t stride) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < 2 * stride; ++i) {
    const std::uint8_t byte = row[i / (2 * kBlock) * kBlock + i % kBlock];
    sum += std::int64_t{query[i]} * (i / kBlock % 2 == 0 ? byte % 16 : byte / 16);
  }
  return sum;
}

template <class Query>
std::int64_t hamming(const Query* query, const std::uint8_t* row, std::size_t stride) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < stride; ++i) {
    for (int bit = 0; bit < 8; ++bit) sum += (query[i] >> bit & 1) != (row[i] >> bit & 1);
  }
  return sum;
}

template <class Query>
struct Case {
  const char* name;
  CodeKernels::Rows<Query> CodeKernels::*rows;
  CodeKernels::RowsAt<Query> CodeKernels::*rows_at;
  std::int64_t (*oracle)(const Query*, const std::uint8_t*, std::size_t);
  std::size_t query_bytes_a_row_byte = 1;
};

const std::vector<Case<std::int8_t>> kSignedCases = {
    {"dot_u8", &CodeKernels::dot_u8, &CodeKernels::dot_u8_at, &dot_u8<std::int8_t>},
    {"dot_u4", &CodeKernels::dot_u4, &CodeKernels::dot_u4_at, &dot_u4<std::int8_t>, 2},
};
const std::vector<Case<std::uint8_t>> kUnsignedCases = {
    {"sad_u8", &CodeKernels::sad_u8, &CodeKernels::sad_u8_at, &sad_u8<std::uint8_t>},
    {"hamming", &CodeKernels::hamming, &CodeKernels::hamming_at, &hamming<std::uint8_t>},
};

/// Rows of `dim` values, padded with zeros to whole blocks, at the beginning of a cache line.
class Codes {
 public:
  template <class Make>
  Codes(std::size_t row_count, std::size_t dim, Make make)
      : stride_((dim + kBlock - 1) / kBlock * kBlock), bytes_(row_count * stride_ + kBlock, 0) {
    for (std::size_t i = 0; i < row_count; ++i) {
      for (std::size_t d = 0; d < dim; ++d) mutable_row(i)[d] = make();
    }
  }
  std::size_t stride() const { return stride_; }
  const std::uint8_t* data() const { return bytes_.data() + offset(); }
  const std::uint8_t* row(std::size_t i) const { return data() + i * stride_; }

 private:
  std::size_t offset() const {
    return (kBlock - reinterpret_cast<std::uintptr_t>(bytes_.data()) % kBlock) % kBlock;
  }
  std::uint8_t* mutable_row(std::size_t i) { return bytes_.data() + offset() + i * stride_; }

  std::size_t stride_;
  std::vector<std::uint8_t> bytes_;
};

/// Both forms of one kernel, for every count of rows up to 9, against the oracle.
template <class Query>
void check_rows(const CodeKernels& kernels, const Case<Query>& tested, const Query* query,
                const Codes& codes, std::size_t row_count) {
  constexpr std::int32_t kUntouched = -77;
  std::vector<std::int64_t> expected;
  for (std::size_t i = 0; i < row_count; ++i) {
    expected.push_back(tested.oracle(query, codes.row(i), codes.stride()));
  }
  std::vector<std::uint32_t> ids(row_count);
  for (std::size_t i = 0; i < row_count; ++i) {
    ids[i] = static_cast<std::uint32_t>((i * 7 + 3) % row_count);
  }
  for (std::size_t count = 0; count <= row_count; ++count) {
    CAPTURE(count);
    std::vector<std::int32_t> out(count + 1, kUntouched), out_at(count + 1, kUntouched);
    (kernels.*tested.rows)(query, codes.data(), codes.stride(), count, out.data());
    (kernels.*tested.rows_at)(query, codes.data(), codes.stride(), ids.data(), count,
                              out_at.data());
    for (std::size_t i = 0; i < count; ++i) {
      CAPTURE(i);
      REQUIRE(out[i] == expected[i]);
      REQUIRE(out_at[i] == expected[ids[i]]);
    }
    REQUIRE(out[count] == kUntouched);
    REQUIRE(out_at[count] == kUntouched);
  }
}

template <class Query, class MakeQuery, class MakeCode>
void check_case(const Case<Query>& tested, std::size_t dim, MakeQuery make_query,
                MakeCode make_code) {
  constexpr std::size_t kRowCount = 21;
  const Codes codes(kRowCount, dim, make_code);
  for (const std::size_t misalignment : {0, 1, 3}) {
    // What pads the rows is zero, so the query's padding could be anything; it is zero as promised.
    std::vector<Query> query(misalignment + codes.stride() * tested.query_bytes_a_row_byte, 0);
    for (std::size_t d = 0; d < dim * tested.query_bytes_a_row_byte; ++d) {
      query[misalignment + d] = make_query();
    }
    for (const KernelTable* table : supported_kernels()) {
      CAPTURE(table->level, tested.name, dim, misalignment);
      check_rows(table->codes, tested, query.data() + misalignment, codes, kRowCount);
    }
  }
}

const std::vector<std::size_t> kDims = {1, 3, 63, 64, 65, 96, 128, 130, 191, 320, 768, 784, 1537};

}  // namespace

TEST_CASE("code kernels: random codes give the oracle's integers on every level") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  std::uniform_int_distribution<int> byte(0, 255), value(-128, 127);
  const auto make_byte = [&] { return static_cast<std::uint8_t>(byte(random)); };
  const auto make_value = [&] { return static_cast<std::int8_t>(value(random)); };
  for (const std::size_t dim : kDims) {
    for (const auto& tested : kSignedCases) check_case(tested, dim, make_value, make_byte);
    for (const auto& tested : kUnsignedCases) check_case(tested, dim, make_byte, make_byte);
  }
}

TEST_CASE("code kernels: extreme codes neither saturate nor wrap") {
  const auto largest = [] { return std::uint8_t{255}; };
  const auto zero = [] { return std::uint8_t{0}; };
  for (const std::size_t dim : {64, 100, 1536}) {
    for (const auto& tested : kSignedCases) {
      check_case(
          tested, dim, [] { return std::int8_t{-128}; }, largest);
      check_case(
          tested, dim, [] { return std::int8_t{127}; }, largest);
    }
    for (const auto& tested : kUnsignedCases) {
      check_case(tested, dim, zero, largest);
      check_case(tested, dim, largest, zero);
    }
  }
}

TEST_CASE("code kernels: the longest row still has an exact sum") {
  constexpr std::size_t kDim = 65536;
  const Codes codes(5, kDim, [] { return std::uint8_t{255}; });
  const std::vector<std::int8_t> lowest(2 * kDim, -128);
  const std::vector<std::uint8_t> zero(kDim, 0);
  for (const KernelTable* table : supported_kernels()) {
    CAPTURE(table->level);
    std::vector<std::int32_t> out(5);
    const auto all_are = [&](std::int64_t expected) {
      for (const std::int32_t value : out) REQUIRE(value == expected);
    };
    table->codes.dot_u8(lowest.data(), codes.data(), kDim, 5, out.data());
    all_are(std::int64_t{kDim} * 255 * -128);
    table->codes.dot_u4(lowest.data(), codes.data(), kDim, 5, out.data());
    all_are(std::int64_t{2 * kDim} * 15 * -128);
    table->codes.sad_u8(zero.data(), codes.data(), kDim, 5, out.data());
    all_are(std::int64_t{kDim} * 255);
    table->codes.hamming(zero.data(), codes.data(), kDim, 5, out.data());
    all_are(std::int64_t{kDim} * 8);
  }
}

TEST_CASE("code kernels: rows are near unless their bound is farther, on every level") {
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  std::uniform_int_distribution<int> byte(0, 255), value(-127, 127);
  std::uniform_real_distribution<float> unit(0, 1);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const std::size_t dim : kDims) {
    constexpr std::size_t kRowCount = 53;
    const Codes codes(kRowCount, dim, [&] { return static_cast<std::uint8_t>(byte(random)); });
    std::vector<std::int8_t> code(codes.stride(), 0);
    for (std::size_t d = 0; d < dim; ++d) code[d] = static_cast<std::int8_t>(value(random));
    std::vector<float> scales(kRowCount), rests(kRowCount), norms(kRowCount);
    for (std::size_t i = 0; i < kRowCount; ++i) {
      scales[i] = unit(random) / 1000;
      rests[i] = unit(random);
      norms[i] = unit(random);
    }
    // What says nothing is near: a bound that is no number, and one that is infinite.
    norms[7] = kInfinity;
    rests[20] = std::numeric_limits<float>::quiet_NaN();
    NearQuery query{code.data(), 128 * value(random), 0.5F, -0.2F, 0.7F, -0.4F, -1.5F, 0};
    const auto bound_of = [&](std::size_t i) {
      const auto sum = static_cast<double>(dot_u8(code.data(), codes.row(i), codes.stride()));
      return query.constant +
             double{norms[i]} * (query.norm_factor + double{norms[i]} * query.square_factor) +
             double{rests[i]} * query.rest_factor +
             double{scales[i]} * (sum - query.code_offset) * query.product_factor;
    };
    for (const std::size_t nth : {0, 10, 30, 52}) {
      std::vector<double> bounds;
      for (std::size_t i = 0; i < kRowCount; ++i) {
        if (i != 7 && i != 20) bounds.push_back(bound_of(i));
      }
      std::sort(bounds.begin(), bounds.end());
      // Between two bounds, where rounding does not matter.
      const std::size_t at = std::min(nth, bounds.size() - 2);
      if (bounds[at + 1] - bounds[at] < 1e-3) continue;
      query.farthest = static_cast<float>((bounds[at] + bounds[at + 1]) / 2);
      for (const KernelTable* table : supported_kernels()) {
        for (std::size_t count = 0; count <= kRowCount; ++count) {
          CAPTURE(table->level, dim, nth, count);
          std::vector<std::uint32_t> expected;
          for (std::size_t i = 0; i < count; ++i) {
            if (i == 7 || i == 20 || bound_of(i) <= query.farthest) {
              expected.push_back(static_cast<std::uint32_t>(i));
            }
          }
          std::vector<std::uint32_t> out(count + 1, 4711);
          const std::size_t found = table->codes.near_rows(
              query,
              {codes.data(), codes.stride(), scales.data(), rests.data(), norms.data(), count},
              out.data());
          REQUIRE(found == expected.size());
          REQUIRE(std::equal(expected.begin(), expected.end(), out.begin()));
          REQUIRE(out[count] == 4711);
        }
      }
    }
  }
}
