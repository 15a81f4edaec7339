#pragma once

#include "index/ann_index.h"

namespace tessera::index {

/// The exact "index": every search computes the distance of each allowed row. Holds nothing but the
/// borrowed rows. Thread rule: immutable.
class FlatIndex final : public AnnIndex {
 public:
  FlatIndex(IndexSpec spec, Metric metric, VectorSpan rows);

  [[nodiscard]] const IndexSpec& spec() const override { return spec_; }
  /// Finds min(k, allowed rows) rows. Cost: one distance for each allowed row.
  Status search(const float* query, const SearchOptions& options, const RowFilter& filter,
                std::vector<RowHit>& hits, SearchStats& stats) const override;
  Status save(ByteSink& sink) const override;
  [[nodiscard]] std::size_t memory_bytes() const override { return sizeof(*this); }

 private:
  const IndexSpec spec_;
  const Metric metric_;
  const VectorSpan rows_;
};

}  // namespace tessera::index
