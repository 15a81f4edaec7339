#include "engine/session_run.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "retrieval/components.h"

namespace tessera::engine {

using storage::SessionDefinition;
using storage::SessionHit;
using storage::SessionInterest;
using storage::SessionJudgement;
using storage::SessionMove;
using storage::SessionRound;

namespace {

std::vector<PointId> returned_ids(const std::vector<SessionRound>& rounds) {
  std::vector<PointId> ids;
  for (const SessionRound& round : rounds) {
    for (const SessionHit& hit : round.hits) ids.push_back(hit.id);
  }
  return ids;
}

/// How many points each interest returned.
std::vector<std::size_t> returned_counts(const std::vector<SessionRound>& rounds,
                                         std::size_t interest_count) {
  std::vector<std::size_t> counts(interest_count, 0);
  for (const SessionRound& round : rounds) {
    for (const SessionHit& hit : round.hits) ++counts[hit.component];
  }
  return counts;
}

/// A definition is checked where it is written; other numbers are those of a newer version.
Status check_choices(const SessionDefinition& definition) {
  using namespace retrieval;
  const bool is_known = definition.allocation <= static_cast<unsigned>(Allocation::kSampled) &&
                        definition.merge <= static_cast<unsigned>(MergeOrder::kScore) &&
                        definition.scope <= static_cast<unsigned>(Scope::kCluster);
  if (is_known) return {};
  return {Code::kCorrupt, "the session's choices are not known to this version"};
}

std::vector<retrieval::SessionStart> starts_of(const SessionDefinition& definition) {
  std::vector<retrieval::SessionStart> starts;
  for (const SessionInterest& interest : definition.interests) {
    starts.push_back({interest.vector, interest.weight});
  }
  return starts;
}

}  // namespace

std::vector<const SessionHit*> hits_by_place(const SessionRound& round) {
  std::vector<const SessionHit*> hits;
  hits.reserve(round.hits.size());
  for (const SessionHit& hit : round.hits) hits.push_back(&hit);
  std::stable_sort(hits.begin(), hits.end(),
                   [](const SessionHit* a, const SessionHit* b) { return a->place < b->place; });
  return hits;
}

SessionRun::SessionRun(const CollectionImpl& collection, const SessionOptions& options,
                       const CancelToken& cancel)
    : collection_(collection),
      options_(options),
      cancel_(cancel),
      run_(collection_, request_, cancel_) {
  request_.query = VectorInput();
  request_.using_vector = options.using_vector;
  request_.filter = options.filter;
  request_.params = options.params;
  request_.limit = options.limit;
  request_.with_payload = options.with_payload;
  request_.with_vector = options.with_vector;
}

Status SessionRun::prepare() {
  TESSERA_RETURN_IF_ERROR(run_.prepare());
  if (options_.adapter) return prepare_adapter();
  return retrieval::check_session_strategy(options_.strategy,
                                           run_.field_->vectors->identity().metric);
}

// ---- the beginning ------------------------------------------------------------------------------

Result<SessionDefinition> SessionRun::define_interests(const InterestsQuery& query) {
  if (query.diversity && (query.page == 0 || query.category_field)) {
    return Status(Code::kInvalidArgument,
                  "query.interests.diversity: in a session it is `mmr`, and goes together with "
                  "`page` only");
  }
  TESSERA_ASSIGN_OR_RETURN(const auto request, run_.resolve_interests(query));
  const Metric metric = run_.field_->vectors->identity().metric;
  TESSERA_ASSIGN_OR_RETURN(const auto components, retrieval::make_components(request, metric));
  SessionDefinition definition;
  definition.has_interests = true;
  definition.allocation = static_cast<std::uint8_t>(query.allocation);
  definition.merge = static_cast<std::uint8_t>(query.merge);
  definition.page = query.page;
  if (query.diversity) {
    definition.page_mmr_lambda = std::get<retrieval::Mmr>(query.diversity->rule).lambda;
  } else if (query.page_blend) {
    definition.page_mmr_lambda = 1;
  }
  definition.scope = static_cast<std::uint8_t>(query.scope);
  definition.min_quota = query.min_quota;
  definition.quota_power = query.quota_power;
  definition.seed = query.seed;
  definition.clusters_version = run_.clusters_ == nullptr ? 0 : run_.clusters_->info.version;
  for (const retrieval::InterestReport& component : components) {
    SessionInterest& interest = definition.interests.emplace_back();
    interest.cluster = component.cluster;
    interest.weight = component.weight;
    interest.vector = component.vector;
    interest.page_offset = component.page_offset;
    if (component.medoid) interest.medoid = collection_.slots_.id_of(*component.medoid);
    for (const auto slot : component.items) {
      interest.items.push_back(collection_.slots_.id_of(slot));
    }
  }
  // Only who looks in parts of the collection can run out of points before it does.
  const bool is_partial =
      query.scope == retrieval::Scope::kCluster ||
      (!options_.component_filters.empty() &&
       std::all_of(options_.component_filters.begin(), options_.component_filters.end(),
                   [](const auto& filter) { return filter && !filter->empty(); }));
  if (is_partial) definition.person = retrieval::person_vector(request, metric);
  if (query.user) definition.person_id = query.user->to_string();
  if (!query.exclude_history) return definition;
  if (query.user) definition.user = definition.person_id;
  exclude_history(query.history, definition);
  return definition;
}

void SessionRun::exclude_history(const std::vector<HistoryInput>& history,
                                 SessionDefinition& definition) {
  std::vector<PointId>& excluded = definition.excluded;
  for (const HistoryInput& item : history) {
    if (const auto* id = std::get_if<PointId>(&item.item)) excluded.push_back(*id);
  }
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
}

Result<SessionDefinition> SessionRun::define(const StartSession& request) {
  if (options_.adapter) return define_adapted(request);
  if (const auto* interests = std::get_if<InterestsQuery>(&request.query)) {
    return define_interests(*interests);
  }
  const auto& input = std::get<VectorInput>(request.query);
  SessionDefinition definition;
  SessionInterest& only = definition.interests.emplace_back();
  TESSERA_ASSIGN_OR_RETURN(only.vector, run_.resolve(input, "query"));
  if (const auto* id = std::get_if<PointId>(&input)) definition.excluded.push_back(*id);
  return definition;
}

// ---- what a round depends on --------------------------------------------------------------------

std::vector<std::optional<std::uint32_t>> SessionRun::slots_of(
    const std::vector<PointId>& ids) const {
  std::vector<std::optional<std::uint32_t>> slots;
  slots.reserve(ids.size());
  SharedLock lock(collection_.state_mutex_);
  for (const PointId& id : ids) slots.push_back(collection_.slots_.find(id));
  return slots;
}

Result<std::vector<retrieval::MovedInterest>> SessionRun::move(
    const SessionDefinition& definition, const std::vector<SessionRound>& rounds,
    const std::vector<SessionJudgement>& feedback) const {
  if (adapter_ != nullptr) return move_adapted(definition, rounds, feedback);
  // What was said last of an item counts.
  std::unordered_map<PointId, double> scores;
  for (const SessionRound& round : rounds) {
    for (const SessionJudgement& judgement : round.feedback) scores[judgement.id] = judgement.score;
  }
  for (const SessionJudgement& judgement : feedback) scores[judgement.id] = judgement.score;

  std::vector<retrieval::ReturnedItem> items;
  std::vector<PointId> read_ids;
  std::vector<std::size_t> read_places;
  for (const SessionRound& round : rounds) {
    for (const SessionHit* hit : hits_by_place(round)) {
      retrieval::ReturnedItem& item = items.emplace_back();
      item.component = hit->component;
      if (const auto found = scores.find(hit->id); found != scores.end()) {
        item.score = found->second;
      }
      if (!retrieval::reads_vector(options_.strategy, item)) continue;
      read_ids.push_back(hit->id);
      read_places.push_back(items.size() - 1);
    }
  }
  load_vectors(read_ids);
  for (std::size_t i = 0; i < read_ids.size(); ++i) {
    items[read_places[i]].vector = vectors_.at(read_ids[i]);
  }
  return retrieval::move_interests(options_.strategy, starts_of(definition), items,
                                   run_.field_->vectors->identity().metric);
}

void SessionRun::load_vectors(const std::vector<PointId>& ids) const {
  std::vector<PointId> wanted;
  for (const PointId& id : ids) {
    if (vectors_.emplace(id, std::vector<float>()).second) wanted.push_back(id);
  }
  const auto found = slots_of(wanted);
  std::vector<std::uint32_t> slots;
  std::vector<PointId> owners;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) continue;
    slots.push_back(*found[i]);
    owners.push_back(wanted[i]);
  }
  auto vectors = run_.field_->vectors->vectors_of(slots);
  for (std::size_t i = 0; i < slots.size(); ++i) vectors_[owners[i]] = std::move(vectors[i]);
}

