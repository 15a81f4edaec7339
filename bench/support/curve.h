#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace tessera::bench {

/// Recall and speed of one setting.
struct CurvePoint {
  double recall = 0;
  double per_second = 0;
  bool operator==(const CurvePoint&) const = default;
};

/// The points that no other point beats in recall and speed, slowest (highest recall) last.
std::vector<CurvePoint> best_points(std::vector<CurvePoint> points);

/// Speed at `recall`, log-linear between the two best points around it. Below the recall of the
/// fastest point it is that point's speed; above the best recall there is none.
std::optional<double> speed_at(const std::vector<CurvePoint>& points, double recall);

/// The recall of the fastest of the best points: less than that costs the same. 0 without points.
double smallest_recall(const std::vector<CurvePoint>& points);

/// The recalls to compare at, and after them `common`, the least that all sides can have, where it
/// lies above the first of them and is not one of them.
std::vector<double> with_common(std::vector<double> recalls, double common);

/// 0 without values.
double median(std::vector<double> values);

/// A ratio measured once a round.
struct RoundRatio {
  double middle = 0;  ///< The median; 0: a side has no value.
  double low = 0;
  double high = 0;
};

/// Of values measured in the same rounds.
RoundRatio ratio_of(const std::vector<double>& numerators, const std::vector<double>& denominators);

}  // namespace tessera::bench
