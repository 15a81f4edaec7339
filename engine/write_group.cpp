#include "engine/write_group.h"

#include <algorithm>

#include "base/log.h"
#include "engine/payload.h"

namespace tessera::engine {
namespace {

const std::string kNoPayload;

std::string operation_key(storage::CollectionNumber collection) {
  return "operation/" + std::to_string(collection);
}

}  // namespace

std::optional<std::uint32_t> WriteGroup::slot_of(const PointId& id) const {
  if (const auto planned = planned_slots_.find(id); planned != planned_slots_.end()) {
    return planned->second;
  }
  SharedLock lock(collection_.state_mutex_);
  return collection_.slots_.find(id);
}

Result<std::vector<PointId>> WriteGroup::ids_of(const PointSelector& selector) const {
  if (const auto* ids = std::get_if<std::vector<PointId>>(&selector)) return *ids;
  // A filter begins its group, so that memory holds everything before it.
  const CancelToken& stopping = collection_.shared_.stopping;
  TESSERA_ASSIGN_OR_RETURN(const index::Bitmap slots,
                           collection_.matching_slots(std::get<Filter>(selector), stopping));
  std::vector<PointId> ids;
  ids.reserve(slots.cardinality());
  for (const std::uint32_t slot : slots) ids.push_back(collection_.slots_.id_of(slot));
  return ids;
}

void WriteGroup::plan_upsert_point(PointInput& point, std::uint64_t operation_id) {
  const storage::CollectionNumber number = collection_.number_;
  std::optional<std::uint32_t> slot = slot_of(point.id);
  if (!slot) slot = collection_.next_slot_++;
  planned_slots_[point.id] = slot;

  batch_.put_point(number, point.id, {*slot, operation_id});
  // What is not given is deleted from a new slot too: a write that failed may have left it there.
  for (const auto& [name, field] : collection_.fields_) {
    const auto given =
        std::find_if(point.vectors.begin(), point.vectors.end(),
                     [&name = name](const auto& entry) { return entry.first == name; });
    const storage::VectorNumber vector = field.vectors->identity().number;
    const ValueType type = field.vectors->identity().value_type;
    if (given != point.vectors.end()) {
      batch_.put_vector(number, vector, *slot, operation_id, given->second, type);
    } else {
      batch_.delete_vector(number, vector, *slot);
    }
  }
  const std::string& payload = point.payload ? *point.payload : kNoPayload;
  const bool has_payload = !payload.empty() && payload != "{}";
  if (has_payload) {
    batch_.put_payload(number, *slot, payload);
  } else {
    batch_.delete_payload(number, *slot);
  }
  planned_payloads_[*slot] = has_payload ? payload : kNoPayload;
  changes_.push_back({Change::Kind::kUpsert, point.id, *slot, operation_id, &point, nullptr,
                      has_payload ? payload : kNoPayload});
}

Status WriteGroup::plan_upsert(UpsertPoints& upsert, std::uint64_t operation_id) {
  // Slots are 32 bits wide and not reused while the daemon runs.
  if (upsert.points.size() > ~std::uint32_t{0} - std::size_t{collection_.next_slot_}) {
    return {Code::kResourceExhausted, "the collection has used all of its 2^32 point slots"};
  }
  // Two rows of one slot and one operation could not be told apart after a restart: of equal ids in
  // a request only the last counts.
  std::unordered_map<PointId, std::size_t> last;
  for (std::size_t i = 0; i < upsert.points.size(); ++i) last[upsert.points[i].id] = i;
  for (std::size_t i = 0; i < upsert.points.size(); ++i) {
    if (last[upsert.points[i].id] == i) plan_upsert_point(upsert.points[i], operation_id);
  }
  return {};
}

Status WriteGroup::plan_delete(const DeletePoints& remove, std::uint64_t operation_id) {
  TESSERA_ASSIGN_OR_RETURN(const auto ids, ids_of(remove.selector));
  if (collection_.users_of_) TESSERA_RETURN_IF_ERROR(plan_delete_events(ids));
  for (const PointId& id : ids) {
    const auto slot = slot_of(id);
    if (!slot) continue;
    batch_.delete_point(collection_.number_, id);
    batch_.delete_payload(collection_.number_, *slot);
    for (const auto& [name, field] : collection_.fields_) {
      batch_.delete_vector(collection_.number_, field.vectors->identity().number, *slot);
    }
    planned_slots_[id] = std::nullopt;
    planned_payloads_.erase(*slot);
    Change& change = changes_.emplace_back();
    change.kind = Change::Kind::kDelete;
    change.id = id;
    change.slot = *slot;
    change.version = operation_id;
  }
  return {};
}

Result<std::vector<std::string>> WriteGroup::payloads_of(
    const std::vector<std::uint32_t>& slots) const {
  TESSERA_ASSIGN_OR_RETURN(auto stored,
                           collection_.shared_.store.get_payloads(collection_.number_, slots));
  std::vector<std::string> payloads(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto planned = planned_payloads_.find(slots[i]);
    if (planned != planned_payloads_.end()) {
      payloads[i] = planned->second;
    } else if (stored[i]) {
      payloads[i] = std::move(*stored[i]);
    }
  }
  return payloads;
}

Status WriteGroup::plan_payload(const PointSelector& selector, std::uint64_t operation_id,
                                const PayloadEdit& edit) {
  TESSERA_ASSIGN_OR_RETURN(const auto ids, ids_of(selector));
  std::vector<PointId> found;
  std::vector<std::uint32_t> slots;
  Status missing;
  for (const PointId& id : ids) {
    if (const auto slot = slot_of(id)) {
      found.push_back(id);
      slots.push_back(*slot);
    } else if (missing.ok()) {
      missing = Status(Code::kNotFound, "No point with id " + id.to_string() + " found");
    }
  }
  TESSERA_ASSIGN_OR_RETURN(auto payloads, payloads_of(slots));
  // All edits succeed before any goes into the batch.
  for (std::string& payload : payloads) {
    TESSERA_ASSIGN_OR_RETURN(payload, edit(payload));
    if (payload == "{}") payload.clear();
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    batch_.put_point(collection_.number_, found[i], {slots[i], operation_id});
    if (payloads[i].empty()) {
      batch_.delete_payload(collection_.number_, slots[i]);
    } else {
      batch_.put_payload(collection_.number_, slots[i], payloads[i]);
    }
    planned_payloads_[slots[i]] = payloads[i];
    changes_.push_back({Change::Kind::kPayload, found[i], slots[i], operation_id, nullptr, nullptr,
                        std::move(payloads[i])});
  }
  return missing;
}

Result<WriteResult> WriteGroup::plan(PendingWrite& write) {
  const std::uint64_t operation_id = collection_.next_operation_++;
  struct Planner {
    WriteGroup& group;
    std::uint64_t operation_id;
    Status operator()(UpsertPoints& op) { return group.plan_upsert(op, operation_id); }
    Status operator()(DeletePoints& op) { return group.plan_delete(op, operation_id); }
    Status operator()(SetPayload& op) {
      return group.plan_payload(op.selector, operation_id, [&](std::string_view payload) {
        return merge_payload(payload, op.payload, op.key);
      });
    }
    Status operator()(OverwritePayload& op) {
      return group.plan_payload(op.selector, operation_id,
                                [&](std::string_view) { return Result<std::string>(op.payload); });
    }
    Status operator()(DeletePayloadKeys& op) {
      return group.plan_payload(op.selector, operation_id, [&](std::string_view payload) {
        return remove_payload_keys(payload, op.keys);
      });
    }
    Status operator()(ClearPayload& op) {
      return group.plan_payload(op.selector, operation_id, [](std::string_view) {
        return Result<std::string>(std::string());
      });
    }
    Status operator()(WriteUsers& op) { return group.plan_users(op, operation_id); }
    static Status misplaced() {
      return {Code::kInternal, "a change of schema or adapters reached a commit group"};
    }
    Status operator()(CreatePayloadIndex&) { return misplaced(); }
    Status operator()(DeletePayloadIndex&) { return misplaced(); }
    Status operator()(PutAdapter&) { return misplaced(); }
    Status operator()(DeleteAdapter&) { return misplaced(); }
  };
  TESSERA_RETURN_IF_ERROR(std::visit(Planner{*this, operation_id}, write.operation));
  return WriteResult{operation_id, write.wait};
}

void WriteGroup::run() {
  bool needs_sync = false;
  for (PendingWrite* write : writes_) {
    write->result = plan(*write);
    needs_sync = needs_sync || write->wait;
  }
  events_.write_to(batch_);
  if (batch_.empty()) return;
  batch_.put_meta(operation_key(collection_.number_), std::to_string(collection_.next_operation_));
  if (collection_.shared_.settings.storage.durability == config::Durability::kAsync) {
    needs_sync = false;
  }
  const Status status = collection_.shared_.store.write(std::move(batch_), needs_sync);
  if (!status.ok()) {
    log::error("a write failed; nothing of it was applied",
               {{"collection", collection_.name_}, {"error", status.to_string()}});
    for (PendingWrite* write : writes_) write->result = Result<WriteResult>(status);
    return;
  }
  if (!needs_sync) collection_.shared_.has_unsynced_writes.store(true, std::memory_order_release);
  apply();
  mark_items();
  tell_mixtures();
  collection_.applied_operation_.store(collection_.next_operation_ - 1, std::memory_order_release);
}

/// Last, so that whoever assigns the points finds what was written.
void WriteGroup::mark_items() const {
  std::vector<std::uint32_t> slots;
  for (const Change& change : changes_) {
    if (change.kind != Change::Kind::kPayload) slots.push_back(change.slot);
  }
  for (const auto& [name, field] : collection_.fields_) CollectionImpl::mark_items(field, slots);
}

void WriteGroup::apply_upsert(const Change& change) {
  collection_.slots_.insert(change.id, change.slot, change.version);
  for (auto& [name, field] : collection_.fields_) {
    const auto given =
        std::find_if(change.point->vectors.begin(), change.point->vectors.end(),
                     [&, &key = name](const auto& entry) { return entry.first == key; });
    if (given != change.point->vectors.end()) {
      field.vectors->put(change.slot, change.version, given->second.data());
    } else {
      field.vectors->remove(change.slot);
    }
  }
}

void WriteGroup::apply() {
  Lock lock(collection_.state_mutex_);
  for (const Change& change : changes_) {
    switch (change.kind) {
      case Change::Kind::kUpsert:
        apply_upsert(change);
        break;
      case Change::Kind::kDelete:
        for (auto& [name, field] : collection_.fields_) field.vectors->remove(change.slot);
        collection_.slots_.touch(change.slot, change.version);
        collection_.slots_.erase(change.id, change.slot);
        break;
      case Change::Kind::kUser:
        apply_user(change);
        break;
      case Change::Kind::kPayload:
        collection_.slots_.touch(change.slot, change.version);
        break;
    }
    if (collection_.indexes_.empty()) continue;
    const Status status = collection_.indexes_.set(change.slot, change.payload);
    if (!status.ok()) {
      // The payload was parsed when it was validated; this is our own bug, and it must be seen.
      log::error("a payload could not be indexed", {{"collection", collection_.name_},
                                                    {"point", change.id.to_string()},
                                                    {"error", status.to_string()}});
    }
  }
}

}  // namespace tessera::engine
