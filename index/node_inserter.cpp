#include "index/node_inserter.h"

#include <algorithm>

namespace tessera::index {
namespace {

// Candidates that are compared with all links chosen so far before any of them is chosen. More
// would compare candidates that are never looked at.
constexpr std::size_t kBlock = 32;

bool is_nearer(const NodeHit& a, const NodeHit& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.node < b.node;
}

}  // namespace

std::span<const std::uint32_t> LinkChooser::choose(std::span<const NodeHit> candidates,
                                                   std::size_t most) {
  chosen_.clear();
  while (!candidates.empty() && chosen_.size() < most) {
    const std::size_t count = std::min(kBlock, candidates.size());
    block_.assign(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count));
    candidates = candidates.subspan(count);
    for (std::size_t i = 0; i < chosen_.size() && !block_.empty(); ++i) {
      drop_covered(queries_[i], 0);
    }
    for (std::size_t i = 0; i < block_.size() && chosen_.size() < most; ++i) {
      if (queries_.size() == chosen_.size()) queries_.emplace_back();
      NodeQuery& query = queries_[chosen_.size()];
      chosen_.push_back(block_[i].node);
      if (chosen_.size() == most) break;
      comparer_.prepare(block_[i].node, query);
      drop_covered(query, i + 1);
    }
  }
  return chosen_;
}

void LinkChooser::drop_covered(NodeQuery& query, std::size_t begin) {
  const std::size_t count = block_.size() - begin;
  if (count == 0) return;
  ids_.resize(count);
  distances_.resize(count);
  for (std::size_t i = 0; i < count; ++i) ids_[i] = block_[begin + i].node;
  comparer_.distances(query, ids_, distances_.data());
  std::size_t kept = begin;
  for (std::size_t i = 0; i < count; ++i) {
    const NodeHit hit = block_[begin + i];
    block_[kept] = hit;
    kept += distances_[i] < hit.distance ? 0 : 1;
  }
  block_.resize(kept);
}

NodeInserter::NodeInserter(LinkTable& links, const NodeComparer& comparer, std::size_t ef_construct,
                           std::uint32_t entry)
    : links_(links),
      comparer_(comparer),
      ef_construct_(ef_construct),
      entry_(entry),
      chooser_(comparer),
      list_(links.room(0)),
      chosen_by_level_(links.top_level(entry) + 1) {}

void NodeInserter::insert(std::uint32_t node) {
  if (node == entry_) return;
  comparer_.prepare(node, query_);
  ids_.assign(1, entry_);
  measure();
  NodeHit nearest = {distances_.front(), entry_};
  const std::uint32_t top_level = links_.top_level(node);
  for (std::uint32_t level = links_.top_level(entry_); level > top_level; --level) {
    descend(level, nearest);
  }
  for (std::uint32_t level = top_level + 1; level-- > 0;) {
    const std::span<const NodeHit> found = search(level, nearest);
    nearest = found.front();
    const auto chosen = chooser_.choose(found, links_.room(level));
    chosen_by_level_[level].assign(chosen.begin(), chosen.end());
  }
  // Its own links first, on all levels: whoever meets the node can go on from it.
  for (std::uint32_t level = 0; level <= top_level; ++level) {
    const std::lock_guard lock(links_.lock_of(node));
    links_.write(node, level, chosen_by_level_[level]);
  }
  for (std::uint32_t level = 0; level <= top_level; ++level) {
    for (const std::uint32_t other : chosen_by_level_[level]) link_back(other, level, node);
  }
}

void NodeInserter::measure() {
  if (distances_.size() < ids_.size()) distances_.resize(ids_.size());
  comparer_.distances(query_, ids_, distances_.data());
}

void NodeInserter::descend(std::uint32_t level, NodeHit& nearest) {
  for (bool has_moved = true; has_moved;) {
    has_moved = false;
    const std::size_t count = links_.read(nearest.node, level, list_.data());
    ids_.assign(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(count));
    measure();
    for (std::size_t i = 0; i < count; ++i) {
      if (!(distances_[i] < nearest.distance)) continue;
      nearest = {distances_[i], ids_[i]};
      has_moved = true;
    }
  }
}

std::span<const NodeHit> NodeInserter::search(std::uint32_t level, NodeHit start) {
  visited_.begin(links_.node_count());
  visited_.visit(start.node);
  beam_.reset(std::min(ef_construct_, links_.node_count()));
  beam_.offer(start.distance, start.node);
  while (beam_.peek() != nullptr) {
    const std::size_t count = links_.read(beam_.take(), level, list_.data());
    ids_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      if (visited_.visit(list_[i])) ids_.push_back(list_[i]);
    }
    // The likely next node's links arrive while this node's neighbours are measured.
    if (const NodeHit* next = beam_.peek(); next != nullptr && level == 0) {
      links_.prefetch(next->node);
    }
    measure();
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (distances_[i] < beam_.bound()) beam_.offer(distances_[i], ids_[i]);
    }
  }
  return beam_.finish();
}

void NodeInserter::link_back(std::uint32_t from, std::uint32_t level, std::uint32_t to) {
  const std::lock_guard lock(links_.lock_of(from));
  const std::size_t count = links_.read(from, level, list_.data());
  const auto end = list_.begin() + static_cast<std::ptrdiff_t>(count);
  if (std::find(list_.begin(), end, to) != end || links_.append(from, level, to)) return;
  ids_.assign(list_.begin(), end);
  ids_.push_back(to);
  if (distances_.size() < ids_.size()) distances_.resize(ids_.size());
  comparer_.prepare(from, other_);
  comparer_.distances(other_, ids_, distances_.data());
  crowd_.clear();
  for (std::size_t i = 0; i < ids_.size(); ++i) crowd_.push_back({distances_[i], ids_[i]});
  std::sort(crowd_.begin(), crowd_.end(), is_nearer);
  links_.write(from, level, chooser_.choose(crowd_, links_.room(level)));
}

}  // namespace tessera::index
