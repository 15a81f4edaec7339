#include "index/hnsw_graph.h"

#include <numeric>

namespace tessera::index {
namespace {

template <class Value>
std::size_t bytes_of(const std::vector<Value>& values) {
  return values.capacity() * sizeof(Value);
}

}  // namespace

std::size_t HnswGraph::memory_bytes() const {
  std::size_t bytes = sizeof(*this) + bytes_of(levels) + bytes_of(next_equal);
  for (const GraphLevel& level : levels) {
    bytes += bytes_of(level.offsets) + bytes_of(level.links) + bytes_of(level.rows) +
             bytes_of(level.below);
  }
  return bytes;
}

std::vector<std::uint32_t> representatives_of(const HnswGraph& graph, std::size_t row_count) {
  std::vector<std::uint32_t> representatives(row_count);
  std::iota(representatives.begin(), representatives.end(), 0U);
  for (std::uint32_t row = 0; row < graph.next_equal.size(); ++row) {
    const std::uint32_t next = graph.next_equal[row];
    // A chain ascends, so the row's own representative is already final.
    if (next != HnswGraph::kNoRow) representatives[next] = representatives[row];
  }
  return representatives;
}

}  // namespace tessera::index
