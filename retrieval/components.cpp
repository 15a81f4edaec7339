#include "retrieval/components.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace tessera::retrieval {
namespace {

constexpr const char* kField = "query.interests";

Status invalid(const std::string& field, const std::string& why) {
  return {Code::kInvalidArgument, field + ": " + why};
}

/// Scales weights by a power of two, which is exact, so that their sum cannot overflow.
std::vector<double> scaled(std::vector<double> weights) {
  const double largest = *std::max_element(weights.begin(), weights.end());
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  for (double& weight : weights) weight = std::ldexp(weight, -exponent);
  return weights;
}

/// To the sum 1; equal weights where nothing positive is left after decay.
void normalise_weights(std::vector<double>& weights) {
  weights = scaled(std::move(weights));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) {
    weight = sum > 0 ? weight / sum : 1 / static_cast<double>(weights.size());
  }
}

/// w * 0.5^(age / half-life), age counted from the newest event that has a time; one without a time
/// counts as that new.
std::vector<double> decayed_weights(const InterestsRequest& request) {
  std::vector<double> weights;
  weights.reserve(request.history.size());
  for (const HistoryItem& item : request.history) weights.push_back(item.weight);
  weights = scaled(std::move(weights));
  if (!request.half_life_seconds) return weights;
  std::optional<double> newest;
  for (const HistoryItem& item : request.history) {
    if (item.at_seconds) newest = std::max(newest.value_or(*item.at_seconds), *item.at_seconds);
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto& at = request.history[i].at_seconds;
    if (at) weights[i] *= std::exp2(-(*newest - *at) / *request.half_life_seconds);
  }
  return weights;
}

/// Weighted mean of the chosen items; plain mean where all their weights have decayed to nothing.
/// Normalised for Cosine; a mean of zero stays zero.
Wide mean_of(const std::vector<HistoryItem>& history, const std::vector<double>& weights,
             const std::vector<std::size_t>& members, Metric metric) {
  double sum = 0;
  for (const std::size_t i : members) sum += weights[i];
  Wide mean(history.front().vector.size(), 0);
  for (const std::size_t i : members) {
    const double share = sum > 0 ? weights[i] / sum : 1 / static_cast<double>(members.size());
    add_scaled(mean, history[i].vector, share);
  }
  if (metric == Metric::kCosine) make_unit(mean);
  return mean;
}

Wide history_mean(const InterestsRequest& request, Metric metric) {
  std::vector<std::size_t> everything(request.history.size());
  std::iota(everything.begin(), everything.end(), std::size_t{0});
  return mean_of(request.history, decayed_weights(request), everything, metric);
}

/// The member nearest to the centre; of equally near ones the newest.
std::size_t nearest_member(const std::vector<HistoryItem>& history,
                           const std::vector<std::size_t>& members, const Wide& centre,
                           Metric metric) {
  std::size_t nearest = members.front();
  double least = std::numeric_limits<double>::infinity();
  for (const std::size_t i : members) {
    const double apart = separation(metric, widen(history[i].vector), centre);
    if (apart <= least) {
      least = apart;
      nearest = i;
    }
  }
  return nearest;
}

struct Group {
  std::uint32_t cluster = 0;
  double weight = 0;
  std::vector<std::size_t> members;
};

/// History items by their nearest cluster, heaviest group first, at most max_components.
std::vector<Group> group_by_cluster(const InterestsRequest& request,
                                    const std::vector<double>& weights) {
  const index::Clusters& clusters = *request.clusters;
  std::vector<float> rows;
  rows.reserve(request.history.size() * clusters.dim);
  for (const HistoryItem& item : request.history) {
    rows.insert(rows.end(), item.vector.begin(), item.vector.end());
  }
  std::vector<std::uint32_t> nearest(request.history.size());
  index::assign_clusters(clusters, {rows.data(), request.history.size(), clusters.dim},
                         nearest.data());
  std::map<std::uint32_t, Group> by_cluster;
  for (std::size_t i = 0; i < nearest.size(); ++i) {
    Group& group = by_cluster[nearest[i]];
    group.cluster = nearest[i];
    group.weight += weights[i];
    group.members.push_back(i);
  }
  std::vector<Group> groups;
  for (auto& [cluster, group] : by_cluster) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.weight > b.weight; });
  if (groups.size() > request.max_components) groups.resize(request.max_components);
  return groups;
}