Status SessionRun::exclude(const SessionDefinition& definition,
                           const std::vector<SessionRound>& rounds) {
  std::vector<PointId> ids = returned_ids(rounds);
  ids.insert(ids.end(), definition.excluded.begin(), definition.excluded.end());
  for (const auto& slot : slots_of(ids)) {
    if (slot) run_.excluded_.add(*slot);
  }
  if (definition.user.empty()) return {};
  TESSERA_ASSIGN_OR_RETURN(const UserId user, UserId::parse(definition.user));
  TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, collection_.users_.slot_of(user));
  TESSERA_ASSIGN_OR_RETURN(const UserHistory history,
                           collection_.users_.history(slot, options_.using_vector, cancel_));
  run_.excluded_ |= history.known;
  return {};
}

Status SessionRun::prepare_scope(const SessionDefinition& definition) {
  InterestsQuery query;
  query.scope = static_cast<retrieval::Scope>(definition.scope);
  return run_.prepare_scope(query);
}

Result<std::vector<int>> SessionRun::component_filters(std::size_t count) {
  std::vector<int> places(count, -1);
  run_.scope_.component_bits.clear();
  for (std::size_t i = 0; i < std::min(count, options_.component_filters.size()); ++i) {
    const auto& filter = options_.component_filters[i];
    if (!filter || filter->empty()) continue;
    places[i] = static_cast<int>(run_.scope_.component_bits.size());
    TESSERA_ASSIGN_OR_RETURN(auto bits, run_.bits_of(*filter));
    run_.scope_.component_bits.emplace_back(std::move(bits));
  }
  return places;
}

