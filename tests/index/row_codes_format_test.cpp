#include <cstring>
#include <numeric>
#include <random>

#include <catch2/catch.hpp>

#include "index/row_codes.h"
#include "tests/index/decoded_codes.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::Matrix;

namespace {

constexpr std::size_t kDim = 66;
constexpr std::size_t kRows = 40;
constexpr std::uint32_t kNan = 0x7FC00000, kInfinity = 0x7F800000, kMinusOne = 0xBF800000;

/// Where fields are, from the description of the layout.
constexpr std::size_t kType = 0, kDimAt = 4, kRowCount = 8, kBody = 16;
constexpr std::size_t kAfterCenter = kBody + 4 * kDim;
constexpr std::size_t kWords = kBody + 4;

std::string sample_file(CodeType type, Metric metric = Metric::kEuclid) {
  const Matrix rows = clustered_rows({.row_count = kRows, .dim = kDim, .seed = 3});
  std::vector<std::uint32_t> ids(kRows);
  std::iota(ids.begin(), ids.end(), 0U);
  IndexSpec spec;
  spec.codes = type;
  const auto codes = build_row_codes(spec, metric, span_of(rows), ids, {});
  REQUIRE(codes.has_value());
  return saved(codes->get(), kDim);
}

template <class Value>
std::string with(std::string file, std::size_t offset, Value value) {
  REQUIRE(offset + sizeof(value) <= file.size());
  std::memcpy(file.data() + offset, &value, sizeof(value));
  return file;
}

std::string u32(const std::string& file, std::size_t offset, std::uint32_t value) {
  return with(file, offset, value);
}

std::string u64(const std::string& file, std::size_t offset, std::uint64_t value) {
  return with(file, offset, value);
}

RowCodesResult load(const std::string& file, Metric metric = Metric::kEuclid) {
  std::span<const std::byte> bytes = as_bytes(file);
  return load_row_codes(metric, kRows, kDim, bytes);
}

struct Damage {
  const char* what;
  std::string file;
  const char* field;
};

void check(const std::vector<Damage>& damages) {
  for (const Damage& damage : damages) {
    CAPTURE(damage.what);
    const auto loaded = load(damage.file);
    REQUIRE(loaded.has_error());
    REQUIRE(loaded.error().code() == Code::kCorrupt);
    REQUIRE_THAT(loaded.error().message(),
                 Catch::StartsWith(std::string("codes: ") + damage.field + ": "));
  }
}

}  // namespace

TEST_CASE("codes format: damage to what all kinds have is refused by name") {
  for (const CodeType type : {CodeType::kSq8, CodeType::kSq4, CodeType::kBinary, CodeType::kPq}) {
    CAPTURE(static_cast<int>(type));
    const std::string file = sample_file(type);
    REQUIRE(load(file).has_value());
    check({{"nothing", "", "header"},
           {"half a header", file.substr(0, 15), "header"},
           {"unknown type", u32(file, kType, 77), "type"},
           {"a type to be chosen", u32(file, kType, 5), "type"},
           {"a type whose last byte is known",
            u32(file, kType, 256 + static_cast<std::uint32_t>(type)), "type"},
           {"another dim", u32(file, kDimAt, kDim + 1), "dim"},
           {"fewer rows", u64(file, kRowCount, kRows - 1), "row_count"},
           {"endless rows", u64(file, kRowCount, ~0ULL), "row_count"},
           {"no codes of some dim", u32(file, kType, 0), "dim"},
           {"no codes of some rows", u32(u32(file, kType, 0), kDimAt, 0), "row_count"},
           {"the last byte is missing", file.substr(0, file.size() - 1), "codes"}});
  }
}

