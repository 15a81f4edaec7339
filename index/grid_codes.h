#pragma once

#include <memory>
#include <vector>

#include "index/code_block.h"
#include "index/code_grid.h"
#include "index/row_codes.h"

namespace tessera::index {

/// A level of a uniform grid for each value, in 8 or 4 bits: distances are sums of integers.
/// Thread rule: immutable.
class GridCodes final : public RowCodes {
 public:
  /// `codes`: rows of the grid's stride_of() bytes.
  GridCodes(Metric metric, CodeGrid grid, CodeBlock codes);

  [[nodiscard]] CodeType type() const override;
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

  /// Bytes a row: whole cache lines.
  static std::size_t stride_of(std::uint32_t level_count, std::size_t dim);
  /// One row's levels (a byte each) into its stride_of bytes.
  static void pack(const CodeGrid& grid, const std::uint8_t* levels, std::uint8_t* code);

 private:
  [[nodiscard]] bool is_small() const { return grid_.level_count == 16; }
  [[nodiscard]] std::int32_t half() const {
    return static_cast<std::int32_t>(grid_.level_count / 2);
  }
  [[nodiscard]] std::size_t query_bytes() const { return (is_small() ? 2 : 1) * codes_.stride(); }
  /// The levels of a row, a byte each.
  void unpack(std::uint32_t row, std::uint8_t* levels) const;
  void set_scale(float scale, std::int32_t sum, double squared_norm, CodeQuery& prepared) const;
  void compute_terms();

  const Metric metric_;
  const CodeGrid grid_;
  const CodeBlock codes_;
  std::vector<float> terms_;  ///< Squared norm of each decoded row, less the centre; Euclid only.
};

/// Trains the grid and encodes the rows; null when their values span more than a grid can.
RowCodesResult build_grid_codes(std::uint32_t level_count, const IndexSpec& spec, Metric metric,
                                VectorSpan rows, std::span<const std::uint32_t> row_ids,
                                const BuildControl& control);

/// What GridCodes::save wrote.
RowCodesResult load_grid_codes(std::uint32_t level_count, Metric metric, std::size_t row_count,
                               std::size_t dim, ByteReader& reader);

}  // namespace tessera::index
