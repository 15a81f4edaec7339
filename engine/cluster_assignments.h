#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/requests.h"

namespace tessera::engine {

/// Which item cluster the points of a vector are in, as it is kept over a restart. Derived data:
/// whatever is missing is computed again.
struct ClusterAssignments {
  // Which training's clusters are meant.
  std::uint64_t version = 0;
  std::int64_t trained_at_us = 0;
  /// Rows that later operations wrote have another cluster.
  std::uint64_t operation = 0;
  std::vector<std::uint32_t> clusters;  ///< By slot; ItemClusters::kNone where it is not known.
};

/// A checksummed file beside that of the clusters. Publishing replaces the one before.
Status save_assignments(const std::string& path, const ClusterAssignments& assignments);
/// kNotFound; kCorrupt with the field. Assignments of another training are kCorrupt too.
Result<ClusterAssignments> load_assignments(const std::string& path, const ClustersInfo& clusters);

}  // namespace tessera::engine
