#include "index/hnsw_format.h"

#include <cstring>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::ClusterShape;
using testing::Matrix;

namespace {

constexpr std::uint32_t kM = 4;

IndexSpec spec_with_m(std::uint32_t m = kM) {
  IndexSpec spec;
  spec.m = m;
  spec.codes = CodeType::kSq8;
  return spec;
}

/// 400 rows with several levels, of which rows 10, 20 and 30 equal row 5.
Matrix sample_rows() {
  ClusterShape shape;
  shape.row_count = 400;
  shape.dim = 6;
  Matrix rows = clustered_rows(shape);
  for (const std::size_t i : {10, 20, 30}) std::copy_n(rows.row(5), rows.dim, rows.row(i));
  return rows;
}

std::string sample_file(const Matrix& rows) {
  auto built = build_index(spec_with_m(), Metric::kEuclid, span_of(rows), {});
  REQUIRE(built.has_value());
  StringSink sink;
  REQUIRE((*built)->save(sink).ok());
  return sink.text;
}

template <class Value>
Value get(const std::string& file, std::size_t offset) {
  Value value;
  std::memcpy(&value, file.data() + offset, sizeof(value));
  return value;
}

template <class Value>
std::string with(std::string file, std::size_t offset, Value value) {
  REQUIRE(offset + sizeof(value) <= file.size());
  std::memcpy(file.data() + offset, &value, sizeof(value));
  return file;
}

/// Where the fields of the sample are, from the description of the layout.
struct Offsets {
  static constexpr std::size_t format_version = 0, m = 4, row_count = 8, equal_count = 16,
                               level_count = 24, growth = 28, equal_rows = 32;
  std::size_t rows, level0, degrees0, links0, level1, degrees1, links1;
  std::size_t codes, code_type, code_dim, code_rows, center, step;

  Offsets(const std::string& file, std::size_t dim) {
    const auto equal_rows_found = get<std::uint64_t>(file, equal_count);
    rows = equal_rows + 8 * equal_rows_found;
    level0 = rows + 4 * (get<std::uint64_t>(file, row_count) - equal_rows_found);
    degrees0 = level0 + 16;
    links0 = degrees0 + 4 * get<std::uint64_t>(file, level0);
    level1 = links0 + 4 * get<std::uint64_t>(file, level0 + 8);
    degrees1 = level1 + 16;
    links1 = degrees1 + 4 * get<std::uint64_t>(file, level1);
    codes = level0;
    for (std::uint32_t i = 0; i < get<std::uint32_t>(file, level_count); ++i) {
      codes += 16 + 4 * (get<std::uint64_t>(file, codes) + get<std::uint64_t>(file, codes + 8));
    }
    code_type = codes;
    code_dim = codes + 4;
    code_rows = codes + 8;
    center = codes + 16;
    step = center + 4 * dim;
  }
};

Status load(const Matrix& rows, const std::string& file, std::uint32_t m = kM) {
  auto loaded = load_index(spec_with_m(m), Metric::kEuclid, span_of(rows), as_bytes(file));
  return loaded.has_error() ? loaded.error() : Status();
}

}  // namespace

TEST_CASE("hnsw format: save, load and save again gives the same bytes and the same answers") {
  const Matrix rows = sample_rows();
  const auto built = build_index(spec_with_m(), Metric::kEuclid, span_of(rows), {});
  StringSink first, second;
  REQUIRE((*built)->save(first).ok());
  const auto loaded =
      load_index(spec_with_m(), Metric::kEuclid, span_of(rows), as_bytes(first.text));
  REQUIRE(loaded.has_value());
  REQUIRE((*loaded)->save(second).ok());
  REQUIRE(first.text == second.text);
  REQUIRE((*loaded)->spec() == spec_with_m());
  for (std::size_t i = 0; i < rows.row_count; i += 7) {
    std::vector<RowHit> a, b;
    SearchStats stats;
    REQUIRE((*built)->search(rows.row(i), {}, {}, a, stats).ok());
    REQUIRE((*loaded)->search(rows.row(i), {}, {}, b, stats).ok());
    REQUIRE(a.size() == b.size());
    for (std::size_t j = 0; j < a.size(); ++j) {
      REQUIRE(a[j].row == b[j].row);
      REQUIRE(a[j].distance == b[j].distance);
    }
  }
}

