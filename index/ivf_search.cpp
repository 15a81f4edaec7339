#include "index/ivf_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "index/kernels.h"
#include "index/nearest_rows.h"

namespace tessera::index {
namespace {

// The probed lists are chosen for 10 rows wanted and no filter. So many rows are looked at for each
// row wanted; more under a filter, whose rows may lie anywhere.
constexpr std::size_t kOpenRowsPerWanted = 32;
constexpr std::size_t kFilteredRowsPerWanted = 96;
constexpr std::size_t kTile = 256;

/// Lists by the distance of their centroids, sorted only as far as they are asked for.
class ListOrder {
 public:
  ListOrder(const IvfData& data, const float* query, std::size_t first_step)
      : step_(std::max<std::size_t>(1, first_step)), order_(data.lists.list_count()) {
    std::vector<float> found(order_.size());
    distances(data.list_metric(), query, data.lists.centroids.data(), order_.size(), data.rows.dim,
              found.data());
    for (std::size_t list = 0; list < order_.size(); ++list) {
      order_[list] = {found[list], static_cast<std::uint32_t>(list)};
    }
  }

  /// `rank` goes up by one from call to call.
  RowHit at(std::size_t rank) {
    if (rank == sorted_count_) {
      sorted_count_ = std::min(order_.size(), sorted_count_ + step_);
      const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(rank);
      std::partial_sort(begin, order_.begin() + static_cast<std::ptrdiff_t>(sorted_count_),
                        order_.end());
      step_ = sorted_count_;
    }
    return order_[rank];
  }

 private:
  std::size_t step_;
  std::size_t sorted_count_ = 0;
  std::vector<RowHit> order_;  ///< With the list as its row.
};

}  // namespace

struct IvfSearch::Walk {
  Walk(const RowFilter& row_filter, std::unique_ptr<IvfScorer> list_scorer, std::size_t candidates)
      : filter(row_filter),
        is_open(row_filter.dead_words == nullptr && row_filter.slot_words == nullptr),
        scorer(std::move(list_scorer)),
        nearest(candidates) {}

  const RowFilter& filter;
  const bool is_open;  ///< Every row is allowed.
  const std::unique_ptr<IvfScorer> scorer;
  NearestRows nearest;  ///< By score.
  std::size_t allowed_count = 0;
  std::size_t scored_count = 0;
};

Status IvfSearch::run(const float* query, std::size_t k, const RowFilter& filter,
                      const CancelToken* cancel, std::vector<RowHit>& hits,
                      SearchStats& stats) const {
  const std::size_t row_count = data_.rows.row_count;
  k = std::min(k, row_count);
  if (k == 0) return {};
  const std::size_t candidate_count = std::min(
      row_count, effort_.rerank_factor > row_count / k ? row_count : k * effort_.rerank_factor);
  Walk walk(filter, codes_.scorer(query, data_), candidate_count);
  ListOrder order(data_, query, effort_.probe_count);
  // Under a filter the nearest allowed rows lie in lists further off. The search goes on until it
  // has looked at as many rows as without one, which also keeps its cost where it was.
  std::size_t allowed_target = k * (walk.is_open ? kOpenRowsPerWanted : kFilteredRowsPerWanted);
  std::size_t probed_row_count = 0;
  for (std::size_t rank = 0; rank < data_.lists.list_count(); ++rank) {
    if (rank >= effort_.probe_count && walk.allowed_count >= allowed_target) break;
    if (cancel != nullptr) TESSERA_RETURN_IF_ERROR(cancel->check());
    const auto [distance, list] = order.at(rank);
    walk.scorer->enter_list(distance);
    scan_list(list, walk);
    if (rank < effort_.probe_count) {
      probed_row_count += data_.lists.begins[list + 1] - data_.lists.begins[list];
      allowed_target = std::max(allowed_target, probed_row_count);
    }
  }
  stats.visited_count += walk.scored_count;
  if (codes_.code_bytes() == 0) {
    walk.nearest.drain(hits);
  } else {
    stats.reranked_count += rerank(query, k, walk, hits);
  }
  return {};
}

void IvfSearch::scan_list(std::size_t list, Walk& walk) const {
  const std::uint32_t* const row_ids = data_.lists.row_ids.data();
  const std::size_t end = data_.lists.begins[list + 1];
  std::array<float, kTile> scores;
  std::array<std::uint32_t, kTile> allowed;
  for (std::size_t first = data_.lists.begins[list]; first < end; first += kTile) {
    const std::size_t count = std::min(kTile, end - first);
    std::size_t allowed_count = 0;
    for (std::size_t position = first; position < first + count; ++position) {
      allowed[allowed_count] = static_cast<std::uint32_t>(position);
      allowed_count += walk.is_open || walk.filter.allows(row_ids[position]) ? 1 : 0;
    }
    if (allowed_count == 0) continue;
    // Codes side by side are scored faster than picked ones, and up to a half may be in vain.
    const bool scores_all = allowed_count * 2 >= count;
    if (scores_all) {
      walk.scorer->score_range(first, count, scores.data());
    } else {
      walk.scorer->score_at({allowed.data(), allowed_count}, scores.data());
    }
    walk.scored_count += scores_all ? count : allowed_count;
    walk.allowed_count += allowed_count;
    for (std::size_t i = 0; i < allowed_count; ++i) {
      float score = scores[scores_all ? allowed[i] - first : i];
      // Codes of extreme rows may add up to no number; such a row is a candidate like the farthest.
      if (std::isnan(score)) score = std::numeric_limits<float>::infinity();
      if (score <= walk.nearest.bound()) walk.nearest.offer({score, row_ids[allowed[i]]});
    }
  }
}

std::size_t IvfSearch::rerank(const float* query, std::size_t k, Walk& walk,
                              std::vector<RowHit>& hits) const {
  std::vector<RowHit> candidates;
  walk.nearest.drain(candidates);
  std::vector<std::uint32_t> row_ids(candidates.size());
  std::transform(candidates.begin(), candidates.end(), row_ids.begin(),
                 [](const RowHit& candidate) { return candidate.row; });
  std::vector<float> exact(candidates.size());
  distances_at(data_.metric, query, data_.rows, row_ids, exact.data());
  for (std::size_t i = 0; i < candidates.size(); ++i) candidates[i].distance = exact[i];
  const std::size_t kept_count = std::min(k, candidates.size());
  const auto kept_end = candidates.begin() + static_cast<std::ptrdiff_t>(kept_count);
  std::partial_sort(candidates.begin(), kept_end, candidates.end());
  hits.insert(hits.end(), candidates.begin(), kept_end);
  return candidates.size();
}

}  // namespace tessera::index
