#include "retrieval/person_mixture.h"

#include <algorithm>
#include <cmath>

#include "retrieval/interests.h"

namespace tessera::retrieval {
namespace {

void add_weighted(Wide& sum, std::span<const float> vector, double weight) {
  if (sum.empty()) sum.resize(vector.size(), 0);
  add_scaled(sum, vector, weight);
}

bool has_lower_cluster(const std::shared_ptr<const MixturePart>& part, std::uint32_t cluster) {
  return part->cluster() < cluster;
}

}  // namespace

NearestItems nearest_items(std::span<const Slot> slots, const Wide& centre, Metric metric,
                           const VectorsOf& vectors_of) {
  const auto vectors = vectors_of(slots);
  std::vector<std::pair<double, Slot>> apart;
  apart.reserve(slots.size());
  for (std::size_t i = slots.size(); i-- > 0;) {
    if (vectors[i].empty()) continue;
    apart.emplace_back(separation(metric, widen(vectors[i]), centre), slots[i]);
  }
  std::stable_sort(apart.begin(), apart.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  NearestItems nearest;
  SlotSet known;
  for (const auto& [distance, slot] : apart) {
    if (!known.addChecked(slot)) continue;
    if (nearest.items.size() < kReportItemsMax) nearest.items.push_back(slot);
  }
  nearest.item_count = known.cardinality();
  if (!nearest.items.empty()) nearest.medoid = nearest.items.front();
  return nearest;
}

void MixturePart::add(Slot slot, double weight, std::span<const float> vector) {
  weight_ += weight;
  add_weighted(sum_, vector, weight);
  slots_.push_back(slot);
}

Wide MixturePart::mean() const {
  Wide mean = sum_;
  for (double& value : mean) value /= weight_;
  return mean;
}

NearestItems MixturePart::nearest(Metric metric, const VectorsOf& vectors_of) const {
  {
    SharedLock lock(mutex_);
    if (nearest_) return *nearest_;
  }
  Wide centre = mean();
  if (metric == Metric::kCosine) make_unit(centre);
  NearestItems found = nearest_items(slots_, centre, metric, vectors_of);
  Lock lock(mutex_);
  nearest_ = found;
  return found;
}

std::size_t MixturePart::bytes() const {
  return sizeof(MixturePart) + sum_.capacity() * sizeof(double) + slots_.capacity() * sizeof(Slot) +
         kReportItemsMax * sizeof(Slot);
}

std::size_t PersonMixture::bytes() const {
  std::size_t bytes = sizeof(PersonMixture) + sum.capacity() * sizeof(double);
  for (const auto& part : parts) bytes += sizeof(part) + part->bytes();
  return bytes;
}

bool is_summable(double weight) {
  constexpr int kExponentMax = 400;
  return weight > 0 && std::isfinite(weight) && std::abs(std::ilogb(weight)) <= kExponentMax;
}

void MixtureBuilder::add(Slot slot, double weight, std::uint32_t cluster,
                         std::span<const float> vector) {
  mixture_.weight += weight;
  add_weighted(mixture_.sum, vector, weight);
  std::shared_ptr<MixturePart>& part = changed_[cluster];
  if (part == nullptr) {
    const auto known =
        std::lower_bound(mixture_.parts.begin(), mixture_.parts.end(), cluster, has_lower_cluster);
    const bool is_known = known != mixture_.parts.end() && (*known)->cluster() == cluster;
    part =
        is_known ? std::make_shared<MixturePart>(**known) : std::make_shared<MixturePart>(cluster);
  }
  part->add(slot, weight, vector);
}

PersonMixture MixtureBuilder::finish() {
  std::vector<std::shared_ptr<const MixturePart>> parts;
  parts.reserve(mixture_.parts.size() + changed_.size());
  auto known = mixture_.parts.begin();
  for (auto& [cluster, part] : changed_) {
    for (; known != mixture_.parts.end() && (*known)->cluster() < cluster; ++known) {
      parts.push_back(std::move(*known));
    }
    if (known != mixture_.parts.end() && (*known)->cluster() == cluster) ++known;
    parts.push_back(std::move(part));
  }
  parts.insert(parts.end(), std::make_move_iterator(known),
               std::make_move_iterator(mixture_.parts.end()));
  mixture_.parts = std::move(parts);
  changed_.clear();
  return std::move(mixture_);
}

}  // namespace tessera::retrieval
