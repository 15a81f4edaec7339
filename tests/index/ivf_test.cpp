#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "index/ivf_index.h"
#include "index/kernels.h"

namespace tessera::index {
namespace {

constexpr IndexType kTypes[] = {IndexType::kIvfFlat, IndexType::kIvfSq8, IndexType::kIvfPq};
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};

struct Matrix {
  std::size_t dim = 0;
  std::vector<float> values;
  [[nodiscard]] VectorSpan span() const { return {values.data(), values.size() / dim, dim}; }
  [[nodiscard]] const float* row(std::size_t i) const { return values.data() + i * dim; }
};

/// Rows around 60 centres, some of them close together; unit length for Cosine, of different
/// lengths for Dot. Equal `centre_seed` means equal centres.
Matrix clustered(std::size_t row_count, std::size_t dim, Metric metric, std::uint32_t seed,
                 std::uint32_t centre_seed = 1) {
  std::mt19937 centre_random(centre_seed);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(60 * dim);
  for (float& value : centres) value = normal(centre_random);
  Matrix matrix{dim, std::vector<float>(row_count * dim)};
  for (std::size_t i = 0; i < row_count; ++i) {
    float* const row = matrix.values.data() + i * dim;
    const float* const centre = centres.data() + random() % 60 * dim;
    const float length = metric == Metric::kDot ? std::exp(0.5f * normal(random)) : 1.0f;
    for (std::size_t d = 0; d < dim; ++d) row[d] = length * (centre[d] + 0.5f * normal(random));
    if (metric == Metric::kCosine) normalise({row, dim});
  }
  return matrix;
}

std::unique_ptr<const AnnIndex> build(const IndexSpec& spec, Metric metric, VectorSpan rows,
                                      unsigned thread_count = 1) {
  BuildControl control;
  control.thread_count = thread_count;
  auto index = build_index(spec, metric, rows, control);
  INFO((index.has_error() ? index.error().to_string() : ""));
  REQUIRE(index.has_value());
  REQUIRE((*index)->spec() == spec);
  return std::move(*index);
}

std::unique_ptr<const AnnIndex> build(IndexType type, Metric metric, const Matrix& rows) {
  IndexSpec spec;
  spec.type = type;
  return build(spec, metric, rows.span());
}

std::string saved(const AnnIndex& index) {
  StringSink sink;
  REQUIRE(index.save(sink).ok());
  return sink.text;
}

std::vector<RowHit> search(const AnnIndex& index, const float* query, const SearchOptions& options,
                           const RowFilter& filter = {}) {
  std::vector<RowHit> hits;
  SearchStats stats;
  REQUIRE(index.search(query, options, filter, hits, stats).ok());
  REQUIRE((hits.empty() || stats.visited_count > 0));
  return hits;
}

std::vector<RowHit> brute_force(const Matrix& rows, Metric metric, const float* query,
                                std::size_t k, const RowFilter& filter = {}) {
  std::vector<RowHit> hits;
  for (std::uint32_t row = 0; row < rows.span().row_count; ++row) {
    if (!filter.allows(row)) continue;
    hits.push_back({distance(metric, query, rows.row(row), rows.dim), row});
  }
  std::sort(hits.begin(), hits.end());
  hits.resize(std::min(k, hits.size()));
  return hits;
}

bool equal(const std::vector<RowHit>& a, const std::vector<RowHit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](RowHit x, RowHit y) {
    return x.row == y.row && std::memcmp(&x.distance, &y.distance, sizeof(float)) == 0;
  });
}

/// In order, each row once, allowed, with the exact distance.
void require_sound(const std::vector<RowHit>& hits, const Matrix& rows, Metric metric,
                   const float* query, const RowFilter& filter = {}) {
  REQUIRE(std::is_sorted(hits.begin(), hits.end()));
  std::set<std::uint32_t> seen;
  for (const RowHit& hit : hits) {
    REQUIRE(hit.row < rows.span().row_count);
    REQUIRE(seen.insert(hit.row).second);
    REQUIRE(filter.allows(hit.row));
    REQUIRE(hit.distance == distance(metric, query, rows.row(hit.row), rows.dim));
  }
}

