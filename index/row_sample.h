#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

/// min(count, row_count) distinct rows in ascending order, each set equally likely; the same for
/// the same seed. O(row_count).
std::vector<std::uint32_t> sample_row_ids(std::size_t row_count, std::size_t count,
                                          std::uint64_t seed);

/// The rows `ids` as floats, one after the other.
std::vector<float> gather_rows(VectorSpan rows, const std::vector<std::uint32_t>& ids);

}  // namespace tessera::index
