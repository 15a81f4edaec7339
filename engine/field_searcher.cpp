#include "engine/field_searcher.h"

#include <algorithm>

#include "index/kernels.h"

namespace tessera::engine {
namespace {

/// A search is repeated when a fresh segment appeared meanwhile; that happens once in many thousand
/// writes, so twice in a row is already unlikely.
constexpr int kViewAttemptsMax = 3;
/// Up to so many excluded slots, as many more rows are searched for.
constexpr std::size_t kOverfetchMax = 64;

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

/// Copying a bit a slot is slow in a large collection, and testing it on the way slows a walk, so a
/// few excluded slots are searched for and then left out.
void FieldSearcher::find_allowed(const retrieval::Search& search, Allowed& allowed) const {
  const SlotBits* component = nullptr;
  if (search.component_filter >= 0) {
    const auto& bits = scope_.component_bits[static_cast<std::size_t>(search.component_filter)];
    if (bits) component = &*bits;
  }
  if (scope_.allowed) {
    allowed.bits = &*scope_.allowed;
    allowed.count = plan_.match_count;
  }
  if (component != nullptr && allowed.bits != nullptr) {
    allowed.own = *allowed.bits;
    allowed.own->intersect(*component);
  } else if (component != nullptr) {
    allowed.bits = component;
  }
  const std::size_t excluded_count =
      search.excluded == nullptr ? 0 : search.excluded->cardinality();
  if (excluded_count <= kOverfetchMax) {
    allowed.extra_count = excluded_count;
  } else {
    if (!allowed.own) {
      allowed.own = allowed.bits != nullptr ? *allowed.bits : SlotBits(field_.slot_count(), true);
    }
    allowed.own->clear_all(*search.excluded);
  }
  if (allowed.own) allowed.bits = &*allowed.own;
  if (allowed.own || component != nullptr) allowed.count = allowed.bits->count();
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
  Allowed allowed;
  find_allowed(search, allowed);
  FieldSearch request;
  request.query = search.vector.data();
  request.k = search.limit == 0 ? 0 : search.limit + allowed.extra_count;
  request.allowed = allowed.bits;
  request.allowed_count = allowed.count;
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
  hits.reserve(std::min(found.size(), search.limit));
  for (const SlotHit& hit : found) {
    if (hits.size() == search.limit) break;
    if (allowed.extra_count > 0 && search.excluded->contains(hit.slot)) continue;
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
