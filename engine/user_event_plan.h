#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "storage/store.h"

namespace tessera::engine {

/// Events by their position, or all of an item.
struct EventMatcher {
  std::set<storage::EventPosition> positions;
  std::set<PointId> items;

  [[nodiscard]] bool matches(const storage::Event& event) const {
    return items.contains(event.id) || positions.contains(event.position());
  }
};

/// What one commit group does to the blocks of events. A change is made in two steps, so that an
/// operation can fail without a trace: staged, which reads the store, then accepted. Later changes
/// of the group see the accepted ones.
/// Thread rule: confined to the group's leader.
class UserEventPlan {
 public:
  UserEventPlan(const storage::Store& store, storage::CollectionNumber collection)
      : store_(store), collection_(collection) {}

  struct Staged {
    std::uint32_t slot = 0;
    bool is_replaced = false;
    std::vector<storage::EventBlock> blocks;
    std::vector<std::optional<storage::EventPosition>> removed;  ///< Where the blocks begin.
  };
  /// `events` is strictly ascending. Those whose position is taken are dropped. Reads and rewrites
  /// the blocks that they belong to.
  Result<Staged> append(std::uint32_t slot, const std::vector<storage::Event>& events) const;
  /// In place of all that the slot has, which may be damaged.
  Result<Staged> replace(std::uint32_t slot, const std::vector<storage::Event>& events) const;

  /// All that the slot has but those. Reads the blocks that they belong to, for items all blocks,
  /// and rewrites those that change; all of them when one would be left empty.
  Result<Staged> remove(std::uint32_t slot, const EventMatcher& removed) const;

  void accept(Staged staged);
  void write_to(storage::Batch& batch) const;

 private:
  using Begin = std::optional<storage::EventPosition>;
  Result<storage::EventPlace> find(std::uint32_t slot,
                                   const storage::EventPosition& position) const;
  Result<Staged> rewrite(std::uint32_t slot, const EventMatcher& removed) const;

  const storage::Store& store_;
  const storage::CollectionNumber collection_;
  /// Changed blocks; without events: removed ones.
  std::map<std::pair<std::uint32_t, Begin>, std::vector<storage::Event>> blocks_;
  std::set<std::uint32_t> replaced_;  ///< Slots of which nothing in the store counts.
};

/// Events in blocks, the first of which begins at `begin`. `is_growing`: they came at the end, so
/// the next ones will too, and blocks are filled; else they are halved, so that there is room.
std::vector<storage::EventBlock> cut_into_blocks(const std::optional<storage::EventPosition>& begin,
                                                 const std::vector<storage::Event>& events,
                                                 bool is_growing);

}  // namespace tessera::engine