TEST_CASE("hnsw format: the growth of distances is kept, and unknown in the version before") {
  const Matrix rows = testing::clustered_rows({.row_count = 3000, .dim = 12, .cluster_count = 1});
  const std::string file = sample_file(rows);
  REQUIRE(get<std::uint32_t>(file, Offsets::format_version) == 3);
  REQUIRE(get<float>(file, Offsets::growth) > 0);
  REQUIRE(load(rows, file).ok());
  const std::string old =
      with(with<std::uint32_t>(file, Offsets::format_version, 2), Offsets::growth, 0.0F);
  REQUIRE(load(rows, old).ok());
}

TEST_CASE("hnsw format: a graph over no rows loads") {
  Matrix none;
  none.dim = 6;
  REQUIRE(load(none, sample_file(none)).ok());
}

TEST_CASE("hnsw format: each damaged field is refused by name") {
  const Matrix rows = sample_rows();
  const std::string file = sample_file(rows);
  const Offsets at(file, rows.dim);
  const auto level_count = get<std::uint32_t>(file, Offsets::level_count);
  REQUIRE(level_count >= 3);
  REQUIRE(get<std::uint64_t>(file, Offsets::equal_count) == 3);
  REQUIRE(load(rows, file).ok());
  const auto u32 = [&](std::size_t offset, std::uint32_t value) {
    return with<std::uint32_t>(file, offset, value);
  };
  const auto u64 = [&](std::size_t offset, std::uint64_t value) {
    return with<std::uint64_t>(file, offset, value);
  };
  const auto pair = [&](std::size_t index, std::uint32_t row, std::uint32_t previous) {
    const std::size_t offset = Offsets::equal_rows + 8 * index;
    return with<std::uint32_t>(u32(offset, row), offset + 4, previous);
  };
  const std::uint64_t huge = ~0ULL;
  const std::uint32_t none = ~0U;

  struct Damage {
    const char* what;
    std::string file;
    const char* field;
  };
  const Damage damages[] = {
      {"a version too old", u32(Offsets::format_version, 1), "format_version"},
      {"a version too new", u32(Offsets::format_version, 4), "format_version"},
      {"another m", u32(Offsets::m, 5), "m:"},
      {"fewer rows", u64(Offsets::row_count, 399), "row_count"},
      {"endless rows", u64(Offsets::row_count, huge), "row_count"},
      {"endless equal rows", u64(Offsets::equal_count, huge), "equal_count"},
      {"too many equal rows", u64(Offsets::equal_count, 399), "equal_rows"},
      {"no levels", u32(Offsets::level_count, 0), "level_count"},
      {"endless levels", u32(Offsets::level_count, none), "level_count"},
      {"one level too few", u32(Offsets::level_count, level_count - 1), "codes: "},
      {"one level too many", u32(Offsets::level_count, level_count + 1), "levels["},
      {"a growth below zero", with(file, Offsets::growth, -0.1F), "distance_growth"},
      {"a growth beyond the largest", with(file, Offsets::growth, 2.1F), "distance_growth"},
      {"a growth that is no number", with(file, Offsets::growth, std::nanf("")), "distance_growth"},
      {"a growth in the version that had none",
       with(u32(Offsets::format_version, 2), Offsets::growth, 0.1F), "distance_growth"},
      {"equal row beyond the rows", pair(0, none, 5), "equal_rows.row"},
      {"equal row before its previous", pair(0, 5, 10), "equal_rows.previous"},
      {"equal row twice", pair(1, 10, 5), "equal_rows.row"},
      {"previous row twice", pair(1, 20, 5), "equal_rows.previous"},
      {"equal rows that differ", pair(0, 10, 4), "equal_rows"},
      {"node of a row beyond the rows", u32(at.rows, 400), "rows: "},
      {"node of an equal row", u32(at.rows, 10), "rows: "},
      {"two nodes of one row", u32(at.rows + 4, get<std::uint32_t>(file, at.rows)), "rows: "},
      {"level 0 without nodes", u64(at.level0, 0), "levels[0].node_count"},
      {"level 0 with fewer nodes than there are", u64(at.level0, 396), "levels[0].node_count"},
      {"endless nodes", u64(at.level0, huge), "levels[0].node_count"},
      {"endless links", u64(at.level0 + 8, huge), "levels[0].link_count"},
      {"one link too many", u64(at.level0 + 8, get<std::uint64_t>(file, at.level0 + 8) + 1),
       "levels[0].link_count"},
      {"endless degree", u32(at.degrees0, none), "levels[0].degrees"},
      {"link beyond the nodes", u32(at.links0, 397), "levels[0].links"},
      {"level 1 larger than level 0", u64(at.level1, 398), "levels[1].node_count"},
      {"level 1 degree beyond its nodes", u32(at.degrees1, 397), "levels[1].degrees"},
      {"level 1 link beyond its nodes", u32(at.links1, 396), "levels[1].links"},
      {"unknown codes", u32(at.code_type, 77), "codes: type"},
      {"codes to be chosen", u32(at.code_type, 5), "codes: type"},
      {"no codes, and yet of a dim", u32(at.code_type, 0), "codes: dim"},
      {"no codes, and yet some", with<std::uint64_t>(u64(at.code_type, 0), at.code_rows, 0),
       "size"},
      {"codes of another dim", u32(at.code_dim, 7), "codes: dim"},
      {"codes of fewer nodes", u64(at.code_rows, 396), "codes: row_count"},
      {"a centre that is no number", u32(at.center, 0x7FC00000), "codes: center"},
      {"a step of zero", u32(at.step, 0), "codes: step"},
      {"an endless step", u32(at.step, 0x7F800000), "codes: step"},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.what);
    REQUIRE(damage.file != file);
    const Status status = load(rows, damage.file);
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE_THAT(status.message(), Catch::Contains(damage.field));
  }
  REQUIRE(load(rows, file, 5).code() == Code::kCorrupt);
  REQUIRE_THAT(load(rows, file + '\0').message(), Catch::Contains("size"));
}

