#include <algorithm>
#include <cmath>

#include "engine/collection_impl.h"

namespace tessera::engine {

using storage::Event;

namespace {

/// Events whose vectors are in memory at once.
constexpr std::size_t kBlockEvents = 1024;

/// The factor, a power of two, that makes all weights summable. 1 but for weights that nobody has.
double common_scale(std::span<const Event> events) {
  double largest = 0;
  bool is_needed = false;
  for (const Event& event : events) {
    largest = std::max(largest, event.weight);
    is_needed = is_needed || !retrieval::is_summable(event.weight);
  }
  return is_needed ? std::ldexp(1, -std::ilogb(largest)) : 1;
}

}  // namespace

std::size_t first_counted_event(std::size_t event_count) {
  constexpr std::size_t kStep = 1024;
  const std::size_t beyond = event_count - std::min(event_count, kHistoryEventsMax);
  return beyond / kStep * kStep;
}

/// Adds newer events to a mixture. Thread rule: confined to one query.
class UserMixtureMaker {
 public:
  UserMixtureMaker(const CollectionImpl& owner, const MixtureSources& sources)
      : owner_(owner), sources_(sources), made_(std::make_shared<UserMixture>()) {
    made_->clusters_version = sources.clusters.info.version;
    // Before anything is read: a later write is found by looking for what changed since.
    made_->seen_operation = owner.applied_operation_.load(std::memory_order_acquire);
  }
  UserMixtureMaker(const CollectionImpl& owner, const MixtureSources& sources,
                   const UserMixture& base)
      : UserMixtureMaker(owner, sources) {
    if (base.mixture != nullptr) builder_ = retrieval::MixtureBuilder(*base.mixture);
    made_->known = base.known;
    made_->missing = base.missing;
    made_->without = base.without;
    made_->event_count = base.event_count;
    made_->newest = base.newest;
    made_->seen_operation = base.seen_operation.load(std::memory_order_relaxed);
  }

  /// Of the first ones only the points are known, as those that the person has seen.
  Status add(std::span<const Event> events, std::size_t uncounted, double scale,
             const CancelToken& cancel) {
    for (std::size_t begin = 0; begin < events.size(); begin += kBlockEvents) {
      TESSERA_RETURN_IF_ERROR(cancel.check());
      const auto block = events.subspan(begin, std::min(kBlockEvents, events.size() - begin));
      add_block(block, uncounted - std::min(uncounted, begin), scale);
    }
    made_->event_count += events.size();
    if (!events.empty()) made_->newest = events.back().position();
    return {};
  }
  std::shared_ptr<const UserMixture> finish() {
    auto mixture = std::make_shared<retrieval::PersonMixture>(builder_.finish());
    if (!mixture->parts.empty()) made_->mixture = std::move(mixture);
    return std::move(made_);
  }

 private:
  void add_block(std::span<const Event> events, std::size_t uncounted, double scale) {
    std::vector<std::uint32_t> slots;
    std::vector<double> weights;
    {
      SharedLock lock(owner_.state_mutex_);
      for (std::size_t i = 0; i < events.size(); ++i) {
        const auto slot = owner_.slots_.find(events[i].id);
        if (!slot) {
          made_->missing.push_back(events[i].id);
          continue;
        }
        made_->known.add(*slot);
        if (i < uncounted) continue;
        slots.push_back(*slot);
        weights.push_back(events[i].weight);
      }
    }
    const auto vectors = sources_.field.vectors->vectors_of(slots);
    auto clusters = sources_.items.clusters_of(slots);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (vectors[i].empty()) {
        made_->without.push_back(slots[i]);
        continue;
      }
      if (clusters[i] == ItemClusters::kNone) {
        index::assign_clusters(sources_.clusters.clusters,
                               {vectors[i].data(), 1, vectors[i].size()}, &clusters[i]);
      }
      builder_.add(slots[i], std::max(weights[i] * scale, kWeightMin), clusters[i], vectors[i]);
    }
  }

  static constexpr double kWeightMin = 0x1p-900;
  const CollectionImpl& owner_;
  const MixtureSources& sources_;
  std::shared_ptr<UserMixture> made_;
  retrieval::MixtureBuilder builder_;
};

bool UsersImpl::is_current(const UserMixture& known, const MixtureSources& sources) const {
  if (known.clusters_version != sources.clusters.info.version) return false;
  const std::uint64_t now = owner_.applied_operation_.load(std::memory_order_acquire);
  const std::uint64_t seen = known.seen_operation.load(std::memory_order_acquire);
  if (now == seen) return true;
  {
    SharedLock lock(owner_.state_mutex_);
    const auto is_there = [&](const PointId& id) { return owner_.slots_.find(id).has_value(); };
    if (std::any_of(known.missing.begin(), known.missing.end(), is_there)) return false;
  }
  const VectorField& vectors = *sources.field.vectors;
  const auto has_vector = [&](std::uint32_t slot) { return vectors.has(slot); };
  if (std::any_of(known.without.begin(), known.without.end(), has_vector)) return false;
  // A new payload is no change; whether it was one is looked up only for points that were written.
  std::vector<std::uint32_t> written;
  if (known.mixture != nullptr) {
    for (const auto& part : known.mixture->parts) {
      for (const std::uint32_t slot : part->slots()) {
        if (owner_.slots_.version_of(slot) > seen) written.push_back(slot);
      }
    }
  }
  if (!vectors.is_unchanged(written, seen)) return false;
  known.seen_operation.store(now, std::memory_order_release);
  return true;
}

Result<std::shared_ptr<const UserMixture>> UsersImpl::mixture(std::uint32_t slot,
                                                              const MixtureSources& sources,
                                                              const CancelToken& cancel) const {
  const auto stored = this->stored();
  TESSERA_ASSIGN_OR_RETURN(CollectionImpl::Field * people,
                           stored->field(sources.field.vectors->identity().name));
  UserMixtures::Known known = people->mixtures.find(slot);
  std::shared_ptr<const UserMixture> made;
  if (known.mixture != nullptr && is_current(*known.mixture, sources)) {
    if (known.waiting.empty()) return known.mixture;
    const std::uint64_t count = known.mixture->event_count;
    const bool is_longer =
        common_scale(known.waiting) == 1 &&
        first_counted_event(count + known.waiting.size()) == first_counted_event(count);
    if (is_longer) {
      UserMixtureMaker maker(owner_, sources, *known.mixture);
      TESSERA_RETURN_IF_ERROR(maker.add(known.waiting, 0, 1, cancel));
      made = maker.finish();
    }
  }
  bool is_kept = true;
  if (made == nullptr) {
    UserMixtureMaker maker(owner_, sources);
    TESSERA_ASSIGN_OR_RETURN(const std::vector<Event> events, all_events(slot, cancel));
    const double scale = common_scale(events);
    is_kept = scale == 1;
    TESSERA_RETURN_IF_ERROR(maker.add(events, first_counted_event(events.size()), scale, cancel));
    made = maker.finish();
  }
  if (is_kept) {
    people->mixtures.put(slot, known.ticket, made, owner_.shared_.settings.users.mixture_bytes_max);
  } else {
    people->mixtures.drop(slot);
  }
  return made;
}

}  // namespace tessera::engine
