#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/hnsw_beam.h"
#include "index/link_table.h"
#include "index/node_comparer.h"
#include "index/visited_nodes.h"

namespace tessera::index {

/// Of candidates, nearest first, those that become links: each one that is nearer to the node than
/// to every candidate chosen before it (the heuristic of Malkov and Yashunin, 2016, algorithm 4).
/// Thread rule: confined to one thread.
class LinkChooser {
 public:
  /// Borrowed.
  explicit LinkChooser(const NodeComparer& comparer) : comparer_(comparer) {}

  /// At most `most` of them, nearest first. The span is valid until the next call.
  std::span<const std::uint32_t> choose(std::span<const NodeHit> candidates, std::size_t most);

 private:
  /// Drops those of block_ from `begin` on that are nearer to what `query` was prepared for than to
  /// the node.
  void drop_covered(NodeQuery& query, std::size_t begin);

  const NodeComparer& comparer_;
  std::vector<std::uint32_t> chosen_;
  std::vector<NodeQuery> queries_;  ///< Prepared for chosen_[i]; grows only.
  std::vector<NodeHit> block_;      ///< Candidates not yet covered.
  std::vector<std::uint32_t> ids_;
  std::vector<float> distances_;
};

/// Inserts nodes into a graph. Nodes have to come in falling order of their top levels, the first
/// one, from which every search starts, alone and before any other.
/// Thread rule: one inserter a thread; inserters share the table.
class NodeInserter {
 public:
  /// Borrowed. `entry`: the first node inserted.
  NodeInserter(LinkTable& links, const NodeComparer& comparer, std::size_t ef_construct,
               std::uint32_t entry);

  void insert(std::uint32_t node);

 private:
  void measure();
  /// Goes to the nearest node of `level`, step by step.
  void descend(std::uint32_t level, NodeHit& nearest);
  /// The nodes nearest to the query on `level`, nearest first.
  std::span<const NodeHit> search(std::uint32_t level, NodeHit start);
  void link_back(std::uint32_t from, std::uint32_t level, std::uint32_t to);

  LinkTable& links_;
  const NodeComparer& comparer_;
  const std::size_t ef_construct_;
  const std::uint32_t entry_;
  LinkChooser chooser_;
  NodeQuery query_;  ///< The node being inserted.
  NodeQuery other_;
  VisitedNodes visited_;
  Beam beam_;
  std::vector<std::uint32_t> list_;
  std::vector<std::uint32_t> ids_;
  std::vector<float> distances_;
  std::vector<NodeHit> crowd_;
  std::vector<std::vector<std::uint32_t>> chosen_by_level_;
};

}  // namespace tessera::index
