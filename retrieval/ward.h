#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "retrieval/interest_groups.h"

namespace tessera::retrieval {

/// So many items are clustered among themselves: their distances take 4 bytes a pair, 2 MiB.
inline constexpr std::size_t kWardItemsMax = 1024;

struct WardOptions {
  /// Clusters whose union would be higher than this stay apart.
  std::optional<double> threshold;
  std::size_t count_max = 5;  ///< Without a threshold: so many clusters, or as many as differ.
};

/// Ward's minimum variance clustering (1963): the number of the cluster of every row, numbered by
/// their first rows. The height of a union is sqrt(2 |A||B| / (|A| + |B|)) |mean A - mean B|: for
/// two rows their distance. By nearest-neighbour chains and Lance-Williams updates: O(n^2) time,
/// n^2 / 2 floats, n <= kWardItemsMax. Deterministic; of equal heights those of the first rows come
/// first.
std::vector<std::uint32_t> ward_clusters(index::VectorSpan rows, const WardOptions& options);

/// A history clustered by itself, after PinnerSage: groups without a cluster of the collection, in
/// the order of their first items, weights summing to 1. Cosine and Dot compare directions. Of more
/// than kWardItemsMax items the newest are clustered, and the others join the nearest mean.
std::vector<InterestGroup> group_by_ward(const std::vector<HistoryItem>& history,
                                         std::optional<double> half_life_seconds, Metric metric,
                                         const WardOptions& options);

}  // namespace tessera::retrieval