/// The share of the k nearest rows that are found; `filter` may allow a part.
double recall_of(const AnnIndex& index, const Matrix& rows, const Matrix& queries, Metric metric,
                 const RowFilter& filter = {}) {
  constexpr std::size_t k = 10;
  std::size_t found = 0;
  std::size_t total = 0;
  for (std::size_t i = 0; i < queries.span().row_count; ++i) {
    const auto exact = brute_force(rows, metric, queries.row(i), k, filter);
    const auto hits = search(index, queries.row(i), {.k = k}, filter);
    require_sound(hits, rows, metric, queries.row(i), filter);
    REQUIRE(hits.size() == exact.size());
    total += exact.size();
    for (const RowHit& hit : hits) found += hit.distance <= exact.back().distance ? 1 : 0;
  }
  return static_cast<double>(found) / static_cast<double>(std::max<std::size_t>(1, total));
}

/// A random share of the rows, by slot; slot and row numbers differ.
struct SlotFilter {
  SlotFilter(std::size_t row_count, double share, std::uint32_t seed)
      : slots(row_count), words(row_count / 64 + 2) {
    std::mt19937 random(seed);
    for (std::size_t row = 0; row < row_count; ++row) {
      slots[row] = static_cast<std::uint32_t>(row_count - row);
      if (random() % 100000 >= share * 100000) continue;
      words[slots[row] / 64] |= std::uint64_t{1} << (slots[row] % 64);
      ++allowed_count;
    }
    filter.slots = slots.data();
    filter.slot_words = words.data();
    filter.slot_word_count = words.size();
  }
  std::vector<std::uint32_t> slots;
  std::vector<std::uint64_t> words;
  std::size_t allowed_count = 0;
  RowFilter filter;
};

}  // namespace

TEST_CASE("ivf: nine of ten nearest rows are found with the settings it chooses itself", "[unit]") {
  for (const Metric metric : kMetrics) {
    const std::uint32_t seed = 3;
    const Matrix rows = clustered(4000, 16, metric, seed);
    const Matrix queries = clustered(60, 16, metric, seed + 1);
    for (const IndexType type : kTypes) {
      CAPTURE(metric_name(metric), index_type_name(type), seed);
      const auto index = build(type, metric, rows);
      REQUIRE(recall_of(*index, rows, queries, metric) >= 0.9);
      SearchStats stats;
      std::vector<RowHit> hits;
      REQUIRE(index->search(queries.row(0), {}, {}, hits, stats).ok());
      // Not by looking at everything.
      REQUIRE(stats.visited_count < 3000);
    }
  }
}

TEST_CASE("ivf: with every list visited ivf_flat is brute force to the bit", "[unit]") {
  for (const Metric metric : kMetrics) {
    CAPTURE(metric_name(metric));
    const Matrix rows = clustered(3000, 9, metric, 5);
    const Matrix queries = clustered(20, 9, metric, 6);
    const auto index = build(IndexType::kIvfFlat, metric, rows);
    for (std::size_t i = 0; i < 20; ++i) {
      for (const std::size_t k : {1, 10, 500}) {
        const auto hits = search(*index, queries.row(i), {.k = k, .probe_count = 100000});
        REQUIRE(equal(hits, brute_force(rows, metric, queries.row(i), k)));
      }
    }
  }
}

