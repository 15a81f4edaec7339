#include <cmath>
#include <numeric>

#include <catch2/catch.hpp>

#include "index/ann_index.h"
#include "index/kernels.h"
#include "index/row_codes.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::ClusterShape;
using testing::Matrix;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclid, Metric::kDot, Metric::kManhattan};
constexpr CodeType kTypes[] = {CodeType::kNone, CodeType::kAuto,   CodeType::kSq8,
                               CodeType::kSq4,  CodeType::kBinary, CodeType::kPq};
constexpr std::size_t kK = 10;
constexpr std::size_t kPrefixDim = 48, kCandidates = 40;
constexpr unsigned kSeed = 77;

/// 3000 rows of 96 values in clusters, and queries of the same kind.
struct Data {
  Metric metric;
  Matrix rows, queries;
  std::vector<std::vector<RowHit>> truth;

  explicit Data(Metric of) : metric(of) {
    ClusterShape shape;
    shape.row_count = 3000;
    shape.dim = 96;
    shape.cluster_count = 30;
    shape.spread = 0.6F;
    shape.is_unit = metric == Metric::kCosine;
    shape.seed = kSeed;
    rows = clustered_rows(shape);
    shape.row_count = 40;
    shape.sample = 1;
    queries = clustered_rows(shape);
    for (std::size_t q = 0; q < queries.row_count; ++q) {
      truth.push_back(nearest_by_brute_force(metric, rows, queries.row(q), kK));
    }
  }
};

std::unique_ptr<const AnnIndex> build(CodeType codes, const Data& data) {
  IndexSpec spec;
  spec.codes = codes;
  BuildControl control;
  control.thread_count = 2;
  auto built = build_index(spec, data.metric, span_of(data.rows), control);
  REQUIRE(built.has_value());
  return std::move(*built);
}

struct Outcome {
  double recall = 0;
  std::size_t reranked_count = 0;  ///< Of the last query.
  std::vector<std::vector<RowHit>> hits;
};

SearchOptions options_of(std::size_t ef = 64) {
  SearchOptions options;
  options.k = kK;
  options.ef = ef;
  return options;
}

/// Share of the true ones found, by what the rows say, whatever the hits' own distances are.
double recall_of_rows(const Data& data, std::size_t q, std::vector<RowHit> hits) {
  for (RowHit& hit : hits) {
    hit.distance =
        distance(data.metric, data.queries.row(q), data.rows.row(hit.row), data.rows.dim);
  }
  return recall(data.truth[q], hits);
}

/// Mean recall@10. Fails when a search does, or finds too few.
Outcome search(const AnnIndex& index, const Data& data, const SearchOptions& options) {
  Outcome outcome;
  for (std::size_t q = 0; q < data.queries.row_count; ++q) {
    SearchStats stats;
    std::vector<RowHit>& hits = outcome.hits.emplace_back();
    REQUIRE(index.search(data.queries.row(q), options, {}, hits, stats).ok());
    REQUIRE(hits.size() == kK);
    REQUIRE(stats.visited_count > kK);
    outcome.recall += recall_of_rows(data, q, hits) / static_cast<double>(data.queries.row_count);
    outcome.reranked_count = stats.reranked_count;
  }
  return outcome;
}

void require_exact_scores(const Data& data, const Outcome& outcome) {
  for (std::size_t q = 0; q < outcome.hits.size(); ++q) {
    REQUIRE(is_sound(data.metric, data.rows, data.queries.row(q), outcome.hits[q]));
  }
}

/// Codes as the index has them, in the order of the rows.
std::unique_ptr<const RowCodes> codes_of(CodeType type, const Data& data) {
  std::vector<std::uint32_t> ids(data.rows.row_count);
  std::iota(ids.begin(), ids.end(), 0U);
  IndexSpec spec;
  spec.codes = type;
  auto codes = build_row_codes(spec, data.metric, span_of(data.rows), ids, {});
  REQUIRE(codes.has_value());
  return std::move(*codes);
}

/// Mean recall@10 of comparing all rows by their first values, and then the nearest exactly.
double recall_of_prefix(const Data& data, std::size_t prefix_dim, std::size_t candidate_count) {
  double sum = 0;
  std::vector<float> distances(data.rows.row_count);
  for (std::size_t q = 0; q < data.queries.row_count; ++q) {
    std::vector<RowHit> candidates;
    prefix_distances(data.metric, data.queries.row(q),
                     {data.rows.values.data(), data.rows.dim, prefix_dim}, data.rows.row_count,
                     distances.data());
    for (std::uint32_t row = 0; row < distances.size(); ++row) {
      candidates.push_back({distances[row], row});
    }
    std::sort(candidates.begin(), candidates.end());
    candidates.resize(candidate_count);
    sum += recall_of_rows(data, q, candidates);
  }
  return sum / static_cast<double>(data.queries.row_count);
}

/// An index of each type over the rows of one metric.
struct Indexes {
  Data data;
  std::vector<std::unique_ptr<const AnnIndex>> by_type;

