#include <algorithm>
#include <charconv>

#include <malloc.h>

#include "base/log.h"
#include "engine/collection_impl.h"
#include "engine/jobs.h"

namespace tessera::engine {
namespace {

constexpr std::chrono::seconds kBuildRetryAfter{10};
constexpr std::chrono::milliseconds kBuildPollInterval{20};
/// About what indexing a point costs. A writer is never held up for long: it may be using a thread
/// that a search waits for.
constexpr std::chrono::microseconds kWriteRestOfPoint{100};
constexpr std::chrono::milliseconds kWriteRestMax{50};

/// A build takes and frees much memory in many pieces, which the allocator would keep.
void return_freed_memory() {
#if defined(__GLIBC__)
  (void)::malloc_trim(0);
#endif
}

Status lock_within(std::unique_lock<std::timed_mutex>& lock, const CancelToken& cancel) {
  while (!lock.try_lock_for(kBuildPollInterval)) TESSERA_RETURN_IF_ERROR(cancel.check());
  return {};
}

/// What the store keeps of a reindex that is not finished: "<before>\n" and its settings.
std::string encode_reindex(const VectorField::Identity& field, const ReindexRequest& request,
                           std::uint64_t before) {
  CollectionConfig settings;
  VectorConfig& vector = settings.vectors[request.vector];
  vector.dim = field.dim;
  vector.metric = field.metric;
  vector.index = request.index;
  vector.hnsw = request.hnsw;
  vector.quantization = request.quantization;
  return std::to_string(before) + "\n" + encode_config(settings);
}

Result<std::pair<ReindexRequest, std::uint64_t>> decode_reindex(const std::string& name,
                                                                const std::string& text) {
  std::uint64_t before = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), before);
  if (error != std::errc{} || end == text.data() + text.size() || *end != '\n') {
    return Status(Code::kCorrupt, "the record of an unfinished reindex has no segment number");
  }
  TESSERA_ASSIGN_OR_RETURN(const CollectionConfig settings, decode_config(end + 1));
  const auto vector = settings.vectors.find(name);
  if (vector == settings.vectors.end()) {
    return Status(Code::kCorrupt, "the record of an unfinished reindex names another vector");
  }
  return std::pair(
      ReindexRequest{name, vector->second.index, vector->second.hnsw, vector->second.quantization},
      before);
}

}  // namespace

void CollectionImpl::apply_reindex(VectorConfig& vector, const ReindexRequest& request) {
  if (request.index) vector.index = request.index;
  apply_change(vector.quantization, request.quantization);
  if (!request.hnsw) return;
  if (!vector.hnsw) vector.hnsw.emplace();
  merge_members(*vector.hnsw, *request.hnsw);
}

IndexSpec CollectionImpl::spec_of(const std::string& name, const Field& field) const {
  SharedLock lock(config_mutex_);
  VectorConfig vector = config_.vectors.at(name);
  if (field.reindexing) apply_reindex(vector, *field.reindexing);
  return index_spec_of(config_, vector);
}

Status CollectionImpl::check_fits(const Field& field, const BuildPlan& plan,
                                  const IndexSpec& spec) const {
  const std::uint64_t needed =
      build_memory_bytes(spec, plan.row_count, field.vectors->identity().dim);
  if (needed <= shared_.builds.memory_bytes_max()) return {};
  return {Code::kResourceExhausted, "an index of " + std::to_string(plan.row_count) +
                                        " rows needs up to " + std::to_string(needed) +
                                        " bytes to build, index.build_memory_bytes_max is " +
                                        std::to_string(shared_.builds.memory_bytes_max())};
}

Status CollectionImpl::build(Field& field, const BuildPlan& plan, const IndexSpec& spec,
                             const BuildSteps& steps) {
  TESSERA_RETURN_IF_ERROR(check_open());
  BuildPacer pacer(shared_.builds, steps.context.cancel());
  index::BuildControl control;
  control.cancel = &steps.context.cancel();
  control.thread_count = steps.thread_count;
  control.progress = [&](std::size_t done, std::size_t) {
    steps.context.report(steps.done + done, steps.total);
    if (steps.is_paced(field)) pacer.pause();
  };
  steps.context.report(steps.done, steps.total);
  return field.vectors->build(plan, spec, control);
}

