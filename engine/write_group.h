#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/collection_impl.h"
#include "engine/user_event_plan.h"

namespace tessera::engine {

/// One commit group: plans its operations in order into one batch, writes the batch, applies the
/// changes in memory, sets the results. Later operations of a group see earlier ones through
/// the planned slots and payloads.
/// Thread rule: confined to the group's leader.
class WriteGroup {
 public:
  WriteGroup(CollectionImpl& collection, std::vector<PendingWrite*>& writes)
      : collection_(collection),
        writes_(writes),
        events_(collection.shared_.store, collection.number_) {}
  void run();

 private:
  /// What happens to one slot once the store has the batch.
  struct Change {
    enum class Kind : std::uint8_t { kUpsert, kDelete, kPayload, kUser };
    Kind kind = Kind::kUpsert;
    PointId id;
    std::uint32_t slot = 0;
    std::uint64_t version = 0;
    const PointInput* point = nullptr;  ///< kUpsert; owned by the pending write.
    const UserChange* user = nullptr;   ///< kUser; likewise.
    std::string payload;                ///< kUpsert, kPayload: the new text, "" for none.
  };
  /// What happened to the events of one user, in order.
  struct EventChange {
    std::uint32_t slot = 0;
    const std::vector<storage::Event>* appended = nullptr;  ///< Null: anything else.
  };
  using PayloadEdit = std::function<Result<std::string>(std::string_view payload)>;

  Result<WriteResult> plan(PendingWrite& write);
  Status plan_upsert(UpsertPoints& upsert, std::uint64_t operation_id);
  void plan_upsert_point(PointInput& point, std::uint64_t operation_id);
  Status plan_delete(const DeletePoints& remove, std::uint64_t operation_id);
  Status plan_payload(const PointSelector& selector, std::uint64_t operation_id,
                      const PayloadEdit& edit);
  Result<std::vector<PointId>> ids_of(const PointSelector& selector) const;
  std::optional<std::uint32_t> slot_of(const PointId& id) const;
  Result<std::vector<std::string>> payloads_of(const std::vector<std::uint32_t>& slots) const;
  // Of users; see write_group_users.cpp.
  Status check_user_keys(const WriteUsers& write,
                         const std::vector<std::optional<std::uint32_t>>& slots) const;
  Status plan_users(WriteUsers& write, std::uint64_t operation_id);
  void plan_user(const UserChange& user, std::uint32_t slot, std::uint64_t operation_id,
                 bool is_new);
  /// Of all, or of none when one fails.
  Status plan_delete_events(const std::vector<PointId>& ids);
  void apply_user(const Change& change) TESSERA_REQUIRES(collection_.state_mutex_);
  void apply();
  void mark_items() const;
  void tell_mixtures() const;
  void apply_upsert(const Change& change) TESSERA_REQUIRES(collection_.state_mutex_);

  CollectionImpl& collection_;
  std::vector<PendingWrite*>& writes_;
  storage::Batch batch_;
  UserEventPlan events_;
  std::vector<Change> changes_;
  std::vector<EventChange> event_changes_;
  std::unordered_map<PointId, std::optional<std::uint32_t>> planned_slots_;
  std::unordered_map<std::uint32_t, std::string> planned_payloads_;
};

}  // namespace tessera::engine