std::vector<std::optional<std::uint32_t>> SessionRun::clusters_of(
    const SessionDefinition& definition) const {
  std::vector<std::optional<std::uint32_t>> clusters;
  for (const SessionInterest& interest : definition.interests) {
    std::optional<std::uint32_t>& cluster = clusters.emplace_back(interest.cluster);
    if (!cluster) continue;
    if (run_.clusters_ == nullptr) {
      cluster.reset();
    } else if (run_.clusters_->info.version != definition.clusters_version) {
      // Trained again since: the cluster that the interest is in now.
      std::uint32_t nearest = 0;
      index::assign_clusters(run_.clusters_->clusters,
                             {interest.vector.data(), 1, interest.vector.size()}, &nearest);
      cluster = nearest;
    }
  }
  return clusters;
}

Result<retrieval::SessionRoundRequest> SessionRun::request_of(
    const SessionDefinition& definition, const std::vector<SessionRound>& rounds,
    const std::vector<retrieval::MovedInterest>& moved) {
  retrieval::SessionRoundRequest request;
  const auto clusters = clusters_of(definition);
  const auto returned = returned_counts(rounds, moved.size());
  for (std::size_t i = 0; i < moved.size(); ++i) {
    retrieval::InterestReport& interest = request.interests.emplace_back();
    interest.component = static_cast<std::uint32_t>(i);
    interest.cluster = clusters[i];
    interest.weight = moved[i].weight;
    interest.returned = returned[i];
    interest.vector = moved[i].vector;
    interest.page_offset = definition.interests[i].page_offset;
  }
  TESSERA_ASSIGN_OR_RETURN(request.component_filters, component_filters(moved.size()));
  request.min_quota = definition.min_quota;
  request.quota_power = definition.quota_power;
  request.allocation = static_cast<retrieval::Allocation>(definition.allocation);
  request.merge = static_cast<retrieval::MergeOrder>(definition.merge);
  request.page = definition.page;
  if (definition.page_mmr_lambda) request.page_mmr = retrieval::Mmr{*definition.page_mmr_lambda};
  request.scope = static_cast<retrieval::Scope>(definition.scope);
  // Drawn anew in every round.
  request.seed = definition.seed + rounds.size();
  request.person = definition.person;
  request.excluded = run_.excluded_;
  return request;
}

// ---- rounds -------------------------------------------------------------------------------------

