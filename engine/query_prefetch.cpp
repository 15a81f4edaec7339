#include <algorithm>
#include <unordered_map>

#include "engine/query_run.h"

namespace tessera::engine {

Status QueryRun::run_prefetches() {
  for (const QueryRequest& prefetch : request_.prefetch) {
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    auto source = std::make_unique<QueryRun>(collection_, prefetch, cancel_, this);
    if (const Status status = source->find(); !status.ok()) {
      return named(status, "prefetch[" + std::to_string(sources_.size()) + "]");
    }
    sources_.push_back(std::move(source));
  }
  return {};
}

/// Only what the prefetches found is ranked, and exactly: it is few. It has passed the filters.
void QueryRun::restrict_to_prefetched() {
  SlotBits candidates(field_->vectors->slot_count(), false);
  for (const auto& source : sources_) {
    for (const Found& found : source->found_) candidates.set(found.hit.slot);
  }
  scope_.allowed = std::move(candidates);
  scope_.params = {};
  scope_.params.exact = true;
}

/// Hits keep the interest and the round of the first prefetch that gives them one. The interests of
/// several prefetches are listed one after the other, and components are counted on.
void QueryRun::keep_prefetched_places() {
  std::unordered_map<retrieval::Slot, Found> places;
  for (const auto& source : sources_) {
    const auto offset = static_cast<std::uint32_t>(result_.interests.size());
    for (InterestInfo& info : source->result_.interests) {
      info.component += offset;
      result_.interests.push_back(std::move(info));
    }
    result_.rounds.insert(result_.rounds.end(), source->result_.rounds.begin(),
                          source->result_.rounds.end());
    for (const Found& found : source->found_) {
      Found& place = places[found.hit.slot];
      if (!place.interest && found.interest) {
        place.interest = found.interest;
        place.interest->component += offset;
      }
      if (!place.round) place.round = found.round;
    }
  }
  if (places.empty()) return;
  for (Found& found : found_) {
    const auto known = places.find(found.hit.slot);
    if (known == places.end()) continue;
    found.interest = known->second.interest;
    found.round = known->second.round;
  }
}

bool QueryRun::is_higher_better() const {
  return field_ == nullptr || higher_is_nearer(field_->vectors->identity().metric);
}

Status QueryRun::fuse(const FusionQuery& fusion) {
  std::vector<std::vector<retrieval::Hit>> lists;
  for (const auto& source : sources_) {
    const float sign = source->is_higher_better() ? 1.0F : -1.0F;
    auto& list = lists.emplace_back();
    list.reserve(source->found_.size());
    for (const Found& found : source->found_) {
      list.push_back({found.hit.slot, sign * found.hit.score});
    }
  }
  const auto* by_rank = std::get_if<retrieval::ReciprocalRank>(&fusion);
  std::vector<retrieval::FusedHit> fused = by_rank != nullptr
                                               ? retrieval::fuse_by_rank(lists, *by_rank)
                                               : retrieval::fuse_by_score(lists);
  const auto& threshold = request_.score_threshold;
  if (threshold) {
    std::erase_if(fused, [&](const auto& hit) { return !(hit.score >= *threshold); });
  }
  const SlotTable& slots = collection_.slots_;
  std::sort(fused.begin(), fused.end(), [&](const auto& a, const auto& b) {
    return a.score != b.score ? a.score > b.score : slots.id_of(a.slot) < slots.id_of(b.slot);
  });
  if (fused.size() > wanted_) fused.resize(wanted_);
  for (const auto& hit : fused) {
    found_.push_back({{hit.slot, hit.score}, std::nullopt, std::nullopt});
  }
  keep_prefetched_places();
  return {};
}

/// A prefetch without a query: the first points in the order of their ids.
Status QueryRun::find_first() {
  std::optional<index::Bitmap> matching;
  if (scope_.allowed) {
    matching.emplace();
    for (std::uint32_t slot = 0; slot < scope_.allowed->size(); ++slot) {
      if (scope_.allowed->contains(slot)) matching->add(slot);
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const auto points,
                           collection_.points_in_order(matching, std::nullopt, wanted_, cancel_));
  // The store may know points already whose slots are not published yet.
  SharedLock lock(collection_.state_mutex_);
  for (const auto& [id, slot] : points) {
    if (collection_.slots_.find(id) != slot) continue;
    found_.push_back({{slot, 0}, std::nullopt, std::nullopt});
  }
  return {};
}

QueryPlan QueryRun::plan() const {
  QueryPlan plan;
  if (searcher_) {
    plan = searcher_->plan();
  } else {
    plan.strategy = std::holds_alternative<NoQuery>(request_.query) ? "scroll" : "fusion";
    plan.match_count = found_.size();
  }
  for (const auto& source : sources_) {
    const QueryPlan below = source->plan();
    plan.visited_count += below.visited_count;
    plan.search_count += below.search_count;
  }
  return plan;
}

}  // namespace tessera::engine
