#include "retrieval/components.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "retrieval/interest_groups.h"
#include "retrieval/ties.h"
#include "retrieval/ward.h"

namespace tessera::retrieval {
namespace {

constexpr const char* kField = "query.interests";
constexpr const char* kSmoothing = "query.interests.smoothing";

Status invalid(const std::string& field, const std::string& why) {
  return {Code::kInvalidArgument, field + ": " + why};
}

/// Of the person's history or of what it is as a mixture, which is not empty.
bool has_own(const InterestsRequest& request) {
  return !request.history.empty() || request.mixture != nullptr;
}

Wide history_mean(const InterestsRequest& request, Metric metric) {
  if (request.mixture != nullptr) {
    Wide mean = request.mixture->sum;
    for (double& value : mean) value /= request.mixture->weight;
    if (metric == Metric::kCosine) make_unit(mean);
    return mean;
  }
  std::vector<std::size_t> everything(request.history.size());
  std::iota(everything.begin(), everything.end(), std::size_t{0});
  const auto weights = decayed_weights(request.history, request.half_life_seconds);
  Wide mean = weighted_mean(request.history, weights, everything);
  if (metric == Metric::kCosine) make_unit(mean);
  return mean;
}

/// Whether anybody's items say which clusters are meant.
bool has_items(const InterestsRequest& request) {
  return has_own(request) || std::any_of(request.neighbors.begin(), request.neighbors.end(),
                                         [](const NeighborHistory& neighbor) {
                                           return !neighbor.history.empty() ||
                                                  neighbor.mixture != nullptr;
                                         });
}

std::size_t dim_of(const InterestsRequest& request) {
  if (!request.components.empty()) return request.components.front().vector.size();
  if (!request.history.empty()) return request.history.front().vector.size();
  if (request.mixture != nullptr) return request.mixture->sum.size();
  if (!request.vector.empty()) return request.vector.size();
  for (const NeighborHistory& neighbor : request.neighbors) {
    if (neighbor.mixture != nullptr) return neighbor.mixture->sum.size();
    if (!neighbor.history.empty()) return neighbor.history.front().vector.size();
  }
  return 0;
}

Status check_components(const InterestsRequest& request, std::size_t dim) {
  if (!request.components.empty() && (request.smoothing != 0 || !request.neighbors.empty())) {
    return invalid(kSmoothing, "cannot be used with query.interests.components");
  }
  for (std::size_t i = 0; i < request.components.size(); ++i) {
    const std::string field = std::string(kField) + ".components[" + std::to_string(i) + "]";
    TESSERA_RETURN_IF_ERROR(check_vector(request.components[i].vector, dim, field + ".vector"));
    const double weight = request.components[i].weight;
    if (!(weight > 0) || !std::isfinite(weight)) {
      return invalid(field + ".weight", "must be a finite number greater than 0");
    }
  }
  return {};
}

Status check_request(const InterestsRequest& request) {
  const std::string history = std::string(kField) + ".history";
  if (!request.history.empty() && !request.components.empty()) {
    return invalid(kField, "exactly one of history and components must be given");
  }
  if (request.components.empty() && request.vector.empty() && !has_items(request)) {
    return invalid(kField,
                   "there is nothing to search with: exactly one of history and components must be "
                   "given and not be empty, or else a vector, or neighbours with a history");
  }
  const std::size_t dim = dim_of(request);
  TESSERA_RETURN_IF_ERROR(check_history(request.history, dim, history));
  for (std::size_t i = 0; i < request.neighbors.size(); ++i) {
    const std::string neighbor = std::string(kSmoothing) + ".neighbors[" + std::to_string(i) + "]";
    TESSERA_RETURN_IF_ERROR(check_history(request.neighbors[i].history, dim, neighbor));
  }
  TESSERA_RETURN_IF_ERROR(check_components(request, dim));
  if (!request.vector.empty()) {
    TESSERA_RETURN_IF_ERROR(check_vector(request.vector, dim, std::string(kField) + ".vector"));
  }
  const bool is_for_history = has_items(request) && request.clustering == Clustering::kGlobal;
  if (!is_for_history && request.scope == Scope::kGlobal) return {};
  const std::string what = is_for_history ? history : std::string(kField) + ".scope";
  if (request.clusters == nullptr || request.clusters->count() == 0) {
    return invalid(what, "the collection has no item clusters yet");
  }
  if (request.clusters->dim != dim) {
    return invalid(what, "vectors have another dimension than the item clusters");
  }
  return {};
}

/// Clusters of one history are not those of another.
Status check_ward(const InterestsRequest& request) {
  const std::string field = std::string(kField) + ".clustering";
  if (request.ward_threshold && !(*request.ward_threshold >= 0)) {
    return invalid(field + ".ward.threshold", "must be 0 or larger");
  }
  if (request.clustering != Clustering::kWard) return {};
  if (!request.components.empty()) {
    return invalid(field, "\"ward\" cannot be used with query.interests.components");
  }
  if (request.smoothing != 0 || !request.neighbors.empty()) {
    return invalid(field, "\"ward\" cannot be used with query.interests.smoothing");
  }
  if (request.represent == Represent::kCluster) {
    return invalid(std::string(kField) + ".represent",
                   "\"cluster\" cannot be used with clustering \"ward\"");
  }
  return {};
}

Status check_options(const InterestsRequest& request) {
  const std::string field = std::string(kField) + ".";
  TESSERA_RETURN_IF_ERROR(check_ward(request));
  if (request.max_components == 0) return invalid(field + "max_components", "must be 1 or larger");
  if (!(request.quota_power >= 0 && request.quota_power <= 10)) {
    return invalid(field + "quota_power", "must be from 0 to 10");
  }
  if (request.half_life_seconds &&
      !(*request.half_life_seconds > 0 && std::isfinite(*request.half_life_seconds))) {
    return invalid(field + "half_life", "must be a finite time greater than 0");
  }
  if (!(request.smoothing >= 0 && request.smoothing <= 1)) {
    return invalid(std::string(kSmoothing) + ".lambda", "must be from 0 to 1");
  }
  if (!(request.blend >= 0 && request.blend <= 1)) {
    return invalid(field + "blend", "must be from 0 to 1");
  }
  const double page_blend = request.page_blend.value_or(0);
  if (!(page_blend >= 0 && page_blend <= 1)) {
    return invalid(field + "page_blend", "must be from 0 to 1");
  }
  if (request.page_blend && request.page == 0) {
    return invalid(field + "page_blend", "goes together with `page` only");
  }
  if (request.blend > 0 || page_blend > 0) {
    if (request.blend_with == BlendWith::kVector && request.vector.empty() &&
        !request.is_vector_optional) {
      return invalid(field + "blend_with", "\"vector\" needs query.interests.vector");
    }
    if (request.blend_with == BlendWith::kHistory && !request.components.empty()) {
      return invalid(field + "blend_with", "\"history\" needs query.interests.history");
    }
  }
  return {};
}

/// b * person + (1 - b) * component. A blend that cancels out, or one with a zero vector under
/// Cosine, would be no direction at all: the component then stays as it is.
Wide blended(const Wide& component, const Wide& person, double blend, Metric metric) {
  Wide mixed(component.size(), 0);
  add_scaled(mixed, person, blend);
  add_scaled(mixed, component, 1 - blend);
  if (metric == Metric::kCosine && !make_unit(mixed)) return component;
  return mixed;
}

/// What every component is pulled towards; nothing where no blend is asked for or possible. Where
/// the history or the vector is missing the other one stands for it.
Wide blend_target(const InterestsRequest& request, Metric metric) {
  if (!(request.blend > 0 || request.page_blend.value_or(0) > 0)) return {};
  const bool is_by_history = request.blend_with == BlendWith::kHistory || request.vector.empty();
  if (is_by_history && has_own(request)) {
    return history_mean(request, metric);
  }
  return metric == Metric::kCosine ? unit(request.vector) : widen(request.vector);
}

std::vector<float> narrowed(const Wide& vector) {
  // Convex combinations of floats are within the range of float.
  auto values = narrow(vector);
  TESSERA_ASSERT(values.has_value());
  return std::move(*values);
}

/// Sets the vectors that the component is searched with and arranged by.
void blend(const InterestsRequest& request, const Wide& person, Metric metric,
           InterestReport& component) {
  const Wide own = widen(component.vector);
  if (request.blend > 0) component.vector = narrowed(blended(own, person, request.blend, metric));
  const double page_blend = request.page_blend.value_or(request.blend);
  if (page_blend == request.blend) return;
  Wide offset = blended(own, person, page_blend, metric);
  add_scaled(offset, component.vector, -1);
  // Beyond the range of float the page goes by the vector of the search.
  component.page_offset = narrow(offset).value_or(std::vector<float>());
}

std::vector<InterestGroup> all_groups(const InterestsRequest& request, Metric metric) {
  if (request.clustering == Clustering::kWard) {
    return group_by_ward(request.history, request.half_life_seconds, metric,
                         {request.ward_threshold, request.max_components});
  }
  const auto groups_by_cluster = [&](const std::vector<HistoryItem>& history,
                                     const std::shared_ptr<const PersonMixture>& mixture) {
    return mixture != nullptr
               ? groups_of(*mixture)
               : group_by_cluster(history, request.half_life_seconds, *request.clusters);
  };
  auto own = groups_by_cluster(request.history, request.mixture);
  if (request.smoothing == 0 && !own.empty()) return own;
  std::vector<std::vector<InterestGroup>> neighbors;
  for (const NeighborHistory& neighbor : request.neighbors) {
    neighbors.push_back(groups_by_cluster(neighbor.history, neighbor.mixture));
    std::for_each(neighbors.back().begin(), neighbors.back().end(), fill_mean);
  }
  std::for_each(own.begin(), own.end(), fill_mean);
  return smooth(std::move(own), neighbors, request.smoothing);
}

/// The groups that become components: heaviest first, ties to the smaller cluster number, at most
/// max_components, with weights that sum to 1 again.
std::vector<InterestGroup> largest_groups(const InterestsRequest& request, Metric metric) {
  std::vector<InterestGroup> groups = all_groups(request, metric);
  std::stable_sort(groups.begin(), groups.end(),
                   [](const InterestGroup& a, const InterestGroup& b) {
                     return is_larger_share(a.weight, b.weight);
                   });
  if (groups.size() > request.max_components) groups.resize(request.max_components);
  std::for_each(groups.begin(), groups.end(), fill_mean);
  std::vector<double> mixture;
  for (const InterestGroup& group : groups) mixture.push_back(group.weight);
  normalise_weights(mixture);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i].weight = mixture[i];
  return groups;
}

/// Stored items, each once: the first ones and how many there are.
void add_items(const std::vector<const HistoryItem*>& items, InterestReport& report) {
  SlotSet known;
  for (const HistoryItem* item : items) {
    if (!item->slot || !known.addChecked(*item->slot)) continue;
    if (report.items.size() < kReportItemsMax) report.items.push_back(*item->slot);
  }
  report.item_count = known.cardinality();
}

std::vector<std::uint32_t> positions_of(const std::vector<const HistoryItem*>& items,
                                        const std::vector<HistoryItem>& history) {
  std::vector<std::uint32_t> positions;
  positions.reserve(items.size());
  for (const HistoryItem* item : items) {
    positions.push_back(static_cast<std::uint32_t>(item - history.data()));
  }
  std::sort(positions.begin(), positions.end());
  return positions;
}

/// The report's medoid and items, with the medoid's vector. The mean is what they are near to.
std::vector<float> rank_items(const InterestsRequest& request, const InterestGroup& group,
                              Metric metric, InterestReport& report) {
  const auto items = nearest_first(group.items, group.mean, metric);
  report.medoid = items.front()->slot;
  if (group.is_own) {
    add_items(items, report);
    report.positions = positions_of(items, request.history);
  }
  return items.front()->vector;
}

/// The same of stored items.
std::vector<float> rank_parts(const InterestsRequest& request, const InterestGroup& group,
                              Metric metric, InterestReport& report) {
  NearestItems nearest;
  if (group.is_smoothed) {
    std::vector<Slot> slots;
    for (const auto& part : group.parts) {
      slots.insert(slots.end(), part->slots().begin(), part->slots().end());
    }
    nearest = nearest_items(slots, group.mean, metric, request.vectors_of);
  } else {
    nearest = group.parts.front()->nearest(metric, request.vectors_of);
  }
  report.medoid = nearest.medoid;
  if (group.is_own) {
    report.items = std::move(nearest.items);
    report.item_count = nearest.item_count;
  }
  const bool needs_vector = request.represent == Represent::kMedoid || !(norm(group.mean) > 0);
  if (!needs_vector || !nearest.medoid) return {};
  return std::move(request.vectors_of({&*nearest.medoid, 1}).front());
}

std::vector<InterestReport> from_history(const InterestsRequest& request, Metric metric) {
  std::vector<InterestReport> components;
  for (InterestGroup& group : largest_groups(request, metric)) {
    if (metric == Metric::kCosine) make_unit(group.mean);
    InterestReport report;
    report.cluster = group.cluster;
    report.weight = group.weight;
    std::vector<float> medoid = group.parts.empty() ? rank_items(request, group, metric, report)
                                                    : rank_parts(request, group, metric, report);
    // A stored item may have been deleted since the mixture was made.
    if (medoid.empty()) medoid = narrowed(group.mean);
    switch (request.represent) {
      case Represent::kCentroid:
        // Opposite items cancel out: an actual item is a better query than no direction.
        report.vector = norm(group.mean) > 0 ? narrowed(group.mean) : std::move(medoid);
        break;
      case Represent::kMedoid:
        report.vector = std::move(medoid);
        break;
      case Represent::kCluster: {
        const float* const centroid = request.clusters->centroid(*group.cluster);
        report.vector.assign(centroid, centroid + request.clusters->dim);
        break;
      }
    }
    components.push_back(std::move(report));
  }
  return components;
}

/// The person's vector is all there is: one plain query.
std::vector<InterestReport> from_vector(const InterestsRequest& request, Metric metric) {
  InterestReport report;
  report.weight = 1;
  report.vector = person_vector(request, metric);
  return {std::move(report)};
}

std::vector<InterestReport> from_given(const InterestsRequest& request, Metric metric) {
  std::vector<double> mixture;
  for (const GivenComponent& given : request.components) mixture.push_back(given.weight);
  normalise_weights(mixture);
  std::vector<InterestReport> components;
  for (const GivenComponent& given : request.components) {
    InterestReport report;
    report.weight = mixture[components.size()];
    report.vector = metric == Metric::kCosine ? narrowed(unit(given.vector)) : given.vector;
    components.push_back(std::move(report));
  }
  return components;
}

}  // namespace

