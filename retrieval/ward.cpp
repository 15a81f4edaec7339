#include "retrieval/ward.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "index/kernels.h"

namespace tessera::retrieval {
namespace {

/// Distances of every two clusters, squared and scaled as Ward's heights are; a union takes the
/// place of its first part.
class Heights {
 public:
  explicit Heights(index::VectorSpan rows)
      : count_(rows.row_count), values_(count_ * (count_ - std::min<std::size_t>(count_, 1)) / 2) {
    for (std::size_t i = 1; i < count_; ++i) {
      index::distances(Metric::kEuclid, rows.float_row(i), rows.float_row(0), i, rows.dim,
                       values_.data() + i * (i - 1) / 2);
    }
    // Squares of extreme rows overflow; a bound keeps what is computed from them finite.
    for (float& value : values_) value = std::min(value, kGreatest);
  }

  [[nodiscard]] float between(std::size_t a, std::size_t b) const { return values_[place(a, b)]; }

  /// Lance and Williams (1967): the height of (a, b) with c from those of its parts.
  void unite(std::size_t a, std::size_t b, const std::vector<std::size_t>& sizes,
             const std::vector<std::size_t>& others) {
    const auto size_a = static_cast<double>(sizes[a]);
    const auto size_b = static_cast<double>(sizes[b]);
    const double apart = between(a, b);
    for (const std::size_t c : others) {
      if (c == a || c == b) continue;
      const auto size_c = static_cast<double>(sizes[c]);
      const double sum =
          (size_a + size_c) * between(a, c) + (size_b + size_c) * between(b, c) - size_c * apart;
      const double height = sum / (size_a + size_b + size_c);
      values_[place(a, c)] = static_cast<float>(std::clamp(height, 0.0, double{kGreatest}));
    }
  }

 private:
  static constexpr float kGreatest = std::numeric_limits<float>::max();

  static std::size_t place(std::size_t a, std::size_t b) {
    const std::size_t larger = std::max(a, b);
    return larger * (larger - 1) / 2 + std::min(a, b);
  }

