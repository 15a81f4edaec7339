#include "bench/support/workload.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "bench/support/watch.h"
#include "index/ann_index.h"
#include "index/kernels.h"

namespace tessera::bench {
namespace {

constexpr std::size_t kGeneratedRowCount = 200'000;

testing::Matrix value_or_fail(Result<testing::Matrix> result) {
  if (result.has_error()) throw Failure(result.error().to_string());
  return std::move(*result);
}

void generate(Workload& workload, std::size_t row_count, std::size_t query_count) {
  workload.metric = Metric::kCosine;
  testing::ClusterShape shape;
  shape.row_count = row_count;
  shape.dim = 128;
  shape.cluster_count = 1000;
  shape.spread = 0.5F;
  shape.is_unit = true;
  workload.rows = testing::clustered_rows(shape);
  shape.row_count = query_count;
  shape.sample = 1;
  workload.queries = testing::clustered_rows(shape);
}

}  // namespace

double Workload::recall(const std::vector<std::vector<std::uint32_t>>& found) const {
  return recall(found, bounds);
}

std::vector<float> Workload::bounds_of(const std::vector<std::vector<std::uint32_t>>& exact) const {
  std::vector<float> result;
  for (std::size_t query = 0; query < exact.size(); ++query) {
    if (exact[query].size() != kRecallK) throw Failure("an exact answer is short");
    result.push_back(
        index::distance(metric, queries.row(query), rows.row(exact[query].back()), rows.dim));
  }
  return result;
}

double Workload::recall(const std::vector<std::vector<std::uint32_t>>& found,
                        const std::vector<float>& true_bounds) const {
  std::size_t near_count = 0;
  for (std::size_t query = 0; query < found.size(); ++query) {
    // The daemon may have scaled vectors that are scaled here already: the last bits may differ.
    const float bound = true_bounds[query] + 1e-5F * std::fabs(true_bounds[query]);
    std::size_t query_near_count = 0;
    for (const std::uint32_t row : found[query]) {
      const float distance = index::distance(metric, queries.row(query), rows.row(row), rows.dim);
      query_near_count += distance <= bound ? 1 : 0;
    }
    near_count += std::min(query_near_count, kRecallK);
  }
  return static_cast<double>(near_count) / static_cast<double>(found.size() * kRecallK);
}

Workload load_workload(std::string_view name, std::size_t row_count_max, std::size_t query_count) {
  Workload workload;
  workload.name = name;
  if (name == "clustered") {
    generate(workload, std::min(row_count_max, kGeneratedRowCount), query_count);
    return workload;
  }
  const auto directory = testing::data_directory();
  if (!directory) throw Failure("there is no data directory: set TESSERA_DATA_DIR");
  if (name == "mnist") {
    const auto folder = *directory / "mnist";
    workload.rows = value_or_fail(testing::read_idx_images(
        folder / "train-images-reconstructed-idx3-ubyte.gz", row_count_max));
    workload.queries =
        value_or_fail(testing::read_idx_images(folder / "t10k-images-idx3-ubyte.gz", query_count));
  } else if (name == "text-768") {
    const auto folder = *directory / "text-768";
    workload.metric = Metric::kCosine;
    workload.rows = value_or_fail(testing::read_npy(folder / "base.npy", row_count_max));
    workload.queries = value_or_fail(testing::read_npy(folder / "queries.npy", query_count));
    for (testing::Matrix* matrix : {&workload.rows, &workload.queries}) {
      for (std::size_t i = 0; i < matrix->row_count; ++i) {
        index::normalise({matrix->row(i), matrix->dim});
      }
    }
  } else {
    throw Failure("--data: '" + std::string(name) + "' is not one of clustered, mnist, text-768");
  }
  return workload;
}

void find_truth(Workload& workload) {
  const testing::Matrix& rows = workload.rows;
  index::IndexSpec spec;
  spec.type = index::IndexType::kFlat;
  spec.codes = index::CodeType::kNone;
  const auto flat =
      index::build_index(spec, workload.metric, {rows.values.data(), rows.row_count, rows.dim}, {});
  if (flat.has_error()) throw Failure(flat.error().to_string());
  workload.bounds.clear();
  for (std::size_t query = 0; query < workload.queries.row_count; ++query) {
    std::vector<index::RowHit> hits;
    index::SearchStats stats;
    index::SearchOptions options;
    options.k = kRecallK;
    const Status status = (*flat)->search(workload.queries.row(query), options, {}, hits, stats);
    if (!status.ok()) throw Failure(status.to_string());
    if (hits.size() != kRecallK) throw Failure("an exact answer is short");
    workload.bounds.push_back(hits.back().distance);
  }
}

void append_vector(std::string& text, const float* values, std::size_t dim) {
  char number[32];
  text += '[';
  for (std::size_t i = 0; i < dim; ++i) {
    if (i > 0) text += ',';
    text.append(number, std::to_chars(number, number + sizeof(number), values[i]).ptr);
  }
  text += ']';
}

}  // namespace tessera::bench
