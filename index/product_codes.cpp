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
  RowReader row_of(rows);
  for (std::size_t i = 0; i < row_ids.size(); ++i) {
    std::copy_n(row_of(row_ids[i]) + first, width, columns.data() + i * width);
  }
  return columns;
}

/// Whether sums of squared words, and so distances between coded rows, are floats by far.
bool are_comparable(const std::vector<float>& words) {
  double squares = 0;
  for (const float value : words) squares += double{value} * value;
  return squares < 1e29;
}

}  // namespace

ProductCodes::ProductCodes(Metric metric, std::vector<float> words, CodeBlock codes)
    : metric_(metric),
      segment_count_(codes.stride()),
      words_(std::move(words)),
      segment_dim_(words_.size() / (segment_count_ * kWordCount)),
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
  const std::uint8_t* const code = codes_.row(row);
  for (std::size_t segment = 0; segment < segment_count_; ++segment) {
    std::copy_n(word(segment, code[segment]), segment_dim_,
                decoded.data() + segment * segment_dim_);
  }
  (void)prepare(decoded.data(), prepared);
}

void ProductCodes::distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                                float* out) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint8_t* const code = codes_.row(rows[i]);
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

std::unique_ptr<const RowCodes> ProductCodes::reordered(
    std::span<const std::uint32_t> order) const {
  return std::make_unique<const ProductCodes>(metric_, words_, codes_.reordered(order));
}

Status ProductCodes::save(ByteSink& sink) const {
  const auto segment_count = static_cast<std::uint32_t>(segment_count_);
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&segment_count, 1))));
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(words_))));
  return codes_.save(sink);
}

std::size_t ProductCodes::memory_bytes() const {
  return sizeof(*this) + codes_.memory_bytes() + words_.capacity() * sizeof(float);
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
  CodeBlock codes(row_ids.size(), segment_count);
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
            codes.row(first + row)[segment] = static_cast<std::uint8_t>(word);
          }));
    }
    return {};
  };
  TESSERA_RETURN_IF_ERROR(run_blocks("product codes", segment_count, control, work));
  if (!are_comparable(words)) return std::unique_ptr<const RowCodes>();
  return std::make_unique<const ProductCodes>(metric, std::move(words), std::move(codes));
}

RowCodesResult load_product_codes(Metric metric, std::size_t row_count, std::size_t dim,
                                  ByteReader& reader) {
  std::uint32_t segment_count = 0;
  TESSERA_RETURN_IF_ERROR(reader.read("segment_count", segment_count));
  if (segment_count == 0 || segment_count > dim || dim % segment_count != 0) {
    return reader.corrupt("segment_count",
                          std::to_string(segment_count) + " does not divide the dimension");
  }
  std::vector<float> words;
  TESSERA_RETURN_IF_ERROR(reader.read_finite("words", ProductCodes::kWordCount * dim, words));
  TESSERA_ASSIGN_OR_RETURN(CodeBlock codes, CodeBlock::load(row_count, segment_count, reader));
  return std::make_unique<const ProductCodes>(metric, std::move(words), std::move(codes));
}

}  // namespace tessera::index
