// Our distance kernels next to FAISS's over the same rows in the same run.
//
//   kernels_bench [--benchmark_filter=l2/768]
//
// Rows stay in the second-level cache, so that the arithmetic is measured and not the memory.
// TESSERA_CPU lowers our instruction set; the label says which was used.

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>
#include <faiss/utils/distances.h>

#include "index/kernels.h"
#include "tests/datasets/dataset.h"

namespace {

using tessera::Metric;
using tessera::testing::Matrix;

constexpr std::size_t kRowCount = 64;

Matrix make_rows(std::size_t dim) {
  tessera::testing::ClusterShape shape;
  shape.row_count = kRowCount;
  shape.dim = dim;
  return tessera::testing::clustered_rows(shape);
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
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRowCount));
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
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRowCount));
}

void faiss_l2(benchmark::State& state) {
  time_pairs(state, faiss::fvec_L2sqr);
}
void faiss_inner_product(benchmark::State& state) {
  time_pairs(state, faiss::fvec_inner_product);
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

BENCHMARK_MAIN();
