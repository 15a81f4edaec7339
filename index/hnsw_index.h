#pragma once

#include <memory>

#include "index/ann_index.h"
#include "index/hnsw_graph.h"
#include "index/hnsw_walk.h"
#include "index/row_codes.h"

namespace tessera::index {

/// A search index over an HNSW graph whose walk compares codes where there are some; what it finds
/// is compared exactly, with the rows, before it is returned. Thread rule: immutable.
class HnswIndex final : public AnnIndex {
 public:
  /// `codes`: in the order of the graph's nodes; null to compare rows only.
  HnswIndex(IndexSpec spec, Metric metric, VectorSpan rows, HnswGraph graph,
            std::unique_ptr<const RowCodes> codes);

  [[nodiscard]] const IndexSpec& spec() const override { return spec_; }
  /// Among rows with equal bytes the smallest row numbers come first. Finds every allowed row when
  /// there are fewer than ef of them.
  Status search(const float* query, const SearchOptions& options, const RowFilter& filter,
                std::vector<RowHit>& hits, SearchStats& stats) const override;
  Status save(ByteSink& sink) const override;
  [[nodiscard]] std::size_t memory_bytes() const override;

  [[nodiscard]] const HnswGraph& graph() const { return graph_; }
  [[nodiscard]] const RowCodes* codes() const { return codes_.get(); }

 private:
  Status search_nodes(const float* query, const SearchOptions& options, const RowFilter& filter,
                      std::vector<RowHit>& hits, SearchStats& stats) const;
  /// The candidates' rows with their exact distances, nearest first.
  void rerank(const float* query, std::span<const NodeHit> candidates,
              std::vector<RowHit>& ranked) const;

  const IndexSpec spec_;
  const Metric metric_;
  const VectorSpan rows_;
  const HnswGraph graph_;
  const std::unique_ptr<const RowCodes> codes_;
};

}  // namespace tessera::index
