#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "engine/collection_impl.h"
#include "engine/jobs.h"
#include "index/clustering.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kTrainingRowsPerCluster = 256;
constexpr std::size_t kDriftSample = 2000;
constexpr std::uint32_t kClusterCountMin = 16;

/// Live rows of a view, copied: at most `sample` of them, chosen by seed, in row order.
std::vector<float> sample_rows(const FieldView& view, std::size_t dim, std::size_t sample,
                               std::uint64_t seed) {
  std::vector<const Segment*> segments;
  std::size_t live = 0;
  for (const auto& segment : view.sealed) segments.push_back(segment.get());
  for (const auto& segment : view.frozen) segments.push_back(segment.get());
  segments.push_back(view.growing.get());
  for (const Segment* segment : segments) live += segment->live_row_count();

  // Selection sampling (Knuth, vol. 2, 3.4.2 S): each row with the same chance, in one pass.
  std::mt19937_64 random(seed);
  std::vector<float> rows;
  rows.reserve(std::min(live, sample) * dim);
  std::size_t wanted = std::min(live, sample), left = live;
  for (const Segment* segment : segments) {
    for (std::uint32_t begin = 0; begin < segment->row_count() && wanted > 0;) {
      const RowBlock block = segment->block_at(begin);
      for (std::uint32_t i = 0; i < block.row_count && wanted > 0; ++i) {
        if (segment->dead().contains(block.first_row + i)) continue;
        const bool is_taken = left <= wanted || random() % left < wanted;
        if (left > 0) --left;
        if (!is_taken) continue;
        rows.resize(rows.size() + dim);
        index::copy_rows(block.vectors, i, 1, rows.data() + rows.size() - dim);
        --wanted;
      }
      begin = block.first_row + block.row_count;
    }
  }
  return rows;
}

std::vector<std::uint32_t> assign(const index::Clusters& clusters, const std::vector<float>& rows) {
  std::vector<std::uint32_t> assigned(rows.size() / clusters.dim);
  index::assign_clusters(clusters, {rows.data(), assigned.size(), clusters.dim}, assigned.data());
  return assigned;
}

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Status CollectionImpl::train_clusters(Field& field, const TrainClustersRequest& request,
                                      JobContext& context) {
  const VectorField::Identity& identity = field.vectors->identity();
  const auto view = field.vectors->view();
  const std::size_t row_count = field.vectors->row_count();
  const std::size_t expected_count =
      request.count > 0
          ? request.count
          : std::max<std::size_t>(
                kClusterCountMin,
                static_cast<std::size_t>(4 * std::sqrt(static_cast<double>(row_count))));
  const std::size_t sample = request.sample.value_or(expected_count * kTrainingRowsPerCluster);
  const std::vector<float> rows = sample_rows(*view, identity.dim, sample, request.seed);

  index::ClusterOptions options;
  options.count = request.count > 0 ? request.count : static_cast<std::uint32_t>(expected_count);
  options.iterations = request.iterations;
  options.seed = request.seed;
  index::BuildControl control;
  control.cancel = &context.cancel();
  control.thread_count = std::max(1U, std::thread::hardware_concurrency());
  control.progress = [&](std::size_t done, std::size_t total) { context.report(done, total); };

  auto trained = std::make_shared<TrainedClusters>();
  const index::VectorSpan span{rows.data(), rows.size() / identity.dim, identity.dim};
  TESSERA_ASSIGN_OR_RETURN(trained->clusters,
                           index::train_clusters(span, identity.metric, options, control));
  // Sizes are of all rows, not of the sample alone.
  const std::vector<float> all = sample_rows(*view, identity.dim, row_count, request.seed);
  const std::vector<std::uint32_t> assigned = assign(trained->clusters, all);
  TESSERA_RETURN_IF_ERROR(context.cancel().check());
  trained->info.sizes.assign(trained->clusters.count(), 0);
  for (const std::uint32_t cluster : assigned) ++trained->info.sizes[cluster];
  trained->mean_distance = mean_cluster_distance(
      trained->clusters, {all.data(), assigned.size(), identity.dim}, assigned);
  trained->info.count = static_cast<std::uint32_t>(trained->clusters.count());
  trained->info.trained_at_us = now_us();
  {
    SharedLock lock(field.clusters_mutex);
    trained->info.version = field.clusters == nullptr ? 1 : field.clusters->info.version + 1;
  }
  TESSERA_RETURN_IF_ERROR(
      storage::create_directories(shared_.directory.segment_directory(number_)));
  TESSERA_RETURN_IF_ERROR(save_clusters(clusters_path(*field.vectors), *trained));
  Lock lock(field.clusters_mutex);
  field.clusters = std::move(trained);
  return {};
}

Result<std::uint64_t> CollectionImpl::start_clusters(const TrainClustersRequest& request) {
  TESSERA_RETURN_IF_ERROR(check_open());
  TESSERA_ASSIGN_OR_RETURN(Field * field, this->field(request.vector));
  if (field->vectors->row_count() == 0) {
    return Status(Code::kInvalidArgument, "there are no vectors to cluster; add points first");
  }
  return shared_.jobs.start({"clusters", name_, "vector `" + request.vector + "`"},
                            [self = shared_from_this(), field, request](JobContext& context) {
                              TESSERA_RETURN_IF_ERROR(self->check_open());
                              return self->train_clusters(*field, request, context);
                            });
}

Result<ClustersInfo> CollectionImpl::clusters(const std::string& vector) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  TESSERA_ASSIGN_OR_RETURN(const Field* field, this->field(vector));
  std::shared_ptr<const TrainedClusters> trained;
  {
    SharedLock lock(field->clusters_mutex);
    trained = field->clusters;
  }
  if (trained == nullptr) {
    return Status(Code::kNotFound, "The collection has no item clusters for vector `" + vector +
                                       "` yet; POST to this path trains them");
  }
  ClustersInfo info = trained->info;
  info.vector = vector;
  const std::vector<float> rows =
      sample_rows(*field->vectors->view(), trained->clusters.dim, kDriftSample, info.version);
  if (!rows.empty() && trained->mean_distance > 0) {
    const std::vector<std::uint32_t> assigned = assign(trained->clusters, rows);
    const double now = mean_cluster_distance(
        trained->clusters, {rows.data(), assigned.size(), trained->clusters.dim}, assigned);
    info.drift = now / trained->mean_distance - 1;
  }
  return info;
}

}  // namespace tessera::engine