Status check_vector(std::span<const float> vector, std::size_t dim, const std::string& field) {
  if (vector.empty()) return invalid(field, "must not be empty");
  if (dim != 0 && vector.size() != dim) {
    return invalid(field, "Vector dimension error: expected dim: " + std::to_string(dim) +
                              ", got " + std::to_string(vector.size()));
  }
  if (!std::all_of(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); })) {
    return invalid(field, "must hold finite numbers");
  }
  return {};
}

Status check_history(const std::vector<HistoryItem>& history, std::size_t dim,
                     const std::string& field) {
  for (std::size_t i = 0; i < history.size(); ++i) {
    const std::string item = field + "[" + std::to_string(i) + "]";
    TESSERA_RETURN_IF_ERROR(check_vector(history[i].vector, dim, item));
    if (!(history[i].weight > 0) || !std::isfinite(history[i].weight)) {
      return invalid(item + ".weight", "must be a finite number greater than 0");
    }
    if (history[i].at_seconds && !std::isfinite(*history[i].at_seconds)) {
      return invalid(item + ".at", "must be a finite time");
    }
  }
  return {};
}

std::vector<float> person_vector(const InterestsRequest& request, Metric metric) {
  if (!request.vector.empty()) {
    return metric == Metric::kCosine ? narrowed(unit(request.vector)) : request.vector;
  }
  if (!has_own(request)) return {};
  return narrowed(history_mean(request, metric));
}

Result<std::vector<InterestReport>> make_components(const InterestsRequest& request,
                                                    Metric metric) {
  TESSERA_RETURN_IF_ERROR(check_request(request));
  TESSERA_RETURN_IF_ERROR(check_options(request));
  std::vector<InterestReport> components = !request.components.empty() ? from_given(request, metric)
                                           : has_items(request) ? from_history(request, metric)
                                                                : from_vector(request, metric);
  const Wide person = blend_target(request, metric);
  for (std::size_t i = 0; i < components.size(); ++i) {
    components[i].component = static_cast<std::uint32_t>(i);
    if (!person.empty()) blend(request, person, metric, components[i]);
    if (request.scope == Scope::kCluster && !components[i].cluster) {
      std::uint32_t nearest = 0;
      index::assign_clusters(*request.clusters,
                             {components[i].vector.data(), 1, components[i].vector.size()},
                             &nearest);
      components[i].cluster = nearest;
    }
  }
  return components;
}

}  // namespace tessera::retrieval
