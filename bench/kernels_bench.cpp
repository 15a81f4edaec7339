// Our distance kernels next to FAISS's over the same rows in the same run.
//
//   kernels_bench [--benchmark_filter=l2/768]
//
// Rows stay in the second-level cache, so that the arithmetic is measured and not the memory; but
// those called "scattered" are taken at random from more than any cache holds, 16 a call as a walk
// over a graph does. `row` is the time of one row.
// TESSERA_CPU lowers our instruction set; the label says which was used.

#include <cstdint>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>
#include <faiss/utils/distances.h>

#include "index/kernel_table.h"
#include "index/kernels.h"
#include "tests/datasets/dataset.h"

namespace {

using tessera::Metric;
using tessera::index::ByMetric;
using tessera::index::CodeKernels;
using tessera::index::kernels;
using tessera::index::RowKernels;
using tessera::index::TypedKernels;
using tessera::testing::Matrix;

constexpr std::size_t kRowCount = 64;

Matrix make_rows(std::size_t dim) {
  tessera::testing::ClusterShape shape;
  shape.row_count = kRowCount;
  shape.dim = dim;
  return tessera::testing::clustered_rows(shape);
}

/// Reports the time of one of `row_count` rows an iteration.
void report_rows(benchmark::State& state, std::size_t row_count = kRowCount) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(row_count));
  state.counters["row"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(row_count),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Times `distance(query, row)` over all rows.
template <class Function>
void time_pairs(benchmark::State& state, Function&& distance) {
  const Matrix rows = make_rows(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    float sum = 0;
    for (std::size_t i = 0; i < kRowCount; ++i) sum += distance(rows.row(0), rows.row(i), rows.dim);
    benchmark::DoNotOptimize(sum);
  }
  report_rows(state);
}

template <Metric kMetric>
void ours(benchmark::State& state) {
  state.SetLabel(tessera::index::cpu_level());
  time_pairs(state, [](const float* a, const float* b, std::size_t dim) {
    return tessera::index::distance(kMetric, a, b, dim);
  });
}

template <Metric kMetric>
void ours_batch(benchmark::State& state) {
  state.SetLabel(tessera::index::cpu_level());
  const Matrix rows = make_rows(static_cast<std::size_t>(state.range(0)));
  std::vector<float> out(kRowCount);
  for (auto _ : state) {
    tessera::index::distances(kMetric, rows.row(0), rows.values.data(), kRowCount, rows.dim,
                              out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report_rows(state);
}

void faiss_l2(benchmark::State& state) {
  time_pairs(state, faiss::fvec_L2sqr);
}
void faiss_inner_product(benchmark::State& state) {
  time_pairs(state, faiss::fvec_inner_product);
}

constexpr std::size_t kBlock = 64;

std::size_t whole_blocks(std::size_t bytes) {
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

std::vector<std::uint8_t> make_codes(std::size_t row_count, std::size_t stride) {
  std::mt19937 random(42);
  std::vector<std::uint8_t> codes(row_count * stride);
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random());
  return codes;
}

template <class Query>
void code_rows(benchmark::State& state, CodeKernels::Rows<Query> CodeKernels::*kernel,
               std::size_t bits) {
  state.SetLabel(tessera::index::cpu_level());
  const std::size_t stride = whole_blocks(static_cast<std::size_t>(state.range(0)) * bits / 8);
  const std::vector<std::uint8_t> codes = make_codes(kRowCount, stride);
  const std::vector<Query> query(2 * stride, 3);
  std::vector<std::int32_t> out(kRowCount);
  for (auto _ : state) {
    (kernels().codes.*kernel)(query.data(), codes.data(), stride, kRowCount, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report_rows(state);
}

template <class Value>
void typed_rows(benchmark::State& state, ByMetric<RowKernels<Value>> TypedKernels::*type) {
  state.SetLabel(tessera::index::cpu_level());
  const auto dim = static_cast<std::size_t>(state.range(0));
  const std::vector<Value> rows(kRowCount * dim);
  const std::vector<float> query(dim, 0.25F);
  std::vector<float> out(kRowCount);
  const RowKernels<Value>& l2 = (kernels().typed.*type).l2;
  for (auto _ : state) {
    l2.rows(query.data(), rows.data(), kRowCount, dim, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report_rows(state);
}

/// Ids of rows in random order, a group for each call.
class ScatteredIds {
 public:
  static constexpr std::size_t kGroup = 16;
  explicit ScatteredIds(std::size_t row_count) : ids_(4096 * kGroup) {
    std::mt19937 random(42);
    for (std::uint32_t& id : ids_) id = static_cast<std::uint32_t>(random() % row_count);
  }
  const std::uint32_t* next() {
    position_ = (position_ + kGroup) % ids_.size();
    return ids_.data() + position_;
  }

 private:
  std::vector<std::uint32_t> ids_;
  std::size_t position_ = 0;
};

template <Metric kMetric>
void scattered_rows(benchmark::State& state) {
  state.SetLabel(tessera::index::cpu_level());
  const auto row_count = static_cast<std::size_t>(state.range(0));
  const auto dim = static_cast<std::size_t>(state.range(1));
  const std::vector<float> rows(row_count * dim, 0.5F);
  const std::vector<float> query(dim, 0.25F);
  ScatteredIds ids(row_count);
  std::vector<float> out(ScatteredIds::kGroup);
  for (auto _ : state) {
    tessera::index::distances_at(kMetric, query.data(), rows.data(),
                                 {ids.next(), ScatteredIds::kGroup}, dim, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report_rows(state, ScatteredIds::kGroup);
}

template <class Query>
void scattered_codes(benchmark::State& state, CodeKernels::RowsAt<Query> CodeKernels::*kernel,
                     std::size_t bits) {
  state.SetLabel(tessera::index::cpu_level());
  const auto row_count = static_cast<std::size_t>(state.range(0));
  const std::size_t stride = whole_blocks(static_cast<std::size_t>(state.range(1)) * bits / 8);
  const std::vector<std::uint8_t> codes = make_codes(row_count, stride);
  const std::vector<Query> query(2 * stride, 3);
  ScatteredIds ids(row_count);
  std::vector<std::int32_t> out(ScatteredIds::kGroup);
  for (auto _ : state) {
    (kernels().codes.*kernel)(query.data(), codes.data(), stride, ids.next(), ScatteredIds::kGroup,
                              out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report_rows(state, ScatteredIds::kGroup);
}

void use_large_data(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({200'000, 128})->Args({60'000, 784});
}

void use_dims(benchmark::internal::Benchmark* benchmark) {
  for (const int dim : {96, 128, 768, 1536}) benchmark->Arg(dim);
}

}  // namespace

BENCHMARK(faiss_l2)->Name("l2/faiss")->Apply(use_dims);
BENCHMARK(ours<Metric::kEuclid>)->Name("l2/ours")->Apply(use_dims);
BENCHMARK(ours_batch<Metric::kEuclid>)->Name("l2/ours_batch")->Apply(use_dims);
BENCHMARK(faiss_inner_product)->Name("inner_product/faiss")->Apply(use_dims);
BENCHMARK(ours<Metric::kDot>)->Name("inner_product/ours")->Apply(use_dims);
BENCHMARK(ours_batch<Metric::kDot>)->Name("inner_product/ours_batch")->Apply(use_dims);
BENCHMARK(ours<Metric::kManhattan>)->Name("l1/ours")->Apply(use_dims);

BENCHMARK_CAPTURE(typed_rows, float16, &TypedKernels::float16)
    ->Name("l2/float16_batch")
    ->Apply(use_dims);
BENCHMARK_CAPTURE(typed_rows, uint8, &TypedKernels::uint8)->Name("l2/uint8_batch")->Apply(use_dims);
BENCHMARK_CAPTURE(code_rows, dot_u8, &CodeKernels::dot_u8, 8)
    ->Name("codes/dot_u8")
    ->Apply(use_dims);
BENCHMARK_CAPTURE(code_rows, dot_u4, &CodeKernels::dot_u4, 4)
    ->Name("codes/dot_u4")
    ->Apply(use_dims);
BENCHMARK_CAPTURE(code_rows, sad_u8, &CodeKernels::sad_u8, 8)
    ->Name("codes/sad_u8")
    ->Apply(use_dims);
BENCHMARK_CAPTURE(code_rows, hamming, &CodeKernels::hamming, 1)
    ->Name("codes/hamming")
    ->Apply(use_dims);

BENCHMARK(scattered_rows<Metric::kEuclid>)->Name("scattered/l2")->Apply(use_large_data);
BENCHMARK(scattered_rows<Metric::kDot>)->Name("scattered/inner_product")->Apply(use_large_data);
BENCHMARK_CAPTURE(scattered_codes, dot_u8, &CodeKernels::dot_u8_at, 8)
    ->Name("scattered/dot_u8")
    ->Apply(use_large_data);
BENCHMARK_CAPTURE(scattered_codes, dot_u4, &CodeKernels::dot_u4_at, 4)
    ->Name("scattered/dot_u4")
    ->Apply(use_large_data);
BENCHMARK_CAPTURE(scattered_codes, sad_u8, &CodeKernels::sad_u8_at, 8)
    ->Name("scattered/sad_u8")
    ->Apply(use_large_data);
BENCHMARK_CAPTURE(scattered_codes, hamming, &CodeKernels::hamming_at, 1)
    ->Name("scattered/hamming")
    ->Apply(use_large_data);

BENCHMARK_MAIN();
