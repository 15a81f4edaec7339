#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "index/ann_index_impl.h"
#include "index/centroid_assigner.h"
#include "index/clustering.h"
#include "index/guarded_call.h"
#include "index/ivf_codes.h"
#include "index/ivf_effort.h"
#include "index/ivf_index.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kListCountMax = 65536;
constexpr std::size_t kRowsPerListMin = 39;
// Lists need not be optimal: twice the iterations double the time of a build and spare a search at
// most a twentieth of its rows.
constexpr std::size_t kTrainingRowsPerList = 64;
constexpr std::uint32_t kTrainingIterations = 10;

/// Reports [begin, end] of the whole for the work it is handed to.
BuildControl part_of(const BuildControl& control, std::size_t row_count, double begin, double end) {
  BuildControl part = control;
  if (!control.progress) return part;
  part.progress = [&control, row_count, begin, end](std::size_t done, std::size_t total) {
    const double share = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
    const double rows = (begin + (end - begin) * share) * static_cast<double>(row_count);
    control.progress(std::min(row_count, static_cast<std::size_t>(rows)), row_count);
  };
  return part;
}

std::uint32_t list_count_for(const IndexSpec& spec, std::size_t row_count) {
  std::size_t count = spec.list_count;
  if (count == 0) {
    count = static_cast<std::size_t>(std::round(4 * std::sqrt(static_cast<double>(row_count))));
  }
  count = std::min({count, kListCountMax, row_count / kRowsPerListMin});
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, count));
}

Status train_lists(const IndexSpec& spec, const BuildControl& control, IvfData& data) {
  const std::uint32_t list_count = list_count_for(spec, data.rows.row_count);
  const ClusterOptions options{
      .count = list_count, .iterations = kTrainingIterations, .seed = spec.seed};
  std::vector<float> sample;
  VectorSpan training_rows = data.rows;
  if (const std::size_t sample_count = list_count * kTrainingRowsPerList;
      sample_count < data.rows.row_count) {
    sample = gather_rows(data.rows, sample_row_ids(data.rows.row_count, sample_count, spec.seed));
    training_rows = {sample.data(), sample_count, data.rows.dim};
  }
  TESSERA_ASSIGN_OR_RETURN(
      Clusters clusters, train_clusters(training_rows, data.assignment_metric(), options, control));
  data.lists.centroids = std::move(clusters.centroids);
  return {};
}

Status fill_lists(const BuildControl& control, IvfData& data) {
  const VectorSpan rows = data.rows;
  const std::size_t list_count = data.lists.centroids.size() / rows.dim;
  std::vector<std::uint32_t> list_of(rows.row_count);
  const CentroidAssigner assigner(data.assignment_metric(), data.lists.centroids.data(), list_count,
                                  rows.dim);
  const auto found = [&](std::size_t row, std::uint32_t list) { list_of[row] = list; };
  std::size_t reported = 0;
  const auto progress = [&](std::size_t done) {
    if (!control.progress || done < reported + rows.row_count / 100) return;
    reported = done;
    control.progress(done, rows.row_count);
  };
  TESSERA_RETURN_IF_ERROR(assigner.assign(rows, control, found, progress));

  std::vector<std::uint32_t>& begins = data.lists.begins;
  begins.assign(list_count + 1, 0);
  for (const std::uint32_t list : list_of) ++begins[list + 1];
  for (std::size_t list = 0; list < list_count; ++list) begins[list + 1] += begins[list];
  std::vector<std::uint32_t> next(begins.begin(), begins.end() - 1);
  data.lists.row_ids.resize(rows.row_count);
  for (std::size_t row = 0; row < rows.row_count; ++row) {
    data.lists.row_ids[next[list_of[row]]++] = static_cast<std::uint32_t>(row);
  }
  return {};
}

IndexResult build(const IndexSpec& spec, Metric metric, VectorSpan rows,
                  const BuildControl& control) {
  if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
  auto data = std::make_unique<IvfData>();
  data->metric = metric;
  data->rows = rows;
  const std::size_t row_count = rows.row_count;
  if (row_count > 0) {
    TESSERA_RETURN_IF_ERROR(train_lists(spec, part_of(control, row_count, 0, 0.5), *data));
    TESSERA_RETURN_IF_ERROR(fill_lists(part_of(control, row_count, 0.5, 0.7), *data));
  }
  TESSERA_ASSIGN_OR_RETURN(auto codes,
                           build_codes(spec, *data, part_of(control, row_count, 0.7, 0.95)));
  IvfEffort effort{0, codes->rerank_factor()};
  if (row_count > 0) {
    TESSERA_ASSIGN_OR_RETURN(effort, choose_effort(spec, *data, *codes, control));
  }
  if (control.progress) control.progress(row_count, row_count);
  return std::make_unique<const IvfIndex>(spec, std::move(data), std::move(codes), effort);
}

}  // namespace

IndexResult build_ivf(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      const BuildControl& control) {
  if (spec.type == IndexType::kIvfPq && rows.dim > 0) {
    const auto segment_count = pq_segment_count(spec, rows.dim);
    if (segment_count.has_error()) return segment_count.error();
  }
  return guarded_call("ivf build", [&] { return build(spec, metric, rows, control); });
}

}  // namespace tessera::index
