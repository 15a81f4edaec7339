#include "index/clustering.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include <faiss/Clustering.h>
#include <faiss/Index.h>

#include "index/centroid_assigner.h"
#include "index/guarded_call.h"
#include "index/kernels.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kCountMin = 16;
constexpr std::size_t kCountMax = 65536;
// FAISS's own advice: fewer rows a centroid fit noise, more change nothing.
constexpr std::size_t kRowsPerCentroidMin = 39;
constexpr std::size_t kRowsPerCentroidMax = 256;
// Up to here the outcome depends on where k-means starts, and starting well costs little.
constexpr std::size_t kSeededCountMax = 256;
constexpr std::size_t kSeedingRowsPerCentroid = 64;
constexpr std::size_t kProgressCalls = 200;

std::size_t allowed_count(std::size_t row_count, std::uint32_t wanted) {
  std::size_t count = wanted;
  if (wanted == 0) {
    const double root = std::round(4 * std::sqrt(static_cast<double>(row_count)));
    count = std::clamp(static_cast<std::size_t>(root), kCountMin, kCountMax);
  }
  count = std::min(count, std::max(row_count / kRowsPerCentroidMin, kCountMin));
  return std::min(count, row_count);
}

/// k-means compares by angle or by L2, whatever the distance the rows are searched with.
Metric training_metric(Metric metric) {
  return higher_is_nearer(metric) ? Metric::kDot : Metric::kEuclid;
}

/// Thrown through FAISS's training loop to end it; caught by train_clusters.
struct Stopped {
  Status status;
};

/// What FAISS's k-means asks for the nearest centroids: it adds the centroids of each iteration and
/// searches all rows. The distribution's own flat index compares slower and cannot be stopped.
class AssignmentIndex final : public faiss::Index {
 public:
  AssignmentIndex(std::size_t dim, Metric metric, std::uint32_t iterations,
                  const BuildControl& control)
      : faiss::Index(static_cast<std::int64_t>(dim),
                     higher_is_nearer(metric) ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2),
        metric_(metric),
        iterations_(iterations),
        control_(control) {}

  void add(std::int64_t n, const float* centroids) override {
    assigner_.emplace(metric_, centroids, static_cast<std::size_t>(n), static_cast<std::size_t>(d));
    ntotal = n;
  }

  void reset() override {
    assigner_.reset();
    ntotal = 0;
  }

  /// `scores` are left zero: FAISS only sums them for a statistic that nobody reads.
  void search(std::int64_t n, const float* rows, std::int64_t /*k*/, float* scores,
              std::int64_t* labels,
              const faiss::SearchParameters* /*parameters*/ = nullptr) const override {
    const auto row_count = static_cast<std::size_t>(n);
    std::fill_n(scores, row_count, 0.0f);
    const auto found = [labels](std::size_t row, std::uint32_t centroid) {
      labels[row] = centroid;
    };
    const std::size_t total = row_count * iterations_;
    const auto progress = [&](std::size_t done) {
      const std::size_t all_done = searched_count_ + done;
      if (all_done < reported_count_ + total / kProgressCalls) return;
      reported_count_ = all_done;
      if (control_.progress) control_.progress(all_done, total);
    };
    const VectorSpan span{rows, row_count, static_cast<std::size_t>(d)};
    Status status = assigner_->assign(span, control_, found, progress);
    if (!status.ok()) throw Stopped{std::move(status)};
    searched_count_ += row_count;
  }

 private:
  const Metric metric_;
  const std::uint32_t iterations_;
  const BuildControl& control_;
  std::optional<CentroidAssigner> assigner_;
  // FAISS calls search from the training thread alone.
  mutable std::size_t searched_count_ = 0;
  mutable std::size_t reported_count_ = 0;
};

/// k-means++ (Arthur and Vassilvitskii, 2007): every next centroid is a row drawn with probability
/// proportional to its squared distance from those chosen before. The rows are float32.
std::vector<float> seed_centroids(VectorSpan rows, Metric metric, std::size_t count,
                                  std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::size_t dim = rows.dim;
  std::vector<float> centroids;
  centroids.reserve(count * dim);
  std::vector<double> nearest(rows.row_count, std::numeric_limits<double>::infinity());
  std::vector<float> found(rows.row_count);
  std::size_t chosen = random() % rows.row_count;
  while (true) {
    const float* const latest = rows.float_row(chosen);
    centroids.insert(centroids.end(), latest, latest + dim);
    if (centroids.size() == count * dim) return centroids;
    distances(metric, latest, rows, found.data());
    double total = 0;
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      // Of unit rows 1 - <a, b> is half the squared distance.
      const double squared = higher_is_nearer(metric) ? 1.0 + found[i] : double{found[i]};
      nearest[i] = std::min(nearest[i], std::max(squared, 0.0));
      total += nearest[i];
    }
    // Where all rows lie on chosen ones, or so far apart that the sum is no number, any will do.
    chosen = random() % rows.row_count;
    if (!(total > 0) || !std::isfinite(total)) continue;
    double target = std::ldexp(static_cast<double>(random() >> 11), -53) * total;
    for (chosen = 0; chosen + 1 < rows.row_count; ++chosen) {
      target -= nearest[chosen];
      if (target < 0) break;
    }
  }
}

