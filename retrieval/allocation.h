#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "retrieval/interests.h"

namespace tessera::retrieval {

/// Which components take part in a split of `limit`, and with which share; 0 for those that do not.
struct Shares {
  std::vector<double> share;  ///< Of the split; sums to 1.
  std::vector<bool> is_active;
  std::vector<double> turn_share;  ///< Of the places of a page; sums to 1.
};

/// Leaves out the components that would get fewer than `min_quota` of `limit`, never the heaviest
/// one, and renormalises. With kEqual the share of a component is 1 / their count, so the lightest
/// are left out until the rest reach min_quota; else it is proportional to weight^power, that of a
/// page's places to the weight itself. The weights sum to 1.
Shares active_shares(const std::vector<double>& weights, std::size_t limit, std::uint32_t min_quota,
                     Allocation allocation, double power = 1);

/// The integer split: sums to `limit` exactly, 0 for components that are not active.
std::vector<std::size_t> split_quota(const Shares& shares, std::size_t limit, Allocation allocation,
                                     std::uint64_t seed);

}  // namespace tessera::retrieval
