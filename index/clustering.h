#pragma once

#include <cstdint>
#include <vector>

#include "index/ann_index.h"

namespace tessera::index {

struct ClusterOptions {
  std::uint32_t count = 0;  ///< 0: clamp(round(4 sqrt(rows)), 16, 65536), see METHODS in docs.
  std::uint32_t iterations = 20;
  std::uint64_t seed = 42;
};

/// Centroids, row-major. Spherical (unit length) for Cosine and Dot.
struct Clusters {
  Metric metric = Metric::kCosine;
  std::size_t dim = 0;
  std::vector<float> centroids;

  [[nodiscard]] std::size_t count() const { return dim == 0 ? 0 : centroids.size() / dim; }
  [[nodiscard]] const float* centroid(std::size_t i) const { return centroids.data() + i * dim; }
};

/// k-means (spherical for Cosine and Dot) by FAISS, deterministic by seed. The count is lowered to
/// what the rows allow (at least 39 rows a centroid where that leaves 16 or more, never more
/// centroids than rows). kInvalidArgument for no rows; kCancelled.
Result<Clusters> train_clusters(VectorSpan rows, Metric metric, const ClusterOptions& options,
                                const BuildControl& control);

/// Nearest centroid of every row. `out` holds rows.row_count values.
void assign_clusters(const Clusters& clusters, VectorSpan rows, std::uint32_t* out);

}  // namespace tessera::index
