#include "engine/query_run.h"

namespace tessera::engine {

Status QueryRun::resolve_user(const InterestsQuery& query, retrieval::InterestsRequest& request) {
  const UsersImpl& users = collection_.users_;
  TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, users.slot_of(*query.user));
  user_slot_ = slot;
  if (uses_mixtures(query)) {
    TESSERA_ASSIGN_OR_RETURN(const auto person,
                             users.mixture(slot, {*field_, *clusters_, *items_}, cancel_));
    request.mixture = person->mixture;
    if (query.exclude_history) excluded_ |= person->known;
  } else {
    TESSERA_ASSIGN_OR_RETURN(UserHistory history,
                             users.history(slot, request_.using_vector, cancel_));
    request.history = std::move(history.items);
    if (query.exclude_history) excluded_ |= history.known;
  }
  if (request.vector.empty()) request.vector = users.vector_of(slot, request_.using_vector);
  request.is_vector_optional = true;
  return {};
}

bool QueryRun::uses_mixtures(const InterestsQuery& query) const {
  return !needs_history_ && clusters_ != nullptr && !query.half_life_seconds &&
         query.clustering == retrieval::Clustering::kGlobal;
}

Result<std::vector<retrieval::NeighborHistory>> QueryRun::find_neighbors(
    const InterestsQuery& query, const std::vector<float>& vector) const {
  std::vector<retrieval::NeighborHistory> neighbors;
  const auto stored = collection_.users_.stored();
  if (stored == nullptr || vector.empty()) return neighbors;
  TESSERA_ASSIGN_OR_RETURN(const CollectionImpl::Field* field,
                           std::as_const(*stored).field(request_.using_vector));
  SearchScope scope;
  scope.params.exact = request_.params.exact;
  scope.cancel = &cancel_;
  FieldSearcher searcher(*field->vectors, stored->slots_, scope, false);
  retrieval::SlotSet oneself;
  if (user_slot_) oneself.add(*user_slot_);
  const std::size_t count = query.smoothing->neighbors;
  TESSERA_ASSIGN_OR_RETURN(const auto hits, searcher.search({vector, count, &oneself, -1}));
  for (const retrieval::Hit& hit : hits) {
    if (uses_mixtures(query)) {
      TESSERA_ASSIGN_OR_RETURN(
          const auto person,
          collection_.users_.mixture(hit.slot, {*field_, *clusters_, *items_}, cancel_));
      if (person->mixture != nullptr) neighbors.push_back({{}, person->mixture});
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(UserHistory history,
                             collection_.users_.history(hit.slot, request_.using_vector, cancel_));
    if (!history.items.empty()) neighbors.push_back({std::move(history.items), {}});
  }
  return neighbors;
}

Status QueryRun::resolve_people(const InterestsQuery& query, retrieval::InterestsRequest& request) {
  request.vectors_of = [this](std::span<const retrieval::Slot> slots) {
    return field_->vectors->vectors_of(slots);
  };
  if (query.user) TESSERA_RETURN_IF_ERROR(resolve_user(query, request));
  if (query.smoothing) {
    request.smoothing = query.smoothing->lambda;
    TESSERA_ASSIGN_OR_RETURN(request.neighbors, find_neighbors(query, request.vector));
  }
  const bool has_own = !request.history.empty() || request.mixture != nullptr;
  if (query.user && !has_own && request.neighbors.empty() && request.vector.empty()) {
    return {Code::kBadRequest, "query.interests.user: user " + query.user->to_string() +
                                   " has neither a vector nor events of points with vector `" +
                                   request_.using_vector + "`"};
  }
  const bool is_global = query.clustering == retrieval::Clustering::kGlobal;
  const bool needs_clusters = has_own || !request.neighbors.empty();
  if (!needs_clusters || !is_global || clusters_ != nullptr) return {};
  return {Code::kBadRequest, std::string("query.interests.") + (query.user ? "user" : "history") +
                                 " needs item clusters, and the collection has none for this "
                                 "vector yet: POST /collections/" +
                                 collection_.name() + "/clusters trains them"};
}

}  // namespace tessera::engine
