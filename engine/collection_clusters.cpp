#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "engine/cluster_assignments.h"
#include "engine/cluster_labels.h"
#include "engine/collection_impl.h"
#include "engine/jobs.h"
#include "engine/payload.h"
#include "index/clustering.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kTrainingRowsPerCluster = 256;
constexpr std::size_t kDriftSample = 2000;
constexpr std::uint64_t kDriftSeed = 1;
constexpr std::uint32_t kClusterCountMin = 16;
/// Slots whose vectors are copied at once.
constexpr std::size_t kReadBlock = 1024;
/// Slots that one round of background work assigns: the other work of its thread must not wait.
constexpr std::size_t kSlotsPerRound = 20'000;
/// Assignments are saved when as many points as that were assigned since, and a share of all, so
/// that the file is written seldom; and at the end.
constexpr std::size_t kUnsavedMin = 1000;
constexpr std::size_t kUnsavedShare = 8;
/// Writes go on while a training assigns what is there; what came in the last pass is left to the
/// background.
constexpr int kPassesMax = 3;
/// Who asks for the sizes waits so long for them to be current.
constexpr std::chrono::seconds kSizesWait{5};

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

std::shared_ptr<ItemClusters> CollectionImpl::make_item_clusters(
    const Field& field, const std::shared_ptr<const TrainedClusters>& trained) const {
  const VectorField& vectors = *field.vectors;
  return std::make_shared<ItemClusters>(
      std::shared_ptr<const index::Clusters>(trained, &trained->clusters),
      [&vectors](std::span<const std::uint32_t> slots) { return vectors.vectors_of(slots); },
      &shared_.registry.counter("tessera_item_assignments_total",
                                "Points whose item cluster was computed"));
}

std::string CollectionImpl::assignments_path(const VectorField& field) const {
  return shared_.directory.segment_directory(number_) + "/clusters-" +
         std::to_string(field.identity().number) + ".asg";
}

Status CollectionImpl::save_assignments_of(const Field& field) const {
  std::shared_ptr<const TrainedClusters> trained;
  std::shared_ptr<ItemClusters> items;
  {
    SharedLock lock(field.clusters_mutex);
    trained = field.clusters;
    items = field.items;
  }
  if (items == nullptr || items->unsaved_count() == 0) return {};
  items->keep_saved();
  ClusterAssignments assignments;
  assignments.version = trained->info.version;
  assignments.trained_at_us = trained->info.trained_at_us;
  // First: what is marked by earlier operations is told apart by the marks, later ones by number.
  assignments.operation = applied_operation_.load(std::memory_order_acquire);
  assignments.clusters = items->assignments();
  // Last: no vector that was assigned may be lost with power, nor its operation's number be given
  // again.
  TESSERA_RETURN_IF_ERROR(shared_.store.sync());
  return save_assignments(assignments_path(*field.vectors), assignments);
}

void CollectionImpl::restore_assignments(const Field& field, const TrainedClusters& trained,
                                         ItemClusters& items) const {
  auto loaded = load_assignments(assignments_path(*field.vectors), trained.info);
  const std::uint64_t applied = applied_operation_.load(std::memory_order_acquire);
  index::Bitmap unknown = field.vectors->slots_with_vector();
  if (loaded.has_value() && loaded->operation <= applied) {
    index::Bitmap known;
    for (std::uint32_t slot = 0; slot < loaded->clusters.size(); ++slot) {
      std::uint32_t& cluster = loaded->clusters[slot];
      if (cluster == ItemClusters::kNone) continue;
      if (unknown.contains(slot)) {
        known.add(slot);
      } else {
        cluster = ItemClusters::kNone;  // Deleted since.
      }
    }
    items.restore(std::move(loaded->clusters));
    unknown -= known - field.vectors->slots_written_after(loaded->operation);
  } else if (loaded.has_value()) {
    // Of another state of the store, whose operations may come again as others.
    (void)posix_file_system().remove_file(assignments_path(*field.vectors));
  } else if (loaded.error().code() != Code::kNotFound) {
    log::warn("the points are assigned to item clusters again",
              {{"collection", name_}, {"error", loaded.error().message()}});
  }
  items.mark(unknown);
}

