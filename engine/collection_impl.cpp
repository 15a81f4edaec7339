#include "engine/collection_impl.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "engine/payload.h"

namespace tessera::engine {

CollectionImpl::CollectionImpl(CatalogEntry entry, Shared& shared)
    : number_(entry.number),
      name_(entry.name),
      users_of_(entry.users_of),
      shared_(shared),
      vector_numbers_(entry.vector_numbers),
      commits_([this](std::vector<PendingWrite*>& group) { commit(group); }),
      config_(std::move(entry.config)) {
  for (const auto& [name, number] : vector_numbers_) {
    const VectorConfig& config = config_.vectors.at(name);
    // A growing segment is indexed in one piece, so it must not outgrow what a build may take.
    const std::size_t build_bytes_max =
        shared_.builds.row_count_max(index_spec_of(config_, config), config.dim) * config.dim *
        value_bytes(config.type());
    fields_[name].vectors = std::make_unique<VectorField>(
        VectorField::Identity{
            name, name_, number_, number, config.dim, config.metric,
            std::min<std::size_t>(shared_.settings.index.growing_bytes_max, build_bytes_max),
            config.on_disk.value_or(false), config.type()},
        slots_, shared_.store, shared_.directory, &shared_.builds);
  }
  for (CatalogEntry::PayloadField& field : entry.payload_fields) {
    auto path = parse_payload_path(field.path);
    // A path in the catalog was parsed before it was stored.
    if (path.has_value()) indexes_.add(*path, field.type, std::move(field.params_json));
  }
}

CollectionImpl::~CollectionImpl() = default;

Status CollectionImpl::check_open() const {
  if (!is_deleted_.load(std::memory_order_acquire)) return {};
  return {Code::kNotFound, "Collection `" + name_ + "` doesn't exist!"};
}

Result<CollectionImpl::Field*> CollectionImpl::field(const std::string& name) {
  const auto found = fields_.find(name);
  if (found == fields_.end()) {
    return Status(Code::kInvalidArgument, "Not existing vector name error: " + name);
  }
  return &found->second;
}

Result<const CollectionImpl::Field*> CollectionImpl::field(const std::string& name) const {
  const auto found = fields_.find(name);
  if (found == fields_.end()) {
    return Status(Code::kInvalidArgument, "Not existing vector name error: " + name);
  }
  return &found->second;
}

std::uint64_t CollectionImpl::point_count() const {
  SharedLock lock(state_mutex_);
  return slots_.point_count();
}

// ---- loading ----------------------------------------------------------------------------------

Status CollectionImpl::load_points() {
  Lock lock(state_mutex_);
  TESSERA_RETURN_IF_ERROR(shared_.store.visit_points(
      number_, std::nullopt, [&](const PointId& id, const storage::PointRecord& record) {
        slots_.insert(id, record.slot, record.version);
        next_operation_ = std::max(next_operation_, record.version + 1);
        return true;
      }));
  next_slot_ = slots_.slot_count();
  applied_operation_.store(next_operation_ - 1, std::memory_order_release);
  TESSERA_ASSIGN_OR_RETURN(const auto text,
                           shared_.store.get_meta("operation/" + std::to_string(number_)));
  if (!text) return {};
  std::uint64_t stored = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), stored);
  if (error != std::errc{} || end != text->data() + text->size()) {
    return {Code::kCorrupt, "the operation number of collection " + name_ + " is no number"};
  }
  next_operation_ = std::max(next_operation_, stored);
  applied_operation_.store(next_operation_ - 1, std::memory_order_release);
  return {};
}

Status CollectionImpl::load_payload_indexes() {
  Lock lock(state_mutex_);
  if (indexes_.empty()) return {};
  Status indexed;
  const auto set = [&](std::uint32_t slot, std::string_view payload)
                       TESSERA_REQUIRES(state_mutex_) {
                         indexed = indexes_.set(slot, payload);
                         return indexed.ok();
                       };
  TESSERA_RETURN_IF_ERROR(shared_.store.visit_payloads(number_, set));
  return indexed;
}

std::string CollectionImpl::clusters_path(const VectorField& field) const {
  return shared_.directory.segment_directory(number_) + "/clusters-" +
         std::to_string(field.identity().number) + ".clu";
}

void CollectionImpl::load_clusters_of(Field& field) {
  const std::string path = clusters_path(*field.vectors);
  auto loaded =
      load_clusters(path, field.vectors->identity().metric, field.vectors->identity().dim);
  if (loaded.has_value()) {
    auto items = make_item_clusters(field, *loaded);
    restore_assignments(field, **loaded, *items);
    Lock lock(field.clusters_mutex);
    field.clusters = std::move(*loaded);
    field.items = std::move(items);
    return;
  }
  if (loaded.error().code() == Code::kNotFound) return;
  log::warn("the item clusters cannot be used; they will be trained again",
            {{"collection", name_}, {"error", loaded.error().message()}});
  TrainClustersRequest request;
  request.vector = field.vectors->identity().name;
  if (const auto job = start_clusters(request); job.has_error()) {
    log::error("training the item clusters again could not be started",
               {{"collection", name_}, {"error", job.error().message()}});
  }
}