TEST_CASE("ivf: a filter never returns fewer rows than min(k, matches)", "[unit]") {
  for (const IndexType type : kTypes) {
    for (const Metric metric : {Metric::kEuclid, Metric::kCosine}) {
      const Matrix rows = clustered(5000, 8, metric, 7);
      const Matrix queries = clustered(25, 8, metric, 8);
      const auto index = build(type, metric, rows);
      for (const double share : {0.5, 0.1, 0.01, 0.001, 0.0}) {
        const SlotFilter allowed(5000, share, 77);
        CAPTURE(index_type_name(type), metric_name(metric), share, allowed.allowed_count);
        REQUIRE(recall_of(*index, rows, queries, metric, allowed.filter) >=
                (allowed.allowed_count == 0 ? 0.0 : 0.9));
        for (std::size_t i = 0; i < 25; ++i) {
          const std::size_t k = 60;
          const auto hits = search(*index, queries.row(i), {.k = k}, allowed.filter);
          REQUIRE(hits.size() == std::min(k, allowed.allowed_count));
          if (allowed.allowed_count > k) continue;
          REQUIRE(equal(hits, brute_force(rows, metric, queries.row(i), k, allowed.filter)));
        }
      }
    }
  }
}

TEST_CASE("ivf: dead rows are not returned and do not count against k", "[unit]") {
  const Matrix rows = clustered(4000, 8, Metric::kEuclid, 9);
  const Matrix queries = clustered(40, 8, Metric::kEuclid, 10);
  std::vector<std::atomic<std::uint64_t>> dead(4000 / 64 + 1);
  std::mt19937 random(4);
  for (std::uint32_t row = 0; row < 4000; ++row) {
    if (random() % 2 == 0) dead[row / 64] |= std::uint64_t{1} << (row % 64);
  }
  SlotFilter few(4000, 0.02, 5);
  for (const IndexType type : kTypes) {
    CAPTURE(index_type_name(type));
    const auto index = build(type, Metric::kEuclid, rows);
    RowFilter filter;
    filter.dead_words = dead.data();
    REQUIRE(recall_of(*index, rows, queries, Metric::kEuclid, filter) >= 0.9);
    few.filter.dead_words = dead.data();
    REQUIRE(recall_of(*index, rows, queries, Metric::kEuclid, few.filter) >= 0.9);
  }
}

TEST_CASE("ivf: none, one and a few rows are all found", "[unit]") {
  for (const IndexType type : kTypes) {
    for (const Metric metric : kMetrics) {
      for (const std::size_t row_count : {0, 1, 2, 7, 45, 300}) {
        CAPTURE(index_type_name(type), metric_name(metric), row_count);
        const Matrix rows = clustered(row_count, 6, metric, 12);
        const Matrix query = clustered(1, 6, metric, 13);
        const auto index = build(type, metric, rows);
        const auto hits = search(*index, query.row(0), {.k = 1000});
        REQUIRE(equal(hits, brute_force(rows, metric, query.row(0), 1000)));
        REQUIRE(search(*index, query.row(0), {.k = 0}).empty());
        const auto again = load_index(index->spec(), metric, rows.span(), as_bytes(saved(*index)));
        REQUIRE(again.has_value());
        REQUIRE(equal(search(**again, query.row(0), {.k = 1000}), hits));
      }
    }
  }
}

TEST_CASE("ivf: rows that are all equal are found, as are zero rows", "[unit]") {
  for (const IndexType type : kTypes) {
    for (const Metric metric : kMetrics) {
      for (const float value : {0.5f, 0.0f}) {
        CAPTURE(index_type_name(type), metric_name(metric), value);
        const Matrix rows{4, std::vector<float>(4 * 1000, value)};
        const auto index = build(type, metric, rows);
        const auto hits = search(*index, rows.row(0), {.k = 20});
        REQUIRE(hits.size() == 20);
        require_sound(hits, rows, metric, rows.row(0));
        REQUIRE(search(*index, rows.row(0), {.k = 1000}).size() == 1000);
      }
    }
  }
}

TEST_CASE("ivf: rows of extreme size neither crash nor get lost", "[unit]") {
  for (const IndexType type : kTypes) {
    for (const Metric metric : {Metric::kEuclid, Metric::kDot, Metric::kManhattan}) {
      CAPTURE(index_type_name(type), metric_name(metric));
      Matrix rows = clustered(500, 4, metric, 15);
      for (std::size_t i = 0; i < rows.values.size(); i += 7) {
        rows.values[i] = i % 2 == 0 ? 3e38f : -3e38f;
      }
      const auto index = build(type, metric, rows);
      const auto hits = search(*index, rows.row(1), {.k = 500});
      REQUIRE(hits.size() == 500);
      require_sound(hits, rows, metric, rows.row(1));
      const auto again = load_index(index->spec(), metric, rows.span(), as_bytes(saved(*index)));
      INFO((again.has_error() ? again.error().to_string() : ""));
      REQUIRE(again.has_value());
    }
  }
}

