#include "index/ivf_effort.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "index/kernels.h"
#include "index/nearest_rows.h"
#include "index/parallel.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kQueryCount = 200;
constexpr std::size_t kNeighbourCount = 10;
// Queries that share one pass over the rows.
constexpr std::size_t kQueryBlock = 25;
constexpr std::size_t kRowTile = 256;
constexpr std::size_t kCancelTiles = 256;
// The lists must hold, and the candidates keep of what the lists hold, such a share that their
// product is 95 %. More for the lists: real queries lie further from the centroids than rows.
constexpr double kCoverage = 0.97;
constexpr double kKept = 0.98;
constexpr std::size_t kRerankGrowthMax = 16;

/// The sampled rows and, for each, its nearest other rows in order.
struct Sample {
  std::vector<std::uint32_t> queries;
  std::vector<std::vector<RowHit>> neighbours;
  [[nodiscard]] std::size_t neighbour_count() const {
    std::size_t count = 0;
    for (const auto& each : neighbours) count += each.size();
    return count;
  }
};

Status find_exact(const IvfData& data, const BuildControl& control, std::size_t block,
                  Sample& sample) {
  const std::size_t first = block * kQueryBlock;
  const std::size_t end = std::min(first + kQueryBlock, sample.queries.size());
  const VectorSpan rows = data.rows;
  std::vector<NearestRows> nearest(end - first, NearestRows(kNeighbourCount));
  std::array<float, kRowTile> found;
  const std::vector<float> queries =
      gather_rows(rows, {sample.queries.begin() + static_cast<std::ptrdiff_t>(first),
                         sample.queries.begin() + static_cast<std::ptrdiff_t>(end)});
  for (std::size_t row = 0; row < rows.row_count; row += kRowTile) {
    if (control.cancel != nullptr && row % (kRowTile * kCancelTiles) == 0) {
      TESSERA_RETURN_IF_ERROR(control.cancel->check());
    }
    const std::size_t count = std::min(kRowTile, rows.row_count - row);
    for (std::size_t query = first; query < end; ++query) {
      const std::uint32_t query_row = sample.queries[query];
      distances(data.metric, queries.data() + (query - first) * rows.dim, rows.part(row, count),
                found.data());
      for (std::size_t i = 0; i < count; ++i) {
        const auto id = static_cast<std::uint32_t>(row + i);
        if (id != query_row) nearest[query - first].offer({found[i], id});
      }
    }
  }
  for (std::size_t query = first; query < end; ++query) {
    nearest[query - first].drain(sample.neighbours[query]);
  }
  return {};
}

/// The least number of lists that hold `kCoverage` of all neighbours, and the share they do hold.
struct Probes {
  std::size_t count = 1;
  double coverage = 1;
};

Probes choose_probes(const IndexSpec& spec, const IvfData& data, const Sample& sample) {
  const std::size_t list_count = data.lists.list_count();
  std::vector<std::uint32_t> list_of(data.rows.row_count);
  for (std::size_t list = 0; list < list_count; ++list) {
    for (std::size_t i = data.lists.begins[list]; i < data.lists.begins[list + 1]; ++i) {
      list_of[data.lists.row_ids[i]] = static_cast<std::uint32_t>(list);
    }
  }
  std::vector<std::size_t> found_at(list_count);  // Neighbours in the list of each rank.
  std::vector<float> found(list_count);
  std::vector<RowHit> order(list_count);
  std::vector<std::size_t> rank_of(list_count);
  RowReader row_of(data.rows);
  for (std::size_t query = 0; query < sample.queries.size(); ++query) {
    distances(data.list_metric(), row_of(sample.queries[query]), data.lists.centroids.data(),
              list_count, data.rows.dim, found.data());
    for (std::size_t list = 0; list < list_count; ++list) {
      order[list] = {found[list], static_cast<std::uint32_t>(list)};
    }
    std::sort(order.begin(), order.end());
    for (std::size_t rank = 0; rank < list_count; ++rank) rank_of[order[rank].row] = rank;
    for (const RowHit& hit : sample.neighbours[query]) ++found_at[rank_of[list_of[hit.row]]];
  }
  const auto total = static_cast<double>(sample.neighbour_count());
  Probes probes;
  std::size_t covered = found_at[0];
  const std::size_t wanted = std::min<std::size_t>(spec.probe_count, list_count);
  const auto is_enough = [&] {
    return wanted > 0 ? probes.count == wanted : static_cast<double>(covered) >= kCoverage * total;
  };
  while (probes.count < list_count && !is_enough()) covered += found_at[probes.count++];
  probes.coverage = static_cast<double>(covered) / total;
  return probes;
}

/// The share of the neighbours that searches with `effort` find; an equally near row counts.
Result<double> measure_recall(const IvfData& data, const IvfCodes& codes, IvfEffort effort,
                              const Sample& sample, const BuildControl& control) {
  std::vector<std::size_t> found_counts(sample.queries.size());
  const auto search = [&](std::size_t query, std::size_t /*worker*/) -> Status {
    const auto& exact = sample.neighbours[query];
    std::vector<RowHit> hits;
    SearchStats stats;
    RowReader row_of(data.rows);
    TESSERA_RETURN_IF_ERROR(
        IvfSearch(data, codes, effort)
            .run(row_of(sample.queries[query]), exact.size() + 1, {}, control.cancel, hits, stats));
    std::size_t& found = found_counts[query];
    for (const RowHit& hit : hits) {
      const bool is_other = hit.row != sample.queries[query];
      found += is_other && hit.distance <= exact.back().distance ? 1 : 0;
    }
    found = std::min(found, exact.size());
    return {};
  };
  BuildControl quiet = control;
  quiet.progress = {};
  TESSERA_RETURN_IF_ERROR(run_blocks("ivf tuning", sample.queries.size(), quiet, search));
  const auto found = std::accumulate(found_counts.begin(), found_counts.end(), std::size_t{0});
  return static_cast<double>(found) / static_cast<double>(sample.neighbour_count());
}

}  // namespace

Result<IvfEffort> choose_effort(const IndexSpec& spec, const IvfData& data, const IvfCodes& codes,
                                const BuildControl& control) {
  IvfEffort effort{1, codes.rerank_factor()};
  // A row alone has no neighbours to find.
  if (data.rows.row_count < 2) return effort;
  Sample sample;
  sample.queries = sample_row_ids(data.rows.row_count, kQueryCount, spec.seed);
  sample.neighbours.resize(sample.queries.size());
  const auto exact = [&](std::size_t block, std::size_t /*worker*/) {
    return find_exact(data, control, block, sample);
  };
  const std::size_t block_count = (sample.queries.size() + kQueryBlock - 1) / kQueryBlock;
  TESSERA_RETURN_IF_ERROR(run_blocks("ivf tuning", block_count, control, exact));

  const Probes probes = choose_probes(spec, data, sample);
  effort.probe_count = probes.count;
  if (codes.code_bytes() == 0) return effort;
  for (std::size_t growth = 1;; growth *= 2) {
    effort.rerank_factor = growth * codes.rerank_factor();
    TESSERA_ASSIGN_OR_RETURN(const double recall,
                             measure_recall(data, codes, effort, sample, control));
    if (recall >= kKept * probes.coverage || growth >= kRerankGrowthMax) return effort;
  }
}

}  // namespace tessera::index
