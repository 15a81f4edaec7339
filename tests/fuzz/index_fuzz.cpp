// Three bytes that choose type, metric and rows, then a saved index -> load_index. What is accepted
// answers searches with rows that exist and their true distances, and can be saved and loaded
// again.

#include <algorithm>
#include <random>
#include <set>

#include "index/ann_index.h"
#include "index/kernels.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

using namespace index;

constexpr std::size_t kDim = 8;
constexpr IndexType kTypes[] = {IndexType::kFlat, IndexType::kHnsw, IndexType::kIvfFlat,
                                IndexType::kIvfSq8, IndexType::kIvfPq};
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
constexpr std::size_t kRowCounts[] = {64, 1, 0};

IndexSpec spec_of(IndexType type) {
  IndexSpec spec;
  spec.type = type;
  spec.m = 3;  // Small, for several levels in few rows.
  spec.list_count = 5;
  spec.pq_segment_count = 2;
  return spec;
}

/// Unit rows, so that they suit every metric; some are equal.
const std::vector<float>& all_rows() {
  static const std::vector<float> rows = [] {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> values(-1, 1);
    std::vector<float> made(kRowCounts[0] * kDim);
    std::generate(made.begin(), made.end(), [&] { return values(random); });
    for (std::size_t i = 0; i < kRowCounts[0]; ++i) {
      TESSERA_ASSERT(normalise(std::span(made).subspan(i * kDim, kDim)));
    }
    for (const std::size_t i : {10, 20, 30}) {
      std::copy_n(made.begin() + 5 * kDim, kDim,
                  made.begin() + static_cast<std::ptrdiff_t>(i * kDim));
    }
    return made;
  }();
  return rows;
}

struct Choice {
  IndexType type;
  Metric metric;
  VectorSpan rows;
};

Choice choice_of(unsigned type, unsigned metric, unsigned rows) {
  return {kTypes[type % std::size(kTypes)], kMetrics[metric % std::size(kMetrics)],
          VectorSpan{all_rows().data(), kRowCounts[rows % std::size(kRowCounts)], kDim}};
}

void check_search(const AnnIndex& ann, const Choice& choice, const float* query, std::size_t k,
                  const RowFilter& filter) {
  std::vector<RowHit> hits;
  SearchStats stats;
  TESSERA_ASSERT(ann.search(query, {.k = k}, filter, hits, stats).ok());
  std::size_t allowed_count = 0;
  for (std::uint32_t row = 0; row < choice.rows.row_count; ++row) {
    allowed_count += filter.allows(row) ? 1 : 0;
  }
  TESSERA_ASSERT(hits.size() <= std::min(k, allowed_count));
  // A changed graph may have lost rows; an inverted list holds every row or is refused.
  if (choice.type != IndexType::kHnsw) TESSERA_ASSERT(hits.size() == std::min(k, allowed_count));
  TESSERA_ASSERT(std::is_sorted(hits.begin(), hits.end()));
  std::set<std::uint32_t> seen;
  for (const RowHit& hit : hits) {
    TESSERA_ASSERT(hit.row < choice.rows.row_count && filter.allows(hit.row));
    TESSERA_ASSERT(seen.insert(hit.row).second);
    TESSERA_ASSERT(hit.distance ==
                   distance(choice.metric, query, choice.rows.float_row(hit.row), kDim));
  }
}

std::string saved_text(const AnnIndex& ann) {
  StringSink saved;
  TESSERA_ASSERT(ann.save(saved).ok());
  return saved.text;
}

void check_index(std::string_view input) {
  std::string_view bytes = input;
  const unsigned type = take_byte(bytes), metric = take_byte(bytes), rows = take_byte(bytes);
  const Choice choice = choice_of(type, metric, rows);
  const auto loaded = load_index(spec_of(choice.type), choice.metric, choice.rows, as_bytes(bytes));
  if (loaded.has_error()) {
    TESSERA_ASSERT(loaded.error().code() == Code::kCorrupt);
    return;
  }
  const AnnIndex& ann = **loaded;
  const std::atomic<std::uint64_t> dead_words[] = {0x5555'0000'FFFF'0421};
  const float zero[kDim] = {};
  for (const float* query : {all_rows().data(), all_rows().data() + 5 * kDim, zero}) {
    for (const std::size_t k : {1, 10, 100}) {
      check_search(ann, choice, query, k, {});
      check_search(ann, choice, query, k, {.dead_words = dead_words});
    }
  }
  const std::string saved = saved_text(ann);
  const auto again = load_index(spec_of(choice.type), choice.metric, choice.rows, as_bytes(saved));
  TESSERA_ASSERT(again.has_value());
  TESSERA_ASSERT(saved_text(**again) == saved);
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> inputs;
  for (unsigned type = 0; type < std::size(kTypes); ++type) {
    for (unsigned metric = 0; metric < std::size(kMetrics); ++metric) {
      for (unsigned rows = 0; rows < std::size(kRowCounts); ++rows) {
        const Choice choice = choice_of(type, metric, rows);
        const auto built = build_index(spec_of(choice.type), choice.metric, choice.rows, {});
        TESSERA_ASSERT(built.has_value());
        const std::string input = {static_cast<char>(type), static_cast<char>(metric),
                                   static_cast<char>(rows)};
        inputs.push_back(input + saved_text(**built));
      }
    }
  }
  return inputs;
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_index(tessera::fuzz::text_of(data, size));
  return 0;
}
