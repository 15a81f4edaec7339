#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <faiss/impl/ScalarQuantizer.h>

#include "index/ivf_bytes.h"
#include "index/ivf_codes.h"
#include "index/kernels.h"
#include "index/parallel.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kRerankFactor = 4;
constexpr std::size_t kEncodeBlock = 4096;

/// One byte a dimension: value d of a row is about offset[d] + scale[d] * code[d].
struct Sq8Table {
  std::vector<float> offset;
  std::vector<float> scale;
};

class Sq8Scorer final : public IvfScorer {
 public:
  Sq8Scorer(const float* query, const IvfData& data, const Sq8Table& table,
            const std::vector<std::uint8_t>& codes)
      : metric_(data.metric),
        dim_(data.rows.dim),
        table_(table),
        codes_(codes),
        query_(query, query + data.rows.dim) {
    // The product with the offset is the same for every row: it is left out.
    if (higher_is_nearer(metric_)) return;
    for (std::size_t d = 0; d < dim_; ++d) query_[d] -= table.offset[d];
  }

  void score_range(std::size_t first, std::size_t count, float* out) override {
    distances_sq8(metric_, query_.data(), table_.scale.data(), codes_.data() + first * dim_, count,
                  dim_, out);
  }

  void score_at(std::span<const std::uint32_t> positions, float* out) override {
    for (std::size_t i = 0; i < positions.size(); ++i) {
      out[i] = distance_sq8(metric_, query_.data(), table_.scale.data(),
                            codes_.data() + positions[i] * dim_, dim_);
    }
  }

 private:
  const Metric metric_;
  const std::size_t dim_;
  const Sq8Table& table_;
  const std::vector<std::uint8_t>& codes_;
  std::vector<float> query_;
};

class Sq8Codes final : public IvfCodes {
 public:
  Sq8Codes(Sq8Table table, std::vector<std::uint8_t> codes)
      : table_(std::move(table)), codes_(std::move(codes)) {}

  [[nodiscard]] std::size_t code_bytes() const override { return table_.scale.size(); }
  [[nodiscard]] std::uint32_t rerank_factor() const override { return kRerankFactor; }

  [[nodiscard]] std::unique_ptr<IvfScorer> scorer(const float* query,
                                                  const IvfData& data) const override {
    return std::make_unique<Sq8Scorer>(query, data, table_, codes_);
  }

  Status save(ByteSink& sink) const override {
    TESSERA_RETURN_IF_ERROR(append_values(sink, table_.offset));
    TESSERA_RETURN_IF_ERROR(append_values(sink, table_.scale));
    return append_values(sink, codes_);
  }

  [[nodiscard]] std::size_t memory_bytes() const override {
    return sizeof(*this) + 2 * table_.scale.size() * sizeof(float) + codes_.size();
  }

 private:
  const Sq8Table table_;
  const std::vector<std::uint8_t> codes_;
};

/// FAISS decodes to vmin + (code + 0.5) / 255 * vdiff.
Sq8Table table_of(const std::vector<float>& trained, std::size_t dim) {
  Sq8Table table{std::vector<float>(dim), std::vector<float>(dim)};
  for (std::size_t d = 0; d < dim; ++d) {
    table.scale[d] = trained[dim + d] / 255;
    table.offset[d] = trained[d] + table.scale[d] / 2;
  }
  return table;
}

/// Two rows: the least and the greatest value of each dimension.
std::vector<float> extremes_of(const VectorSpan& rows) {
  RowReader row_of(rows);
  const float* const first = row_of(0);
  std::vector<float> least(first, first + rows.dim), greatest = least;
  for (std::size_t i = 1; i < rows.row_count; ++i) {
    const float* const row = row_of(i);
    for (std::size_t d = 0; d < rows.dim; ++d) {
      least[d] = std::min(least[d], row[d]);
      greatest[d] = std::max(greatest[d], row[d]);
    }
  }
  least.insert(least.end(), greatest.begin(), greatest.end());
  return least;
}

}  // namespace

CodesResult build_sq8_codes(const IvfData& data, const BuildControl& control) {
  const std::size_t dim = data.rows.dim;
  const std::size_t row_count = data.rows.row_count;
  if (row_count == 0) {
    Sq8Table table{std::vector<float>(dim), std::vector<float>(dim)};
    return std::make_unique<const Sq8Codes>(std::move(table), std::vector<std::uint8_t>());
  }
  faiss::ScalarQuantizer quantiser(dim, faiss::ScalarQuantizer::QT_8bit);
  // Only the ends of each dimension's range matter to it.
  const std::vector<float> extremes = extremes_of(data.rows);
  quantiser.train(2, extremes.data());
  // A range wider than floats reach would decode to no number; what lies beyond half of it is
  // encoded as the end of the range, and re-ranking uses the rows themselves.
  for (std::size_t d = dim; d < 2 * dim; ++d) {
    quantiser.trained[d] = std::min(quantiser.trained[d], std::numeric_limits<float>::max());
  }
  std::vector<std::uint8_t> codes(row_count * dim);
  const std::size_t block_count = (row_count + kEncodeBlock - 1) / kEncodeBlock;
  const auto encode = [&](std::size_t block, std::size_t /*worker*/) -> Status {
    const std::size_t first = block * kEncodeBlock;
    const std::size_t count = std::min(kEncodeBlock, row_count - first);
    std::vector<float> values(count * dim);
    for (std::size_t i = 0; i < count; ++i) {
      copy_rows(data.rows, data.lists.row_ids[first + i], 1, values.data() + i * dim);
    }
    quantiser.compute_codes(values.data(), codes.data() + first * dim, count);
    return {};
  };
  const auto blocks_done = [&](std::size_t done) {
    if (control.progress) control.progress(std::min(done * kEncodeBlock, row_count), row_count);
  };
  TESSERA_RETURN_IF_ERROR(
      run_blocks("ivf_sq8 encoding", block_count, control, encode, blocks_done));
  return std::make_unique<const Sq8Codes>(table_of(quantiser.trained, dim), std::move(codes));
}

CodesResult load_sq8_codes(const IvfData& data, ByteReader& reader) {
  const std::size_t dim = data.rows.dim;
  Sq8Table table;
  TESSERA_RETURN_IF_ERROR(reader.read_finite("offset", dim, table.offset));
  TESSERA_RETURN_IF_ERROR(reader.read_finite("scale", dim, table.scale));
  std::vector<std::uint8_t> codes;
  TESSERA_RETURN_IF_ERROR(reader.read("codes", data.rows.row_count * dim, codes));
  return std::make_unique<const Sq8Codes>(std::move(table), std::move(codes));
}

}  // namespace tessera::index
