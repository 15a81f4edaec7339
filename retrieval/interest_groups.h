#pragma once

#include <optional>
#include <vector>

#include "retrieval/interests.h"
#include "retrieval/vector_math.h"

namespace tessera::retrieval {

/// Items that form one interest, before it has a vector to search with.
struct InterestGroup {
  std::optional<std::uint32_t> cluster;  ///< Of the collection's clusters, if it is one of those.
  double weight = 0;                     ///< p(c|u): over the groups of a person they sum to 1.
  Wide mean;                             ///< mu(u,c): the weighted mean, of any length.
  /// The person's, newest last; borrowed. Where smoothing added the group: the neighbours'.
  std::vector<const HistoryItem*> items;
  /// What is known of such items as sums.
  std::vector<std::shared_ptr<const MixturePart>> parts;
  bool is_own = true;        ///< Whether the items are the person's.
  bool is_smoothed = false;  ///< Whether the mean is another than that of the items.
};

/// w * 0.5^(age / half-life), age counted from the newest event that has a time; one without a time
/// counts as that new. Scaled so that no sum of them overflows.
std::vector<double> decayed_weights(const std::vector<HistoryItem>& history,
                                    std::optional<double> half_life_seconds);

/// To the sum 1; equal weights where nothing positive is left after decay.
void normalise_weights(std::vector<double>& weights);

/// Of the items at `members`, in double precision; the plain mean where all their weights have
/// decayed to nothing. `members` is not empty.
Wide weighted_mean(const std::vector<HistoryItem>& history, const std::vector<double>& weights,
                   const std::vector<std::size_t>& members);

/// Nearest to `centre` first, of equally near ones the newer first.
std::vector<const HistoryItem*> nearest_first(const std::vector<const HistoryItem*>& items,
                                              const Wide& centre, Metric metric);

/// The groups of items of equal cluster number, in the order of these, without a cluster of the
/// collection. `weights` and `clusters` hold one value an item; `history` outlives the groups.
std::vector<InterestGroup> groups_of(const std::vector<HistoryItem>& history,
                                     const std::vector<double>& weights,
                                     const std::vector<std::uint32_t>& clusters);

/// A history by the collection's clusters: all groups, by cluster number. `history` outlives them.
std::vector<InterestGroup> group_by_cluster(const std::vector<HistoryItem>& history,
                                            std::optional<double> half_life_seconds,
                                            const index::Clusters& clusters);

/// The same of a stored mixture. The means are left out: see fill_mean().
std::vector<InterestGroup> groups_of(const PersonMixture& mixture);
/// Of a group of one part that has none yet.
void fill_mean(InterestGroup& group);

/// Jelinek-Mercer smoothing of a person's mixture with those of neighbours, equations 4 and 5 of
/// kNN-Embed: all groups, by cluster number, all with means. Who has no groups does not count as a
/// neighbour; a person without any is what the neighbours are, whatever `lambda` (0..1).
std::vector<InterestGroup> smooth(std::vector<InterestGroup> own,
                                  const std::vector<std::vector<InterestGroup>>& neighbors,
                                  double lambda);

}  // namespace tessera::retrieval
