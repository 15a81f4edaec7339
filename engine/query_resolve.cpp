#include <cmath>

#include "engine/query_run.h"
#include "index/kernels.h"

namespace tessera::engine {

Status QueryRun::check_vector(const std::vector<float>& vector, const std::string& what) const {
  const std::uint32_t dim = field_->vectors->identity().dim;
  if (vector.size() != dim) {
    // Of a plain query the text is the dialect's.
    return {Code::kInvalidArgument,
            (what == "query" ? "" : what + ": ") + "Vector dimension error: expected dim: " +
                std::to_string(dim) + ", got " + std::to_string(vector.size())};
  }
  for (const float value : vector) {
    if (!std::isfinite(value)) {
      return {Code::kInvalidArgument, what + ": a value is not finite"};
    }
  }
  return {};
}

Status QueryRun::prepare_vector(std::vector<float>& vector, const std::string& what) const {
  TESSERA_RETURN_IF_ERROR(check_vector(vector, what));
  if (field_->vectors->identity().metric != Metric::kCosine || index::normalise(vector)) return {};
  return {Code::kInvalidArgument, what + ": all values are 0, and a cosine needs a direction"};
}

Result<std::uint32_t> QueryRun::slot_of(const PointId& id) const {
  SharedLock lock(collection_.state_mutex_);
  const auto slot = collection_.slots_.find(id);
  if (!slot) return Status(Code::kNotFound, "No point with id " + id.to_string() + " found");
  return *slot;
}

Result<std::vector<float>> QueryRun::look_up(const VectorLookup& from, const PointId& id,
                                             const char* what) const {
  const auto other = collection_.shared_.find_collection(from.collection);
  if (other == nullptr) {
    return Status(Code::kNotFound, "Collection " + from.collection + " not found");
  }
  const std::string& name = from.vector.value_or(request_.using_vector);
  TESSERA_ASSIGN_OR_RETURN(const CollectionImpl::Field* field, other->field(name));
  const auto slot = other->slot_of(id);
  if (!slot) return Status(Code::kNotFound, "No point with id " + id.to_string() + " found");
  std::vector<float> vector = std::move(field->vectors->vectors_of({&*slot, 1}).front());
  if (vector.empty()) {
    return Status(Code::kNotFound, "Point " + id.to_string() + " of collection " + from.collection +
                                       " has no vector `" + name + "`");
  }
  TESSERA_RETURN_IF_ERROR(check_vector(vector, what));
  if (field_->vectors->identity().metric == Metric::kCosine) (void)index::normalise(vector);
  return vector;
}

Result<std::vector<float>> QueryRun::resolve(const VectorInput& input, const char* what) {
  std::vector<float> vector;
  if (const auto* id = std::get_if<PointId>(&input)) {
    if (request_.lookup_from) {
      auto found = look_up(*request_.lookup_from, *id, what);
      return found.has_error() ? found.error().with_context("lookup_from") : std::move(found);
    }
    TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, slot_of(*id));
    std::vector<float> stored = std::move(field_->vectors->vectors_of({&slot, 1}).front());
    if (stored.empty()) {
      return Status(Code::kNotFound,
                    "Point " + id->to_string() + " has no vector `" + request_.using_vector + "`");
    }
    excluded_.add(slot);
    return stored;
  }
  vector = std::get<std::vector<float>>(input);
  TESSERA_RETURN_IF_ERROR(check_vector(vector, what));
  if (field_->vectors->identity().metric == Metric::kCosine) (void)index::normalise(vector);
  return vector;
}

