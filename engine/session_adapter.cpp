#include <algorithm>
#include <unordered_map>

#include "engine/session_run.h"
#include "retrieval/adapted.h"
#include "retrieval/adapted_session.h"
#include "retrieval/vector_math.h"

namespace tessera::engine {

using retrieval::AdaptedSessionRound;
using storage::SessionDefinition;
using storage::SessionHit;
using storage::SessionJudgement;
using storage::SessionRound;

namespace {

/// Every round goes through all before it.
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
  [[nodiscard]] bool is_disliked(const PointId& id) const {
    const auto found = scores_.find(id);
    return found != scores_.end() && found->second < 0;
  }

 private:
  std::unordered_map<PointId, double> scores_;
  std::vector<PointId> liked_;
};

/// The ids of a round, before their vectors are known.
struct RoundIds {
  std::vector<PointId> liked;    ///< Said before the round.
  std::vector<PointId> context;  ///< What the round after it is to read.
};

std::vector<RoundIds> ids_of(const std::vector<SessionRound>& rounds,
                             const std::vector<SessionJudgement>& feedback,
                             std::size_t context_size) {
  std::vector<RoundIds> ids(rounds.size() + 1);
  Judgements judgements;
  for (std::size_t i = 0; i <= rounds.size(); ++i) {
    judgements.add(i < rounds.size() ? rounds[i].feedback : feedback);
    ids[i].liked = judgements.liked();
    if (i == 0) continue;
    for (const SessionHit& hit : rounds[i - 1].hits) {
      if (ids[i - 1].context.size() == context_size) break;
      if (!judgements.is_disliked(hit.id)) ids[i - 1].context.push_back(hit.id);
    }
  }
  return ids;
}

void append(std::vector<std::vector<float>>& vectors, const std::vector<PointId>& ids,
            const std::unordered_map<PointId, std::vector<float>>& known) {
  for (const PointId& id : ids) {
    if (const auto found = known.find(id); found != known.end()) vectors.push_back(found->second);
  }
}

}  // namespace

Status SessionRun::prepare_adapter() {
  TESSERA_ASSIGN_OR_RETURN(adapter_, collection_.adapters_.find(options_.adapter->name));
  const auto& identity = run_.field_->vectors->identity();
  return retrieval::check_adapter(*adapter_, identity.metric, identity.dim, "strategy.adapter");
}

/// Items that are gone by now, or have lost their vector, are left out. At most as many as the
/// adapter encodes.
Result<std::vector<std::vector<float>>> SessionRun::adapter_history() const {
  std::vector<std::vector<float>> vectors;
  const SessionAdapter& adapter = *options_.adapter;
  if (adapter.user) {
    TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, collection_.users_.slot_of(*adapter.user));
    TESSERA_ASSIGN_OR_RETURN(UserHistory history,
                             collection_.users_.history(slot, options_.using_vector, cancel_));
    keep_newest(history.items, adapter_->weights().max_history);
    for (auto& item : history.items) vectors.push_back(std::move(item.vector));
    return vectors;
  }
  std::vector<HistoryInput> there;
  for (const HistoryInput& item : adapter.history) {
    const auto* id = std::get_if<PointId>(&item.item);
    const auto slot = id == nullptr ? std::nullopt : slots_of({*id}).front();
    if (id != nullptr && !slot) continue;
    if (slot && run_.field_->vectors->vectors_of({&*slot, 1}).front().empty()) continue;
    there.push_back(item);
  }
  keep_newest(there, adapter_->weights().max_history);
  TESSERA_ASSIGN_OR_RETURN(auto items, run_.resolve_history(there, "history"));
  for (auto& item : items) vectors.push_back(std::move(item.vector));
  return vectors;
}

