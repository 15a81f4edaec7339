#include <algorithm>
#include <unordered_map>

#include "engine/session_run.h"
#include "retrieval/adapted.h"
#include "retrieval/adapted_session.h"
#include "retrieval/rounds.h"
#include "retrieval/vector_math.h"

namespace tessera::engine {

using retrieval::AdaptedSessionRound;
using storage::SessionDefinition;
using storage::SessionHit;
using storage::SessionJudgement;
using storage::SessionRound;

namespace {

/// Every round goes through all before it again.
constexpr std::size_t kAdaptedRoundsMax = 100;

/// Only the newest are encoded.
template <class Item>
void keep_newest(std::vector<Item>& items, std::size_t count) {
  if (items.size() > count) {
    items.erase(items.begin(), items.end() - static_cast<std::ptrdiff_t>(count));
  }
}

/// What a person has said, in the order in which they said it.
class Judgements {
 public:
  void add(const std::vector<SessionJudgement>& feedback) {
    for (const SessionJudgement& judgement : feedback) {
      scores_[judgement.id] = judgement.score;
      const auto old = std::find(liked_.begin(), liked_.end(), judgement.id);
      if (judgement.score > 0 && old == liked_.end()) liked_.push_back(judgement.id);
      if (judgement.score <= 0 && old != liked_.end()) liked_.erase(old);
    }
  }
  [[nodiscard]] const std::vector<PointId>& liked() const { return liked_; }
  [[nodiscard]] std::optional<double> score_of(const PointId& id) const {
    const auto found = scores_.find(id);
    return found == scores_.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] bool is_disliked(const PointId& id) const { return score_of(id).value_or(0) < 0; }

 private:
  std::unordered_map<PointId, double> scores_;
  std::vector<PointId> liked_;
};

/// The ids of a round of one interest, before their vectors are known.
struct RoundIds {
  std::vector<PointId> liked;    ///< Said before the round.
  std::vector<PointId> context;  ///< What the round after it is to read.
};

/// Of each interest and round, with the round that `feedback` precedes as the last one.
std::vector<std::vector<RoundIds>> ids_of(const std::vector<SessionRound>& rounds,
                                          const std::vector<SessionJudgement>& feedback,
                                          std::size_t context_size, std::size_t interest_count) {
  std::vector<std::vector<RoundIds>> ids(interest_count, std::vector<RoundIds>(rounds.size() + 1));
  std::unordered_map<PointId, std::uint32_t> components;
  Judgements judgements;
  for (std::size_t i = 0; i <= rounds.size(); ++i) {
    judgements.add(i < rounds.size() ? rounds[i].feedback : feedback);
    for (const PointId& id : judgements.liked()) ids[components.at(id)][i].liked.push_back(id);
    if (i > 0) {
      for (const SessionHit* hit : hits_by_place(rounds[i - 1])) {
        auto& context = ids[hit->component][i - 1].context;
        if (context.size() < context_size && !judgements.is_disliked(hit->id)) {
          context.push_back(hit->id);
        }
      }
    }
    if (i == rounds.size()) break;
    for (const SessionHit& hit : rounds[i].hits) components[hit.id] = hit.component;
  }
  return ids;
}

void append(std::vector<std::vector<float>>& vectors, const std::vector<PointId>& ids,
            const std::unordered_map<PointId, std::vector<float>>& known) {
  for (const PointId& id : ids) {
    if (const auto& vector = known.at(id); !vector.empty()) vectors.push_back(vector);
  }
}

/// What of the history is of which interest: places, a list an interest.
std::vector<std::vector<std::uint32_t>> split_history(
    const SessionDefinition& definition, const std::vector<retrieval::HistoryItem>& history,
    Metric metric) {
  retrieval::Mixture mixture;
  for (const storage::SessionInterest& interest : definition.interests) {
    mixture.interests.emplace_back().vector = interest.vector;
  }
  mixture.shares.is_active.assign(definition.interests.size(), true);
  return retrieval::shared_history(history, mixture, metric);
}

}  // namespace

Status SessionRun::prepare_adapter() {
  auto found = collection_.adapters_.find(options_.adapter->name);
  if (found.has_error()) return found.error().with_context("strategy.adapter");
  trained_ = std::move(*found);
  adapter_ = trained_->adapter.get();
  const auto& identity = run_.field_->vectors->identity();
  return retrieval::check_adapter(*adapter_, identity.metric, identity.dim, "strategy.adapter");
}

/// A session goes through its rounds again and again, always by the weights it began with.
Status SessionRun::check_adapter_version(const SessionDefinition& definition) const {
  const AdapterInfo& info = trained_->info;
  const bool is_known = definition.adapter_version != 0 || definition.adapter_created_at_us != 0;
  if (!is_known || (definition.adapter_version == info.version &&
                    definition.adapter_created_at_us == info.created_at_us)) {
    return {};
  }
  return {Code::kBadRequest, "strategy.adapter: the session began with version " +
                                 std::to_string(definition.adapter_version) + " of adapter `" +
                                 info.name + "`, which has been replaced: start another session"};
}

/// Items that are gone by now, or have lost their vector, are left out.
Result<std::vector<retrieval::HistoryItem>> SessionRun::adapter_history() const {
  const SessionAdapter& adapter = *options_.adapter;
  if (adapter.user) {
    TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, collection_.users_.slot_of(*adapter.user));
    TESSERA_ASSIGN_OR_RETURN(UserHistory history,
                             collection_.users_.history(slot, options_.using_vector, cancel_));
    return std::move(history.items);
  }
  std::vector<HistoryInput> there;
  for (const HistoryInput& item : adapter.history) {
    const auto* id = std::get_if<PointId>(&item.item);
    const auto slot = id == nullptr ? std::nullopt : slots_of({*id}).front();
    if (id != nullptr && !slot) continue;
    if (slot && run_.field_->vectors->vectors_of({&*slot, 1}).front().empty()) continue;
    there.push_back(item);
  }
  return run_.resolve_history(there, "history");
}

