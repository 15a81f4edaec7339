#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/metric.h"
#include "tests/datasets/dataset.h"

namespace tessera::bench {

/// The vectors of a run and the true answers to its queries.
struct Workload {
  std::string name;
  Metric metric = Metric::kEuclid;
  testing::Matrix rows;
  testing::Matrix queries;
  std::vector<float> bounds;  ///< A query's distance to its last true neighbour; one a query.

  /// Share of the true nearest kRecallK rows among those found: a row counts when it is as near as
  /// the last true one, so that equal rows stand in for each other. found[i] answers query i.
  [[nodiscard]] double recall(const std::vector<std::vector<std::uint32_t>>& found) const;
  /// The same with the bounds of other true answers.
  [[nodiscard]] double recall(const std::vector<std::vector<std::uint32_t>>& found,
                              const std::vector<float>& true_bounds) const;
  /// Bounds from true answers, nearest first, kRecallK each.
  [[nodiscard]] std::vector<float> bounds_of(
      const std::vector<std::vector<std::uint32_t>>& exact) const;
};

constexpr std::size_t kRecallK = 10;

/// "clustered" (200,000 x 128 unit vectors around 1,000 centres, Cosine, generated), "mnist"
/// (Euclid) or "text-768" (Cosine; both read from the data directory). Throws Failure. `bounds` is
/// left empty.
Workload load_workload(std::string_view name, std::size_t row_count_max, std::size_t query_count);

/// Fills the bounds of every query by exact scans.
void find_truth(Workload& workload);

/// Appends "[0.1,-2]": every number in its shortest text that reads back the same.
void append_vector(std::string& text, const float* values, std::size_t dim);

}  // namespace tessera::bench
