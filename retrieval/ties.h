#pragma once

#include <cmath>

namespace tessera::retrieval {

/// The one rule for which of two shares is larger: weights of a mixture that sum to 1, remainders
/// of seats, deficits of a merge. Such numbers are sums of doubles, and sums of the same numbers in
/// another order differ in the last bits; what differs by that alone is a tie, and the tie rules
/// decide, so that the same history gives the same answer however it was added up.
///
/// A share counts by its place on a grid of 1e-9, which is an order, as "nearer than 1e-9" is not.
/// The grid is shifted by an irrational part of its width, so that no simple fraction lies where
/// two places meet. Thread rule: pure.
inline double share_place(double share) {
  constexpr double kPlacesInOne = 1e9, kShift = 0.3819660112501051;
  return std::floor(share * kPlacesInOne + kShift);
}

/// Whether `a` is larger than `b` and no tie with it.
inline bool is_larger_share(double a, double b) {
  return share_place(a) > share_place(b);
}

}  // namespace tessera::retrieval