  const std::size_t count_;
  std::vector<float> values_;
};

struct Union {
  std::size_t first = 0;  ///< Any row of each part.
  std::size_t second = 0;
  double height = 0;
};

/// Every union up to the last cluster, the lowest first. A chain goes from a cluster to its
/// nearest, and from there on, until two are each other's nearest (Murtagh, 1983): for Ward's
/// heights these are the unions that the search for the lowest of all pairs would make.
std::vector<Union> unions_of(index::VectorSpan rows) {
  Heights heights(rows);
  std::vector<std::size_t> sizes(rows.row_count, 1);
  std::vector<std::size_t> active(rows.row_count);
  std::iota(active.begin(), active.end(), std::size_t{0});
  std::vector<std::size_t> chain;
  std::vector<Union> unions;
  while (active.size() > 1) {
    if (chain.empty()) chain.push_back(active.front());
    const std::size_t top = chain.back();
    const bool has_previous = chain.size() > 1;
    // Of equally near ones the previous link, so that the chain ends.
    std::size_t nearest = has_previous ? chain[chain.size() - 2] : active.size();
    float least =
        has_previous ? heights.between(top, nearest) : std::numeric_limits<float>::infinity();
    bool is_found = has_previous;
    for (const std::size_t other : active) {
      if (other == top) continue;
      const float height = heights.between(top, other);
      if (is_found && !(height < least)) continue;
      nearest = other;
      least = height;
      is_found = true;
    }
    if (!has_previous || nearest != chain[chain.size() - 2]) {
      chain.push_back(nearest);
      continue;
    }
    chain.resize(chain.size() - 2);
    const std::size_t kept = std::min(top, nearest);
    const std::size_t gone = std::max(top, nearest);
    unions.push_back({kept, gone, std::sqrt(static_cast<double>(least))});
    heights.unite(kept, gone, sizes, active);
    sizes[kept] += sizes[gone];
    active.erase(std::lower_bound(active.begin(), active.end(), gone));
    // Rounding may let a chain meet itself: it must not go on from a cluster that is no more.
    const bool is_stale = std::any_of(
        chain.begin(), chain.end(), [&](std::size_t link) { return link == kept || link == gone; });
    if (is_stale) chain.clear();
  }
  std::stable_sort(unions.begin(), unions.end(),
                   [](const Union& a, const Union& b) { return a.height < b.height; });
  return unions;
}

/// The representative of a row's cluster; shortens the way for the next call.
std::size_t root_of(std::vector<std::size_t>& parents, std::size_t row) {
  while (parents[row] != row) {
    parents[row] = parents[parents[row]];
    row = parents[row];
  }
  return row;
}

/// Rows for Ward: directions where the metric compares directions.
std::vector<float> comparable_rows(const std::vector<HistoryItem>& history, std::size_t begin,
                                   Metric metric) {
  std::vector<float> rows;
  rows.reserve((history.size() - begin) * history.front().vector.size());
  for (std::size_t i = begin; i < history.size(); ++i) {
    const auto& vector = history[i].vector;
    rows.insert(rows.end(), vector.begin(), vector.end());
    if (higher_is_nearer(metric)) {
      (void)index::normalise({rows.data() + rows.size() - vector.size(), vector.size()});
    }
  }
  return rows;
}

/// Items before `begin` join the cluster with the nearest mean; `clusters` holds those of the rest.
std::vector<std::uint32_t> with_older(const std::vector<float>& rows, std::size_t dim,
                                      std::size_t begin, const std::vector<std::uint32_t>& newest) {
  const std::size_t count = *std::max_element(newest.begin(), newest.end()) + std::size_t{1};
  std::vector<Wide> sums(count, Wide(dim, 0));
  std::vector<double> sizes(count, 0);
  for (std::size_t i = 0; i < newest.size(); ++i) {
    add_scaled(sums[newest[i]], std::span(rows).subspan((begin + i) * dim, dim), 1);
    ++sizes[newest[i]];
  }
  index::Clusters means{Metric::kEuclid, dim, {}};
  for (std::size_t c = 0; c < count; ++c) {
    for (const double sum : sums[c]) means.centroids.push_back(static_cast<float>(sum / sizes[c]));
  }
  std::vector<std::uint32_t> clusters(begin);
  index::assign_clusters(means, {rows.data(), begin, dim}, clusters.data());
  clusters.insert(clusters.end(), newest.begin(), newest.end());
  return clusters;
}

}  // namespace

std::vector<std::uint32_t> ward_clusters(index::VectorSpan rows, const WardOptions& options) {
  std::vector<std::size_t> parents(rows.row_count);
  std::iota(parents.begin(), parents.end(), std::size_t{0});
  std::size_t count = rows.row_count;
  for (const Union& merged : unions_of(rows)) {
    const bool is_wanted = options.threshold ? merged.height <= *options.threshold
                                             : count > options.count_max || merged.height == 0;
    if (!is_wanted) break;
    parents[root_of(parents, merged.second)] = root_of(parents, merged.first);
    --count;
  }
  constexpr auto kUnnumbered = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> numbers(rows.row_count, kUnnumbered);
  std::vector<std::uint32_t> clusters(rows.row_count);
  std::uint32_t next = 0;
  for (std::size_t row = 0; row < rows.row_count; ++row) {
    std::uint32_t& number = numbers[root_of(parents, row)];
    if (number == kUnnumbered) number = next++;
    clusters[row] = number;
  }
  return clusters;
}

std::vector<InterestGroup> group_by_ward(const std::vector<HistoryItem>& history,
                                         std::optional<double> half_life_seconds, Metric metric,
                                         const WardOptions& options) {
  if (history.empty()) return {};
  const std::size_t dim = history.front().vector.size();
  const std::size_t begin = history.size() - std::min(history.size(), kWardItemsMax);
  const std::vector<float> rows = comparable_rows(history, 0, metric);
  std::vector<std::uint32_t> clusters =
      ward_clusters({rows.data() + begin * dim, history.size() - begin, dim}, options);
  if (begin > 0) clusters = with_older(rows, dim, begin, clusters);
  return groups_of(history, decayed_weights(history, half_life_seconds), clusters);
}

}  // namespace tessera::retrieval