  explicit Indexes(Metric metric) : data(metric) {
    for (const CodeType type : kTypes) by_type.push_back(build(type, data));
  }
};

/// Built once, as every test wants all of them.
const std::vector<Indexes>& all_indexes() {
  static const std::vector<Indexes> indexes(std::begin(kMetrics), std::end(kMetrics));
  return indexes;
}

template <class Function>
void for_each_index(const Function& function) {
  for (const Indexes& of_metric : all_indexes()) {
    for (std::size_t i = 0; i < std::size(kTypes); ++i) {
      CAPTURE(metric_name(of_metric.data.metric), static_cast<int>(kTypes[i]), kSeed);
      function(of_metric.data, kTypes[i], *of_metric.by_type[i]);
    }
  }
}

}  // namespace

TEST_CASE("hnsw codes: recall@10 is high and scores are exact whatever codes are walked") {
  for_each_index([](const Data& data, CodeType type, const AnnIndex& index) {
    const Outcome outcome = search(index, data, options_of());
    const bool is_coarse = type == CodeType::kBinary || type == CodeType::kPq;
    CAPTURE(outcome.recall);
    REQUIRE(outcome.recall >= (is_coarse ? 0.95 : 0.97));
    require_exact_scores(data, outcome);
    // Codes are compared, and then so many rows as they say are enough.
    const auto codes = codes_of(type, data);
    REQUIRE((codes == nullptr) == (type == CodeType::kNone));
    const std::size_t wanted = codes == nullptr ? 0 : codes->candidate_count(kK);
    REQUIRE(outcome.reranked_count == wanted);
  });
}

TEST_CASE("hnsw codes: a search that ignores them compares rows from the beginning") {
  for_each_index([](const Data& data, CodeType /*type*/, const AnnIndex& index) {
    SearchOptions options = options_of();
    options.ignore_codes = true;
    const Outcome outcome = search(index, data, options);
    CAPTURE(outcome.recall);
    REQUIRE(outcome.recall >= 0.97);
    REQUIRE(outcome.reranked_count == 0);
    require_exact_scores(data, outcome);
  });
}

TEST_CASE("hnsw codes: without re-ranking order and distances are what the codes say") {
  for_each_index([](const Data& data, CodeType type, const AnnIndex& index) {
    SearchOptions options = options_of();
    options.rescore = false;
    const Outcome outcome = search(index, data, options);
    REQUIRE(outcome.reranked_count == 0);
    CAPTURE(outcome.recall);
    const double least = type == CodeType::kSq4      ? 0.6
                         : type == CodeType::kBinary ? 0.15
                         : type == CodeType::kPq     ? 0.3
                                                     : 0.93;
    REQUIRE(outcome.recall >= least);
    const auto codes = codes_of(type, data);
    if (codes == nullptr) return require_exact_scores(data, outcome);
    CodeQuery prepared;
    for (std::size_t q = 0; q < data.queries.row_count; ++q) {
      REQUIRE(codes->prepare(data.queries.row(q), prepared));
      const std::vector<RowHit>& hits = outcome.hits[q];
      for (std::size_t i = 0; i < hits.size(); ++i) {
        float said = 0;
        codes->distances_at(prepared, {&hits[i].row, 1}, &said);
        REQUIRE(hits[i].distance == said);
        REQUIRE((i == 0 || hits[i - 1] < hits[i]));
      }
    }
  });
}

TEST_CASE("hnsw codes: oversampling compares so many more rows exactly, and finds no less") {
  for_each_index([](const Data& data, CodeType type, const AnnIndex& index) {
    const Outcome plain = search(index, data, options_of());
    SearchOptions options = options_of();
    options.oversampling = 30.05;
    const Outcome outcome = search(index, data, options);
    CAPTURE(plain.recall, outcome.recall);
    REQUIRE(outcome.reranked_count == (type == CodeType::kNone ? 0 : 301));
    REQUIRE(outcome.recall >= std::max(0.98, plain.recall - 0.005));
    require_exact_scores(data, outcome);
  });
}

TEST_CASE("hnsw codes: a search by the first values finds what a scan by them finds") {
  for_each_index([](const Data& data, CodeType /*type*/, const AnnIndex& index) {
    SearchOptions options = options_of(200);
    options.prefix_dim = kPrefixDim;
    options.oversampling = 4;
    const Outcome outcome = search(index, data, options);
    const double wanted = recall_of_prefix(data, kPrefixDim, kCandidates);
    CAPTURE(outcome.recall, wanted);
    REQUIRE(outcome.reranked_count == kCandidates);
    REQUIRE(std::fabs(outcome.recall - wanted) <= 0.03);
    require_exact_scores(data, outcome);
    // All values are no prefix.
    options.prefix_dim = data.rows.dim;
    options.ignore_codes = true;
    REQUIRE(search(index, data, options).reranked_count == 0);
  });
}
