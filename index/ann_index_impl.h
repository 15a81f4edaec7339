#pragma once

#include <memory>
#include <span>

#include "index/ann_index.h"

namespace tessera::index {

/// What build_index and load_index hand over to, by spec.type. Their parameters have been checked:
/// dim > 0 and data != nullptr where there are rows. An index may be built over no rows.
using IndexResult = Result<std::unique_ptr<const AnnIndex>>;

IndexResult build_flat(const IndexSpec& spec, Metric metric, VectorSpan rows,
                       const BuildControl& control);
IndexResult load_flat(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      std::span<const std::byte> bytes);

IndexResult build_hnsw(const IndexSpec& spec, Metric metric, VectorSpan rows,
                       const BuildControl& control);
IndexResult load_hnsw(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      std::span<const std::byte> bytes);

/// kIvfFlat, kIvfSq8 and kIvfPq.
IndexResult build_ivf(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      const BuildControl& control);
IndexResult load_ivf(const IndexSpec& spec, Metric metric, VectorSpan rows,
                     std::span<const std::byte> bytes);

}  // namespace tessera::index
