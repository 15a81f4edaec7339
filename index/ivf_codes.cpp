#include "index/ivf_codes.h"

#include <string>
#include <utility>

#include "index/ivf_bytes.h"
#include "index/kernels.h"

namespace tessera::index {
namespace {

/// No codes: the rows are compared where they lie.
class RowScorer final : public IvfScorer {
 public:
  RowScorer(const float* query, const IvfData& data) : query_(query), data_(data) {}

  void score_range(std::size_t first, std::size_t count, float* out) override {
    score_rows({data_.lists.row_ids.data() + first, count}, out);
  }

  void score_at(std::span<const std::uint32_t> positions, float* out) override {
    row_ids_.clear();
    for (const std::uint32_t position : positions) {
      row_ids_.push_back(data_.lists.row_ids[position]);
    }
    score_rows(row_ids_, out);
  }

 private:
  void score_rows(std::span<const std::uint32_t> row_ids, float* out) const {
    distances_at(data_.metric, query_, data_.rows, row_ids, out);
  }

  const float* const query_;
  const IvfData& data_;
  std::vector<std::uint32_t> row_ids_;
};

class NoCodes final : public IvfCodes {
 public:
  [[nodiscard]] std::size_t code_bytes() const override { return 0; }
  [[nodiscard]] std::uint32_t rerank_factor() const override { return 1; }
  [[nodiscard]] std::unique_ptr<IvfScorer> scorer(const float* query,
                                                  const IvfData& data) const override {
    return std::make_unique<RowScorer>(query, data);
  }
  Status save(ByteSink& /*sink*/) const override { return {}; }
  [[nodiscard]] std::size_t memory_bytes() const override { return sizeof(*this); }
};

}  // namespace

CodesResult build_codes(const IndexSpec& spec, const IvfData& data, const BuildControl& control) {
  switch (spec.type) {
    case IndexType::kIvfFlat:
      return std::make_unique<const NoCodes>();
    case IndexType::kIvfSq8:
      return build_sq8_codes(data, control);
    case IndexType::kIvfPq:
      return build_pq_codes(spec, data, control);
    case IndexType::kFlat:
    case IndexType::kHnsw:
      break;
  }
  return Status(Code::kInternal, "type: not an inverted-file index");
}

CodesResult load_codes(const IndexSpec& spec, const IvfData& data, std::size_t code_bytes,
                       bool is_rotated, ByteReader& reader) {
  const auto check_code_bytes = [&](std::size_t expected) -> Status {
    if (code_bytes == expected) return {};
    return corrupt_ivf("code_bytes",
                       std::to_string(code_bytes) + " instead of " + std::to_string(expected));
  };
  switch (spec.type) {
    case IndexType::kIvfFlat:
      TESSERA_RETURN_IF_ERROR(check_code_bytes(0));
      return std::make_unique<const NoCodes>();
    case IndexType::kIvfSq8:
      TESSERA_RETURN_IF_ERROR(check_code_bytes(data.rows.dim));
      return load_sq8_codes(data, reader);
    case IndexType::kIvfPq: {
      TESSERA_ASSIGN_OR_RETURN(const std::size_t segment_count,
                               pq_segment_count(spec, data.rows.dim));
      TESSERA_RETURN_IF_ERROR(check_code_bytes(segment_count));
      return load_pq_codes(data, segment_count, is_rotated, reader);
    }
    case IndexType::kFlat:
    case IndexType::kHnsw:
      break;
  }
  return Status(Code::kInternal, "type: not an inverted-file index");
}

}  // namespace tessera::index
