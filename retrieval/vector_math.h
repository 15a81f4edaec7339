#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/metric.h"

namespace tessera::retrieval {

/// Vectors are combined in double precision: the squares of any two floats and sums over any
/// dimension stay finite, so that only the way back to float can overflow.
using Wide = std::vector<double>;

/// sum += scale * vector.
void add_scaled(Wide& sum, std::span<const float> vector, double scale);
void add_scaled(Wide& sum, const Wide& vector, double scale);

[[nodiscard]] double inner_product(const Wide& a, const Wide& b);
[[nodiscard]] double norm(const Wide& vector);
/// Scales to unit length; false and unchanged for a zero vector.
bool make_unit(Wide& vector);
/// Whether a sum of unit vectors, with weights about 1, has a direction: what is left where they
/// cancel each other out is rounding.
[[nodiscard]] bool has_direction(const Wide& sum);
[[nodiscard]] Wide widen(std::span<const float> vector);
/// The unit vector of the same direction; of a zero vector, zeros.
[[nodiscard]] Wide unit(std::span<const float> vector);
/// nullopt when a value is beyond the range of float.
[[nodiscard]] std::optional<std::vector<float>> narrow(const Wide& vector);

/// Cosine of the angle. For zero vectors: 1 when both are, else 0.
[[nodiscard]] double cosine(const Wide& a, const Wide& b);
/// How far apart two vectors are, smaller is nearer: 1 - cosine for Cosine, L1 for Manhattan, L2
/// for Euclid and also for Dot, whose inner product is no distance (it favours long vectors).
[[nodiscard]] double separation(Metric metric, const Wide& a, const Wide& b);

}  // namespace tessera::retrieval
