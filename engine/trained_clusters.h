#pragma once

#include <memory>
#include <string>

#include "engine/requests.h"
#include "index/clustering.h"

namespace tessera::engine {

/// Item clusters of one vector, as trained. Thread rule: immutable.
struct TrainedClusters {
  index::Clusters clusters;
  ClustersInfo info;         ///< drift is 0 here; it is measured when asked for.
  double mean_distance = 0;  ///< Of the rows to their centroids, when trained.
};

/// Mean distance of float32 rows to their nearest centroid.
double mean_cluster_distance(const index::Clusters& clusters, index::VectorSpan rows,
                             const std::vector<std::uint32_t>& assigned);

/// A checksummed file beside the segment files. Publishing replaces the one before.
Status save_clusters(const std::string& path, const TrainedClusters& trained);
/// kNotFound, kCorrupt with the field.
Result<std::shared_ptr<const TrainedClusters>> load_clusters(const std::string& path, Metric metric,
                                                             std::size_t dim);

}  // namespace tessera::engine
