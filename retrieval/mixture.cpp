#include "retrieval/mixture.h"

#include <algorithm>
#include <numeric>

#include "retrieval/components.h"
#include "retrieval/diversity.h"
#include "retrieval/ties.h"

namespace tessera::retrieval {
namespace {

using Lists = std::vector<std::vector<Hit>>;

/// Drops the inactive components of a history. At least one is active.
void drop_inactive(Mixture& mixture) {
  Shares& shares = mixture.shares;
  std::size_t count = 0;
  for (std::size_t i = 0; i < mixture.interests.size(); ++i) {
    if (!shares.is_active[i]) continue;
    if (count < i) mixture.interests[count] = std::move(mixture.interests[i]);
    mixture.interests[count].component = static_cast<std::uint32_t>(count);
    mixture.component_filters[count] = mixture.component_filters[i];
    shares.share[count] = shares.share[i];
    shares.turn_share[count] = shares.turn_share[i];
    ++count;
  }
  mixture.interests.resize(count);
  mixture.component_filters.resize(count);
  shares.share.resize(count);
  shares.turn_share.resize(count);
  shares.is_active.assign(count, true);
}

/// Gives the components that take part weights that sum to 1 again.
void apply_shares(Mixture& mixture, bool is_given) {
  if (!is_given) drop_inactive(mixture);
  double sum = 0;
  for (std::size_t i = 0; i < mixture.interests.size(); ++i) {
    if (!mixture.shares.is_active[i]) mixture.interests[i].weight = 0;
    sum += mixture.interests[i].weight;
  }
  for (InterestReport& interest : mixture.interests) interest.weight /= sum;
}

std::size_t heaviest(const std::vector<InterestReport>& interests) {
  const auto found = std::max_element(interests.begin(), interests.end(),
                                      [](const InterestReport& a, const InterestReport& b) {
                                        return is_larger_share(b.weight, a.weight);
                                      });
  return static_cast<std::size_t>(found - interests.begin());
}

/// Whose turn it is at every place of the page, as list numbers; no page by score.
std::vector<std::size_t> turns_of(const Mixture& mixture, const Lists& lists) {
  if (mixture.merge == MergeOrder::kScore) return {};
  std::vector<std::size_t> sizes;
  for (const auto& list : lists) sizes.push_back(list.size());
  const Shares& shares = mixture.shares;
  std::vector<std::size_t> turns =
      interleave(mixture.page > 0 ? shares.turn_share : shares.share, sizes);
  if (mixture.page > 0 && mixture.page < turns.size()) turns.resize(mixture.page);
  return turns;
}

/// Whose hit is at every place of the answer: by turns, and by score behind them.
std::vector<std::size_t> merged_order(std::vector<std::size_t> turns, const Lists& lists,
                                      const Searcher& searcher) {
  std::vector<std::size_t> taken(lists.size(), 0);
  for (const std::size_t list : turns) ++taken[list];
  std::vector<std::pair<Hit, std::size_t>> rest;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    for (std::size_t place = taken[i]; place < lists[i].size(); ++place) {
      rest.emplace_back(lists[i][place], i);
    }
  }
  std::sort(rest.begin(), rest.end(),
            [&](const auto& a, const auto& b) { return searcher.precedes(a.first, b.first); });
  turns.reserve(turns.size() + rest.size());
  for (const auto& [hit, list] : rest) turns.push_back(list);
  return turns;
}

/// Whether rows may match that no component could find: only if every component looks through a
/// filter of its own or in a cluster, for one without finds every row there is.
bool may_have_more(const Mixture& mixture) {
  if (mixture.is_within_clusters) return !mixture.person.empty();
  for (std::size_t i = 0; i < mixture.interests.size(); ++i) {
    if (mixture.shares.is_active[i] && mixture.component_filters[i] < 0) return false;
  }
  return !mixture.person.empty();
}

void append(Mixture& mixture, std::vector<InterestHit>& hits, const Hit& hit, std::size_t i) {
  InterestReport& interest = mixture.interests[i];
  hits.push_back({hit, interest.component, static_cast<std::uint32_t>(interest.returned++)});
  mixture.excluded.add(hit.slot);
}

}  // namespace

Result<Mixture> make_mixture(const InterestsRequest& request, std::size_t limit,
                             const SlotSet& excluded, const Searcher& searcher) {
  Mixture mixture;
  TESSERA_ASSIGN_OR_RETURN(mixture.interests, make_components(request, searcher.metric()));
  const bool is_given = !request.components.empty();
  TESSERA_RETURN_IF_ERROR(
      check_vector(mixture.interests.front().vector, searcher.dim(),
                   is_given ? "query.interests.components" : "query.interests.history"));
  std::vector<double> weights;
  for (const InterestReport& interest : mixture.interests) weights.push_back(interest.weight);
  mixture.component_filters.assign(mixture.interests.size(), -1);
  for (std::size_t i = 0; i < request.components.size(); ++i) {
    mixture.component_filters[i] = request.components[i].component_filter;
  }
  // A limit of 0 asks what the person is: everything.
  const std::uint32_t min_quota = limit == 0 ? 0 : request.min_quota;
  mixture.shares =
      active_shares(weights, limit, min_quota, request.allocation, request.quota_power);
  apply_shares(mixture, is_given);
  const auto quotas = split_quota(mixture.shares, limit, request.allocation, request.seed);
  for (std::size_t i = 0; i < quotas.size(); ++i) mixture.interests[i].quota = quotas[i];
  mixture.person = person_vector(request, searcher.metric());
  mixture.merge = request.merge;
  mixture.page = request.page;
  if (request.page > 0) {
    mixture.page_rule = request.diversity;
    if (!mixture.page_rule && request.page_blend) mixture.page_rule = Diversity{Mmr{1}};
  }
  mixture.is_within_clusters = request.scope == Scope::kCluster;
  mixture.excluded = excluded;
  if (request.exclude_history) {
    for (const HistoryItem& item : request.history) {
      if (item.slot) mixture.excluded.add(*item.slot);
    }
  }
  return mixture;
}