TEST_CASE("ivf: equal input gives equal bytes, whatever the number of threads", "[unit]") {
  const Matrix rows = clustered(6000, 12, Metric::kEuclid, 17);
  for (const IndexType type : kTypes) {
    CAPTURE(index_type_name(type));
    IndexSpec spec;
    spec.type = type;
    const std::string once = saved(*build(spec, Metric::kEuclid, rows.span()));
    REQUIRE(saved(*build(spec, Metric::kEuclid, rows.span(), 3)) == once);
    spec.seed = 43;
    REQUIRE(saved(*build(spec, Metric::kEuclid, rows.span())) != once);
  }
}

TEST_CASE("ivf: the spec's counts are used, and lowered where the rows are too few", "[unit]") {
  const Matrix rows = clustered(4000, 12, Metric::kEuclid, 19);
  const auto list_count = [&](std::uint32_t wanted) {
    IndexSpec spec;
    spec.type = IndexType::kIvfFlat;
    spec.list_count = wanted;
    spec.probe_count = 5;
    const auto index = build(spec, Metric::kEuclid, rows.span());
    REQUIRE(static_cast<const IvfIndex&>(*index).effort().probe_count ==
            std::min<std::size_t>(5, wanted));
    std::uint32_t count = 0;
    std::memcpy(&count, saved(*index).data() + 24, sizeof(count));
    return count;
  };
  REQUIRE(list_count(20) == 20);
  REQUIRE(list_count(3) == 3);
  REQUIRE(list_count(4000) == 4000 / 39);

  IndexSpec pq;
  pq.type = IndexType::kIvfPq;
  pq.pq_segment_count = 5;
  const auto refused = build_index(pq, Metric::kEuclid, rows.span(), {});
  REQUIRE(refused.has_error());
  REQUIRE(refused.error().code() == Code::kInvalidArgument);
  REQUIRE_THAT(refused.error().message(), Catch::StartsWith("pq_segment_count:"));
  for (const std::uint32_t segment_count : {1u, 6u, 12u}) {
    pq.pq_segment_count = segment_count;
    REQUIRE_FALSE(build_index(pq, Metric::kEuclid, rows.span(), {}).has_error());
  }
  // A prime dimension has no divisor near a quarter of it.
  const Matrix prime = clustered(400, 13, Metric::kEuclid, 20);
  pq.pq_segment_count = 0;
  REQUIRE_FALSE(build_index(pq, Metric::kEuclid, prime.span(), {}).has_error());
}

TEST_CASE("ivf: a cancel token stops a build and a search", "[unit]") {
  const Matrix rows = clustered(8000, 12, Metric::kEuclid, 21);
  for (const IndexType type : kTypes) {
    IndexSpec spec;
    spec.type = type;
    CAPTURE(index_type_name(type));
    CancelToken token;
    BuildControl control;
    control.cancel = &token;
    std::size_t call_count = 0;
    std::size_t last_done = 0;
    control.progress = [&](std::size_t done, std::size_t total) {
      REQUIRE(total == 8000);
      REQUIRE(done >= last_done);
      REQUIRE(done <= total);
      last_done = done;
      ++call_count;
    };
    const auto index = build_index(spec, Metric::kEuclid, rows.span(), control);
    REQUIRE(index.has_value());
    REQUIRE(last_done == 8000);
    REQUIRE(call_count < 600);

    // At every stage of the build.
    for (const std::size_t share : {10, 40, 70, 95}) {
      CancelToken stopping;
      control.cancel = &stopping;
      control.progress = [&](std::size_t done, std::size_t) {
        if (done * 100 >= share * 8000 && done < 8000) stopping.cancel();
      };
      const auto stopped = build_index(spec, Metric::kEuclid, rows.span(), control);
      if (!stopping.is_cancelled()) continue;
      REQUIRE(stopped.has_error());
      REQUIRE(stopped.error().code() == Code::kCancelled);
    }

    token.cancel();
    std::vector<RowHit> hits;
    SearchStats stats;
    SearchOptions options;
    options.cancel = &token;
    const Status status = (*index)->search(rows.row(0), options, {}, hits, stats);
    REQUIRE(status.code() == Code::kCancelled);
    REQUIRE(hits.empty());
  }
}

