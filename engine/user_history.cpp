#include <algorithm>

#include "engine/collection_impl.h"

namespace tessera::engine {

using storage::Event;

namespace {

/// Ids looked up under one lock.
constexpr std::size_t kLookupBlock = 4096;

}  // namespace

std::optional<std::uint32_t> CollectionImpl::slot_of(const PointId& id) const {
  SharedLock lock(state_mutex_);
  return slots_.find(id);
}

void name_clusters(const ItemClusters& items, std::vector<retrieval::HistoryItem>& history) {
  std::vector<std::uint32_t> slots;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (!history[i].slot) continue;
    slots.push_back(*history[i].slot);
    positions.push_back(i);
  }
  const auto clusters = items.clusters_of(slots);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (clusters[i] != ItemClusters::kNone) history[positions[i]].cluster = clusters[i];
  }
}

Result<UserHistory> UsersImpl::history_of(std::span<const Event> events, const std::string& vector,
                                          const CancelToken& cancel) const {
  TESSERA_ASSIGN_OR_RETURN(const CollectionImpl::Field* field, std::as_const(owner_).field(vector));
  UserHistory history;
  std::vector<std::uint32_t> slots;
  std::vector<const Event*> sources;
  const std::size_t first = first_counted_event(events.size());
  for (std::size_t begin = 0; begin < events.size(); begin += kLookupBlock) {
    TESSERA_RETURN_IF_ERROR(cancel.check());
    const std::size_t end = std::min(events.size(), begin + kLookupBlock);
    SharedLock lock(owner_.state_mutex_);
    for (std::size_t i = begin; i < end; ++i) {
      const auto slot = owner_.slots_.find(events[i].id);
      if (!slot) continue;
      history.known.add(*slot);
      if (i < first) continue;
      slots.push_back(*slot);
      sources.push_back(&events[i]);
    }
  }
  auto vectors = field->vectors->vectors_of(slots);
  history.items.reserve(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (vectors[i].empty()) continue;
    retrieval::HistoryItem& item = history.items.emplace_back();
    item.vector = std::move(vectors[i]);
    item.slot = slots[i];
    item.weight = sources[i]->weight;
    item.at_seconds = static_cast<double>(sources[i]->at_us) / 1e6;
  }
  return history;
}

Result<UserHistory> UsersImpl::history(std::uint32_t slot, const std::string& vector,
                                       const CancelToken& cancel) const {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Event> events, all_events(slot, cancel));
  return history_of(events, vector, cancel);
}

std::vector<float> UsersImpl::vector_of(std::uint32_t slot, const std::string& name) const {
  const auto stored = this->stored();
  const auto field = std::as_const(*stored).field(name);
  if (field.has_error()) return {};
  return std::move((*field)->vectors->vectors_of({&slot, 1}).front());
}

Status UsersImpl::add_interests(std::uint32_t slot, const UserRequest& request,
                                const CancelToken& cancel, UserInfo& info) const {
  const std::string vector = request.vector.value_or(
      owner_.fields_.contains("") ? std::string() : owner_.fields_.begin()->first);
  TESSERA_ASSIGN_OR_RETURN(const CollectionImpl::Field* field, std::as_const(owner_).field(vector));
  std::shared_ptr<const TrainedClusters> clusters;
  std::shared_ptr<const ItemClusters> known;
  {
    SharedLock lock(field->clusters_mutex);
    clusters = field->clusters;
    known = field->items;
  }
  if (clusters == nullptr) {
    TESSERA_ASSIGN_OR_RETURN(const auto events, all_events(slot, cancel));
    info.event_count = events.size();
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(const auto person, mixture(slot, {*field, *clusters, *known}, cancel));
  info.event_count = person->event_count;
  if (person->mixture == nullptr) return {};
  retrieval::InterestsRequest profile;
  profile.mixture = person->mixture;
  profile.vectors_of = [field](std::span<const retrieval::Slot> slots) {
    return field->vectors->vectors_of(slots);
  };
  profile.clusters = &clusters->clusters;
  profile.max_components = UINT32_MAX;
  TESSERA_ASSIGN_OR_RETURN(const auto components,
                           retrieval::make_components(profile, field->vectors->identity().metric));
  for (const retrieval::InterestReport& component : components) {
    UserInterest& interest = info.interests.emplace_back();
    interest.cluster = component.cluster.value_or(0);
    interest.weight = component.weight;
    if (component.medoid) interest.medoid = owner_.slots_.id_of(*component.medoid);
    for (const retrieval::Slot item : component.items) {
      interest.items.push_back(owner_.slots_.id_of(item));
    }
    interest.item_count = component.item_count;
  }
  return {};
}

}  // namespace tessera::engine
