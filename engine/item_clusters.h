#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/metrics.h"
#include "base/mutex.h"
#include "engine/slot_bits.h"
#include "index/bitmap.h"
#include "index/clustering.h"

namespace tessera::engine {

/// Which item cluster every point of a vector is in, for one version of the clusters. A writer only
/// marks what it changed; the marked points are assigned in the background and before anybody asks
/// for what depends on them, so that a write pays nothing and a read misses nothing.
///
/// Invariant: a slot that is not marked has the cluster that its vector is nearest to, or
/// none without a vector. Assigning is the same routine that assigns the items of a history.
/// Memory: 4 bytes a slot. Thread rule: safe from any thread; no lock is held while vectors are
/// read, but that of catch_up(), which only others of its kind wait for.
class ItemClusters {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  /// Vectors as they are compared; an empty one where there is none.
  using Fetch =
      std::function<std::vector<std::vector<float>>(std::span<const std::uint32_t> slots)>;

  /// `assigned_count`, which may be null, counts the points that were assigned.
  ItemClusters(std::shared_ptr<const index::Clusters> clusters, Fetch fetch,
               metrics::Counter* assigned_count = nullptr)
      : clusters_(std::move(clusters)),
        fetch_(std::move(fetch)),
        assigned_count_(assigned_count),
        sizes_(clusters_->count(), 0) {}

  /// To be called when the vectors of these slots were written or deleted, before the write is
  /// answered.
  void mark(std::span<const std::uint32_t> slots);
  void mark(const index::Bitmap& slots);
  /// Slots that are marked still.
  [[nodiscard]] std::size_t marked_count() const;

  /// Assigns what was marked before the call, at most `slot_count_max` of it: about a distance to
  /// every centroid for each. The outcome does not depend on the number of threads. kCancelled and
  /// kTimeout keep what is done.
  Status catch_up(const index::BuildControl& control,
                  std::size_t slot_count_max = std::numeric_limits<std::size_t>::max());

  /// By slot: kNone for one that was marked when the call began, or has no vector.
  [[nodiscard]] std::vector<std::uint32_t> assignments() const;
  /// Takes over what assignments() gave. Before any other use; what has changed since is then
  /// marked. Cluster numbers are below the clusters' count, or kNone.
  void restore(std::vector<std::uint32_t> assignments);
  /// Points assigned since the last call of keep_saved(), or ever.
  [[nodiscard]] std::size_t unsaved_count() const {
    return unsaved_count_.load(std::memory_order_relaxed);
  }
  void keep_saved() { unsaved_count_.store(0, std::memory_order_relaxed); }

  /// kNone for a slot that is marked, or has no vector.
  [[nodiscard]] std::vector<std::uint32_t> clusters_of(std::span<const std::uint32_t> slots) const;
  /// The points of one cluster; about a nanosecond for four slots of the collection.
  [[nodiscard]] SlotBits slots_in(std::uint32_t cluster) const;
  /// Points of every cluster.
  [[nodiscard]] std::vector<std::uint64_t> sizes() const;

 private:
  void assign(std::span<const std::uint32_t> slots);

  const std::shared_ptr<const index::Clusters> clusters_;
  const Fetch fetch_;
  metrics::Counter* const assigned_count_;
  std::atomic<std::size_t> unsaved_count_ = 0;

  /// One catch_up() at a time: of two that know different vectors of a slot the later must win.
  std::timed_mutex catching_up_;
  mutable Mutex marks_mutex_;
  index::Bitmap marked_ TESSERA_GUARDED_BY(marks_mutex_);
  index::Bitmap in_work_ TESSERA_GUARDED_BY(marks_mutex_);  ///< Taken by a catch_up(), not done.
  mutable Mutex assigned_mutex_;
  std::vector<std::uint32_t> assigned_ TESSERA_GUARDED_BY(assigned_mutex_);  ///< By slot.
  std::vector<std::uint64_t> sizes_ TESSERA_GUARDED_BY(assigned_mutex_);
};

}  // namespace tessera::engine
