#pragma once

#include <cstdint>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

/// Row -> the next row with the same bytes, or HnswGraph::kNoRow; empty when all rows differ.
/// Cost: one pass over the rows and O(n log n) comparisons of hashes.
std::vector<std::uint32_t> chain_equal_rows(VectorSpan rows);

}  // namespace tessera::index
