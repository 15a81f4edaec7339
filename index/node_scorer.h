#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/ann_index.h"
#include "index/row_codes.h"

namespace tessera::index {

/// Distances of one query to the nodes of a graph. Thread rule: confined to one search.
class NodeScorer {
 public:
  virtual ~NodeScorer() = default;
  /// out[i]: how far nodes[i] is; never NaN.
  virtual void score(std::span<const std::uint32_t> nodes, float* out) = 0;
};

/// By the rows themselves: index::distance.
class RowScorer final : public NodeScorer {
 public:
  /// `row_of_node` and `scratch` are borrowed.
  RowScorer(Metric metric, VectorSpan rows, std::span<const std::uint32_t> row_of_node,
            std::vector<std::uint32_t>& scratch)
      : metric_(metric), rows_(rows), row_of_node_(row_of_node), ids_(scratch) {}

  void set_query(const float* query) { query_ = query; }

  void score(std::span<const std::uint32_t> nodes, float* out) override {
    if (ids_.size() < nodes.size()) ids_.resize(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) ids_[i] = row_of_node_[nodes[i]];
    distances_at(metric_, query_, rows_, {ids_.data(), nodes.size()}, out);
  }

 private:
  const Metric metric_;
  const VectorSpan rows_;
  const std::span<const std::uint32_t> row_of_node_;
  std::vector<std::uint32_t>& ids_;
  const float* query_ = nullptr;
};

/// By codes in the order of the nodes.
class CodeScorer final : public NodeScorer {
 public:
  /// Both are borrowed; `query` is prepared.
  CodeScorer(const RowCodes& codes, CodeQuery& query) : codes_(codes), query_(query) {}

  void score(std::span<const std::uint32_t> nodes, float* out) override {
    codes_.distances_at(query_, nodes, out);
  }

 private:
  const RowCodes& codes_;
  CodeQuery& query_;
};

}  // namespace tessera::index