Status CollectionImpl::load() {
  TESSERA_RETURN_IF_ERROR(load_points());
  TESSERA_RETURN_IF_ERROR(adapters_.load().with_context("collection " + name_));
  TESSERA_RETURN_IF_ERROR(sessions_.load().with_context("collection " + name_));
  std::size_t damaged = 0;
  for (auto& [name, field] : fields_) {
    TESSERA_RETURN_IF_ERROR(field.vectors->load(&damaged).with_context("collection " + name_));
    load_clusters_of(field);
    TESSERA_RETURN_IF_ERROR(resume_reindex(name, field));
  }
  if (damaged > 0) {
    shared_.registry
        .counter("tessera_index_files_rebuilt_total",
                 "Index files that were damaged or missing at start and are rebuilt from the store")
        .add(static_cast<double>(damaged));
  }
  return load_payload_indexes();
}

void CollectionImpl::close_as_deleted() {
  is_deleted_.store(true, std::memory_order_release);
  commits_.close(check_open());
  sessions_.close();
  if (const auto users = users_.stored()) users->close_as_deleted();
}

void CollectionImpl::reopen() {
  is_deleted_.store(false, std::memory_order_release);
  commits_.reopen();
  sessions_.reopen();
  if (const auto users = users_.stored()) users->reopen();
}

// ---- configuration ----------------------------------------------------------------------------

Status CollectionImpl::save_catalog() const {
  const std::scoped_lock write_lock(catalog_write_mutex_);
  CatalogEntry entry;
  entry.number = number_;
  entry.name = name_;
  entry.vector_numbers = vector_numbers_;
  entry.users_of = users_of_;
  {
    SharedLock lock(config_mutex_);
    entry.config = config_;
  }
  {
    SharedLock lock(state_mutex_);
    for (const auto& [text, field] : indexes_.fields()) {
      entry.payload_fields.push_back({text, field.type, field.params_json});
    }
  }
  storage::Batch batch;
  batch.put_meta(CatalogEntry::key(number_), entry.encode());
  return shared_.store.write(std::move(batch), true);
}

CatalogEntry CollectionImpl::users_entry() const {
  CatalogEntry entry;
  entry.name = name_;
  entry.vector_numbers = vector_numbers_;
  SharedLock lock(config_mutex_);
  for (const auto& [name, vector] : config_.vectors) {
    VectorConfig& config = entry.config.vectors[name];
    config.dim = vector.dim;
    config.metric = vector.metric;
    config.on_disk = vector.on_disk;
    // A person is between items, which bytes cannot say.
    if (vector.type() != ValueType::kUint8) config.value_type = vector.value_type;
  }
  return entry;
}

namespace {

template <class T>
void take(std::optional<T>& target, const std::optional<T>& change) {
  if (change) target = change;
}

}  // namespace

Status CollectionImpl::update_config(const CollectionConfig& changes) {
  TESSERA_RETURN_IF_ERROR(check_open());
  for (const auto& [name, vector] : changes.vectors) {
    if (const auto known = field(name); known.has_error()) return known.error();
  }
  CollectionConfig before;
  {
    Lock lock(config_mutex_);
    before = config_;
    merge_members(config_.hnsw, changes.hnsw);
    merge_members(config_.optimizers, changes.optimizers);
    apply_change(config_.quantization, changes.quantization);
    if (changes.metadata_json) config_.metadata_json = changes.metadata_json;
    for (const auto& [name, vector] : changes.vectors) {
      VectorConfig& target = config_.vectors.at(name);
      if (vector.hnsw) {
        if (!target.hnsw) target.hnsw.emplace();
        merge_members(*target.hnsw, *vector.hnsw);
      }
      take(target.on_disk, vector.on_disk);
      apply_change(target.quantization, vector.quantization);
    }
  }
  const Status status = save_catalog();
  if (!status.ok()) {
    Lock lock(config_mutex_);
    config_ = std::move(before);
  }
  return status;
}

CollectionInfo CollectionImpl::info() const {
  CollectionInfo info;
  {
    SharedLock lock(config_mutex_);
    info.config = config_;
    if (!build_errors_.empty()) info.optimizer_error = build_errors_.begin()->second;
  }
  for (const auto& [name, field] : fields_) {
    const auto view = field.vectors->view();
    // In this order: what is no longer due by then is counted.
    info.is_optimizing = info.is_optimizing || field.vectors->is_build_due(info.config.optimizers);
    info.indexed_vector_count += field.vectors->indexed_row_count();
    info.segment_count += view->sealed.size() + view->frozen.size() + 1;
  }
  SharedLock lock(state_mutex_);
  info.point_count = slots_.point_count();
  for (const auto& [text, field] : indexes_.fields()) {
    info.payload_schema[text] = {field.type, field.params_json, field.index->slots().cardinality()};
  }
  return info;
}

}  // namespace tessera::engine