/// By the client's vector, or by the adapter's.
Status SessionRun::define_first_vector(const StartSession& request, SessionDefinition& definition) {
  storage::SessionInterest& only = definition.interests.emplace_back();
  if (const auto* input = std::get_if<VectorInput>(&request.query)) {
    TESSERA_ASSIGN_OR_RETURN(only.vector, run_.resolve(*input, "query"));
    if (const auto* id = std::get_if<PointId>(input)) definition.excluded.push_back(*id);
    return {};
  }
  const SessionAdapter& adapter = *options_.adapter;
  TESSERA_ASSIGN_OR_RETURN(const auto history, adapter_history());
  if (history.empty()) {
    const std::string field = adapter.user ? "user: " + adapter.user->to_string() + " has no events"
                                           : std::string("history: there are no items");
    return {Code::kBadRequest, field + " of points with vector `" + options_.using_vector +
                                   "`, and there is no `query`"};
  }
  AdaptedSessionRound first;
  for (const retrieval::HistoryItem& item : history) first.history.push_back(item.vector);
  keep_newest(first.history, adapter_->weights().max_history);
  TESSERA_ASSIGN_OR_RETURN(
      auto vectors, retrieval::adapted_session_vectors(*adapter_, {&first, 1}, std::nullopt,
                                                       run_.field_->vectors->identity().metric,
                                                       [this] { return cancel_.check(); }));
  only.vector = std::move(vectors.front());
  return {};
}

Result<SessionDefinition> SessionRun::define_adapted(const StartSession& request) {
  const SessionAdapter& adapter = *options_.adapter;
  // Strictly this once: an unknown item is a mistake now, and later only gone.
  const auto strict = run_.resolve_history(adapter.history, "history");
  if (strict.has_error()) return strict.error();
  SessionDefinition definition;
  if (const auto* interests = std::get_if<InterestsQuery>(&request.query)) {
    TESSERA_ASSIGN_OR_RETURN(definition, define_interests(*interests));
    for (storage::SessionInterest& interest : definition.interests) {
      // A mean of items has a mean of their biases there.
      if (adapter_->has_item_bias()) interest.vector.back() = 1;
      // An adapter's vectors are not those that a page's were made beside.
      interest.page_offset.clear();
    }
    const bool is_of_another = interests->user && adapter.user &&
                               interests->user->to_string() != adapter.user->to_string();
    if (is_of_another) {
      return Status(Code::kInvalidArgument, "user: must be that of query.interests.user");
    }
  } else {
    TESSERA_RETURN_IF_ERROR(define_first_vector(request, definition));
  }
  definition.adapter_version = trained_->info.version;
  definition.adapter_created_at_us = trained_->info.created_at_us;
  if (adapter.user) definition.person_id = adapter.user->to_string();
  if (!adapter.exclude_history) return definition;
  if (adapter.user) definition.user = definition.person_id;
  exclude_history(adapter.history, definition);
  return definition;
}

