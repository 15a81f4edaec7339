#pragma once

#include <cstdint>

namespace tessera {

/// How two dense vectors are compared. Values are stored on disk: never renumber.
enum class Metric : std::uint8_t {
  kCosine = 0,     ///< Score is the inner product of unit vectors, higher is nearer.
  kEuclid = 1,     ///< Score is the plain (rooted) distance, lower is nearer.
  kDot = 2,        ///< Score is the inner product, higher is nearer.
  kManhattan = 3,  ///< Score is the sum of absolute differences, lower is nearer.
};

/// The dialect's spelling: "Cosine", "Euclid", "Dot", "Manhattan".
inline const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return "Cosine";
    case Metric::kEuclid:
      return "Euclid";
    case Metric::kDot:
      return "Dot";
    case Metric::kManhattan:
      return "Manhattan";
  }
  return "unknown";
}

inline bool higher_is_nearer(Metric metric) {
  return metric == Metric::kCosine || metric == Metric::kDot;
}

}  // namespace tessera
