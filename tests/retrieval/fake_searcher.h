#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/metric.h"
#include "retrieval/searcher.h"

namespace tessera::retrieval::testing {

using Rows = std::vector<std::vector<float>>;

/// Exhaustive search over rows in memory; a row's slot is its place and also stands for its id.
class FakeSearcher final : public Searcher {
 public:
  FakeSearcher(Metric metric, Rows rows) : metric_(metric), rows_(std::move(rows)) {}

  [[nodiscard]] Metric metric() const override { return metric_; }
  [[nodiscard]] std::size_t dim() const override { return rows_.front().size(); }

  Result<std::vector<Hit>> search(const Search& search) override {
    if (fail_at == search_count++) return Status(Code::kTimeout, "the deadline has passed");
    REQUIRE(search.vector.size() == dim());
    for (const float value : search.vector) REQUIRE(std::isfinite(value));
    std::vector<Hit> hits =
        ranking(search.vector, search.component_filter, search.excluded, search.cluster);
    if (hits.size() > search.limit) hits.resize(search.limit);
    hit_count += hits.size();
    return hits;
  }
  Result<std::vector<float>> vector_of(Slot slot) override {
    ++vector_count;
    return rows_.at(slot);
  }
  Result<std::vector<std::vector<std::string>>> categories_of(
      std::span<const Slot> slots) override {
    std::vector<std::vector<std::string>> found;
    for (const Slot slot : slots) found.push_back(categories.at(slot));
    return found;
  }
  [[nodiscard]] Status check() const override { return status; }
  [[nodiscard]] bool precedes(const Hit& a, const Hit& b) const override {
    if (a.score != b.score)
      return higher_is_nearer(metric_) ? a.score > b.score : a.score < b.score;
    return a.slot < b.slot;
  }

  /// Every row that matches, nearest first.
  [[nodiscard]] std::vector<Hit> ranking(std::span<const float> query, int filter = -1,
                                         const SlotSet* excluded = nullptr,
                                         std::optional<std::uint32_t> cluster = {}) const {
    std::vector<Hit> hits;
    for (Slot slot = 0; slot < rows_.size(); ++slot) {
      if (excluded != nullptr && excluded->contains(slot)) continue;
      if (matches && !matches(slot)) continue;
      if (cluster && clusters.at(slot) != *cluster) continue;
      if (filter >= 0 && !filters.at(static_cast<std::size_t>(filter))(slot)) continue;
      hits.push_back({slot, score(query, rows_[slot])});
    }
    std::sort(hits.begin(), hits.end(), [&](const Hit& a, const Hit& b) { return precedes(a, b); });
    return hits;
  }
  [[nodiscard]] const Rows& rows() const { return rows_; }

  std::function<bool(Slot)> matches;                 ///< The request's filter; empty: all.
  std::vector<std::function<bool(Slot)>> filters;    ///< Per-component filters.
  std::vector<std::uint32_t> clusters;               ///< Of the rows; for searches inside one.
  std::vector<std::vector<std::string>> categories;  ///< Of the rows.
  Status status;                                     ///< What check() says.
  std::size_t search_count = 0;
  std::size_t hit_count = 0;
  std::size_t vector_count = 0;
  std::size_t fail_at = SIZE_MAX;  ///< The number of the search that fails.

 private:
  [[nodiscard]] float score(std::span<const float> a, const std::vector<float>& b) const {
    double sum = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      const double x = a[i];
      const double y = b[i];
      switch (metric_) {
        case Metric::kCosine:
        case Metric::kDot:
          sum += x * y;
          break;
        case Metric::kEuclid:
          sum += (x - y) * (x - y);
          break;
        case Metric::kManhattan:
          sum += std::abs(x - y);
          break;
      }
    }
    return static_cast<float>(metric_ == Metric::kEuclid ? std::sqrt(sum) : sum);
  }

  Metric metric_;
  Rows rows_;
};

inline void make_unit(std::vector<float>& vector) {
  double sum = 0;
  for (const float value : vector) sum += static_cast<double>(value) * value;
  if (sum == 0) return;
  for (float& value : vector) value = static_cast<float>(value / std::sqrt(sum));
}

/// Rows around a few centres, unit vectors for Cosine; every tenth row repeats an earlier one and a
/// rare one is zero, so that ties and degenerate vectors occur.
inline Rows random_rows(std::mt19937_64& random, Metric metric, std::size_t count,
                        std::size_t dim) {
  std::normal_distribution<float> normal;
  Rows centres(4, std::vector<float>(dim));
  for (auto& centre : centres) {
    for (float& value : centre) value = normal(random);
  }
  Rows rows;
  while (rows.size() < count) {
    std::vector<float> row = centres[random() % centres.size()];
    for (float& value : row) value += 0.4F * normal(random);
    if (random() % 97 == 0) std::fill(row.begin(), row.end(), 0.0F);
    if (!rows.empty() && random() % 10 == 0) row = rows[random() % rows.size()];
    if (metric == Metric::kCosine) make_unit(row);
    rows.push_back(row);
  }
  return rows;
}

inline std::vector<Slot> slots_of(const std::vector<Hit>& hits) {
  std::vector<Slot> slots;
  for (const Hit& hit : hits) slots.push_back(hit.slot);
  return slots;
}
template <class Hits>
std::vector<Slot> slots_of(const Hits& hits) {
  std::vector<Slot> slots;
  for (const auto& hit : hits) slots.push_back(hit.hit.slot);
  return slots;
}

inline Metric metric_by_number(std::uint64_t number) {
  return static_cast<Metric>(number % 4);
}

}  // namespace tessera::retrieval::testing