void CollectionImpl::save_derived() const {
  if (is_deleted_.load(std::memory_order_acquire)) return;
  for (const auto& [name, field] : fields_) {
    const Status status = save_assignments_of(field);
    if (status.ok()) continue;
    log::warn("the item clusters of points could not be kept; they will be found again",
              {{"collection", name_}, {"error", status.to_string()}});
  }
}

Result<std::vector<float>> CollectionImpl::sample_vectors(const VectorField& field,
                                                          std::size_t sample, std::uint64_t seed,
                                                          const CancelToken& cancel) const {
  // Of slots, not of rows: where a row lies depends on when indexes were built. Selection sampling
  // (Knuth, vol. 2, 3.4.2 S): each with the same chance, in one pass.
  const index::Bitmap slots = field.slots_with_vector();
  std::size_t left = slots.cardinality();
  std::size_t wanted = std::min(left, sample);
  std::mt19937_64 random(seed);
  std::vector<std::uint32_t> chosen;
  chosen.reserve(wanted);
  for (auto slot = slots.begin(); slot != slots.end() && wanted > 0; ++slot, --left) {
    if (left > wanted && random() % left >= wanted) continue;
    chosen.push_back(*slot);
    --wanted;
  }
  std::vector<float> rows;
  rows.reserve(chosen.size() * field.identity().dim);
  for (std::size_t begin = 0; begin < chosen.size(); begin += kReadBlock) {
    TESSERA_RETURN_IF_ERROR(cancel.check());
    const auto block =
        std::span(chosen).subspan(begin, std::min(kReadBlock, chosen.size() - begin));
    // Empty: deleted meanwhile.
    for (const std::vector<float>& vector : field.vectors_of(block)) {
      rows.insert(rows.end(), vector.begin(), vector.end());
    }
  }
  return rows;
}

Result<double> CollectionImpl::mean_sample_distance(const VectorField& field,
                                                    const index::Clusters& clusters,
                                                    const CancelToken& cancel) const {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<float> rows,
                           sample_vectors(field, kDriftSample, kDriftSeed, cancel));
  const index::VectorSpan span{rows.data(), rows.size() / clusters.dim, clusters.dim};
  std::vector<std::uint32_t> assigned(span.row_count);
  index::assign_clusters(clusters, span, assigned.data());
  return mean_cluster_distance(clusters, span, assigned);
}

Status CollectionImpl::label_clusters(const PayloadPath& field, const ItemClusters& items,
                                      TrainedClusters& trained, const CancelToken& cancel) const {
  LabelCounter counter(trained.clusters.count());
  Status status;
  std::size_t visited = 0;
  const auto count = [&](std::uint32_t slot, std::string_view payload) {
    if (visited++ % kReadBlock == 0) status = cancel.check();
    if (!status.ok()) return false;
    const std::uint32_t cluster = items.clusters_of({&slot, 1}).front();
    if (cluster == ItemClusters::kNone) return true;
    const auto values = extract_scalars(payload, field);
    if (values.has_error()) {
      status = values.error();
      return false;
    }
    counter.add(cluster, *values);
    return true;
  };
  TESSERA_RETURN_IF_ERROR(shared_.store.visit_payloads(number_, count));
  TESSERA_RETURN_IF_ERROR(status);
  trained.info.label_field = field.text;
  trained.info.labels = counter.labels();
  return {};
}

Status CollectionImpl::assign_items(Field& field, TrainedClusters& trained, ItemClusters& items,
                                    JobContext& context) const {
  index::BuildControl control;
  control.cancel = &context.cancel();
  control.thread_count = std::max(1U, std::thread::hardware_concurrency());
  control.progress = [&](std::size_t done, std::size_t total) { context.report(done, total); };
  items.mark(field.vectors->slots_with_vector());
  for (int pass = 0; pass < kPassesMax && items.marked_count() > 0; ++pass) {
    TESSERA_RETURN_IF_ERROR(items.catch_up(control));
  }
  TESSERA_ASSIGN_OR_RETURN(
      trained.mean_distance,
      mean_sample_distance(*field.vectors, trained.clusters, context.cancel()));
  trained.info.sizes = items.sizes();
  trained.info.count = static_cast<std::uint32_t>(trained.clusters.count());
  trained.info.trained_at_us = now_us();
  SharedLock lock(field.clusters_mutex);
  trained.info.version = field.clusters == nullptr ? 1 : field.clusters->info.version + 1;
  return {};
}