TEST_CASE("ivf: an index that was saved and loaded answers and saves the same", "[unit]") {
  for (const Metric metric : kMetrics) {
    const Matrix rows = clustered(2500, 10, metric, 23);
    const Matrix queries = clustered(20, 10, metric, 24);
    for (const IndexType type : kTypes) {
      CAPTURE(metric_name(metric), index_type_name(type));
      const auto index = build(type, metric, rows);
      const std::string bytes = saved(*index);
      const auto loaded = load_index(index->spec(), metric, rows.span(), as_bytes(bytes));
      INFO((loaded.has_error() ? loaded.error().to_string() : ""));
      REQUIRE(loaded.has_value());
      REQUIRE(saved(**loaded) == bytes);
      REQUIRE((*loaded)->memory_bytes() == index->memory_bytes());
      for (std::size_t i = 0; i < 20; ++i) {
        REQUIRE(equal(search(**loaded, queries.row(i), {}), search(*index, queries.row(i), {})));
      }
    }
  }
}

namespace {

/// One saved index of each type and the places of its fields.
struct Sample {
  explicit Sample(IndexType type) : rows(clustered(600, 4, Metric::kEuclid, 25)) {
    spec.type = type;
    spec.list_count = 8;
    bytes = saved(*build(spec, Metric::kEuclid, rows.span()));
    std::memcpy(&list_count, bytes.data() + 24, sizeof(list_count));
    sizes_at = 40 + list_count * 4 * sizeof(float);
    row_ids_at = sizes_at + list_count * sizeof(std::uint32_t);
    codes_at = row_ids_at + 600 * sizeof(std::uint32_t);
  }

  [[nodiscard]] Result<std::unique_ptr<const AnnIndex>> load(const std::string& text) const {
    return load_index(spec, Metric::kEuclid, rows.span(), as_bytes(text));
  }

  template <class Value>
  [[nodiscard]] std::string with(std::size_t at, Value value) const {
    std::string changed = bytes;
    std::memcpy(changed.data() + at, &value, sizeof(value));
    return changed;
  }

  template <class Value>
  [[nodiscard]] Value at(std::size_t offset) const {
    Value value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  }

  void require_corrupt(const std::string& text, const std::string& field) const {
    const auto loaded = load(text);
    REQUIRE(loaded.has_error());
    REQUIRE(loaded.error().code() == Code::kCorrupt);
    REQUIRE_THAT(loaded.error().message(), Catch::StartsWith("ivf index: " + field + ":"));
  }

  Matrix rows;
  IndexSpec spec;
  std::string bytes;
  std::uint32_t list_count = 0;
  std::size_t sizes_at = 0;
  std::size_t row_ids_at = 0;
  std::size_t codes_at = 0;
};

}  // namespace

