#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "index/bitmap.h"
#include "retrieval/person_mixture.h"
#include "storage/event_block.h"

namespace tessera::engine {

/// What a user's events are as a mixture of interests, for one vector, one version of its item
/// clusters and the points of one moment. Derived from events, points and clusters.
/// Thread rule: immutable but for `seen_operation`.
struct UserMixture {
  /// Null when no event is of a point with the vector.
  std::shared_ptr<const retrieval::PersonMixture> mixture;
  index::Bitmap known;                 ///< Slots of the points of all events.
  std::vector<PointId> missing;        ///< Of events without a point, each at least once.
  std::vector<std::uint32_t> without;  ///< Slots of counted events that have no vector.
  std::uint64_t event_count = 0;
  std::optional<storage::EventPosition> newest;
  std::uint64_t clusters_version = 0;
  /// Every write of points up to this one counts.
  mutable std::atomic<std::uint64_t> seen_operation = 0;

  [[nodiscard]] std::size_t bytes() const;
};

/// The mixtures of the users who were asked about lately, so that a query reads neither their
/// events nor the vectors of these, and a new event is added instead of everything summed again.
///
/// Invariant: a mixture with the events that wait is what the store holds, for a writer tells of
/// every change of a user's events before it is answered. Nothing is lost with the memory.
/// Thread rule: safe from any thread. No lock is held while a mixture is made.
class UserMixtures {
 public:
  struct Known {
    std::shared_ptr<const UserMixture> mixture;  ///< Null: it must be made.
    std::vector<storage::Event> waiting;         ///< Newer events that it lacks, in order.
    std::uint64_t ticket = 0;
  };
  /// To be called before anything is read that the mixture is made of.
  [[nodiscard]] Known find(std::uint32_t slot);
  /// Keeps what was made, unless the user's events have changed since find() gave the ticket.
  /// Those that were not used for longest make room: all together take `bytes_max` at most.
  void put(std::uint32_t slot, std::uint64_t ticket, std::shared_ptr<const UserMixture> mixture,
           std::size_t bytes_max);

  /// Writers: after the store has it, before it is answered. `events`: new ones, ascending.
  void append(std::uint32_t slot, std::span<const storage::Event> events);
  /// The events are others than before, or the user is gone.
  void drop(std::uint32_t slot);

  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Entry {
    Known known;
    std::size_t bytes = 0;
    std::list<std::uint32_t>::iterator place;
  };
  void set_bytes(Entry& entry) TESSERA_REQUIRES(mutex_);
  void erase(std::unordered_map<std::uint32_t, Entry>::iterator entry) TESSERA_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::unordered_map<std::uint32_t, Entry> entries_ TESSERA_GUARDED_BY(mutex_);  ///< By slot.
  std::list<std::uint32_t> used_ TESSERA_GUARDED_BY(mutex_);  ///< Slots, the latest first.
  std::size_t bytes_ TESSERA_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_ticket_ TESSERA_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera::engine
