#include "index/product_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "index/centroid_assigner.h"
#include "index/clustering.h"
#include "index/ivf_codes.h"
#include "index/kernels.h"
#include "index/parallel.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kTrainingRows = 40 * ProductCodes::kWordCount;
constexpr std::uint32_t kTrainingIterations = 10;
constexpr std::size_t kEncodeBlock = 4096;

/// The values of one segment of the rows, row by row.
std::vector<float> columns_of(VectorSpan rows, std::span<const std::uint32_t> row_ids,
                              std::size_t first, std::size_t width) {
  std::vector<float> columns(row_ids.size() * width);
  for (std::size_t i = 0; i < row_ids.size(); ++i) {
    std::copy_n(rows.row(row_ids[i]) + first, width, columns.data() + i * width);
  }
  return columns;
}

Status corrupt(const char* field, const std::string& what) {
  return {Code::kCorrupt, std::string("codes: ") + field + ": " + what};
}

}  // namespace

ProductCodes::ProductCodes(Metric metric, std::size_t segment_count, std::vector<float> words,
                           std::vector<std::uint8_t> codes)
    : metric_(metric),
      segment_count_(segment_count),
      words_(std::move(words)),
      segment_dim_(words_.size() / (segment_count * kWordCount)),
      codes_(std::move(codes)) {}

bool ProductCodes::prepare(const float* query, CodeQuery& prepared) const {
  prepared.table.resize(segment_count_ * kWordCount);
  for (std::size_t segment = 0; segment < segment_count_; ++segment) {
    distances(metric_, query + segment * segment_dim_, word(segment, 0), kWordCount, segment_dim_,
              prepared.table.data() + segment * kWordCount);
  }
  return std::all_of(prepared.table.begin(), prepared.table.end(),
                     [](float value) { return std::fabs(value) < 1e30F; });
}

void ProductCodes::prepare_row(std::uint32_t row, CodeQuery& prepared) const {
  std::vector<float> decoded(segment_count_ * segment_dim_);
  for (std::size_t segment = 0; segment < segment_count_; ++segment) {
    std::copy_n(word(segment, codes_[row * segment_count_ + segment]), segment_dim_,
                decoded.data() + segment * segment_dim_);
  }
  (void)prepare(decoded.data(), prepared);
}

void ProductCodes::distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                                float* out) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint8_t* const code = codes_.data() + rows[i] * segment_count_;
    const float* table = query.table.data();
    float sum = 0;
    for (std::size_t segment = 0; segment < segment_count_; ++segment, table += kWordCount) {
      sum += table[code[segment]];
    }
    out[i] = sum;
  }
}

std::size_t ProductCodes::candidate_count(std::size_t k) const {
  constexpr std::size_t kFactor = 8;
  return kFactor * k;
}

std::uint64_t ProductCodes::hash(std::uint32_t row) const {
  return hash_code({codes_.data() + row * segment_count_, segment_count_});
}

std::unique_ptr<const RowCodes> ProductCodes::reordered(
    std::span<const std::uint32_t> order) const {
  std::vector<std::uint8_t> codes(order.size() * segment_count_);
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::memcpy(codes.data() + i * segment_count_, codes_.data() + order[i] * segment_count_,
                segment_count_);
  }
  return std::make_unique<const ProductCodes>(metric_, segment_count_, words_, std::move(codes));
}

Status ProductCodes::save(ByteSink& sink) const {
  const auto segment_count = static_cast<std::uint32_t>(segment_count_);
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&segment_count, 1))));
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(words_))));
  return sink.append(std::as_bytes(std::span(codes_)));
}

std::size_t ProductCodes::memory_bytes() const {
  return sizeof(*this) + codes_.size() + words_.size() * sizeof(float);
}

