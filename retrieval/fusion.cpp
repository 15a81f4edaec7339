#include "retrieval/fusion.h"

#include <cmath>
#include <unordered_map>

namespace tessera::retrieval {
namespace {

/// Adds up what `value_of(list, place)` gives for every item.
template <class ValueOf>
std::vector<FusedHit> add_up(std::span<const std::vector<Hit>> lists, const ValueOf& value_of) {
  std::vector<FusedHit> fused;
  std::vector<double> sums;
  std::unordered_map<Slot, std::size_t> places;
  for (std::size_t list = 0; list < lists.size(); ++list) {
    for (std::size_t place = 0; place < lists[list].size(); ++place) {
      const Slot slot = lists[list][place].slot;
      const auto [known, is_new] = places.try_emplace(slot, fused.size());
      if (is_new) {
        fused.push_back({slot, 0, list, place});
        sums.push_back(0);
      }
      sums[known->second] += value_of(list, place);
    }
  }
  for (std::size_t i = 0; i < fused.size(); ++i) fused[i].score = static_cast<float>(sums[i]);
  return fused;
}

struct Distribution {
  double least = 0;  ///< mean - 3 s
  double width = 0;  ///< 6 s
};

Distribution distribution_of(const std::vector<Hit>& list) {
  if (list.size() < 2) return {};
  double sum = 0;
  for (const Hit& hit : list) sum += hit.score;
  const double mean = sum / static_cast<double>(list.size());
  double squares = 0;
  for (const Hit& hit : list) squares += (hit.score - mean) * (hit.score - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(list.size() - 1));
  return {mean - 3 * deviation, 6 * deviation};
}

}  // namespace

std::vector<FusedHit> fuse_by_rank(std::span<const std::vector<Hit>> lists,
                                   const ReciprocalRank& rule) {
  return add_up(lists, [&](std::size_t list, std::size_t place) {
    const double weight = rule.weights.empty() ? 1 : rule.weights[list];
    if (!(weight > 0)) return 0.0;
    return 1 / (static_cast<double>(place + 1) / weight + rule.k - 1);
  });
}

std::vector<FusedHit> fuse_by_score(std::span<const std::vector<Hit>> lists) {
  std::vector<Distribution> distributions;
  for (const auto& list : lists) distributions.push_back(distribution_of(list));
  return add_up(lists, [&](std::size_t list, std::size_t place) {
    const Distribution& distribution = distributions[list];
    if (!(distribution.width > 0)) return 0.5;
    return (lists[list][place].score - distribution.least) / distribution.width;
  });
}

}  // namespace tessera::retrieval