Status check_request(const InterestsRequest& request) {
  if (request.history.empty() == request.components.empty()) {
    return invalid(kField, "exactly one of history and components must be given and not be empty");
  }
  const std::size_t dim = request.history.empty() ? request.components.front().vector.size()
                                                  : request.history.front().vector.size();
  TESSERA_RETURN_IF_ERROR(check_history(request.history, dim, std::string(kField) + ".history"));
  for (std::size_t i = 0; i < request.components.size(); ++i) {
    const std::string field = std::string(kField) + ".components[" + std::to_string(i) + "]";
    TESSERA_RETURN_IF_ERROR(check_vector(request.components[i].vector, dim, field + ".vector"));
    const double weight = request.components[i].weight;
    if (!(weight > 0) || !std::isfinite(weight)) {
      return invalid(field + ".weight", "must be a finite number greater than 0");
    }
  }
  if (!request.vector.empty()) {
    TESSERA_RETURN_IF_ERROR(check_vector(request.vector, dim, std::string(kField) + ".vector"));
  }
  if (!request.history.empty()) {
    if (request.clusters == nullptr || request.clusters->count() == 0) {
      return invalid(std::string(kField) + ".history", "the collection has no item clusters yet");
    }
    if (request.clusters->dim != dim) {
      return invalid(std::string(kField) + ".history",
                     "vectors have another dimension than the item clusters");
    }
  }
  return {};
}

Status check_options(const InterestsRequest& request) {
  const std::string field = std::string(kField) + ".";
  if (request.max_components == 0) return invalid(field + "max_components", "must be 1 or larger");
  if (request.half_life_seconds &&
      !(*request.half_life_seconds > 0 && std::isfinite(*request.half_life_seconds))) {
    return invalid(field + "half_life", "must be a finite time greater than 0");
  }
  if (!(request.blend >= 0 && request.blend <= 1)) {
    return invalid(field + "blend", "must be from 0 to 1");
  }
  if (request.blend > 0) {
    if (request.blend_with == BlendWith::kVector && request.vector.empty()) {
      return invalid(field + "blend_with", "\"vector\" needs query.interests.vector");
    }
    if (request.blend_with == BlendWith::kHistory && request.history.empty()) {
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

std::vector<float> narrowed(const Wide& vector) {
  // Convex combinations of floats are within the range of float.
  auto values = narrow(vector);
  TESSERA_ASSERT(values.has_value());
  return std::move(*values);
}

std::vector<InterestReport> from_history(const InterestsRequest& request, Metric metric) {
  const std::vector<double> weights = decayed_weights(request);
  const std::vector<Group> groups = group_by_cluster(request, weights);
  std::vector<double> mixture;
  for (const Group& group : groups) mixture.push_back(group.weight);
  normalise_weights(mixture);
  std::vector<InterestReport> components;
  for (const Group& group : groups) {
    const Wide centre = mean_of(request.history, weights, group.members, metric);
    const HistoryItem& medoid =
        request.history[nearest_member(request.history, group.members, centre, metric)];
    InterestReport report;
    report.cluster = group.cluster;
    report.weight = mixture[components.size()];
    report.medoid = medoid.slot;
    switch (request.represent) {
      case Represent::kCentroid:
        // Opposite items cancel out: an actual item is a better query than no direction.
        report.vector = norm(centre) > 0 ? narrowed(centre) : medoid.vector;
        break;
      case Represent::kMedoid:
        report.vector = medoid.vector;
        break;
      case Represent::kCluster: {
        const float* const centroid = request.clusters->centroid(group.cluster);
        report.vector.assign(centroid, centroid + request.clusters->dim);
        break;
      }
    }
    components.push_back(std::move(report));
  }
  return components;
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
  if (request.history.empty()) return {};
  return narrowed(history_mean(request, metric));
}

Result<std::vector<InterestReport>> make_components(const InterestsRequest& request,
                                                    Metric metric) {
  TESSERA_RETURN_IF_ERROR(check_request(request));
  TESSERA_RETURN_IF_ERROR(check_options(request));
  std::vector<InterestReport> components =
      request.history.empty() ? from_given(request, metric) : from_history(request, metric);
  Wide person;
  if (request.blend > 0) {
    person = request.blend_with == BlendWith::kHistory ? history_mean(request, metric)
             : metric == Metric::kCosine               ? unit(request.vector)
                                                       : widen(request.vector);
  }
  for (std::size_t i = 0; i < components.size(); ++i) {
    components[i].component = static_cast<std::uint32_t>(i);
    if (request.blend > 0) {
      components[i].vector =
          narrowed(blended(widen(components[i].vector), person, request.blend, metric));
    }
  }
  return components;
}

}  // namespace tessera::retrieval
