#include "engine/adapter_registry.h"

#include <chrono>

#include "base/log.h"
#include "engine/collection_impl.h"

namespace tessera::engine {
namespace {

Status not_found(const std::string& name) {
  return {Code::kNotFound, "No adapter `" + name + "` found"};
}

AdapterInfo info_of(const std::string& name, std::size_t file_bytes,
                    const adapter::Adapter& adapter) {
  AdapterInfo info;
  info.name = name;
  info.file_bytes = file_bytes;
  info.parameter_count = adapter.weights().parameter_count;
  info.backbone = adapter::backbone_name(adapter.weights().backbone);
  info.dim = adapter.dim();
  info.context_size = adapter.weights().context_size;
  info.max_history = adapter.weights().max_history;
  info.has_item_bias = adapter.has_item_bias();
  return info;
}

}  // namespace

AdapterRegistry::Entry AdapterRegistry::read(const std::string& name,
                                             const std::optional<storage::AdapterRecord>& record) {
  Entry entry;
  entry.info.name = name;
  if (!record) {
    entry.info.error = "its record cannot be read";
    return entry;
  }
  auto read = adapter::Adapter::read(record->file);
  if (read.has_error()) {
    entry.info.error = read.error().message();
  } else {
    entry.info = info_of(name, record->file.size(), **read);
    entry.adapter = std::move(*read);
  }
  entry.info.version = record->version;
  entry.info.created_at_us = record->created_at_us;
  return entry;
}

Status AdapterRegistry::load() {
  return owner_.shared_.store.visit_adapters(
      owner_.number_,
      [&](std::string_view name, const std::optional<storage::AdapterRecord>& record) {
        auto loaded = std::make_shared<const Entry>(read(std::string(name), record));
        if (loaded->adapter == nullptr) {
          log::error(
              "an adapter cannot be used: it is damaged",
              {{"collection", owner_.name_}, {"adapter", name}, {"error", loaded->info.error}});
        }
        Lock lock(mutex_);
        entries_.emplace(name, std::move(loaded));
        return true;
      });
}

std::shared_ptr<const AdapterRegistry::Entry> AdapterRegistry::entry(
    const std::string& name) const {
  SharedLock lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second;
}

Result<std::shared_ptr<const AdapterRegistry::Entry>> AdapterRegistry::find(
    const std::string& name) const {
  auto known = entry(name);
  if (known == nullptr) return not_found(name);
  if (known->adapter != nullptr) return known;
  return Status(Code::kCorrupt, "adapter `" + name + "` is damaged (" + known->info.error +
                                    "): upload it again or delete it");
}

Result<AdapterInfo> AdapterRegistry::get(const std::string& name) const {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  const auto known = entry(name);
  if (known == nullptr) return not_found(name);
  return known->info;
}

Result<std::vector<AdapterInfo>> AdapterRegistry::list() const {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  std::vector<AdapterInfo> infos;
  SharedLock lock(mutex_);
  for (const auto& [name, entry] : entries_) infos.push_back(entry->info);
  return infos;
}

Status AdapterRegistry::check_fits(const adapter::Adapter& adapter,
                                   const VectorField::Identity& vector) {
  const std::string named = "vector `" + vector.name + "`";
  if (vector.metric != Metric::kDot && vector.metric != Metric::kCosine) {
    return {Code::kInvalidArgument, "adapter: " + named + " has the distance " +
                                        metric_name(vector.metric) +
                                        ", and adapters need Dot or Cosine"};
  }
  if (adapter.has_item_bias() && vector.metric != Metric::kDot) {
    return {Code::kInvalidArgument,
            "adapter: __metadata__.item_bias: a bias needs the distance Dot, and " + named +
                " has " + metric_name(vector.metric)};
  }
  if (adapter.item_dim() != vector.dim) {
    return {Code::kInvalidArgument, "adapter: tensor 'filter.linear.weight': is for vectors of " +
                                        std::to_string(adapter.item_dim()) + " values" +
                                        (adapter.has_item_bias() ? ", the last one a bias" : "") +
                                        ", and " + named + " has " + std::to_string(vector.dim)};
  }
  return {};
}

Result<AdapterInfo> AdapterRegistry::put(const std::string& name, std::string_view file) {
  TESSERA_RETURN_IF_ERROR(owner_.check_open());
  const std::uint64_t bytes_max = owner_.shared_.settings.adapters.bytes_max;
  if (file.size() > bytes_max) {
    return Status(Code::kInvalidArgument, "adapter: the file has " + std::to_string(file.size()) +
                                              " bytes, and adapters.bytes_max is " +
                                              std::to_string(bytes_max));
  }
  PutAdapter put;
  put.name = name;
  put.file = file;
  TESSERA_ASSIGN_OR_RETURN(put.adapter, adapter::Adapter::read(file));
  Status fit = {Code::kInvalidArgument, "adapter: the collection has no vector"};
  for (const auto& [vector, field] : owner_.fields_) {
    Status status = check_fits(*put.adapter, field.vectors->identity());
    const bool is_fit = status.ok();
    if (is_fit || &vector == &owner_.fields_.begin()->first) fit = std::move(status);
    if (is_fit) break;
  }
  TESSERA_RETURN_IF_ERROR(fit);
  put.info = info_of(name, file.size(), *put.adapter);
  PendingWrite pending{std::move(put), true, std::nullopt, false};
  TESSERA_RETURN_IF_ERROR(owner_.validate(pending.operation));
  owner_.commits_.run(pending);
  if (pending.result->has_error()) return pending.result->error();
  return std::move(std::get<PutAdapter>(pending.operation).info);
}

Result<WriteResult> AdapterRegistry::remove(const std::string& name) {
  return owner_.write(DeleteAdapter{name}, true);
}

Status AdapterRegistry::write(storage::Batch&& batch) {
  const bool needs_sync = owner_.shared_.settings.storage.durability != config::Durability::kAsync;
  batch.put_meta("operation/" + std::to_string(owner_.number_),
                 std::to_string(owner_.next_operation_));
  const Status status = owner_.shared_.store.write(std::move(batch), needs_sync);
  if (!status.ok()) {
    log::error("an adapter could not be written",
               {{"collection", owner_.name_}, {"error", status.to_string()}});
    return status;
  }
  if (!needs_sync) owner_.shared_.has_unsynced_writes.store(true, std::memory_order_release);
  return {};
}

Status AdapterRegistry::commit(PutAdapter& put) {
  const auto known = entry(put.name);
  if (known == nullptr) {
    const std::size_t count_max = owner_.shared_.settings.adapters.count_max;
    SharedLock lock(mutex_);
    if (entries_.size() >= count_max) {
      return {Code::kInvalidArgument,
              "adapter: the collection has " + std::to_string(entries_.size()) +
                  " adapters, and adapters.count_max is " + std::to_string(count_max)};
    }
  }
  put.info.version = known == nullptr ? 1 : known->info.version + 1;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  put.info.created_at_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  storage::Batch batch;
  batch.put_adapter(owner_.number_, put.name, {put.info.version, put.info.created_at_us, put.file});
  TESSERA_RETURN_IF_ERROR(write(std::move(batch)));
  auto entry = std::make_shared<const Entry>(Entry{put.info, put.adapter});
  Lock lock(mutex_);
  entries_[put.name] = std::move(entry);
  return {};
}

Status AdapterRegistry::commit(const DeleteAdapter& remove) {
  if (entry(remove.name) == nullptr) return not_found(remove.name);
  storage::Batch batch;
  batch.delete_adapter(owner_.number_, remove.name);
  TESSERA_RETURN_IF_ERROR(write(std::move(batch)));
  Lock lock(mutex_);
  entries_.erase(remove.name);
  return {};
}

}  // namespace tessera::engine