/// The rounds are gone through again, each with what was said before it. What is liked is the
/// newest part of the history of the interest that returned it; what is disliked is no context.
Result<std::vector<std::vector<std::vector<float>>>> SessionRun::adapted_vectors(
    const SessionDefinition& definition, const std::vector<SessionRound>& rounds,
    const std::vector<SessionJudgement>& feedback) const {
  if (rounds.size() >= kAdaptedRoundsMax) {
    return Status(Code::kBadRequest, "strategy.adapter: a session by an adapter has at most " +
                                         std::to_string(kAdaptedRoundsMax) + " rounds");
  }
  const auto& weights = adapter_->weights();
  const Metric metric = run_.field_->vectors->identity().metric;
  const auto ids = ids_of(rounds, feedback, weights.context_size, definition.interests.size());
  for (const auto& own : ids) {
    for (const RoundIds& round : own) {
      load_vectors(round.liked);
      load_vectors(round.context);
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const auto history, adapter_history());
  const auto shares = split_history(definition, history, metric);
  std::vector<std::vector<std::vector<float>>> vectors;
  for (std::size_t interest = 0; interest < ids.size(); ++interest) {
    std::vector<std::vector<float>> own;
    for (const std::uint32_t place : shares[interest]) own.push_back(history[place].vector);
    keep_newest(own, weights.max_history);
    std::vector<AdaptedSessionRound> replayed(ids[interest].size());
    for (std::size_t i = 0; i < replayed.size(); ++i) {
      replayed[i].history = own;
      append(replayed[i].history, ids[interest][i].liked, vectors_);
      keep_newest(replayed[i].history, weights.max_history);
      append(replayed[i].context, ids[interest][i].context, vectors_);
    }
    const bool keeps_start = options_.adapter->has_query || own.empty();
    const auto start = keeps_start ? std::optional(definition.interests[interest].vector)
                                   : std::optional<std::vector<float>>();
    TESSERA_ASSIGN_OR_RETURN(vectors.emplace_back(), retrieval::adapted_session_vectors(
                                                         *adapter_, replayed, start, metric,
                                                         [this] { return cancel_.check(); }));
  }
  return vectors;
}

Result<std::vector<retrieval::MovedInterest>> SessionRun::move_adapted(
    const SessionDefinition& definition, const std::vector<SessionRound>& rounds,
    const std::vector<SessionJudgement>& feedback) const {
  TESSERA_RETURN_IF_ERROR(check_adapter_version(definition));
  std::vector<retrieval::SessionStart> starts;
  std::vector<retrieval::MovedInterest> moved;
  for (const storage::SessionInterest& interest : definition.interests) {
    starts.push_back({interest.vector, interest.weight});
    moved.push_back({interest.vector, 0, 1});
  }
  Judgements judgements;
  for (const SessionRound& round : rounds) judgements.add(round.feedback);
  judgements.add(feedback);
  std::vector<retrieval::ReturnedItem> items;
  for (const SessionRound& round : rounds) {
    for (const SessionHit& hit : round.hits) {
      items.push_back({{}, hit.component, judgements.score_of(hit.id)});
    }
  }
  retrieval::move_weights(starts, items, moved);
  if (rounds.empty()) return moved;
  TESSERA_ASSIGN_OR_RETURN(auto vectors, adapted_vectors(definition, rounds, feedback));
  for (std::size_t i = 0; i < moved.size(); ++i) {
    moved[i].vector = std::move(vectors[i].back());
    if (moved[i].vector == starts[i].vector) continue;
    moved[i].shift =
        retrieval::cosine(retrieval::widen(moved[i].vector), retrieval::widen(starts[i].vector));
  }
  return moved;
}

}  // namespace tessera::engine