MixtureRound::MixtureRound(Mixture& mixture, const std::vector<std::size_t>& quotas,
                           Searcher& searcher)
    : mixture_(mixture),
      searcher_(searcher),
      limit_(std::accumulate(quotas.begin(), quotas.end(), std::size_t{0})),
      fanout_(lanes_of(mixture, quotas), mixture.excluded, searcher) {}

std::vector<Fanout::Lane> MixtureRound::lanes_of(const Mixture& mixture,
                                                 const std::vector<std::size_t>& quotas) {
  std::vector<Fanout::Lane> lanes;
  for (std::size_t i = 0; i < mixture.interests.size(); ++i) {
    lanes.push_back({mixture.interests[i].vector, mixture.shares.share[i],
                     mixture.component_filters[i], quotas[i], mixture.shares.is_active[i]});
    if (mixture.is_within_clusters) lanes.back().cluster = mixture.interests[i].cluster;
  }
  return lanes;
}

std::vector<Search> MixtureRound::wanted() {
  if (stage_ == Stage::kFanout) {
    std::vector<Search> searches = fanout_.wanted();
    if (!searches.empty()) return searches;
    merge();
    stage_ = Stage::kDone;
    if (hits_.size() < limit_ && may_have_more(mixture_)) stage_ = Stage::kRest;
  }
  if (stage_ == Stage::kDone) return {};
  return {Search{mixture_.person, limit_ - hits_.size(), &mixture_.excluded, -1}};
}

Status MixtureRound::accept(std::vector<std::vector<Hit>> answers) {
  if (stage_ == Stage::kFanout) return fanout_.accept(std::move(answers));
  if (stage_ == Stage::kDone || answers.size() != 1 || answers[0].size() > limit_ - hits_.size()) {
    return {Code::kInternal, "more was answered than was asked for"};
  }
  const std::size_t credited = heaviest(mixture_.interests);
  for (const Hit& hit : answers[0]) append(mixture_, hits_, hit, credited);
  stage_ = Stage::kDone;
  return {};
}

void MixtureRound::merge() {
  const Lists lists = fanout_.collect();
  std::vector<std::size_t> taken(lists.size(), 0);
  turns_ = turns_of(mixture_, lists);
  for (const std::size_t i : merged_order(turns_, lists, searcher_)) {
    append(mixture_, hits_, lists[i][taken[i]++], i);
  }
  own_count_ = hits_.size();
}

/// Nothing where the page goes by the vectors of the search.
std::vector<std::vector<float>> MixtureRound::page_vectors() const {
  const auto& interests = mixture_.interests;
  if (std::all_of(interests.begin(), interests.end(),
                  [](const InterestReport& interest) { return interest.page_offset.empty(); })) {
    return {};
  }
  std::vector<std::vector<float>> vectors;
  vectors.reserve(interests.size());
  for (const InterestReport& interest : interests) {
    Wide vector = widen(interest.vector);
    if (!interest.page_offset.empty()) add_scaled(vector, interest.page_offset, 1);
    const bool is_sound = searcher_.metric() != Metric::kCosine || make_unit(vector);
    const auto narrowed = is_sound ? narrow(vector) : std::nullopt;
    vectors.push_back(narrowed.value_or(interest.vector));
  }
  return vectors;
}

Result<std::vector<InterestHit>> MixtureRound::take() {
  if (!mixture_.page_rule) return std::move(hits_);
  const auto own_end = hits_.begin() + static_cast<std::ptrdiff_t>(own_count_);
  TESSERA_ASSIGN_OR_RETURN(
      const auto own, diversified_page(*mixture_.page_rule, {hits_.begin(), own_end}, mixture_.page,
                                       turns_, page_vectors(), searcher_));
  std::copy(own.begin(), own.end(), hits_.begin());
  return std::move(hits_);
}

Result<std::vector<InterestHit>> retrieve_round(Mixture& mixture,
                                                const std::vector<std::size_t>& quotas,
                                                Searcher& searcher) {
  MixtureRound round(mixture, quotas, searcher);
  for (auto searches = round.wanted(); !searches.empty(); searches = round.wanted()) {
    TESSERA_ASSIGN_OR_RETURN(auto answers, searcher.search_many(searches));
    TESSERA_RETURN_IF_ERROR(round.accept(std::move(answers)));
  }
  return round.take();
}

}  // namespace tessera::retrieval
