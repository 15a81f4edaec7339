#include "index/centroid_assigner.h"

#include <algorithm>
#include <array>
#include <limits>

#include "index/kernels.h"
#include "index/parallel.h"

// The BLAS routine by its Fortran name, as every BLAS exports it.
extern "C" int sgemm_(const char* transpose_a, const char* transpose_b, const int* m, const int* n,
                      const int* k, const float* alpha, const float* a, const int* lda,
                      const float* b, const int* ldb, const float* beta, float* c, const int* ldc);

namespace tessera::index {
namespace {

// A tile of scores (256 x 1024 floats) stays in the second-level cache.
constexpr std::size_t kRowTile = 256;
constexpr std::size_t kCentroidTile = 1024;

struct Least {
  float value = std::numeric_limits<float>::infinity();
  std::size_t index = 0;
};

/// The first least of `values`, index 0 when none is below infinity. Written so that the compiler
/// keeps sixteen running minima in vector registers; only a stretch that holds a new minimum is
/// searched for its place.
Least least_of(const float* values, std::size_t count) {
  constexpr std::size_t kLanes = 16;
  constexpr std::size_t kStretch = 8 * kLanes;
  Least least;
  const auto search = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      if (values[i] < least.value) least = {values[i], i};
    }
  };
  std::size_t begin = 0;
  for (; begin + kStretch <= count; begin += kStretch) {
    std::array<float, kLanes> lanes;
    lanes.fill(least.value);
    for (std::size_t i = begin; i < begin + kStretch; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] = values[i + lane] < lanes[lane] ? values[i + lane] : lanes[lane];
      }
    }
    float stretch_least = least.value;
    for (const float value : lanes) stretch_least = std::min(stretch_least, value);
    if (stretch_least < least.value) search(begin, begin + kStretch);
  }
  search(begin, count);
  return least;
}

}  // namespace

struct CentroidAssigner::Scratch {
  std::vector<float> rows;    ///< kRowTile rows less the offset, unless they are used as they lie.
  std::vector<float> scores;  ///< kRowTile x kCentroidTile.
  std::array<Least, kRowTile> least;
};

CentroidAssigner::CentroidAssigner(Metric metric, const float* centroids, std::size_t count,
                                   std::size_t dim)
    : count_(count), dim_(dim), centroids_(centroids, centroids + count * dim), half_norms_(count) {
  if (higher_is_nearer(metric)) return;
  // |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - <x, c>). Far from the origin the terms cancel and the
  // rounding would decide; with the centroids' mean moved to the origin it does not.
  offset_.resize(dim);
  for (std::size_t d = 0; d < dim; ++d) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += centroids[i * dim + d];
    offset_[d] = static_cast<float>(sum / static_cast<double>(count));
  }
  for (std::size_t i = 0; i < count; ++i) {
    float* const centroid = centroids_.data() + i * dim;
    for (std::size_t d = 0; d < dim; ++d) centroid[d] -= offset_[d];
    half_norms_[i] = inner_product(centroid, centroid, dim) / 2;
  }
}

Status CentroidAssigner::assign(
    VectorSpan rows, const BuildControl& control,
    const std::function<void(std::size_t row, std::uint32_t centroid)>& found,
    const std::function<void(std::size_t done)>& progress) const {
  const std::size_t block_count = (rows.row_count + kRowTile - 1) / kRowTile;
  std::vector<Scratch> scratch(
      std::min<std::size_t>(block_count, std::max(1u, control.thread_count)));
  for (Scratch& each : scratch) {
    each.rows.resize(rows.is_float32() && offset_.empty() ? 0 : kRowTile * dim_);
    each.scores.resize(kRowTile * std::min(count_, kCentroidTile));
  }
  const auto work = [&](std::size_t block, std::size_t worker) -> Status {
    const std::size_t first_row = block * kRowTile;
    const std::size_t row_count = std::min(kRowTile, rows.row_count - first_row);
    assign_block(rows, first_row, row_count, scratch[worker]);
    for (std::size_t i = 0; i < row_count; ++i) {
      found(first_row + i, static_cast<std::uint32_t>(scratch[worker].least[i].index));
    }
    return {};
  };
  const auto blocks_done = [&](std::size_t done) {
    if (progress) progress(std::min(done * kRowTile, rows.row_count));
  };
  return run_blocks("centroid assignment", block_count, control, work, blocks_done);
}

void CentroidAssigner::assign_block(VectorSpan rows, std::size_t first_row, std::size_t row_count,
                                    Scratch& scratch) const {
  const float* block = scratch.rows.data();
  if (rows.is_float32() && offset_.empty()) {
    block = rows.float_row(first_row);
  } else {
    copy_rows(rows, first_row, row_count, scratch.rows.data());
  }
  for (std::size_t i = 0; i < row_count && !offset_.empty(); ++i) {
    float* const row = scratch.rows.data() + i * dim_;
    for (std::size_t d = 0; d < dim_; ++d) row[d] -= offset_[d];
  }
  std::fill_n(scratch.least.begin(), row_count, Least{});
  const int dim = static_cast<int>(dim_);
  const int n = static_cast<int>(row_count);
  const float minus_one = -1;
  const float one = 1;
  for (std::size_t first = 0; first < count_; first += kCentroidTile) {
    const std::size_t width = std::min(kCentroidTile, count_ - first);
    for (std::size_t i = 0; i < row_count; ++i) {
      std::copy_n(half_norms_.data() + first, width, scratch.scores.data() + i * width);
    }
    // Column-major for BLAS: scores (width x rows) = half_norms - centroids^T rows.
    const int m = static_cast<int>(width);
    sgemm_("T", "N", &m, &n, &dim, &minus_one, centroids_.data() + first * dim_, &dim, block, &dim,
           &one, scratch.scores.data(), &m);
    for (std::size_t i = 0; i < row_count; ++i) {
      const Least least = least_of(scratch.scores.data() + i * width, width);
      if (least.value < scratch.least[i].value) {
        scratch.least[i] = {least.value, first + least.index};
      }
    }
  }
}

}  // namespace tessera::index