void CollectionImpl::wait_for_builds(std::size_t point_count) const {
  const auto is_behind = [&] {
    return std::any_of(fields_.begin(), fields_.end(),
                       [](const auto& entry) { return entry.second.vectors->is_behind(); });
  };
  if (!is_behind()) return;
  const auto longest =
      std::min<std::chrono::nanoseconds>(point_count * kWriteRestOfPoint, kWriteRestMax);
  shared_.builds.wait_for_builds(longest, is_behind, shared_.stopping);
}

void CollectionImpl::run_lane(const std::string& name, Field& field, BuildLane lane,
                              const MaintenanceRules& rules) {
  LaneState& state = field.lanes[static_cast<std::size_t>(lane)];
  if (std::chrono::steady_clock::now() < state.next_attempt) return;
  const std::unique_lock build_lock(state.mutex, std::try_to_lock);
  if (!build_lock.owns_lock()) return;  // A reindex is at work.
  OptimizersConfig optimizers;
  {
    SharedLock lock(config_mutex_);
    optimizers = config_.optimizers;
  }
  const IndexSpec spec = spec_of(name, field);
  MaintenanceRules own = rules;
  own.row_count_max = shared_.builds.row_count_max(spec, field.vectors->identity().dim);
  const auto plan = lane == BuildLane::kNewRows ? field.vectors->plan_build(optimizers, own)
                                                : field.vectors->plan_merge(optimizers, own);
  if (!plan) return;
  Status status = check_fits(field, *plan, spec);
  if (status.ok()) {
    const BuildBudget::Reservation memory = shared_.builds.reserve(
        build_memory_bytes(spec, plan->row_count, field.vectors->identity().dim));
    if (memory == nullptr) return;  // The next round tries again.
    status = shared_.jobs.run_here(
        {"index", name_, std::string(plan->reason) + ", " + index::index_type_name(spec.type)},
        [&](JobContext& context) {
          return build(field, *plan, spec,
                       {context, rules.build_thread_count, lane, 0, plan->row_count});
        });
    return_freed_memory();
  }
  // A full disk, say, is not cured by trying again at once.
  if (!status.ok()) state.next_attempt = std::chrono::steady_clock::now() + kBuildRetryAfter;
  Lock lock(config_mutex_);
  if (status.ok()) {
    build_errors_.erase({name, lane});
  } else if (status.code() != Code::kCancelled) {
    build_errors_[{name, lane}] = status.message();
  }
}

void CollectionImpl::maintain(BuildLane lane, const MaintenanceRules& rules) {
  for (auto& [name, field] : fields_) {
    if (is_deleted_.load(std::memory_order_acquire)) return;
    if (lane == BuildLane::kNewRows) keep_items_assigned(field);
    if (shared_.is_disk_full.load(std::memory_order_relaxed)) return;
    run_lane(name, field, lane, rules);
  }
}

bool CollectionImpl::BuildSteps::is_paced(const Field& field) const {
  // Rows without an index cost every search more than a busy core does.
  return lane == BuildLane::kMerges || !field.vectors->is_behind();
}

// ---- reindex ----------------------------------------------------------------------------------

std::string CollectionImpl::reindex_key(storage::CollectionNumber collection,
                                        storage::VectorNumber vector) {
  return "reindex/" + std::to_string(collection) + "/" + std::to_string(vector);
}

Status CollectionImpl::begin_reindex(Field& field, Reindex& reindex, const CancelToken& cancel) {
  // Builds of new rows that began with the old settings are waited for; later ones take the new.
  std::unique_lock new_rows(field.lanes[0].mutex, std::defer_lock);
  TESSERA_RETURN_IF_ERROR(lock_within(new_rows, cancel));
  if (reindex.before == 0) {
    reindex.before = field.vectors->begin_rebuild();
    storage::Batch batch;
    batch.put_meta(reindex_key(number_, field.vectors->identity().number),
                   encode_reindex(field.vectors->identity(), reindex.request, reindex.before));
    TESSERA_RETURN_IF_ERROR(shared_.store.write(std::move(batch), true));
  } else {
    field.vectors->resume_rebuild(reindex.before);
  }
  Lock lock(config_mutex_);
  field.reindexing = reindex.request;
  return {};
}

