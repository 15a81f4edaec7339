#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "retrieval/searcher.h"
#include "retrieval/vector_math.h"

namespace tessera::retrieval {

/// The current vectors of slots as they are compared; an empty one where there is none.
using VectorsOf = std::function<std::vector<std::vector<float>>(std::span<const Slot> slots)>;

/// Which of some stored items are nearest to a centre.
struct NearestItems {
  std::optional<Slot> medoid;  ///< The nearest; nothing when no item has a vector any more.
  std::vector<Slot> items;     ///< Different ones, nearest first, at most kReportItemsMax.
  std::size_t item_count = 0;  ///< All different ones.
};
/// `slots`: newest last; of equally near items the newer comes first.
NearestItems nearest_items(std::span<const Slot> slots, const Wide& centre, Metric metric,
                           const VectorsOf& vectors_of);

/// What the events of a person say of one cluster of the collection.
/// Thread rule: safe from any thread once it is part of a PersonMixture.
class MixturePart {
 public:
  explicit MixturePart(std::uint32_t cluster) : cluster_(cluster) {}
  MixturePart(const MixturePart& other)
      : cluster_(other.cluster_), weight_(other.weight_), sum_(other.sum_), slots_(other.slots_) {}
  MixturePart& operator=(const MixturePart&) = delete;

  void add(Slot slot, double weight, std::span<const float> vector);

  [[nodiscard]] std::uint32_t cluster() const { return cluster_; }
  [[nodiscard]] double weight() const { return weight_; }  ///< Of all its events.
  [[nodiscard]] Wide mean() const;
  [[nodiscard]] const std::vector<Slot>& slots() const { return slots_; }  ///< Newest last.
  /// About the mean. Found when it is first asked for, and kept.
  [[nodiscard]] NearestItems nearest(Metric metric, const VectorsOf& vectors_of) const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  const std::uint32_t cluster_;
  double weight_ = 0;
  Wide sum_;  ///< weight * vector, in the order of the events.
  std::vector<Slot> slots_;
  mutable Mutex mutex_;
  mutable std::optional<NearestItems> nearest_ TESSERA_GUARDED_BY(mutex_);
};

/// A person's mixture over the clusters of a collection, without decay, as sums over their events
/// in order: one that is made longer is to the bit the one that is made of all events.
/// Thread rule: immutable.
struct PersonMixture {
  std::vector<std::shared_ptr<const MixturePart>> parts;  ///< By cluster, ascending.
  double weight = 0;                                      ///< Of all events.
  Wide sum;

  [[nodiscard]] std::size_t bytes() const;
};

/// Weights whose sums can neither overflow nor vanish, so that they need no common scale.
[[nodiscard]] bool is_summable(double weight);

/// Makes a mixture longer. What did not change is shared with `base`.
class MixtureBuilder {
 public:
  explicit MixtureBuilder(PersonMixture base = {}) : mixture_(std::move(base)) {}
  /// The next newer event. The weight is summable.
  void add(Slot slot, double weight, std::uint32_t cluster, std::span<const float> vector);
  [[nodiscard]] PersonMixture finish();

 private:
  PersonMixture mixture_;
  std::map<std::uint32_t, std::shared_ptr<MixturePart>> changed_;
};

}  // namespace tessera::retrieval