RowCodesResult build_product_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                                   std::span<const std::uint32_t> row_ids,
                                   const BuildControl& control) {
  TESSERA_ASSIGN_OR_RETURN(const std::size_t segment_count, pq_segment_count(spec, rows.dim));
  const std::size_t width = rows.dim / segment_count;
  const std::size_t word_count = ProductCodes::kWordCount;
  std::vector<std::uint32_t> sample;
  for (const std::uint32_t position : sample_row_ids(row_ids.size(), kTrainingRows, spec.seed)) {
    sample.push_back(row_ids[position]);
  }
  std::vector<float> words(segment_count * word_count * width);
  std::vector<std::uint8_t> codes(row_ids.size() * segment_count);
  BuildControl inner;
  inner.cancel = control.cancel;
  const auto work = [&](std::size_t segment, std::size_t /*worker*/) -> Status {
    const std::vector<float> columns = columns_of(rows, sample, segment * width, width);
    const ClusterOptions options{.count = static_cast<std::uint32_t>(word_count),
                                 .iterations = kTrainingIterations,
                                 .seed = spec.seed + segment};
    TESSERA_ASSIGN_OR_RETURN(
        const Clusters clusters,
        train_clusters({columns.data(), sample.size(), width}, Metric::kEuclid, options, inner));
    // Few rows give fewer words; the others repeat the first and are never the nearest alone.
    float* const own = words.data() + segment * word_count * width;
    for (std::size_t i = 0; i < word_count; ++i) {
      std::copy_n(clusters.centroid(i < clusters.count() ? i : 0), width, own + i * width);
    }
    const CentroidAssigner assigner(Metric::kEuclid, own, word_count, width);
    for (std::size_t first = 0; first < row_ids.size(); first += kEncodeBlock) {
      const auto block = row_ids.subspan(first, std::min(kEncodeBlock, row_ids.size() - first));
      const std::vector<float> values = columns_of(rows, block, segment * width, width);
      TESSERA_RETURN_IF_ERROR(assigner.assign(
          {values.data(), block.size(), width}, inner, [&](std::size_t row, std::uint32_t word) {
            codes[(first + row) * segment_count + segment] = static_cast<std::uint8_t>(word);
          }));
    }
    return {};
  };
  TESSERA_RETURN_IF_ERROR(run_blocks("product codes", segment_count, control, work));
  return std::make_unique<const ProductCodes>(metric, segment_count, std::move(words),
                                              std::move(codes));
}

RowCodesResult load_product_codes(Metric metric, std::size_t row_count, std::size_t dim,
                                  std::span<const std::byte>& bytes) {
  std::uint32_t segment_count = 0;
  if (bytes.size() < sizeof(segment_count)) return corrupt("segment_count", "is cut short");
  std::memcpy(&segment_count, bytes.data(), sizeof(segment_count));
  bytes = bytes.subspan(sizeof(segment_count));
  if (segment_count == 0 || segment_count > dim || dim % segment_count != 0) {
    return corrupt("segment_count",
                   std::to_string(segment_count) + " does not divide the dimension");
  }
  const std::size_t word_bytes = ProductCodes::kWordCount * dim * sizeof(float);
  if (bytes.size() < word_bytes) return corrupt("words", "are cut short");
  std::vector<float> words(ProductCodes::kWordCount * dim);
  std::memcpy(words.data(), bytes.data(), word_bytes);
  bytes = bytes.subspan(word_bytes);
  const bool is_finite =
      std::all_of(words.begin(), words.end(), [](float value) { return std::isfinite(value); });
  if (!is_finite) return corrupt("words", "a value is not finite");
  if (row_count > bytes.size() / segment_count) return corrupt("codes", "are cut short");
  std::vector<std::uint8_t> codes(row_count * segment_count);
  if (row_count > 0) std::memcpy(codes.data(), bytes.data(), codes.size());
  bytes = bytes.subspan(codes.size());
  return std::make_unique<const ProductCodes>(metric, segment_count, std::move(words),
                                              std::move(codes));
}

}  // namespace tessera::index
