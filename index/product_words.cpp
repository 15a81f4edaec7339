#include "index/product_words.h"

#include <algorithm>
#include <utility>

#include "index/clustering.h"
#include "index/parallel.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kTrainingIterations = 10;
/// A rotation costs every query dim^2 products, and dim^2 floats of memory.
constexpr double kWorthwhileError = 0.9;

/// The columns of one segment, row by row.
void slice(const std::vector<float>& values, std::size_t dim, std::size_t first_column,
           std::size_t column_count, std::vector<float>& out) {
  const std::size_t row_count = values.size() / dim;
  out.resize(row_count * column_count);
  for (std::size_t i = 0; i < row_count; ++i) {
    std::copy_n(values.data() + i * dim + first_column, column_count,
                out.data() + i * column_count);
  }
}

Status train_segments(const std::vector<float>& sample, std::uint64_t seed,
                      const BuildControl& control,
                      const std::function<void(std::size_t done)>& progress, ProductWords& words) {
  const std::size_t dim = words.dim(), width = words.segment_dim;
  words.words.resize(ProductWords::kCount * dim);
  const auto train = [&](std::size_t segment, std::size_t /*worker*/) -> Status {
    std::vector<float> columns;
    slice(sample, dim, segment * width, width, columns);
    BuildControl inner;
    inner.cancel = control.cancel;
    const ClusterOptions options{
        .count = ProductWords::kCount, .iterations = kTrainingIterations, .seed = seed + segment};
    TESSERA_ASSIGN_OR_RETURN(const Clusters clusters,
                             train_clusters({columns.data(), sample.size() / dim, width},
                                            Metric::kEuclid, options, inner));
    // Few rows give fewer words; the others repeat the first and are never the nearest alone.
    for (std::size_t word = 0; word < ProductWords::kCount; ++word) {
      std::copy_n(clusters.centroid(word < clusters.count() ? word : 0), width,
                  words.words.data() + (segment * ProductWords::kCount + word) * width);
    }
    return {};
  };
  return run_blocks("training of product words", words.segment_count, control, train, progress);
}

/// The sum of squared differences between the sample and what its codes say.
Result<double> error_of(const ProductWords& words, std::vector<float> sample) {
  const std::size_t row_count = sample.size() / words.dim();
  std::vector<std::uint8_t> codes(row_count * words.segment_count);
  TESSERA_RETURN_IF_ERROR(ProductEncoder(words).encode(sample, codes.data()));
  std::vector<float> decoded(words.dim());
  double error = 0;
  for (std::size_t row = 0; row < row_count; ++row) {
    words.decode(codes.data() + row * words.segment_count, decoded.data());
    for (std::size_t d = 0; d < words.dim(); ++d) {
      const double difference = double{sample[row * words.dim() + d]} - decoded[d];
      error += difference * difference;
    }
  }
  return error;
}

}  // namespace

void ProductWords::decode(const std::uint8_t* code, float* out) const {
  for (std::size_t segment = 0; segment < segment_count; ++segment) {
    std::copy_n(word(segment, code[segment]), segment_dim, out + segment * segment_dim);
  }
}

Result<ProductWords> train_product_words(const std::vector<float>& sample, std::size_t dim,
                                         const ProductTraining& training,
                                         const BuildControl& control,
                                         const std::function<void(double)>& progress) {
  ProductWords plain{training.segment_count, dim / training.segment_count, {}, {}};
  // A value of its own for each segment leaves nothing to turn.
  const bool may_rotate = training.may_rotate && plain.segment_dim > 1;
  const auto trained_before = [&](double before) {
    return [&, before](std::size_t done) {
      const double share = static_cast<double>(done) / static_cast<double>(plain.segment_count);
      if (progress) progress((before + share) / (may_rotate ? 2 : 1));
    };
  };
  TESSERA_RETURN_IF_ERROR(train_segments(sample, training.seed, control, trained_before(0), plain));
  if (!may_rotate) return plain;
  ProductWords rotated{plain.segment_count, plain.segment_dim, {}, {}};
  rotated.rotation = Rotation::of_principal_axes(sample, dim, plain.segment_count);
  if (rotated.rotation.is_none()) return plain;
  std::vector<float> turned(sample.size());
  rotated.rotation.apply(sample.data(), sample.size() / dim, turned.data());
  TESSERA_RETURN_IF_ERROR(
      train_segments(turned, training.seed, control, trained_before(1), rotated));
  TESSERA_ASSIGN_OR_RETURN(const double plain_error, error_of(plain, sample));
  TESSERA_ASSIGN_OR_RETURN(const double rotated_error, error_of(rotated, sample));
  return rotated_error < kWorthwhileError * plain_error ? std::move(rotated) : std::move(plain);
}

ProductEncoder::ProductEncoder(const ProductWords& words) : words_(words) {
  assigners_.reserve(words.segment_count);
  for (std::size_t segment = 0; segment < words.segment_count; ++segment) {
    assigners_.emplace_back(Metric::kEuclid, words.word(segment, 0), ProductWords::kCount,
                            words.segment_dim);
  }
}

Status ProductEncoder::encode(std::vector<float>& vectors, std::uint8_t* codes) const {
  const std::size_t row_count = vectors.size() / words_.dim();
  if (!words_.rotation.is_none()) {
    std::vector<float> turned(vectors.size());
    words_.rotation.apply(vectors.data(), row_count, turned.data());
    vectors.swap(turned);
  }
  std::vector<float> columns;
  for (std::size_t segment = 0; segment < words_.segment_count; ++segment) {
    slice(vectors, words_.dim(), segment * words_.segment_dim, words_.segment_dim, columns);
    const auto found = [&](std::size_t row, std::uint32_t word) {
      codes[row * words_.segment_count + segment] = static_cast<std::uint8_t>(word);
    };
    TESSERA_RETURN_IF_ERROR(
        assigners_[segment].assign({columns.data(), row_count, words_.segment_dim}, {}, found));
  }
  return {};
}

}  // namespace tessera::index