TEST_CASE("hnsw format: a file cut anywhere is refused") {
  const Matrix rows = sample_rows();
  const std::string file = sample_file(rows);
  for (std::size_t size = 0; size < file.size(); size += size < 64 ? 1 : 61) {
    CAPTURE(size);
    REQUIRE(load(rows, file.substr(0, size)).code() == Code::kCorrupt);
  }
}

TEST_CASE("hnsw format: random damage is refused or gives an index that is safe to search") {
  const Matrix rows = sample_rows();
  const std::string file = sample_file(rows);
  const unsigned seed = 20240612;
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::size_t loaded_count = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = file;
    for (unsigned i = 0; i <= random() % 3; ++i) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1U << (random() % 8));
    }
    const auto loaded =
        load_index(spec_with_m(), Metric::kEuclid, span_of(rows), as_bytes(damaged));
    if (loaded.has_error()) {
      REQUIRE(loaded.error().code() == Code::kCorrupt);
      continue;
    }
    ++loaded_count;
    const float* query = rows.row(random() % rows.row_count);
    std::vector<RowHit> hits;
    SearchStats stats;
    REQUIRE((*loaded)->search(query, {}, {}, hits, stats).ok());
    REQUIRE(is_sound(Metric::kEuclid, rows, query, hits));
  }
  // Links may point elsewhere without anybody noticing; both outcomes must have been seen.
  REQUIRE(loaded_count > 0);
  REQUIRE(loaded_count < 2000);
}