void normalise_rows(std::vector<float>& values, std::size_t dim) {
  for (std::size_t i = 0; i < values.size(); i += dim) normalise({values.data() + i, dim});
}

/// The mean of extreme rows may overflow; centroids are finite whatever the rows.
void make_finite(std::vector<float>& values) {
  constexpr float kGreatest = std::numeric_limits<float>::max();
  for (float& value : values) {
    value = std::isnan(value) ? 0.0f : std::clamp(value, -kGreatest, kGreatest);
  }
}

Status check(VectorSpan rows, const ClusterOptions& options) {
  if (rows.row_count == 0) return {Code::kInvalidArgument, "rows: there is none to cluster"};
  if (rows.dim == 0 || rows.data == nullptr) {
    return {Code::kInvalidArgument, "rows: there are rows but no values"};
  }
  if (options.iterations == 0 || options.iterations > 10000) {
    return {Code::kInvalidArgument,
            "iterations: " + std::to_string(options.iterations) + " is outside 1..10000"};
  }
  if (options.count > kCountMax) {
    return {Code::kInvalidArgument,
            "count: " + std::to_string(options.count) + " is above " + std::to_string(kCountMax)};
  }
  return {};
}

Result<Clusters> train(VectorSpan rows, Metric metric, const ClusterOptions& options,
                       const BuildControl& control) {
  const std::size_t count = allowed_count(rows.row_count, options.count);
  const Metric trained_by = training_metric(metric);
  // A copy of the sample where there is one, and where the rows must be scaled to be compared by
  // angle or are no floats; else the rows themselves.
  std::vector<float> copy;
  VectorSpan sample = rows;
  if (rows.row_count > count * kRowsPerCentroidMax) {
    copy = gather_rows(rows,
                       sample_row_ids(rows.row_count, count * kRowsPerCentroidMax, options.seed));
  } else if (metric == Metric::kDot || !rows.is_float32()) {
    copy.resize(rows.row_count * rows.dim);
    copy_rows(rows, 0, rows.row_count, copy.data());
  }
  if (metric == Metric::kDot) normalise_rows(copy, rows.dim);
  if (!copy.empty()) sample = {copy.data(), copy.size() / rows.dim, rows.dim};

  faiss::Clustering clustering(static_cast<int>(rows.dim), static_cast<int>(count));
  clustering.niter = static_cast<int>(options.iterations);
  clustering.seed = static_cast<int>((options.seed ^ options.seed >> 32) & 0x3fffffff);
  clustering.spherical = higher_is_nearer(metric);
  // The count and the sample are chosen above: FAISS need not warn or sample again.
  clustering.min_points_per_centroid = 1;
  clustering.max_points_per_centroid = std::numeric_limits<int>::max();
  if (count <= kSeededCountMax) {
    const auto ids =
        sample_row_ids(sample.row_count, count * kSeedingRowsPerCentroid, options.seed);
    const std::vector<float> starts = gather_rows(sample, ids);
    clustering.centroids =
        seed_centroids({starts.data(), ids.size(), rows.dim}, trained_by, count, options.seed);
  }
  AssignmentIndex index(rows.dim, trained_by, options.iterations, control);
  try {
    clustering.train(static_cast<std::int64_t>(sample.row_count), sample.float_row(0), index);
  } catch (const Stopped& stopped) {
    return stopped.status;
  }
  make_finite(clustering.centroids);
  return Clusters{metric, rows.dim, std::move(clustering.centroids)};
}

}  // namespace

Result<Clusters> train_clusters(VectorSpan rows, Metric metric, const ClusterOptions& options,
                                const BuildControl& control) {
  TESSERA_RETURN_IF_ERROR(check(rows, options));
  if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
  return guarded_call("clustering", [&] { return train(rows, metric, options, control); });
}

void assign_clusters(const Clusters& clusters, VectorSpan rows, std::uint32_t* out) {
  // Row by row with the kernels: a row gets the same cluster alone and among others, and nothing is
  // allocated.
  const Metric metric = training_metric(clusters.metric);
  const std::size_t count = clusters.count();
  std::array<float, 256> found;
  RowReader row_of(rows);
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    const float* const row = row_of(i);
    float least = std::numeric_limits<float>::infinity();
    out[i] = 0;
    for (std::size_t first = 0; first < count; first += found.size()) {
      const std::size_t width = std::min(found.size(), count - first);
      distances(metric, row, clusters.centroid(first), width, rows.dim, found.data());
      const auto nearest = std::min_element(found.begin(), found.begin() + width);
      if (*nearest >= least) continue;
      least = *nearest;
      out[i] = static_cast<std::uint32_t>(first + (nearest - found.begin()));
    }
  }
}

}  // namespace tessera::index
