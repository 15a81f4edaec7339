#pragma once

#include "index/ann_index.h"
#include "index/hnsw_graph.h"

namespace tessera::index {

/// A search index over an HNSW graph. Thread rule: immutable.
class HnswIndex final : public AnnIndex {
 public:
  HnswIndex(IndexSpec spec, Metric metric, VectorSpan rows, HnswGraph graph);

  [[nodiscard]] const IndexSpec& spec() const override { return spec_; }
  /// Among rows with equal bytes the smallest row numbers come first. Finds every allowed row when
  /// there are fewer than ef of them.
  Status search(const float* query, const SearchOptions& options, const RowFilter& filter,
                std::vector<RowHit>& hits, SearchStats& stats) const override;
  Status save(ByteSink& sink) const override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  const IndexSpec spec_;
  const Metric metric_;
  const VectorSpan rows_;
  const HnswGraph graph_;
};

}  // namespace tessera::index