TEST_CASE("ivf format: each damaged field is named", "[unit]") {
  for (const IndexType type : kTypes) {
    CAPTURE(index_type_name(type));
    const Sample sample(type);
    REQUIRE(sample.load(sample.bytes).has_value());
    const auto u32 = [](std::uint32_t value) { return value; };
    sample.require_corrupt(sample.with(0, u32(3)), "format_version");
    sample.require_corrupt(sample.with(4, u32(0)), "type");
    sample.require_corrupt(sample.with(8, u32(0)), "metric");
    sample.require_corrupt(sample.with(12, u32(5)), "dim");
    sample.require_corrupt(sample.with(16, std::uint64_t{601}), "row_count");
    sample.require_corrupt(sample.with(16, std::uint64_t{1} << 62), "row_count");
    sample.require_corrupt(sample.with(24, u32(0)), "list_count");
    sample.require_corrupt(sample.with(24, u32(601)), "list_count");
    sample.require_corrupt(sample.with(28, u32(3)), "code_bytes");
    sample.require_corrupt(sample.with(32, u32(0)), "probe_count");
    sample.require_corrupt(sample.with(32, u32(sample.list_count + 1)), "probe_count");
    sample.require_corrupt(sample.with(36, u32(0)), "rerank_factor");
    sample.require_corrupt(sample.with(36, u32(1000000)), "rerank_factor");
    // More would be answered than was asked for.
    if (type == IndexType::kIvfFlat) {
      sample.require_corrupt(sample.with(36, u32(2)), "rerank_factor");
    }
    sample.require_corrupt(sample.with(40, std::nanf("")), "centroids");

    const auto first_size = sample.at<std::uint32_t>(sample.sizes_at);
    sample.require_corrupt(sample.with(sample.sizes_at, first_size + 1), "list_sizes");
    sample.require_corrupt(sample.with(sample.sizes_at, u32(0xffffffff)), "list_sizes");
    sample.require_corrupt(sample.with(sample.row_ids_at, u32(600)), "row_ids");
    const auto second_row = sample.at<std::uint32_t>(sample.row_ids_at + 4);
    sample.require_corrupt(sample.with(sample.row_ids_at, second_row), "row_ids");
    if (type != IndexType::kIvfFlat) {
      const std::string table = type == IndexType::kIvfSq8 ? "offset" : "words";
      sample.require_corrupt(sample.with(sample.codes_at, std::nanf("")), table);
    }
    if (type == IndexType::kIvfSq8) {
      sample.require_corrupt(sample.with(sample.codes_at + 4 * sizeof(float), INFINITY), "scale");
    }
    sample.require_corrupt(sample.bytes + "x", "size");

    // Of another kind than the spec says.
    IndexSpec other = sample.spec;
    other.type = type == IndexType::kIvfFlat ? IndexType::kIvfPq : IndexType::kIvfFlat;
    const auto loaded =
        load_index(other, Metric::kEuclid, sample.rows.span(), as_bytes(sample.bytes));
    REQUIRE(loaded.has_error());
    REQUIRE(loaded.error().code() == Code::kCorrupt);
  }
}

TEST_CASE("ivf format: every truncation is refused", "[unit]") {
  for (const IndexType type : kTypes) {
    CAPTURE(index_type_name(type));
    const Sample sample(type);
    for (std::size_t size = 0; size < sample.bytes.size();
         size += size < 300 ? 1 : 1 + sample.bytes.size() / 300) {
      CAPTURE(size);
      const auto loaded = sample.load(sample.bytes.substr(0, size));
      REQUIRE(loaded.has_error());
      REQUIRE(loaded.error().code() == Code::kCorrupt);
    }
  }
}

TEST_CASE("ivf format: random damage is refused or gives an index that answers soundly", "[unit]") {
  const std::uint32_t seed = 31;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (const IndexType type : kTypes) {
    const Sample sample(type);
    std::size_t loaded_count = 0;
    for (int round = 0; round < 400; ++round) {
      CAPTURE(index_type_name(type), round);
      std::string damaged = sample.bytes;
      for (std::uint32_t flips = 1 + random() % 3; flips > 0; --flips) {
        damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
      }
      const auto loaded = sample.load(damaged);
      if (loaded.has_error()) {
        REQUIRE(loaded.error().code() == Code::kCorrupt);
        continue;
      }
      ++loaded_count;
      const float* const query = sample.rows.row(random() % 600);
      const auto hits = search(**loaded, query, {.k = 600});
      REQUIRE(hits.size() == 600);
      require_sound(hits, sample.rows, Metric::kEuclid, query);
    }
    REQUIRE(loaded_count > 0);
  }
}

}  // namespace tessera::index
