#include "index/rotation.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <cblas.h>
#include <faiss/VectorTransform.h>

#include "index/kernels.h"

namespace tessera::index {
namespace {

/// Fewer rows do not span the axes well.
constexpr std::size_t kRowsPerDimMin = 4;
/// The axes of more values take minutes to find.
constexpr std::size_t kDimMax = 2048;
constexpr float kTolerance = 1e-3F;

/// Each axis is compared with itself and with the next: enough to tell damage from rounding.
bool is_orthonormal(const std::vector<float>& axes, std::size_t dim) {
  for (std::size_t i = 0; i < dim; ++i) {
    const float* const axis = axes.data() + i * dim;
    const float* const next = axes.data() + (i + 1) % dim * dim;
    const float length = inner_product(axis, axis, dim);
    if (!(std::fabs(length - 1) < kTolerance)) return false;
    if (dim > 1 && !(std::fabs(inner_product(axis, next, dim)) < kTolerance)) return false;
  }
  return true;
}

/// The place of each axis, given their variances, greatest first: each goes to the segment with
/// room whose product of variances is the least.
std::vector<std::size_t> deal_out(const std::vector<float>& variances, std::size_t segment_count) {
  const std::size_t width = variances.size() / segment_count;
  // Products as sums of logarithms; what has no variance to speak of is worth little, not nothing.
  const double least = 1e-9 * std::max(0.0F, variances.front()) + 1e-30;
  std::vector<double> products(segment_count);
  std::vector<std::size_t> counts(segment_count), places(variances.size());
  for (std::size_t i = 0; i < variances.size(); ++i) {
    std::size_t chosen = segment_count;
    for (std::size_t segment = 0; segment < segment_count; ++segment) {
      if (counts[segment] == width) continue;
      if (chosen == segment_count || products[segment] < products[chosen]) chosen = segment;
    }
    places[i] = chosen * width + counts[chosen]++;
    // Relative to the least, so that a segment with more axes has the greater product.
    products[chosen] += std::log(std::max<double>(variances[i], least) / least);
  }
  return places;
}

}  // namespace

Rotation Rotation::of_principal_axes(const std::vector<float>& sample, std::size_t dim,
                                     std::size_t segment_count) {
  const std::size_t row_count = sample.size() / dim;
  if (row_count < kRowsPerDimMin * dim || dim > kDimMax) return {};
  // The covariances are sums of squares.
  constexpr float kGreatest = 1e15F;
  if (std::any_of(sample.begin(), sample.end(),
                  [](float value) { return !(std::fabs(value) < kGreatest); })) {
    return {};
  }
  faiss::PCAMatrix pca(static_cast<int>(dim), static_cast<int>(dim));
  pca.train(static_cast<faiss::Index::idx_t>(row_count), sample.data());
  std::vector<float> axes(dim * dim);
  const std::vector<std::size_t> places = deal_out(pca.eigenvalues, segment_count);
  for (std::size_t i = 0; i < dim; ++i) {
    std::copy_n(pca.PCAMat.data() + i * dim, dim, axes.data() + places[i] * dim);
  }
  if (!is_orthonormal(axes, dim)) return {};
  return {std::move(axes), dim};
}

bool Rotation::is_affordable(std::size_t row_count, std::size_t dim) {
  constexpr std::size_t kRowsPerDim = 16;  // A sixteenth of a copy of the rows.
  return row_count >= kRowsPerDim * dim;
}

void Rotation::apply(const float* vectors, std::size_t count, float* out) const {
  const auto dim = static_cast<blasint>(dim_);
  if (count == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, dim, dim, 1, axes_.data(), dim, vectors, 1, 0, out, 1);
    return;
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(count), dim, dim, 1,
              vectors, dim, axes_.data(), dim, 0, out, dim);
}

Status Rotation::save(ByteSink& sink) const {
  return sink.append(std::as_bytes(std::span(axes_)));
}

Result<Rotation> Rotation::load(std::size_t dim, ByteReader& reader) {
  std::vector<float> axes;
  TESSERA_RETURN_IF_ERROR(reader.read_finite("rotation", dim * dim, axes));
  if (!is_orthonormal(axes, dim)) {
    return reader.corrupt("rotation", "its axes are not orthogonal and of length 1");
  }
  return Rotation(std::move(axes), dim);
}

}  // namespace tessera::index
