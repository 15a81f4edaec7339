#include "bench/support/curve.h"

#include <algorithm>
#include <cmath>

namespace tessera::bench {

std::vector<CurvePoint> best_points(std::vector<CurvePoint> points) {
  std::sort(points.begin(), points.end(), [](const CurvePoint& a, const CurvePoint& b) {
    return a.recall != b.recall ? a.recall > b.recall : a.per_second > b.per_second;
  });
  std::vector<CurvePoint> best;
  for (const CurvePoint& point : points) {
    if (best.empty() || point.per_second > best.back().per_second) best.push_back(point);
  }
  std::reverse(best.begin(), best.end());
  return best;
}

std::optional<double> speed_at(const std::vector<CurvePoint>& points, double recall) {
  const std::vector<CurvePoint> best = best_points(points);
  if (best.empty() || best.back().recall < recall) return std::nullopt;
  if (best.front().recall >= recall) return best.front().per_second;
  std::size_t above = 1;
  while (best[above].recall < recall) ++above;
  const CurvePoint &a = best[above - 1], &b = best[above];
  const double share = (recall - a.recall) / (b.recall - a.recall);
  return std::exp(std::log(a.per_second) * (1 - share) + std::log(b.per_second) * share);
}

double smallest_recall(const std::vector<CurvePoint>& points) {
  const std::vector<CurvePoint> best = best_points(points);
  return best.empty() ? 0 : best.front().recall;
}

std::vector<double> with_common(std::vector<double> recalls, double common) {
  constexpr double kSame = 0.0005;
  const bool is_known = std::any_of(recalls.begin(), recalls.end(), [&](double recall) {
    return std::fabs(recall - common) < kSame;
  });
  if (!recalls.empty() && common > recalls.front() && !is_known) recalls.push_back(common);
  return recalls;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

RoundRatio ratio_of(const std::vector<double>& numerators,
                    const std::vector<double>& denominators) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(numerators.size(), denominators.size()); ++i) {
    if (numerators[i] == 0 || denominators[i] == 0) return {};
    ratios.push_back(numerators[i] / denominators[i]);
  }
  if (ratios.empty()) return {};
  const auto [low, high] = std::minmax_element(ratios.begin(), ratios.end());
  return {median(ratios), *low, *high};
}

}  // namespace tessera::bench
