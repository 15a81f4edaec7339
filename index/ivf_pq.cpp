#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "index/ivf_bytes.h"
#include "index/ivf_codes.h"
#include "index/kernels.h"
#include "index/parallel.h"
#include "index/product_words.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kRerankFactor = 16;
constexpr std::size_t kWordCount = ProductWords::kCount;
constexpr std::size_t kEncodeBlock = 4096;

/// The residuals are coded: a row is the centroid of its list plus one word for each segment, all
/// rotated where the words are. With the residual r of a row as its words have it, c the centroid
/// of its list and q the query: |q - c - r|^2 = |q - c|^2 + (|r|^2 + 2 <c, r>) - 2 <q, r>, and <q,
/// c + r> = <q, c> + <q, r>. The first term belongs to the list, the second to the row, and <q, r>
/// is a sum of entries of one table a query: residual codes cost no table a list.
class PqScorer final : public IvfScorer {
 public:
  PqScorer(const float* query, const ProductWords& table,
           const std::vector<float>& transposed_words, const std::vector<std::uint8_t>& codes,
           const std::vector<float>& row_terms)
      : segment_count_(table.segment_count),
        codes_(codes),
        row_terms_(row_terms),
        factor_(row_terms.empty() ? 1.0f : 2.0f),
        products_(table.segment_count * kWordCount) {
    std::vector<float> rotated;
    if (!table.rotation.is_none()) {
      rotated.resize(table.dim());
      table.rotation.apply(query, 1, rotated.data());
      query = rotated.data();
    }
    for (std::size_t segment = 0; segment < segment_count_; ++segment) {
      float* const products = products_.data() + segment * kWordCount;
      for (std::size_t d = segment * table.segment_dim; d < (segment + 1) * table.segment_dim;
           ++d) {
        const float* const values = transposed_words.data() + d * kWordCount;
        for (std::size_t word = 0; word < kWordCount; ++word) {
          products[word] += query[d] * values[word];
        }
      }
    }
  }

  void enter_list(float centroid_distance) override { list_term_ = centroid_distance; }

  void score_range(std::size_t first, std::size_t count, float* out) override {
    for (std::size_t i = 0; i < count; ++i) out[i] = score(first + i);
  }

  void score_at(std::span<const std::uint32_t> positions, float* out) override {
    for (std::size_t i = 0; i < positions.size(); ++i) out[i] = score(positions[i]);
  }

 private:
  [[nodiscard]] float score(std::size_t position) const {
    const std::uint8_t* const code = codes_.data() + position * segment_count_;
    const float* products = products_.data();
    std::array<float, 4> sums{};
    std::size_t segment = 0;
    for (; segment + 4 <= segment_count_; segment += 4, products += 4 * kWordCount) {
      sums[0] += products[code[segment]];
      sums[1] += products[kWordCount + code[segment + 1]];
      sums[2] += products[2 * kWordCount + code[segment + 2]];
      sums[3] += products[3 * kWordCount + code[segment + 3]];
    }
    for (; segment < segment_count_; ++segment, products += kWordCount) {
      sums[0] += products[code[segment]];
    }
    const float row_term = row_terms_.empty() ? 0.0f : row_terms_[position];
    return list_term_ + row_term - factor_ * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }

  const std::size_t segment_count_;
  const std::vector<std::uint8_t>& codes_;
  const std::vector<float>& row_terms_;
  const float factor_;
  std::vector<float> products_;
  float list_term_ = 0;
};

class PqCodes final : public IvfCodes {
 public:
  /// Derives what is not stored; one pass over the codes.
  PqCodes(const IvfData& data, ProductWords table, std::vector<std::uint8_t> codes)
      : table_(std::move(table)), codes_(std::move(codes)) {
    const std::size_t dim = data.rows.dim;
    transposed_words_.resize(kWordCount * dim);
    for (std::size_t d = 0; d < dim; ++d) {
      const std::size_t segment = d / table_.segment_dim;
      for (std::size_t word = 0; word < kWordCount; ++word) {
        transposed_words_[d * kWordCount + word] =
            table_.word(segment, word)[d % table_.segment_dim];
      }
    }
    if (data.list_metric() == Metric::kEuclid) compute_row_terms(data);
  }

  [[nodiscard]] std::size_t code_bytes() const override { return table_.segment_count; }
  [[nodiscard]] std::uint32_t rerank_factor() const override { return kRerankFactor; }

  [[nodiscard]] std::unique_ptr<IvfScorer> scorer(const float* query,
                                                  const IvfData& /*data*/) const override {
    return std::make_unique<PqScorer>(query, table_, transposed_words_, codes_, row_terms_);
  }

  [[nodiscard]] bool is_rotated() const override { return !table_.rotation.is_none(); }

  Status save(ByteSink& sink) const override {
    TESSERA_RETURN_IF_ERROR(table_.rotation.save(sink));
    TESSERA_RETURN_IF_ERROR(append_values(sink, table_.words));
    return append_values(sink, codes_);
  }

  [[nodiscard]] std::size_t memory_bytes() const override {
    const std::size_t float_count =
        table_.words.size() + transposed_words_.size() + row_terms_.size();
    return sizeof(*this) + float_count * sizeof(float) + table_.rotation.memory_bytes() +
           codes_.size();
  }

 private:
  void compute_row_terms(const IvfData& data) {
    const std::size_t dim = data.rows.dim;
    row_terms_.resize(data.rows.row_count);
    std::vector<float> residual(dim), centroid(dim);
    for (std::size_t list = 0; list < data.lists.list_count(); ++list) {
      if (is_rotated()) {
        table_.rotation.apply(data.centroid(list), 1, centroid.data());
      } else {
        std::copy_n(data.centroid(list), dim, centroid.data());
      }
      for (std::size_t i = data.lists.begins[list]; i < data.lists.begins[list + 1]; ++i) {
        table_.decode(codes_.data() + i * table_.segment_count, residual.data());
        row_terms_[i] = inner_product(residual.data(), residual.data(), dim) +
                        2 * inner_product(centroid.data(), residual.data(), dim);
      }
    }
  }

