#pragma once

#include <memory>
#include <vector>

#include "index/code_block.h"
#include "index/row_codes.h"

namespace tessera::index {

/// A bit a value: whether it is above the mean of its dimension. Distances are estimated from the
/// number of bits that differ (the angle between two rows, as in locality-sensitive hashing).
/// Thread rule: immutable.
class BinaryCodes final : public RowCodes {
 public:
  /// `center`: one a dimension; `norm`: root mean square of the rows' distance to it; `codes`:
  /// rows of stride_of(dim) bytes.
  BinaryCodes(Metric metric, std::vector<float> center, float norm, CodeBlock codes);

  [[nodiscard]] CodeType type() const override { return CodeType::kBinary; }
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

  static std::size_t stride_of(std::size_t dim);
  /// `code`: stride_of(dim) bytes, zeroed before.
  static void encode(const float* row, const std::vector<float>& center, std::uint8_t* code);

 private:
  /// Of a query y and the centre c: |y - c| and <y, c>.
  struct QueryNorms {
    double norm = 0;
    double center_product = 0;
  };
  void set_scale(const QueryNorms& query, CodeQuery& prepared) const;

  const Metric metric_;
  const std::vector<float> center_;
  const float norm_;
  const CodeBlock codes_;
};

RowCodesResult build_binary_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                                  std::span<const std::uint32_t> row_ids,
                                  const BuildControl& control);

/// What BinaryCodes::save wrote.
RowCodesResult load_binary_codes(Metric metric, std::size_t row_count, std::size_t dim,
                                 ByteReader& reader);

}  // namespace tessera::index
