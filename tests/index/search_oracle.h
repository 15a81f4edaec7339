#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "index/ann_index.h"
#include "index/kernels.h"
#include "tests/datasets/dataset.h"

namespace tessera::index {

inline VectorSpan span_of(const testing::Matrix& matrix) {
  return {matrix.values.data(), matrix.row_count, matrix.dim};
}

/// The k nearest allowed rows by brute force in double precision, nearest first.
inline std::vector<RowHit> nearest_by_brute_force(Metric metric, const testing::Matrix& rows,
                                                  const float* query, std::size_t k,
                                                  const RowFilter& filter = {}) {
  struct Candidate {
    double distance;
    std::uint32_t row;
  };
  std::vector<Candidate> candidates;
  for (std::uint32_t i = 0; i < rows.row_count; ++i) {
    if (!filter.allows(i)) continue;
    const float* row = rows.row(i);
    double sum = 0;
    for (std::size_t j = 0; j < rows.dim; ++j) {
      const double a = query[j], b = row[j];
      switch (metric) {
        case Metric::kCosine:
        case Metric::kDot:
          sum -= a * b;
          break;
        case Metric::kEuclid:
          sum += (a - b) * (a - b);
          break;
        case Metric::kManhattan:
          sum += std::fabs(a - b);
          break;
      }
    }
    candidates.push_back({sum, i});
  }
  const std::size_t count = std::min(k, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count),
                    candidates.end(), [](const Candidate& a, const Candidate& b) {
                      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
                    });
  std::vector<RowHit> nearest;
  for (std::size_t i = 0; i < count; ++i) {
    nearest.push_back({static_cast<float>(candidates[i].distance), candidates[i].row});
  }
  return nearest;
}

/// Share of `truth` found. Rows at the distance of the last true one count as found, whichever of
/// several equally near rows they are.
inline double recall(const std::vector<RowHit>& truth, const std::vector<RowHit>& found) {
  if (truth.empty()) return 1;
  const float bound = truth.back().distance + 1e-5F * (1 + std::fabs(truth.back().distance));
  std::size_t near_count = 0;
  for (const RowHit& hit : found) near_count += hit.distance <= bound ? 1 : 0;
  return static_cast<double>(std::min(near_count, truth.size())) /
         static_cast<double>(truth.size());
}

/// What every answer must be: sorted, without repetition, allowed, with exact distances.
inline bool is_sound(Metric metric, const testing::Matrix& rows, const float* query,
                     const std::vector<RowHit>& hits, const RowFilter& filter = {}) {
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (hits[i].row >= rows.row_count || !seen.insert(hits[i].row).second) return false;
    if (!filter.allows(hits[i].row)) return false;
    if (hits[i].distance != distance(metric, query, rows.row(hits[i].row), rows.dim)) return false;
    if (i > 0 && !(hits[i - 1] < hits[i])) return false;
  }
  return true;
}

/// Owns the arrays of a RowFilter.
struct FilterArrays {
  std::vector<std::atomic<std::uint64_t>> dead_words;
  std::vector<std::uint32_t> slots;
  std::vector<std::uint64_t> slot_words;

  explicit FilterArrays(std::size_t row_count)
      : dead_words(row_count / 64 + 1), slots(row_count), slot_words(row_count / 64 + 1) {
    // Slots run backwards, so that a mix-up of rows and slots shows.
    for (std::uint32_t i = 0; i < row_count; ++i) {
      slots[i] = static_cast<std::uint32_t>(row_count) - 1 - i;
    }
  }
  void kill(std::uint32_t row) { dead_words[row / 64].fetch_or(1ULL << (row % 64)); }
  void allow(std::uint32_t row) { slot_words[slots[row] / 64] |= 1ULL << (slots[row] % 64); }
  [[nodiscard]] RowFilter dead() const { return {dead_words.data(), nullptr, nullptr, 0}; }
  [[nodiscard]] RowFilter slotted() const {
    return {nullptr, slots.data(), slot_words.data(), slot_words.size()};
  }
  [[nodiscard]] RowFilter both() const {
    return {dead_words.data(), slots.data(), slot_words.data(), slot_words.size()};
  }
};

}  // namespace tessera::index