Status CollectionImpl::train_clusters(Field& field, const TrainClustersRequest& request,
                                      JobContext& context) {
  const VectorField::Identity& identity = field.vectors->identity();
  const double row_count = static_cast<double>(field.vectors->row_count());
  const std::size_t expected_count =
      request.count > 0 ? request.count
                        : std::max<std::size_t>(kClusterCountMin,
                                                static_cast<std::size_t>(4 * std::sqrt(row_count)));
  const std::size_t sample = request.sample.value_or(expected_count * kTrainingRowsPerCluster);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<float> rows,
                           sample_vectors(*field.vectors, sample, request.seed, context.cancel()));

  index::ClusterOptions options;
  options.count = static_cast<std::uint32_t>(expected_count);
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

  // From here on writes mark what they change for the new clusters as well as for the old ones,
  // which answer until the new ones are complete.
  auto items = make_item_clusters(field, trained);
  {
    Lock lock(field.clusters_mutex);
    field.next_items = items;
  }
  Status status = assign_items(field, *trained, *items, context);
  if (status.ok() && request.label_field) {
    status = label_clusters(*request.label_field, *items, *trained, context.cancel());
  }
  if (status.ok()) {
    status = storage::create_directories(shared_.directory.segment_directory(number_));
  }
  if (status.ok()) status = save_clusters(clusters_path(*field.vectors), *trained);
  Lock lock(field.clusters_mutex);
  field.next_items = nullptr;
  if (!status.ok()) return status;
  field.clusters = std::move(trained);
  field.items = std::move(items);
  return {};
}

void CollectionImpl::mark_items(const Field& field, std::span<const std::uint32_t> slots) {
  SharedLock lock(field.clusters_mutex);
  if (field.items != nullptr) field.items->mark(slots);
  if (field.next_items != nullptr) field.next_items->mark(slots);
}

void CollectionImpl::keep_items_assigned(Field& field) const {
  std::shared_ptr<ItemClusters> items;
  {
    SharedLock lock(field.clusters_mutex);
    items = field.items;
  }
  if (items == nullptr) return;
  Status status;
  if (items->marked_count() > 0) {
    index::BuildControl control;
    control.cancel = &shared_.stopping;
    status = items->catch_up(control, kSlotsPerRound);
  } else if (items->unsaved_count() >
             std::max(kUnsavedMin, field.vectors->row_count() / kUnsavedShare)) {
    status = save_assignments_of(field);
  }
  if (status.ok() || status.code() == Code::kCancelled) return;
  log::warn("points could not be assigned to item clusters; they will be again",
            {{"collection", name_}, {"error", status.to_string()}});
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
  std::shared_ptr<ItemClusters> items;
  {
    SharedLock lock(field->clusters_mutex);
    trained = field->clusters;
    items = field->items;
  }
  if (trained == nullptr) {
    return Status(Code::kNotFound, "The collection has no item clusters for vector `" + vector +
                                       "` yet; POST to this path trains them");
  }
  ClustersInfo info = trained->info;
  info.vector = vector;
  const CancelToken patience(&shared_.stopping, CancelToken::Clock::now() + kSizesWait);
  index::BuildControl control;
  control.cancel = &patience;
  const Status caught_up = items->catch_up(control);
  if (!caught_up.ok() && caught_up.code() != Code::kTimeout) return caught_up;
  info.sizes = items->sizes();
  info.unassigned = items->marked_count();
  if (trained->mean_distance > 0 && field->vectors->row_count() > 0) {
    TESSERA_ASSIGN_OR_RETURN(
        const double now,
        mean_sample_distance(*field->vectors, trained->clusters, shared_.stopping));
    info.drift = now / trained->mean_distance - 1;
  }
  return info;
}

}  // namespace tessera::engine
