#include "index/hnsw_graph.h"

namespace tessera::index {
namespace {

template <class Vector>
std::size_t bytes_of(const Vector& values) {
  return values.capacity() * sizeof(values[0]);
}

}  // namespace

std::size_t HnswGraph::memory_bytes() const {
  std::size_t bytes = sizeof(*this) + bytes_of(levels) + bytes_of(rows) + bytes_of(next_equal);
  for (const GraphLevel& level : levels) bytes += bytes_of(level.offsets) + bytes_of(level.links);
  return bytes;
}

}  // namespace tessera::index
