#include "engine/field_searcher.h"

#include <cmath>

#include "index/kernels.h"

namespace tessera::engine {
namespace {

/// A search is repeated when a fresh segment appeared meanwhile; that happens once in many thousand
/// writes, so twice in a row is already unlikely.
constexpr int kViewAttemptsMax = 3;

}  // namespace

FieldSearcher::FieldSearcher(const VectorField& field, const SlotTable& slots,
                             const SearchScope& scope, bool keeps_vectors)
    : field_(field),
      slots_(slots),
      scope_(scope),
      keeps_vectors_(keeps_vectors),
      view_(field.view()) {
  if (scope_.allowed) plan_.match_count = scope_.allowed->count();
}

std::optional<SlotBits> FieldSearcher::allowed_bits(const retrieval::Search& search) const {
  const bool has_component_filter =
      search.component_filter >= 0 &&
      scope_.component_bits[static_cast<std::size_t>(search.component_filter)].has_value();
  const bool has_exclusion = search.excluded != nullptr && !search.excluded->isEmpty();
  if (!scope_.allowed && !has_component_filter && !has_exclusion) return std::nullopt;
  std::optional<SlotBits> bits = scope_.allowed;
  if (has_component_filter) {
    const SlotBits& component =
        *scope_.component_bits[static_cast<std::size_t>(search.component_filter)];
    if (bits) {
      bits->intersect(component);
    } else {
      bits = component;
    }
  }
  if (!bits) bits = SlotBits(field_.slot_count(), true);
  if (has_exclusion) bits->clear_all(*search.excluded);
  return bits;
}

Status FieldSearcher::search_stable_view(const FieldSearch& search, std::vector<SlotHit>& hits,
                                         FieldSearchStats& stats) {
  for (int attempt = 1;; ++attempt) {
    TESSERA_RETURN_IF_ERROR(field_.search(*view_, search, hits, stats));
    // When fresh rows began to go elsewhere during the search, a point that was replaced in that
    // moment could be in neither place that was searched.
    auto current = field_.view();
    if (current->growing == view_->growing || attempt == kViewAttemptsMax) return {};
    view_ = std::move(current);
  }
}

Result<std::vector<retrieval::Hit>> FieldSearcher::search(const retrieval::Search& search) {
  const std::optional<SlotBits> bits = allowed_bits(search);
  FieldSearch request;
  request.query = search.vector.data();
  request.k = search.limit;
  request.allowed = bits ? &*bits : nullptr;
  request.allowed_count = bits ? bits->count() : 0;
  request.exact = scope_.params.exact;
  request.indexed_only = scope_.params.indexed_only;
  request.ef = scope_.params.hnsw_ef;
  request.probe_count = scope_.params.probe_count;
  request.reports_segments = scope_.explains;
  request.cancel = scope_.cancel;

  std::vector<SlotHit> found;
  FieldSearchStats stats;
  TESSERA_RETURN_IF_ERROR(search_stable_view(request, found, stats));
  ++plan_.search_count;
  plan_.visited_count += stats.visited_count;
  plan_.segment_count = view_->sealed.size() + view_->frozen.size() + 1;
  plan_.strategy = stats.strategy;
  segment_plans_.insert(segment_plans_.end(), stats.segments.begin(), stats.segments.end());

  std::vector<retrieval::Hit> hits;
  hits.reserve(found.size());
  for (const SlotHit& hit : found) {
    const float score = index::score_of(metric(), hit.distance);
    if (scope_.score_threshold) {
      const bool is_near_enough = higher_is_nearer(metric()) ? score >= *scope_.score_threshold
                                                             : score <= *scope_.score_threshold;
      if (!is_near_enough) break;
    }
    hits.push_back({hit.slot, score});
    if (keeps_vectors_) seen_.try_emplace(hit.slot, hit.vector, hit.vector + dim());
  }
  return hits;
}

Result<std::vector<float>> FieldSearcher::vector_of(retrieval::Slot slot) {
  const auto found = seen_.find(slot);
  if (found == seen_.end()) {
    return Status(Code::kInternal, "the vector of a slot that was not found was asked for");
  }
  return found->second;
}

bool FieldSearcher::precedes(const retrieval::Hit& a, const retrieval::Hit& b) const {
  if (a.score != b.score) {
    return higher_is_nearer(metric()) ? a.score > b.score : a.score < b.score;
  }
  return slots_.id_of(a.slot) < slots_.id_of(b.slot);
}

}  // namespace tessera::engine
