#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/ann_index.h"
#include "index/row_codes.h"

namespace tessera::index {

/// A node that others are compared with. Reused, so that none allocates. Thread rule: confined.
struct NodeQuery {
  const float* row = nullptr;
  std::vector<float> values;  ///< The row, where it is not stored as floats.
  CodeQuery code;
  std::vector<std::uint32_t> row_ids;  ///< Scratch of distances().
};

/// Distances between the nodes of a graph that is being built. Thread rule: any thread.
class NodeComparer {
 public:
  virtual ~NodeComparer() = default;
  virtual void prepare(std::uint32_t node, NodeQuery& query) const = 0;
  /// out[i]: how far nodes[i] is from the node that prepare() was given; never NaN.
  virtual void distances(NodeQuery& query, std::span<const std::uint32_t> nodes,
                         float* out) const = 0;
};

/// By the rows themselves.
class RowComparer final : public NodeComparer {
 public:
  /// `row_of_node` is borrowed.
  RowComparer(Metric metric, VectorSpan rows, std::span<const std::uint32_t> row_of_node)
      : metric_(metric), rows_(rows), row_of_node_(row_of_node) {}

  void prepare(std::uint32_t node, NodeQuery& query) const override {
    const std::uint32_t row = row_of_node_[node];
    if (rows_.is_float32()) {
      query.row = rows_.float_row(row);
      return;
    }
    query.values.resize(rows_.dim);
    copy_rows(rows_, row, 1, query.values.data());
    query.row = query.values.data();
  }

  void distances(NodeQuery& query, std::span<const std::uint32_t> nodes,
                 float* out) const override {
    std::vector<std::uint32_t>& ids = query.row_ids;
    if (ids.size() < nodes.size()) ids.resize(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) ids[i] = row_of_node_[nodes[i]];
    distances_at(metric_, query.row, rows_, {ids.data(), nodes.size()}, out);
  }

 private:
  const Metric metric_;
  const VectorSpan rows_;
  const std::span<const std::uint32_t> row_of_node_;
};

/// By codes in the order of the nodes.
class CodeComparer final : public NodeComparer {
 public:
  /// `codes` is borrowed.
  explicit CodeComparer(const RowCodes& codes) : codes_(codes) {}

  void prepare(std::uint32_t node, NodeQuery& query) const override {
    codes_.prepare_row(node, query.code);
  }

  void distances(NodeQuery& query, std::span<const std::uint32_t> nodes,
                 float* out) const override {
    codes_.distances_at(query.code, nodes, out);
  }

 private:
  const RowCodes& codes_;
};

}  // namespace tessera::index