  ProductWords table_;
  std::vector<std::uint8_t> codes_;
  std::vector<float> transposed_words_;  ///< dim x kWordCount.
  std::vector<float> row_terms_;         ///< |r|^2 + 2 <c, r> by position; only where L2 is used.
};

/// The rows at `positions`, each less the centroid of its list.
std::vector<float> residuals_at(const IvfData& data, std::span<const std::uint32_t> positions) {
  const std::size_t dim = data.rows.dim;
  std::vector<float> residuals(positions.size() * dim);
  const auto& begins = data.lists.begins;
  RowReader row_of(data.rows);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto after = std::upper_bound(begins.begin(), begins.end(), positions[i]);
    const float* const centroid =
        data.centroid(static_cast<std::size_t>(after - begins.begin()) - 1);
    const float* const row = row_of(data.lists.row_ids[positions[i]]);
    for (std::size_t d = 0; d < dim; ++d) {
      // Between extremes the difference may overflow, and k-means wants finite numbers.
      constexpr float kGreatest = std::numeric_limits<float>::max();
      residuals[i * dim + d] = std::clamp(row[d] - centroid[d], -kGreatest, kGreatest);
    }
  }
  return residuals;
}

/// Training is taken for half of the work.
Result<ProductWords> train_words(const IndexSpec& spec, const IvfData& data,
                                 std::size_t segment_count, const BuildControl& control) {
  const auto positions = sample_row_ids(data.rows.row_count, kProductTrainingRows, spec.seed);
  const auto share_done = [&](double share) {
    if (!control.progress) return;
    const double rows = share / 2 * static_cast<double>(data.rows.row_count);
    control.progress(static_cast<std::size_t>(rows), data.rows.row_count);
  };
  const bool may_rotate = Rotation::is_affordable(data.rows.row_count, data.rows.dim);
  return train_product_words(
      residuals_at(data, positions), data.rows.dim,
      {.segment_count = segment_count, .seed = spec.seed, .may_rotate = may_rotate}, control,
      share_done);
}

Status encode(const IvfData& data, const BuildControl& control, const ProductWords& table,
              std::vector<std::uint8_t>& codes) {
  const std::size_t row_count = data.rows.row_count;
  const std::size_t segment_count = table.segment_count;
  codes.resize(row_count * segment_count);
  const ProductEncoder encoder(table);
  const auto work = [&](std::size_t block, std::size_t /*worker*/) -> Status {
    const std::size_t first = block * kEncodeBlock;
    std::vector<std::uint32_t> positions(std::min(kEncodeBlock, row_count - first));
    for (std::size_t i = 0; i < positions.size(); ++i) {
      positions[i] = static_cast<std::uint32_t>(first + i);
    }
    std::vector<float> residuals = residuals_at(data, positions);
    return encoder.encode(residuals, codes.data() + first * segment_count);
  };
  const auto blocks_done = [&](std::size_t done) {
    if (control.progress) {
      control.progress((row_count + std::min(done * kEncodeBlock, row_count)) / 2, row_count);
    }
  };
  const std::size_t block_count = (row_count + kEncodeBlock - 1) / kEncodeBlock;
  return run_blocks("ivf_pq encoding", block_count, control, work, blocks_done);
}

}  // namespace

Result<std::size_t> pq_segment_count(const IndexSpec& spec, std::size_t dim) {
  if (spec.pq_segment_count == 0 || dim == 0) {
    std::size_t count = std::max<std::size_t>(1, dim / 4);
    while (count < dim && dim % count != 0) ++count;
    return count;
  }
  if (spec.pq_segment_count > dim || dim % spec.pq_segment_count != 0) {
    return Status(Code::kInvalidArgument,
                  "pq_segment_count: " + std::to_string(spec.pq_segment_count) +
                      " does not divide the dimension " + std::to_string(dim));
  }
  return std::size_t{spec.pq_segment_count};
}

CodesResult build_pq_codes(const IndexSpec& spec, const IvfData& data,
                           const BuildControl& control) {
  TESSERA_ASSIGN_OR_RETURN(const std::size_t segment_count, pq_segment_count(spec, data.rows.dim));
  ProductWords table{segment_count, data.rows.dim / segment_count, {}, {}};
  std::vector<std::uint8_t> codes;
  if (data.rows.row_count == 0) {
    table.words.resize(kWordCount * data.rows.dim);
  } else {
    TESSERA_ASSIGN_OR_RETURN(table, train_words(spec, data, segment_count, control));
    TESSERA_RETURN_IF_ERROR(encode(data, control, table, codes));
  }
  return std::make_unique<const PqCodes>(data, std::move(table), std::move(codes));
}

CodesResult load_pq_codes(const IvfData& data, std::size_t segment_count, bool is_rotated,
                          ByteReader& reader) {
  ProductWords table{segment_count, data.rows.dim / segment_count, {}, {}};
  if (is_rotated) {
    TESSERA_ASSIGN_OR_RETURN(table.rotation, Rotation::load(data.rows.dim, reader));
  }
  TESSERA_RETURN_IF_ERROR(reader.read_finite("words", kWordCount * data.rows.dim, table.words));
  std::vector<std::uint8_t> codes;
  TESSERA_RETURN_IF_ERROR(reader.read("codes", data.rows.row_count * segment_count, codes));
  return std::make_unique<const PqCodes>(data, std::move(table), std::move(codes));
}

}  // namespace tessera::index