Status CollectionImpl::end_reindex(Field& field) {
  {
    Lock lock(config_mutex_);
    field.reindexing.reset();
  }
  storage::Batch batch;
  batch.delete_meta(reindex_key(number_, field.vectors->identity().number));
  return shared_.store.write(std::move(batch), true);
}

Status CollectionImpl::rebuild_segments(Field& field, const Reindex& reindex, JobContext& context) {
  const IndexSpec spec = spec_of(reindex.request.vector, field);
  MaintenanceRules rules;
  rules.row_count_max = shared_.builds.row_count_max(spec, field.vectors->identity().dim);
  BuildSteps steps{context, shared_.build_thread_count, BuildLane::kMerges, 0,
                   field.vectors->row_count()};
  while (const auto plan = field.vectors->plan_rebuild(reindex.before, rules)) {
    if (shared_.is_disk_full.load(std::memory_order_relaxed)) {
      return {Code::kDiskFull, "too little free disk space for a new index"};
    }
    TESSERA_RETURN_IF_ERROR(check_fits(field, *plan, spec));
    TESSERA_ASSIGN_OR_RETURN(
        const auto memory,
        shared_.builds.reserve_within(
            build_memory_bytes(spec, plan->row_count, field.vectors->identity().dim),
            context.cancel()));
    TESSERA_RETURN_IF_ERROR(build(field, *plan, spec, steps));
    steps.done += plan->row_count;
  }
  return {};
}

Status CollectionImpl::reindex(Field& field, Reindex& reindex, JobContext& context) {
  std::unique_lock merges(field.lanes[1].mutex, std::defer_lock);
  TESSERA_RETURN_IF_ERROR(lock_within(merges, context.cancel()));
  TESSERA_RETURN_IF_ERROR(begin_reindex(field, reindex, context.cancel()));
  Status status = rebuild_segments(field, reindex, context);
  return_freed_memory();
  // A stopped daemon goes on with it at the next start.
  if (!status.ok() && shared_.stopping.is_cancelled()) return status;
  if (status.ok()) {
    {
      Lock lock(config_mutex_);
      // Other settings may have changed meanwhile.
      apply_reindex(config_.vectors.at(reindex.request.vector), reindex.request);
    }
    status = save_catalog();
  }
  const Status ended = end_reindex(field);
  return status.ok() ? ended : status;
}

Result<std::uint64_t> CollectionImpl::start_reindex(Reindex reindex) {
  TESSERA_ASSIGN_OR_RETURN(Field * field, this->field(reindex.request.vector));
  const std::string detail = reindex.request.index
                                 ? index::index_type_name(reindex.request.index->type)
                                 : "same index type";
  // The job keeps the collection alive: it may be deleted before the job's turn comes.
  return shared_.jobs.start({"reindex", name_, detail}, [self = shared_from_this(), field,
                                                         reindex](JobContext& context) mutable {
    TESSERA_RETURN_IF_ERROR(self->check_open());
    return self->reindex(*field, reindex, context);
  });
}

Result<std::uint64_t> CollectionImpl::start_reindex(const ReindexRequest& request) {
  TESSERA_RETURN_IF_ERROR(check_open());
  return start_reindex(Reindex{request, 0});
}

Status CollectionImpl::resume_reindex(const std::string& name, Field& field) {
  const std::string key = reindex_key(number_, field.vectors->identity().number);
  TESSERA_ASSIGN_OR_RETURN(const auto text, shared_.store.get_meta(key));
  if (!text) return {};
  auto found = decode_reindex(name, *text);
  if (found.has_error()) return found.error().with_context("collection " + name_);
  log::info("going on with a reindex that was interrupted",
            {{"collection", name_}, {"vector", name}});
  const auto job = start_reindex(Reindex{std::move(found->first), found->second});
  return job.has_error() ? job.error() : Status();
}

}  // namespace tessera::engine
