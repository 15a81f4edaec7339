#include "index/binary_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>

#include "index/kernel_table.h"
#include "index/parallel.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kLineBytes = CodeBlock::kLineBytes;
constexpr std::size_t kEncodeBlock = 4096;
constexpr std::size_t kTrainingRows = 65536;

double squared_distance(const float* row, const std::vector<float>& center) {
  double squares = 0;
  for (std::size_t d = 0; d < center.size(); ++d) {
    const double difference = double{row[d]} - center[d];
    squares += difference * difference;
  }
  return squares;
}

double inner_product(const float* row, const std::vector<float>& center) {
  return std::inner_product(center.begin(), center.end(), row, 0.0, std::plus<>(),
                            [](double a, double b) { return a * b; });
}

}  // namespace

BinaryCodes::BinaryCodes(Metric metric, std::vector<float> center, float norm, CodeBlock codes)
    : metric_(metric), center_(std::move(center)), norm_(norm), codes_(std::move(codes)) {}

std::size_t BinaryCodes::stride_of(std::size_t dim) {
  return (dim + 8 * kLineBytes - 1) / (8 * kLineBytes) * kLineBytes;
}

void BinaryCodes::encode(const float* row, const std::vector<float>& center, std::uint8_t* code) {
  for (std::size_t d = 0; d < center.size(); ++d) {
    const unsigned bit = row[d] > center[d] ? 1U : 0U;
    code[d / 8] = static_cast<std::uint8_t>(code[d / 8] | bit << (d % 8));
  }
}

// Of two rows less the centre, the share of bits that differ is about their angle over pi, and
// close to linear in its cosine: cos = 1 - 2 share. It is the distance of two rows whose values are
// all equally far from the centre's. Of the inner product <y, x> = <y, c> + <y - c, x - c> +
// <x - c, c> nothing is known of the last part but that its mean is 0.
void BinaryCodes::set_scale(const QueryNorms& query, CodeQuery& prepared) const {
  const double dim = static_cast<double>(center_.size());
  const double norm = query.norm, product = norm * norm_;
  double lowest = 0, slope = 0;
  switch (metric_) {
    case Metric::kCosine:
    case Metric::kDot:
      lowest = -product - query.center_product;
      slope = 2 * product / dim;
      break;
    case Metric::kEuclid:
      lowest = (norm - norm_) * (norm - norm_);
      slope = 4 * product / dim;
      break;
    case Metric::kManhattan:
      lowest = std::fabs(norm - norm_) * std::sqrt(dim);
      slope = 2 * std::min<double>(norm, norm_) / std::sqrt(dim);
      break;
  }
  prepared.offset = static_cast<float>(lowest);
  prepared.factor = slope > 0 ? static_cast<float>(slope) : 1;
}

bool BinaryCodes::prepare(const float* query, CodeQuery& prepared) const {
  prepared.bytes.assign(codes_.stride(), 0);
  encode(query, center_, prepared.bytes.data());
  const double squares = squared_distance(query, center_);
  if (!(squares < 1e37)) return false;
  const double product = inner_product(query, center_);
  if (!(std::fabs(product) < 1e37)) return false;
  set_scale({std::sqrt(squares), product}, prepared);
  return true;
}

void BinaryCodes::prepare_row(std::uint32_t row, CodeQuery& prepared) const {
  prepared.bytes.assign(codes_.row(row), codes_.row(row) + codes_.stride());
  const double spread = norm_ / std::sqrt(static_cast<double>(center_.size()));
  double product = 0;
  for (std::size_t d = 0; d < center_.size(); ++d) {
    const bool is_above = (prepared.bytes[d / 8] >> d % 8 & 1) != 0;
    product += center_[d] * (center_[d] + (is_above ? spread : -spread));
  }
  set_scale({norm_, product}, prepared);
}

void BinaryCodes::distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                               float* out) const {
  if (query.sums.size() < rows.size()) query.sums.resize(rows.size());
  kernels().codes.hamming_at(query.bytes.data(), codes_.data(), codes_.stride(), rows.data(),
                             rows.size(), query.sums.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out[i] = query.offset + query.factor * static_cast<float>(query.sums[i]);
  }
}

std::size_t BinaryCodes::candidate_count(std::size_t k) const {
  constexpr std::size_t kFactor = 10;
  return kFactor * k;
}

std::unique_ptr<const RowCodes> BinaryCodes::reordered(std::span<const std::uint32_t> order) const {
  return std::make_unique<const BinaryCodes>(metric_, center_, norm_, codes_.reordered(order));
}

Status BinaryCodes::save(ByteSink& sink) const {
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(center_))));
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&norm_, 1))));
  return codes_.save(sink);
}

std::size_t BinaryCodes::memory_bytes() const {
  return sizeof(*this) + codes_.memory_bytes() + center_.capacity() * sizeof(float);
}

RowCodesResult build_binary_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                                  std::span<const std::uint32_t> row_ids,
                                  const BuildControl& control) {
  std::vector<double> sums(rows.dim, 0);
  const auto sample = sample_row_ids(row_ids.size(), kTrainingRows, spec.seed);
  RowReader row_of(rows);
  for (const std::uint32_t position : sample) {
    const float* const row = row_of(row_ids[position]);
    for (std::size_t d = 0; d < rows.dim; ++d) sums[d] += row[d];
  }
  const double count = static_cast<double>(std::max<std::size_t>(1, sample.size()));
  std::vector<float> center(rows.dim);
  for (std::size_t d = 0; d < rows.dim; ++d) center[d] = static_cast<float>(sums[d] / count);
  double squares = 0;
  for (const std::uint32_t position : sample) {
    squares += squared_distance(row_of(row_ids[position]), center);
  }
  // Norms, and products with the centre, have to be floats.
  const double center_squares = inner_product(center.data(), center);
  if (!(squares / count < 1e36) || !(center_squares < 1e36))
    return std::unique_ptr<const RowCodes>();
  const auto norm = static_cast<float>(std::sqrt(squares / count));

  const std::size_t stride = BinaryCodes::stride_of(rows.dim);
  CodeBlock codes(row_ids.size(), stride);
  const std::size_t block_count = (row_ids.size() + kEncodeBlock - 1) / kEncodeBlock;
  const auto work = [&](std::size_t block, std::size_t /*worker*/) -> Status {
    const std::size_t end = std::min(row_ids.size(), (block + 1) * kEncodeBlock);
    RowReader reader(rows);
    for (std::size_t i = block * kEncodeBlock; i < end; ++i) {
      BinaryCodes::encode(reader(row_ids[i]), center, codes.data() + i * stride);
    }
    return {};
  };
  TESSERA_RETURN_IF_ERROR(run_blocks("row codes", block_count, control, work));
  return std::make_unique<const BinaryCodes>(metric, std::move(center), norm, std::move(codes));
}

RowCodesResult load_binary_codes(Metric metric, std::size_t row_count, std::size_t dim,
                                 ByteReader& reader) {
  std::vector<float> center;
  float norm = 0;
  TESSERA_RETURN_IF_ERROR(reader.read_finite("center", dim, center));
  TESSERA_RETURN_IF_ERROR(reader.read("norm", norm));
  if (!(norm >= 0) || !(norm < 1e19F)) return reader.corrupt("norm", "is out of range");
  TESSERA_ASSIGN_OR_RETURN(CodeBlock codes,
                           CodeBlock::load(row_count, BinaryCodes::stride_of(dim), reader));
  return std::make_unique<const BinaryCodes>(metric, std::move(center), norm, std::move(codes));
}

}  // namespace tessera::index
