#include "index/product_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "index/ivf_codes.h"
#include "index/kernels.h"
#include "index/parallel.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kEncodeBlock = 4096;

/// In the count of segments as it is stored: a rotation comes before the words.
constexpr std::uint32_t kRotatedBit = 1U << 31;

/// The rows `row_ids` as floats.
std::vector<float> values_of(VectorSpan rows, std::span<const std::uint32_t> row_ids) {
  std::vector<float> values(row_ids.size() * rows.dim);
  RowReader row_of(rows);
  for (std::size_t i = 0; i < row_ids.size(); ++i) {
    std::copy_n(row_of(row_ids[i]), rows.dim, values.data() + i * rows.dim);
  }
  return values;
}

/// Whether sums of squared words, and so distances between coded rows, are floats by far.
bool are_comparable(const std::vector<float>& words) {
  double squares = 0;
  for (const float value : words) squares += double{value} * value;
  return squares < 1e29;
}

}  // namespace

ProductCodes::ProductCodes(Metric metric, ProductWords words, CodeBlock codes)
    : metric_(metric), words_(std::move(words)), codes_(std::move(codes)) {}

bool ProductCodes::prepare(const float* query, CodeQuery& prepared) const {
  if (words_.rotation.is_none()) return prepare_rotated(query, prepared);
  prepared.rotated.resize(words_.dim());
  words_.rotation.apply(query, 1, prepared.rotated.data());
  return prepare_rotated(prepared.rotated.data(), prepared);
}

bool ProductCodes::prepare_rotated(const float* query, CodeQuery& prepared) const {
  constexpr std::size_t kWordCount = ProductWords::kCount;
  prepared.table.resize(words_.segment_count * kWordCount);
  for (std::size_t segment = 0; segment < words_.segment_count; ++segment) {
    distances(metric_, query + segment * words_.segment_dim, words_.word(segment, 0), kWordCount,
              words_.segment_dim, prepared.table.data() + segment * kWordCount);
  }
  return std::all_of(prepared.table.begin(), prepared.table.end(),
                     [](float value) { return std::fabs(value) < 1e30F; });
}

void ProductCodes::prepare_row(std::uint32_t row, CodeQuery& prepared) const {
  std::vector<float> decoded(words_.dim());
  words_.decode(codes_.row(row), decoded.data());
  (void)prepare_rotated(decoded.data(), prepared);
}

void ProductCodes::distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                                float* out) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint8_t* const code = codes_.row(rows[i]);
    const float* table = query.table.data();
    float sum = 0;
    for (std::size_t segment = 0; segment < words_.segment_count;
         ++segment, table += ProductWords::kCount) {
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
  const std::uint32_t rotated = words_.rotation.is_none() ? 0 : kRotatedBit;
  const std::uint32_t segments = static_cast<std::uint32_t>(words_.segment_count) | rotated;
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&segments, 1))));
  TESSERA_RETURN_IF_ERROR(words_.rotation.save(sink));
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(words_.words))));
  return codes_.save(sink);
}

std::size_t ProductCodes::memory_bytes() const {
  return sizeof(*this) + codes_.memory_bytes() + words_.rotation.memory_bytes() +
         words_.words.capacity() * sizeof(float);
}

RowCodesResult build_product_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                                   std::span<const std::uint32_t> row_ids,
                                   const BuildControl& control) {
  TESSERA_ASSIGN_OR_RETURN(const std::size_t segment_count, pq_segment_count(spec, rows.dim));
  std::vector<std::uint32_t> sample;
  for (const std::uint32_t at : sample_row_ids(row_ids.size(), kProductTrainingRows, spec.seed)) {
    sample.push_back(row_ids[at]);
  }
  // A rotation does not keep sums of absolute differences.
  const bool may_rotate =
      metric != Metric::kManhattan && Rotation::is_affordable(row_ids.size(), rows.dim);
  const ProductTraining training{
      .segment_count = segment_count, .seed = spec.seed, .may_rotate = may_rotate};
  TESSERA_ASSIGN_OR_RETURN(ProductWords words, train_product_words(values_of(rows, sample),
                                                                   rows.dim, training, control));
  if (!are_comparable(words.words)) return std::unique_ptr<const RowCodes>();
  CodeBlock codes(row_ids.size(), segment_count);
  const ProductEncoder encoder(words);
  const auto work = [&](std::size_t block, std::size_t /*worker*/) -> Status {
    const std::size_t first = block * kEncodeBlock;
    std::vector<float> values =
        values_of(rows, row_ids.subspan(first, std::min(kEncodeBlock, row_ids.size() - first)));
    return encoder.encode(values, codes.row(first));
  };
  const std::size_t block_count = (row_ids.size() + kEncodeBlock - 1) / kEncodeBlock;
  TESSERA_RETURN_IF_ERROR(run_blocks("product codes", block_count, control, work));
  return std::make_unique<const ProductCodes>(metric, std::move(words), std::move(codes));
}

RowCodesResult load_product_codes(Metric metric, std::size_t row_count, std::size_t dim,
                                  ByteReader& reader) {
  std::uint32_t stored = 0;
  TESSERA_RETURN_IF_ERROR(reader.read("segment_count", stored));
  const std::uint32_t segment_count = stored & ~kRotatedBit;
  if (segment_count == 0 || segment_count > dim || dim % segment_count != 0) {
    return reader.corrupt("segment_count",
                          std::to_string(segment_count) + " does not divide the dimension");
  }
  ProductWords words{segment_count, dim / segment_count, {}, {}};
  if ((stored & kRotatedBit) != 0) {
    TESSERA_ASSIGN_OR_RETURN(words.rotation, Rotation::load(dim, reader));
  }
  TESSERA_RETURN_IF_ERROR(reader.read_finite("words", ProductWords::kCount * dim, words.words));
  TESSERA_ASSIGN_OR_RETURN(CodeBlock codes, CodeBlock::load(row_count, segment_count, reader));
  return std::make_unique<const ProductCodes>(metric, std::move(words), std::move(codes));
}

}  // namespace tessera::index
