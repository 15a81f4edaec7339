#include "index/equal_rows.h"

#include <algorithm>
#include <cstring>

#include "index/hnsw_graph.h"

namespace tessera::index {
namespace {

struct HashedRow {
  std::uint64_t hash;
  std::uint32_t row;
};

std::uint64_t hash_row(const std::byte* row, std::size_t row_bytes) {
  constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15ULL;
  std::uint64_t hash = row_bytes;
  for (std::size_t i = 0; i < row_bytes; i += sizeof(std::uint32_t)) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, row + i, std::min(sizeof(bits), row_bytes - i));
    hash = (hash ^ bits) * kMultiplier;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace

std::vector<std::uint32_t> chain_equal_rows(VectorSpan rows) {
  const std::size_t row_bytes = rows.row_bytes();
  std::vector<HashedRow> sorted(rows.row_count);
  for (std::uint32_t i = 0; i < rows.row_count; ++i) {
    sorted[i] = {hash_row(rows.bytes_of(i), row_bytes), i};
  }
  const auto compare_bytes = [&](const HashedRow& a, const HashedRow& b) {
    return std::memcmp(rows.bytes_of(a.row), rows.bytes_of(b.row), row_bytes);
  };
  // Comparing the bytes inside the sort keeps the cost bounded when somebody crafts collisions.
  std::sort(sorted.begin(), sorted.end(), [&](const HashedRow& a, const HashedRow& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    const int order = compare_bytes(a, b);
    return order != 0 ? order < 0 : a.row < b.row;
  });
  std::vector<std::uint32_t> next_equal;
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1].hash != sorted[i].hash || compare_bytes(sorted[i - 1], sorted[i]) != 0) {
      continue;
    }
    if (next_equal.empty()) next_equal.assign(rows.row_count, HnswGraph::kNoRow);
    next_equal[sorted[i - 1].row] = sorted[i].row;
  }
  return next_equal;
}

}  // namespace tessera::index
