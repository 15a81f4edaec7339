#include "retrieval/vector_math.h"

#include <cmath>
#include <limits>

namespace tessera::retrieval {

double inner_product(const Wide& a, const Wide& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(Wide& sum, std::span<const float> vector, double scale) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += scale * static_cast<double>(vector[i]);
}

void add_scaled(Wide& sum, const Wide& vector, double scale) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += scale * vector[i];
}

double norm(const Wide& vector) {
  return std::sqrt(inner_product(vector, vector));
}

bool make_unit(Wide& vector) {
  const double length = norm(vector);
  if (!(length > 0)) return false;
  for (double& value : vector) value /= length;
  return true;
}

bool has_direction(const Wide& sum) {
  constexpr double kRounding = 1e-6;
  return norm(sum) > kRounding;
}

Wide widen(std::span<const float> vector) {
  return {vector.begin(), vector.end()};
}

Wide unit(std::span<const float> vector) {
  Wide wide = widen(vector);
  make_unit(wide);
  return wide;
}

std::optional<std::vector<float>> narrow(const Wide& vector) {
  constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max());
  std::vector<float> values(vector.size());
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (!(std::abs(vector[i]) <= kLargest)) return std::nullopt;
    values[i] = static_cast<float>(vector[i]);
  }
  return values;
}

double cosine(const Wide& a, const Wide& b) {
  const double norm_a = norm(a);
  const double norm_b = norm(b);
  if (!(norm_a > 0) || !(norm_b > 0)) return norm_a == norm_b ? 1 : 0;
  const double value = inner_product(a, b) / norm_a / norm_b;
  return std::fmin(1, std::fmax(-1, value));
}

double separation(Metric metric, const Wide& a, const Wide& b) {
  double sum = 0;
  switch (metric) {
    case Metric::kCosine:
      return 1 - cosine(a, b);
    case Metric::kEuclid:
    case Metric::kDot:
      for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
      return std::sqrt(sum);
    case Metric::kManhattan:
      for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
      return sum;
  }
  return sum;
}

}  // namespace tessera::retrieval
