#include "engine/query_run.h"

namespace tessera::engine {
namespace {

/// An adapter may read what its answers leave out, so the two are told apart.
void move_exclusions(retrieval::InterestsRequest& interests, retrieval::SlotSet& excluded,
                     retrieval::SlotSet& known) {
  known |= excluded;
  excluded = retrieval::SlotSet();
  if (!interests.exclude_history) return;
  for (const retrieval::HistoryItem& item : interests.history) {
    if (item.slot) known.add(*item.slot);
  }
  interests.exclude_history = false;
}

}  // namespace

/// What the rounds begin with.
Status QueryRun::resolve_refined(const RefineQuery& query, retrieval::RefineRequest& request) {
  if (const auto* input = std::get_if<VectorInput>(&query.query)) {
    TESSERA_ASSIGN_OR_RETURN(request.query, resolve(*input, "query.refine.query"));
    return {};
  }
  const auto* interests = std::get_if<InterestsQuery>(&query.query);
  if (interests == nullptr) {
    request.query = std::vector<float>();
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(auto resolved, resolve_interests(*interests));
  if (query.adapter) move_exclusions(resolved, excluded_, request.known);
  request.query = std::move(resolved);
  return {};
}

Status QueryRun::resolve_refine_history(const RefineQuery& query,
                                        retrieval::RefineRequest& request) {
  retrieval::SlotSet known;
  if (query.user) {
    const UsersImpl& users = collection_.users_;
    TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, users.slot_of(*query.user));
    TESSERA_ASSIGN_OR_RETURN(UserHistory history,
                             users.history(slot, request_.using_vector, cancel_));
    request.history = std::move(history.items);
    known = std::move(history.known);
    if (request.history.empty() && query.adapter) {
      return {Code::kBadRequest, "query.refine.user: user " + query.user->to_string() +
                                     " has no events of points with vector `" +
                                     request_.using_vector + "`"};
    }
  } else {
    TESSERA_ASSIGN_OR_RETURN(request.history,
                             resolve_history(query.history, "query.refine.history"));
    for (const retrieval::HistoryItem& item : request.history) {
      if (item.slot) known.add(*item.slot);
    }
  }
  if (query.adapter && query.exclude_history) request.known |= known;
  return {};
}

Status QueryRun::start_refine(const RefineQuery& query) {
  refine_ = std::make_unique<retrieval::RefineRequest>();
  retrieval::RefineRequest& request = *refine_;
  if (query.adapter) {
    auto adapter = collection_.adapters_.find(*query.adapter);
    if (adapter.has_error()) return adapter.error().with_context("query.refine.strategy.adapter");
    request.adapter = (*adapter)->adapter;
  }
  TESSERA_RETURN_IF_ERROR(resolve_refined(query, request));
  TESSERA_RETURN_IF_ERROR(resolve_refine_history(query, request));
  request.rounds = query.rounds;
  request.strategy = query.strategy;
  request.context_includes_known = query.context_includes_history;
  TESSERA_ASSIGN_OR_RETURN(refine_run_,
                           retrieval::RefineRun::begin(request, wanted_, excluded_, *searcher_));
  // The rounds have copies of what they read.
  request.history = {};
  if (auto* interests = std::get_if<retrieval::InterestsRequest>(&request.query)) {
    release_people(*interests);
  }
  return {};
}

const retrieval::Encoding* QueryRun::encoding() const {
  return refine_run_ == nullptr ? nullptr : refine_run_->encoding();
}

void QueryRun::conclude_refine() {
  auto answer = refine_run_->finish();
  refine_run_.reset();
  for (const retrieval::RefineHit& hit : answer.hits) {
    Found found{hit.hit, std::nullopt, hit.round};
    if (hit.component) found.interest = {*hit.component, hit.rank, hit.hit.score};
    found_.push_back(found);
  }
  result_.rounds = std::move(answer.rounds);
  report_interests(answer.interests);
}

}  // namespace tessera::engine