Result<SessionDefinition> SessionRun::define_adapted(const StartSession& request) {
  if (std::holds_alternative<InterestsQuery>(request.query)) {
    return Status(Code::kInvalidArgument,
                  "query.interests: does not go together with an adapter in a session");
  }
  const SessionAdapter& adapter = *options_.adapter;
  // Strictly this once: an unknown item is a mistake now, and later only gone.
  const auto strict = run_.resolve_history(adapter.history, "history");
  if (strict.has_error()) return strict.error();
  SessionDefinition definition;
  storage::SessionInterest& only = definition.interests.emplace_back();
  if (const auto* input = std::get_if<VectorInput>(&request.query)) {
    TESSERA_ASSIGN_OR_RETURN(only.vector, run_.resolve(*input, "query"));
    if (const auto* id = std::get_if<PointId>(input)) definition.excluded.push_back(*id);
  } else {
    TESSERA_ASSIGN_OR_RETURN(auto history, adapter_history());
    if (history.empty()) {
      const std::string field = adapter.user
                                    ? "user: " + adapter.user->to_string() + " has no events"
                                    : std::string("history: there are no items");
      return Status(Code::kBadRequest, field + " of points with vector `" + options_.using_vector +
                                           "`, and there is no `query`");
    }
    const AdaptedSessionRound first{std::move(history), {}};
    TESSERA_ASSIGN_OR_RETURN(
        only.vector, retrieval::adapted_session_vector(*adapter_, {&first, 1}, std::nullopt,
                                                       run_.field_->vectors->identity().metric,
                                                       [this] { return cancel_.check(); }));
  }
  if (!adapter.exclude_history) return definition;
  if (adapter.user) definition.user = adapter.user->to_string();
  for (const HistoryInput& item : adapter.history) {
    if (const auto* id = std::get_if<PointId>(&item.item)) definition.excluded.push_back(*id);
  }
  std::sort(definition.excluded.begin(), definition.excluded.end());
  definition.excluded.erase(std::unique(definition.excluded.begin(), definition.excluded.end()),
                            definition.excluded.end());
  return definition;
}

/// The rounds are gone through again, each with what was said before it. What is liked is the
/// newest part of the history; what is disliked is no context.
Result<std::vector<retrieval::MovedInterest>> SessionRun::move_adapted(
    const SessionDefinition& definition, const std::vector<SessionRound>& rounds,
    const std::vector<SessionJudgement>& feedback) const {
  const std::vector<float>& start = definition.interests.front().vector;
  if (rounds.empty()) return std::vector<retrieval::MovedInterest>{{start, 1, 1}};
  if (rounds.size() >= kAdaptedRoundsMax) {
    return Status(Code::kBadRequest, "strategy.adapter: a session by an adapter has at most " +
                                         std::to_string(kAdaptedRoundsMax) + " rounds");
  }
  const auto ids = ids_of(rounds, feedback, adapter_->weights().context_size);
  std::vector<PointId> wanted = ids.back().liked;
  for (const RoundIds& round : ids) {
    wanted.insert(wanted.end(), round.liked.begin(), round.liked.end());
    wanted.insert(wanted.end(), round.context.begin(), round.context.end());
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  const auto found = slots_of(wanted);
  std::vector<std::uint32_t> slots;
  std::vector<PointId> owners;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) continue;
    slots.push_back(*found[i]);
    owners.push_back(wanted[i]);
  }
  auto vectors = run_.field_->vectors->vectors_of(slots);
  std::unordered_map<PointId, std::vector<float>> known;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!vectors[i].empty()) known.emplace(owners[i], std::move(vectors[i]));
  }

  TESSERA_ASSIGN_OR_RETURN(const auto history, adapter_history());
  std::vector<AdaptedSessionRound> replayed(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    replayed[i].history = history;
    append(replayed[i].history, ids[i].liked, known);
    keep_newest(replayed[i].history, adapter_->weights().max_history);
    append(replayed[i].context, ids[i].context, known);
  }
  const bool keeps_start = options_.adapter->has_query || history.empty();
  const Metric metric = run_.field_->vectors->identity().metric;
  std::vector<retrieval::MovedInterest> moved(1);
  TESSERA_ASSIGN_OR_RETURN(
      moved.front().vector,
      retrieval::adapted_session_vector(*adapter_, replayed,
                                        keeps_start ? std::optional(start) : std::nullopt, metric,
                                        [this] { return cancel_.check(); }));
  moved.front().weight = 1;
  if (moved.front().vector != start) {
    moved.front().shift =
        retrieval::cosine(retrieval::widen(moved.front().vector), retrieval::widen(start));
  }
  return moved;
}

}  // namespace tessera::engine