Result<std::vector<retrieval::HistoryItem>> QueryRun::resolve_history(
    const std::vector<HistoryInput>& history, const char* what) const {
  std::vector<retrieval::HistoryItem> items(history.size());
  std::vector<std::uint32_t> slots;
  std::vector<std::size_t> positions;
  const auto place = [what](std::size_t i) {
    return std::string(what) + "[" + std::to_string(i) + "]";
  };
  for (std::size_t i = 0; i < history.size(); ++i) {
    items[i].weight = history[i].weight;
    items[i].at_seconds = history[i].at_seconds;
    if (const auto* id = std::get_if<PointId>(&history[i].item)) {
      const auto slot = slot_of(*id);
      if (slot.has_error()) return slot.error().with_context(place(i));
      items[i].slot = *slot;
      slots.push_back(*items[i].slot);
      positions.push_back(i);
      continue;
    }
    items[i].vector = std::get<std::vector<float>>(history[i].item);
    TESSERA_RETURN_IF_ERROR(prepare_vector(items[i].vector, place(i)));
  }
  auto vectors = field_->vectors->vectors_of(slots);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (vectors[i].empty()) {
      const PointId& id = std::get<PointId>(history[positions[i]].item);
      return Status(Code::kNotFound, place(positions[i]) + ": point " + id.to_string() +
                                         " has no vector `" + request_.using_vector + "`");
    }
    items[positions[i]].vector = std::move(vectors[i]);
  }
  return items;
}

Status QueryRun::prepare_scope(const InterestsQuery& query) {
  if (query.scope == retrieval::Scope::kGlobal) return {};
  if (items_ == nullptr) {
    return {Code::kBadRequest,
            "query.interests.scope: \"cluster\" needs item clusters, and the collection has none "
            "for this vector yet: POST /collections/" +
                collection_.name() + "/clusters trains them"};
  }
  index::BuildControl control;
  control.cancel = &cancel_;
  TESSERA_RETURN_IF_ERROR(items_->catch_up(control));
  scope_.items = items_.get();
  return {};
}

Result<retrieval::InterestsRequest> QueryRun::resolve_interests(const InterestsQuery& query) {
  retrieval::InterestsRequest request;
  TESSERA_ASSIGN_OR_RETURN(request.history,
                           resolve_history(query.history, "query.interests.history"));
  TESSERA_RETURN_IF_ERROR(prepare_scope(query));
  request.clusters = clusters_ == nullptr ? nullptr : &clusters_->clusters;
  for (const ComponentInput& component : query.components) {
    retrieval::GivenComponent given;
    given.vector = component.vector;
    TESSERA_RETURN_IF_ERROR(prepare_vector(
        given.vector,
        "query.interests.components[" + std::to_string(request.components.size()) + "]"));
    given.weight = component.weight;
    if (component.filter && !component.filter->empty()) {
      given.component_filter = static_cast<int>(scope_.component_bits.size());
      TESSERA_ASSIGN_OR_RETURN(auto bits, bits_of(*component.filter));
      scope_.component_bits.emplace_back(std::move(bits));
    }
    request.components.push_back(std::move(given));
  }
  if (!query.vector.empty()) {
    request.vector = query.vector;
    TESSERA_RETURN_IF_ERROR(prepare_vector(request.vector, "query.interests.vector"));
  }
  TESSERA_RETURN_IF_ERROR(resolve_people(query, request));
  if (items_ != nullptr) {
    name_clusters(*items_, request.history);
    for (auto& neighbor : request.neighbors) name_clusters(*items_, neighbor.history);
  }
  request.max_components = query.max_components;
  request.min_quota = query.min_quota;
  request.quota_power = query.quota_power;
  request.represent = query.represent;
  request.half_life_seconds = query.half_life_seconds;
  request.blend = query.blend;
  request.blend_with = query.blend_with;
  request.page_blend = query.page_blend;
  request.allocation = query.allocation;
  request.seed = query.seed;
  request.merge = query.merge;
  request.page = query.page;
  request.scope = query.scope;
  request.clustering = query.clustering;
  request.ward_threshold = query.ward_threshold;
  request.diversity = query.diversity;
  request.exclude_history = query.exclude_history;
  return request;
}

}  // namespace tessera::engine
