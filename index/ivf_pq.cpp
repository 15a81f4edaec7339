#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "index/centroid_assigner.h"
#include "index/clustering.h"
#include "index/ivf_bytes.h"
#include "index/ivf_codes.h"
#include "index/kernels.h"
#include "index/parallel.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kRerankFactor = 16;
constexpr std::size_t kWordCount = 256;  ///< Codewords a segment: one byte says which.
constexpr std::size_t kTrainingRowCount = 40 * kWordCount;
constexpr std::uint32_t kTrainingIterations = 10;
constexpr std::size_t kEncodeBlock = 4096;

/// Product quantisation (Jegou, Douze and Schmid, 2011) of the residuals: a row is the centroid of
/// its list plus one codeword for each segment of its dimensions.
struct PqTable {
  std::size_t segment_count = 0;
  std::size_t segment_dim = 0;
  std::vector<float> words;  ///< segment_count x kWordCount x segment_dim.

  [[nodiscard]] const float* word(std::size_t segment, std::size_t index) const {
    return words.data() + (segment * kWordCount + index) * segment_dim;
  }
};

/// With the residual r of a row as its codewords have it, c the centroid of its list and q the
/// query: |q - c - r|^2 = |q - c|^2 + (|r|^2 + 2 <c, r>) - 2 <q, r>, and <q, c + r> = <q, c> + <q,
/// r>. The first term belongs to the list, the second to the row, and <q, r> is a sum of entries of
/// one table a query: residual codes cost no table a list.
class PqScorer final : public IvfScorer {
 public:
  PqScorer(const float* query, const PqTable& table, const std::vector<float>& transposed_words,
           const std::vector<std::uint8_t>& codes, const std::vector<float>& row_terms)
      : segment_count_(table.segment_count),
        codes_(codes),
        row_terms_(row_terms),
        factor_(row_terms.empty() ? 1.0f : 2.0f),
        products_(table.segment_count * kWordCount) {
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
  PqCodes(const IvfData& data, PqTable table, std::vector<std::uint8_t> codes)
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

  Status save(ByteSink& sink) const override {
    TESSERA_RETURN_IF_ERROR(append_values(sink, table_.words));
    return append_values(sink, codes_);
  }

  [[nodiscard]] std::size_t memory_bytes() const override {
    const std::size_t float_count =
        table_.words.size() + transposed_words_.size() + row_terms_.size();
    return sizeof(*this) + float_count * sizeof(float) + codes_.size();
  }

 private:
  void compute_row_terms(const IvfData& data) {
    const std::size_t dim = data.rows.dim;
    row_terms_.resize(data.rows.row_count);
    std::vector<float> residual(dim);
    for (std::size_t list = 0; list < data.lists.list_count(); ++list) {
      for (std::size_t i = data.lists.begins[list]; i < data.lists.begins[list + 1]; ++i) {
        const std::uint8_t* const code = codes_.data() + i * table_.segment_count;
        for (std::size_t segment = 0; segment < table_.segment_count; ++segment) {
          std::copy_n(table_.word(segment, code[segment]), table_.segment_dim,
                      residual.data() + segment * table_.segment_dim);
        }
        row_terms_[i] = inner_product(residual.data(), residual.data(), dim) +
                        2 * inner_product(data.centroid(list), residual.data(), dim);
      }
    }
  }

  PqTable table_;
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

/// k-means in every segment. FAISS trains each; its own ProductQuantizer cannot be stopped and
/// compares with scalar code.
Status train_words(const IndexSpec& spec, const IvfData& data, const BuildControl& control,
                   PqTable& table) {
  const std::size_t dim = data.rows.dim;
  const auto positions = sample_row_ids(data.rows.row_count, kTrainingRowCount, spec.seed);
  const std::vector<float> sample = residuals_at(data, positions);
  table.words.resize(kWordCount * dim);
  const auto train = [&](std::size_t segment, std::size_t /*worker*/) -> Status {
    const std::size_t width = table.segment_dim;
    std::vector<float> columns;
    slice(sample, dim, segment * width, width, columns);
    BuildControl inner;
    inner.cancel = control.cancel;
    const ClusterOptions options{
        .count = kWordCount, .iterations = kTrainingIterations, .seed = spec.seed + segment};
    TESSERA_ASSIGN_OR_RETURN(
        const Clusters clusters,
        train_clusters({columns.data(), positions.size(), width}, Metric::kEuclid, options, inner));
    // Few rows give fewer words; the others repeat the first and are never the nearest alone.
    for (std::size_t word = 0; word < kWordCount; ++word) {
      const float* const values = clusters.centroid(word < clusters.count() ? word : 0);
      std::copy_n(values, width, table.words.data() + (segment * kWordCount + word) * width);
    }
    return {};
  };
  const auto segments_done = [&](std::size_t done) {
    // Training is taken for half of the work.
    if (control.progress) {
      control.progress(data.rows.row_count * done / (2 * table.segment_count), data.rows.row_count);
    }
  };
  return run_blocks("ivf_pq training", table.segment_count, control, train, segments_done);
}

Status encode(const IvfData& data, const BuildControl& control, const PqTable& table,
              std::vector<std::uint8_t>& codes) {
  const std::size_t row_count = data.rows.row_count;
  const std::size_t segment_count = table.segment_count;
  codes.resize(row_count * segment_count);
  std::vector<CentroidAssigner> assigners;
  assigners.reserve(segment_count);
  for (std::size_t segment = 0; segment < segment_count; ++segment) {
    assigners.emplace_back(Metric::kEuclid, table.word(segment, 0), kWordCount, table.segment_dim);
  }
  const auto work = [&](std::size_t block, std::size_t /*worker*/) -> Status {
    const std::size_t first = block * kEncodeBlock;
    std::vector<std::uint32_t> positions(std::min(kEncodeBlock, row_count - first));
    for (std::size_t i = 0; i < positions.size(); ++i) {
      positions[i] = static_cast<std::uint32_t>(first + i);
    }
    const std::vector<float> residuals = residuals_at(data, positions);
    std::vector<float> columns;
    for (std::size_t segment = 0; segment < segment_count; ++segment) {
      slice(residuals, data.rows.dim, segment * table.segment_dim, table.segment_dim, columns);
      const auto found = [&](std::size_t row, std::uint32_t word) {
        codes[(first + row) * segment_count + segment] = static_cast<std::uint8_t>(word);
      };
      TESSERA_RETURN_IF_ERROR(assigners[segment].assign(
          {columns.data(), positions.size(), table.segment_dim}, {}, found));
    }
    return {};
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
  PqTable table{segment_count, data.rows.dim / segment_count, {}};
  std::vector<std::uint8_t> codes;
  if (data.rows.row_count == 0) {
    table.words.resize(kWordCount * data.rows.dim);
  } else {
    TESSERA_RETURN_IF_ERROR(train_words(spec, data, control, table));
    TESSERA_RETURN_IF_ERROR(encode(data, control, table, codes));
  }
  return std::make_unique<const PqCodes>(data, std::move(table), std::move(codes));
}

CodesResult load_pq_codes(const IvfData& data, std::size_t segment_count, ByteReader& reader) {
  PqTable table{segment_count, data.rows.dim / segment_count, {}};
  TESSERA_RETURN_IF_ERROR(reader.read_finite("words", kWordCount * data.rows.dim, table.words));
  std::vector<std::uint8_t> codes;
  TESSERA_RETURN_IF_ERROR(reader.read("codes", data.rows.row_count * segment_count, codes));
  return std::make_unique<const PqCodes>(data, std::move(table), std::move(codes));
}

}  // namespace tessera::index
