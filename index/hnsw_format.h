#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "index/ann_index.h"
#include "index/hnsw_graph.h"

namespace tessera::index {

/// The stored form of a graph; the layout is described in docs/formats.md.
/// `m` is written so that a file is not taken for a graph built with another one.
Status save_graph(const HnswGraph& graph, std::uint32_t m, std::size_t row_count, ByteSink& sink);

/// Takes what save_graph wrote for these rows from the front of `bytes`. Trusts nothing: each count
/// is compared with the bytes that are there before memory is allocated for it, each number with
/// its range, and rows said to be equal are compared. kCorrupt names the field. What it does not
/// check is whether the links are good ones: a hostile but well-formed graph costs recall, never
/// memory safety.
Result<HnswGraph> load_graph(std::uint32_t m, VectorSpan rows, std::span<const std::byte>& bytes);

}  // namespace tessera::index