Result<SessionRun::Round> SessionRun::make(const SessionDefinition& definition,
                                           const std::vector<SessionRound>& rounds,
                                           std::vector<SessionJudgement> feedback,
                                           std::size_t limit) {
  TESSERA_RETURN_IF_ERROR(check_choices(definition));
  request_.limit = limit;
  TESSERA_RETURN_IF_ERROR(prepare_scope(definition));
  TESSERA_ASSIGN_OR_RETURN(const auto moved, move(definition, rounds, feedback));
  TESSERA_RETURN_IF_ERROR(exclude(definition, rounds));
  TESSERA_ASSIGN_OR_RETURN(auto request, request_of(definition, rounds, moved));
  request.limit = limit;
  FieldSearcher searcher(*run_.field_->vectors, collection_.slots_, run_.scope_,
                         request.page_mmr.has_value());
  TESSERA_ASSIGN_OR_RETURN(const auto answer,
                           retrieval::retrieve_session_round(std::move(request), searcher));

  // A point that was deleted and inserted again while this search ran has another slot.
  const std::vector<PointId> ids = returned_ids(rounds);
  std::unordered_set<PointId> seen(ids.begin(), ids.end());
  seen.insert(definition.excluded.begin(), definition.excluded.end());
  const auto number = static_cast<std::uint32_t>(rounds.size() + 1);
  for (const retrieval::InterestHit& hit : answer.hits) {
    if (!seen.insert(collection_.slots_.id_of(hit.hit.slot)).second) continue;
    run_.found_.push_back({hit.hit, HitInterest{hit.component, hit.rank, hit.hit.score}, number});
  }
  TESSERA_RETURN_IF_ERROR(run_.fetch());

  Round made;
  made.record.limit = static_cast<std::uint32_t>(limit);
  made.record.feedback = std::move(feedback);
  for (std::size_t i = 0; i < moved.size(); ++i) {
    made.record.moves.push_back(
        {moved[i].weight, static_cast<std::uint32_t>(answer.interests[i].quota), moved[i].shift});
  }
  const auto returned = returned_counts(rounds, moved.size());
  for (const ScoredPoint& point : run_.result_.points) {
    // Products of huge values are infinite; a record holds numbers.
    constexpr float kMost = std::numeric_limits<float>::max();
    const std::uint32_t component = point.interest->component;
    const auto place = point.interest->rank - static_cast<std::uint32_t>(returned[component]);
    made.record.hits.push_back(
        {point.record.id, std::clamp(point.score, -kMost, kMost), component, place});
  }
  report(definition, made.record);
  made.result = std::move(run_.result_);
  return made;
}

Result<QueryResult> SessionRun::repeat(const SessionDefinition& definition,
                                       const std::vector<SessionRound>& rounds) {
  const SessionRound& last = rounds.back();
  request_.limit = last.hits.size();
  const std::vector<SessionRound> before(rounds.begin(), rounds.end() - 1);
  const auto returned = returned_counts(before, definition.interests.size());
  std::vector<PointId> ids;
  for (const SessionHit& hit : last.hits) ids.push_back(hit.id);
  const auto slots = slots_of(ids);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const SessionHit& hit = last.hits[i];
    const auto rank = static_cast<std::uint32_t>(returned[hit.component]) + hit.place;
    if (!slots[i]) continue;
    run_.found_.push_back({{*slots[i], hit.score},
                           HitInterest{hit.component, rank, hit.score},
                           static_cast<std::uint32_t>(rounds.size())});
  }
  TESSERA_RETURN_IF_ERROR(run_.fetch());
  report(definition, last);
  return std::move(run_.result_);
}

Result<std::vector<std::vector<retrieval::MovedInterest>>> SessionRun::vectors(
    const SessionDefinition& definition, const std::vector<SessionRound>& rounds) {
  std::vector<std::vector<retrieval::MovedInterest>> moved(rounds.size());
  if (rounds.empty()) return moved;
  std::vector<SessionRound> before(rounds.begin(), rounds.end() - 1);
  if (adapter_ != nullptr) {
    // All come of going through the rounds once.
    TESSERA_RETURN_IF_ERROR(check_adapter_version(definition));
    TESSERA_ASSIGN_OR_RETURN(auto vectors,
                             adapted_vectors(definition, before, rounds.back().feedback));
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      for (auto& own : vectors) moved[i].push_back({std::move(own[i]), 0, 1});
    }
    return moved;
  }
  for (std::size_t i = rounds.size(); i-- > 0;) {
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    before.resize(i);
    TESSERA_ASSIGN_OR_RETURN(moved[i], move(definition, before, rounds[i].feedback));
  }
  return moved;
}

void SessionRun::report(const SessionDefinition& definition, const SessionRound& round) {
  if (!definition.has_interests) {
    for (ScoredPoint& point : run_.result_.points) point.interest.reset();
    return;
  }
  const auto clusters = clusters_of(definition);
  const auto returned = returned_counts({round}, definition.interests.size());
  for (std::size_t i = 0; i < definition.interests.size(); ++i) {
    InterestInfo& info = run_.result_.interests.emplace_back();
    info.component = static_cast<std::uint32_t>(i);
    info.cluster = clusters[i];
    info.weight = round.moves[i].weight;
    info.quota = round.moves[i].quota;
    info.returned = returned[i];
    info.medoid = definition.interests[i].medoid;
    info.items = definition.interests[i].items;
    info.shift = round.moves[i].shift;
    if (!info.cluster || run_.clusters_ == nullptr || run_.clusters_->info.labels.empty()) continue;
    for (const LabelValue& value : run_.clusters_->info.labels[*info.cluster]) {
      info.label.push_back(value.value);
    }
  }
}

double SessionRun::shift_of(const SessionRound& round) {
  double shift = 0, weights = 0;
  for (const SessionMove& move : round.moves) {
    shift += move.weight * move.shift;
    weights += move.weight;
  }
  return weights > 0 ? shift / weights : 1;
}

}  // namespace tessera::engine