TEST_CASE("codes format: damage to a grid, to bits or to words is refused by name") {
  for (const CodeType type : {CodeType::kSq8, CodeType::kSq4}) {
    CAPTURE(static_cast<int>(type));
    const std::string file = sample_file(type);
    check({{"a centre that is no number", u32(file, kBody, kNan), "center"},
           {"an endless last centre", u32(file, kAfterCenter - 4, kInfinity), "center"},
           {"the centre is cut", file.substr(0, kAfterCenter - 1), "center"},
           {"the step is cut", file.substr(0, kAfterCenter + 3), "step"},
           {"a step of zero", u32(file, kAfterCenter, 0), "step"},
           {"a negative step", u32(file, kAfterCenter, kMinusOne), "step"},
           {"an endless step", u32(file, kAfterCenter, kInfinity), "step"},
           {"a step that is no number", u32(file, kAfterCenter, kNan), "step"},
           {"a step whose square is endless", with(file, kAfterCenter, 1e30F), "step"},
           {"no codes", file.substr(0, kAfterCenter + 4), "codes"}});
  }
  const std::string bits = sample_file(CodeType::kBinary);
  check({{"a centre that is no number", u32(bits, kBody, kNan), "center"},
         {"the centre is cut", bits.substr(0, kAfterCenter - 1), "center"},
         {"the norm is cut", bits.substr(0, kAfterCenter + 3), "norm"},
         {"a negative norm", u32(bits, kAfterCenter, kMinusOne), "norm"},
         {"a norm that is no number", u32(bits, kAfterCenter, kNan), "norm"},
         {"a norm whose square is endless", with(bits, kAfterCenter, 1e30F), "norm"},
         {"no codes", bits.substr(0, kAfterCenter + 4), "codes"}});
  const std::string product = sample_file(CodeType::kPq);
  const std::size_t codes = kWords + 4 * 256 * kDim;
  check({{"the segment count is cut", product.substr(0, kBody + 3), "segment_count"},
         {"no segments", u32(product, kBody, 0), "segment_count"},
         {"more segments than values", u32(product, kBody, 2 * kDim), "segment_count"},
         {"segments that do not divide", u32(product, kBody, 5), "segment_count"},
         {"a word that is no number", u32(product, kWords, kNan), "words"},
         {"an endless last word", u32(product, codes - 4, kInfinity), "words"},
         {"the words are cut", product.substr(0, codes - 1), "words"},
         {"no codes", product.substr(0, codes), "codes"}});
}

TEST_CASE("codes format: no codes are saved and loaded as none") {
  const std::string file = saved(nullptr, kDim);
  REQUIRE(file == std::string(kBody, '\0'));
  const auto loaded = load(file);
  REQUIRE(loaded.has_value());
  REQUIRE(*loaded == nullptr);
}

TEST_CASE("codes format: random damage is refused or gives distances that are numbers") {
  const unsigned seed = 20241019;
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::size_t loaded_count = 0, refused_count = 0;
  const Matrix queries = clustered_rows({.row_count = 3, .dim = kDim, .seed = 3, .sample = 1});
  std::vector<std::uint32_t> ids(kRows);
  std::iota(ids.begin(), ids.end(), 0U);
  std::vector<float> found(kRows);
  for (const CodeType type : {CodeType::kSq8, CodeType::kSq4, CodeType::kBinary, CodeType::kPq}) {
    for (const Metric metric : {Metric::kDot, Metric::kEuclid, Metric::kManhattan}) {
      CAPTURE(static_cast<int>(type), metric_name(metric));
      const std::string file = sample_file(type, metric);
      for (int round = 0; round < 400; ++round) {
        std::string damaged = file;
        // Half of the damage is to the fields before the codes and words.
        const std::size_t among = round % 2 == 0 ? kAfterCenter + 4 : file.size();
        for (unsigned i = 0; i <= random() % 3; ++i) {
          damaged[random() % among] ^= static_cast<char>(1U << random() % 8);
        }
        const auto loaded = load(damaged, metric);
        if (loaded.has_error()) {
          REQUIRE(loaded.error().code() == Code::kCorrupt);
          ++refused_count;
          continue;
        }
        ++loaded_count;
        CodeQuery prepared;
        for (std::size_t q = 0; q < queries.row_count; ++q) {
          if (!(*loaded)->prepare(queries.row(q), prepared)) continue;
          (*loaded)->distances_at(prepared, ids, found.data());
          for (const float distance : found) {
            if (std::isnan(distance)) FAIL("a distance is NaN");
          }
        }
      }
    }
  }
  REQUIRE(loaded_count > 100);
  REQUIRE(refused_count > 100);
}
