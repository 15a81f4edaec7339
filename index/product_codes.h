#pragma once

#include <memory>
#include <vector>

#include "index/code_block.h"
#include "index/product_words.h"
#include "index/row_codes.h"

namespace tessera::index {

/// Product quantisation of whole rows: a byte for each segment says which word is nearest. A query
/// makes a table of its distances to all words. Thread rule: immutable.
class ProductCodes final : public RowCodes {
 public:
  /// `codes`: rows of a byte a segment.
  ProductCodes(Metric metric, ProductWords words, CodeBlock codes);

  [[nodiscard]] CodeType type() const override { return CodeType::kPq; }
  [[nodiscard]] std::size_t row_count() const override { return codes_.row_count(); }
  bool prepare(const float* query, CodeQuery& prepared) const override;
  void prepare_row(std::uint32_t row, CodeQuery& prepared) const override;
  void distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                    float* out) const override;
  [[nodiscard]] std::size_t candidate_count(std::size_t k) const override;
  [[nodiscard]] std::uint64_t hash(std::uint32_t row) const override { return codes_.hash(row); }
  [[nodiscard]] std::unique_ptr<const RowCodes> reordered(
      std::span<const std::uint32_t> order) const override;
  Status save(ByteSink& sink) const override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  bool prepare_rotated(const float* query, CodeQuery& prepared) const;

  const Metric metric_;
  const ProductWords words_;
  const CodeBlock codes_;
};

/// spec.pq_segment_count segments, or about dim / 4. Null when the values are too large to compare.
RowCodesResult build_product_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                                   std::span<const std::uint32_t> row_ids,
                                   const BuildControl& control);

/// What ProductCodes::save wrote.
RowCodesResult load_product_codes(Metric metric, std::size_t row_count, std::size_t dim,
                                  ByteReader& reader);

}  // namespace tessera::index
