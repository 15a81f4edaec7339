#include "engine/database.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <map>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"
#include "engine/collection_impl.h"
#include "engine/jobs.h"
#include "index/kernels.h"

namespace tessera::engine {
namespace {

constexpr std::chrono::milliseconds kMaintenanceInterval{100};
constexpr std::chrono::seconds kSweepInterval{1};
constexpr std::chrono::seconds kDiskCheckInterval{1};
constexpr std::string_view kNextCollectionKey = "next_collection";
constexpr std::string_view kCollectionPrefix = "collection/";

/// Calls a function again and again on a thread of its own, until destroyed.
class Ticker {
 public:
  Ticker(std::chrono::milliseconds interval, std::function<void()> tick)
      : interval_(interval), tick_(std::move(tick)), thread_([this] { run(); }) {}
  ~Ticker() {
    {
      Lock lock(mutex_);
      is_stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  void run() {
    Lock lock(mutex_);
    while (!is_stopping_) {
      lock.unlock();
      tick_();
      lock.lock();
      if (!is_stopping_) wake_.wait_for(lock, interval_);
    }
  }
  const std::chrono::milliseconds interval_;
  const std::function<void()> tick_;
  Mutex mutex_;
  std::condition_variable_any wake_;
  bool is_stopping_ TESSERA_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

unsigned build_threads(const config::Settings& settings) {
  return settings.index.build_thread_count > 0 ? settings.index.build_thread_count
                                               : std::max(1U, std::thread::hardware_concurrency());
}

class DatabaseImpl final : public Database {
 public:
  DatabaseImpl(const config::Settings& settings, metrics::Registry& registry,
               std::unique_ptr<storage::DataDirectory> directory,
               std::unique_ptr<storage::Store> store)
      : settings_(settings),
        directory_(std::move(directory)),
        store_(std::move(store)),
        builds_({settings_.index.build_memory_bytes_max, settings_.index.build_cpu_percent},
                registry),
        shared_{settings_, *store_, *directory_, jobs_, registry, builds_, build_threads(settings_),
                {},        {},      {}} {
    shared_.create_users = [this](CollectionImpl& owner) { return create_users(owner); };
    shared_.find_collection = [this](const std::string& name) { return find(name); };
    rules_.build_thread_count = shared_.build_thread_count;
    rules_.idle = std::chrono::milliseconds(settings_.index.build_idle_ms);
    rules_.age_max = std::chrono::milliseconds(settings_.index.build_wait_ms_max);
  }
  ~DatabaseImpl() override {
    begin_shutdown();
    flusher_.reset();
    maintenance_.reset();
    merging_.reset();
    sweeping_.reset();
    jobs_.stop();
    for (const auto& collection : all_collections()) collection->save_derived();
    (void)store_->sync();
  }

  Status load();
  void start_background_work();

  Status create_collection(const std::string& name, const CollectionConfig& config) override;
  Status update_collection(const std::string& name, const CollectionConfig& changes) override;
  Result<bool> delete_collection(const std::string& name) override;
  [[nodiscard]] std::vector<std::string> collection_names() const override;
  [[nodiscard]] Result<std::shared_ptr<Collection>> collection(
      const std::string& name) const override;
  [[nodiscard]] std::vector<JobInfo> jobs() const override { return jobs_.list(); }
  [[nodiscard]] Result<JobInfo> job(std::uint64_t id) const override { return jobs_.get(id); }
  Status cancel_job(std::uint64_t id) override { return jobs_.cancel(id); }
  void begin_shutdown() override {
    is_stopping_.store(true, std::memory_order_release);
    shared_.stopping.cancel();
    jobs_.begin_shutdown();
  }

 private:
  Result<std::shared_ptr<CollectionImpl>> load_collection(CatalogEntry entry);
  /// Of the collections that are loaded; what is left of others is removed.
  Status load_users(std::map<storage::CollectionNumber, CatalogEntry>&& entries);
  Status create_users(CollectionImpl& owner);
  /// Everything the store holds of a collection.
  static void remove_records(storage::CollectionNumber number,
                             const std::map<std::string, storage::VectorNumber>& vectors,
                             storage::Batch& batch);
  Status remove_orphaned_directories();
  void maintain(BuildLane lane);
  [[nodiscard]] std::shared_ptr<const CollectionImpl> find(const std::string& name) const;
  void flush();
  void check_disk();
  /// With the hidden ones of users.
  [[nodiscard]] std::vector<std::shared_ptr<CollectionImpl>> all_collections() const;

  const config::Settings settings_;
  // Destroyed last: everything below works in it.
  std::unique_ptr<storage::DataDirectory> directory_;
  std::unique_ptr<storage::Store> store_;
  BuildBudget builds_;
  Jobs jobs_;
  Shared shared_;
  MaintenanceRules rules_;
  std::atomic<bool> is_stopping_ = false;

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<CollectionImpl>> collections_ TESSERA_GUARDED_BY(mutex_);
  storage::CollectionNumber next_collection_ TESSERA_GUARDED_BY(mutex_) = 1;
  /// Creation and deletion happen one at a time; searches and writes do not wait for them.
  Mutex catalog_mutex_;

  std::chrono::steady_clock::time_point next_disk_check_{};  // Maintenance thread only.
  std::unique_ptr<Ticker> flusher_, maintenance_, merging_, sweeping_;
};

Result<std::shared_ptr<CollectionImpl>> DatabaseImpl::load_collection(CatalogEntry entry) {
  const auto start = std::chrono::steady_clock::now();
  auto loaded = std::make_shared<CollectionImpl>(std::move(entry), shared_);
  TESSERA_RETURN_IF_ERROR(loaded->load());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  log::info(loaded->is_of_users() ? "users loaded" : "collection loaded",
            {{"collection", loaded->name()},
             {loaded->is_of_users() ? "users" : "points", loaded->point_count()},
             {"seconds", elapsed.count()}});
  return loaded;
}

Status DatabaseImpl::load_users(std::map<storage::CollectionNumber, CatalogEntry>&& entries) {
  for (auto& [number, entry] : entries) {
    std::shared_ptr<CollectionImpl> owner;
    for (const auto& collection : all_collections()) {
      if (collection->number() == *entry.users_of) owner = collection;
    }
    if (owner == nullptr) {
      log::warn("removing the users of a collection whose deletion had failed",
                {{"collection", entry.name}});
      storage::Batch batch;
      remove_records(number, entry.vector_numbers, batch);
      TESSERA_RETURN_IF_ERROR(store_->write(std::move(batch), true));
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(auto loaded, load_collection(std::move(entry)));
    owner->users().attach(std::move(loaded));
  }
  return {};
}

/// A kill between the deletion of a collection and that of its files leaves the files.
Status DatabaseImpl::remove_orphaned_directories() {
  const std::string parent = directory_->segments_path();
  TESSERA_ASSIGN_OR_RETURN(const auto names, storage::list_directory(parent));
  std::vector<std::string> known;
  for (const auto& collection : all_collections()) {
    known.push_back(directory_->segment_directory(collection->number()));
  }
  for (const std::string& name : names) {
    const std::string path = parent + "/" + name;
    const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number || std::find(known.begin(), known.end(), path) != known.end()) continue;
    log::info("removing the files of a deleted collection", {{"path", path}});
    if (const Status status = storage::remove_all(path); !status.ok()) {
      log::warn("they could not be removed", {{"path", path}, {"error", status.message()}});
    }
  }
  return {};
}

Status DatabaseImpl::load() {
  // By number: the newest last.
  std::map<storage::CollectionNumber, CatalogEntry> entries, users;
  TESSERA_RETURN_IF_ERROR(
      store_->visit_meta(kCollectionPrefix, [&](std::string_view, std::string_view value) {
        auto entry = CatalogEntry::decode(value);
        if (entry.has_error()) return entry.error();
        const storage::CollectionNumber number = entry->number;
        (entry->users_of ? users : entries).insert_or_assign(number, std::move(*entry));
        return Status();
      }));
  std::map<std::string, storage::CollectionNumber> newest;
  for (const auto& [number, entry] : entries) newest[entry.name] = number;
  for (auto& [number, entry] : entries) {
    if (newest[entry.name] == number) {
      TESSERA_ASSIGN_OR_RETURN(auto loaded, load_collection(std::move(entry)));
      Lock lock(mutex_);
      collections_[loaded->name()] = std::move(loaded);
    } else {
      // Its deletion was answered with an error and its name given to another since.
      log::warn("removing a collection whose deletion had failed", {{"collection", entry.name}});
      storage::Batch batch;
      remove_records(number, entry.vector_numbers, batch);
      TESSERA_RETURN_IF_ERROR(store_->write(std::move(batch), true));
    }
  }
  TESSERA_RETURN_IF_ERROR(load_users(std::move(users)));
  TESSERA_RETURN_IF_ERROR(remove_orphaned_directories());
  TESSERA_ASSIGN_OR_RETURN(const auto next, store_->get_meta(kNextCollectionKey));
  if (!next) return {};
  Lock lock(mutex_);
  const auto [end, error] =
      std::from_chars(next->data(), next->data() + next->size(), next_collection_);
  if (error != std::errc{} || end != next->data() + next->size()) {
    return {Code::kCorrupt, "the store's next collection number is no number"};
  }
  return {};
}

void DatabaseImpl::start_background_work() {
  check_disk();
  flusher_ = std::make_unique<Ticker>(
      std::chrono::milliseconds(std::max(1U, settings_.storage.flush_interval_ms)),
      [this] { flush(); });
  maintenance_ = std::make_unique<Ticker>(kMaintenanceInterval, [this] {
    set_thread_priority(kNewRowsPriority);
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_disk_check_) {
      next_disk_check_ = now + kDiskCheckInterval;
      check_disk();
    }
    maintain(BuildLane::kNewRows);
  });
  // A thread of its own: sessions end while an index is being built, too.
  sweeping_ = std::make_unique<Ticker>(kSweepInterval, [this] {
    for (const auto& collection : all_collections()) collection->sweep_sessions();
  });
  merging_ = std::make_unique<Ticker>(kMaintenanceInterval, [this] {
    set_thread_priority(kBackgroundPriority);
    maintain(BuildLane::kMerges);
  });
}

void DatabaseImpl::flush() {
  if (!shared_.has_unsynced_writes.exchange(false, std::memory_order_acq_rel)) return;
  if (const Status status = store_->sync(); !status.ok()) {
    shared_.has_unsynced_writes.store(true, std::memory_order_release);
    log::error("the log could not be synced", {{"error", status.to_string()}});
  }
}

void DatabaseImpl::check_disk() {
  const auto free = storage::free_bytes(directory_->path());
  if (free.has_error()) return;
  const bool is_full = *free < settings_.storage.free_bytes_min;
  if (is_full != shared_.is_disk_full.exchange(is_full)) {
    if (is_full) {
      log::error("little free disk space: writes are refused", {{"free_bytes", *free}});
    } else {
      log::info("enough free disk space again: writes are accepted", {{"free_bytes", *free}});
    }
  }
}

void DatabaseImpl::maintain(BuildLane lane) {
  for (const auto& collection : all_collections()) {
    if (is_stopping_.load(std::memory_order_acquire)) return;
    collection->maintain(lane, rules_);
  }
}

std::vector<std::shared_ptr<CollectionImpl>> DatabaseImpl::all_collections() const {
  SharedLock lock(mutex_);
  std::vector<std::shared_ptr<CollectionImpl>> all;
  for (const auto& [name, collection] : collections_) {
    all.push_back(collection);
    if (auto users = collection->users().stored()) all.push_back(std::move(users));
  }
  return all;
}

std::shared_ptr<const CollectionImpl> DatabaseImpl::find(const std::string& name) const {
  SharedLock lock(mutex_);
  const auto found = collections_.find(name);
  return found == collections_.end() ? nullptr : found->second;
}

std::vector<std::string> DatabaseImpl::collection_names() const {
  SharedLock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, collection] : collections_) names.push_back(name);
  return names;
}

Result<std::shared_ptr<Collection>> DatabaseImpl::collection(const std::string& name) const {
  SharedLock lock(mutex_);
  const auto found = collections_.find(name);
  if (found == collections_.end()) {
    return Status(Code::kNotFound, "Collection `" + name + "` doesn't exist!");
  }
  return std::shared_ptr<Collection>(found->second);
}

Status DatabaseImpl::create_collection(const std::string& name, const CollectionConfig& config) {
  Lock catalog_lock(catalog_mutex_);
  CatalogEntry entry;
  {
    Lock lock(mutex_);
    if (collections_.contains(name)) {
      return {Code::kAlreadyExists, "Collection `" + name + "` already exists!"};
    }
    entry.number = next_collection_++;
  }
  if (shared_.is_disk_full) return {Code::kDiskFull, "too little free disk space for a collection"};
  entry.name = name;
  entry.config = config;
  storage::VectorNumber next_vector = 0;
  for (const auto& [vector_name, vector] : config.vectors) {
    entry.vector_numbers[vector_name] = next_vector++;
  }
  storage::Batch batch;
  batch.put_meta(CatalogEntry::key(entry.number), entry.encode());
  batch.put_meta(kNextCollectionKey, std::to_string(entry.number + 1));
  TESSERA_RETURN_IF_ERROR(store_->write(std::move(batch), true));
  auto created = std::make_shared<CollectionImpl>(std::move(entry), shared_);
  Lock lock(mutex_);
  collections_[name] = std::move(created);
  return {};
}

Status DatabaseImpl::update_collection(const std::string& name, const CollectionConfig& changes) {
  Lock catalog_lock(catalog_mutex_);
  std::shared_ptr<CollectionImpl> target;
  {
    SharedLock lock(mutex_);
    const auto found = collections_.find(name);
    if (found == collections_.end()) {
      return {Code::kNotFound, "Collection `" + name + "` doesn't exist!"};
    }
    target = found->second;
  }
  return target->update_config(changes);
}

Status DatabaseImpl::create_users(CollectionImpl& owner) {
  Lock catalog_lock(catalog_mutex_);
  CatalogEntry entry = owner.users_entry();
  entry.users_of = owner.number();
  {
    Lock lock(mutex_);
    const auto found = collections_.find(owner.name());
    if (found == collections_.end() || found->second.get() != &owner) {
      return {Code::kNotFound, "Collection `" + owner.name() + "` doesn't exist!"};
    }
    entry.number = next_collection_++;
  }
  if (shared_.is_disk_full) return {Code::kDiskFull, "too little free disk space for users"};
  storage::Batch batch;
  batch.put_meta(CatalogEntry::key(entry.number), entry.encode());
  batch.put_meta(kNextCollectionKey, std::to_string(entry.number + 1));
  TESSERA_RETURN_IF_ERROR(store_->write(std::move(batch), true));
  owner.users().attach(std::make_shared<CollectionImpl>(std::move(entry), shared_));
  return {};
}

void DatabaseImpl::remove_records(storage::CollectionNumber number,
                                  const std::map<std::string, storage::VectorNumber>& vectors,
                                  storage::Batch& batch) {
  batch.delete_collection(number);
  batch.delete_meta(CatalogEntry::key(number));
  batch.delete_meta("operation/" + std::to_string(number));
  for (const auto& [name, vector] : vectors) {
    batch.delete_meta(VectorField::segments_key(number, vector));
    batch.delete_meta(CollectionImpl::reindex_key(number, vector));
  }
}

Result<bool> DatabaseImpl::delete_collection(const std::string& name) {
  Lock catalog_lock(catalog_mutex_);
  std::shared_ptr<CollectionImpl> target;
  {
    Lock lock(mutex_);
    const auto found = collections_.find(name);
    if (found == collections_.end()) return false;
    target = std::move(found->second);
    collections_.erase(found);
  }
  target->close_as_deleted();
  jobs_.cancel_collection(name);
  const auto users = target->users().stored();
  storage::Batch batch;
  remove_records(target->number(), target->vector_numbers(), batch);
  if (users != nullptr) remove_records(users->number(), users->vector_numbers(), batch);
  if (Status status = store_->write(std::move(batch), true); !status.ok()) {
    target->reopen();
    Lock lock(mutex_);
    collections_[name] = target;
    return status;
  }
  // What stays of the files is removed at the next start.
  std::vector<std::string> files = {directory_->segment_directory(target->number())};
  if (users != nullptr) files.push_back(directory_->segment_directory(users->number()));
  for (const std::string& path : files) {
    if (const Status status = storage::remove_all(path); !status.ok()) {
      log::warn("the files of a deleted collection could not be removed",
                {{"path", path}, {"error", status.message()}});
    }
  }
  return true;
}

}  // namespace

const char* cpu_level() {
  return index::cpu_level();
}

Result<std::unique_ptr<Database>> Database::open(const config::Settings& settings,
                                                 metrics::Registry& registry) {
  index::initialise_libraries();
  TESSERA_ASSIGN_OR_RETURN(auto directory, storage::DataDirectory::open(settings.storage.path));
  storage::StoreOptions options;
  options.block_cache_bytes = settings.storage.block_cache_bytes;
  options.write_buffer_bytes = settings.storage.write_buffer_bytes;
  TESSERA_ASSIGN_OR_RETURN(auto store, storage::Store::open(directory->store_path(), options));
  auto database =
      std::make_unique<DatabaseImpl>(settings, registry, std::move(directory), std::move(store));
  TESSERA_RETURN_IF_ERROR(database->load());
  database->start_background_work();
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace tessera::engine
