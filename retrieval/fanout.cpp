#include "retrieval/fanout.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "retrieval/interests.h"
#include "retrieval/ties.h"

namespace tessera::retrieval {
namespace {

/// Asked beyond the seats in the first page, for items that another lane takes.
std::size_t slack_of(std::size_t seats) {
  return std::max<std::size_t>(4, seats / 4);
}

std::size_t saturating_sum(std::size_t a, std::size_t b) {
  return a + b < a ? SIZE_MAX : a + b;
}

}  // namespace

Fanout::Fanout(std::vector<Lane> lanes, const SlotSet& excluded, Searcher& searcher)
    : lanes_(std::move(lanes)), excluded_(excluded), searcher_(searcher), progress_(lanes_.size()) {
  std::size_t active_count = 0;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    progress_[i].seats = lanes_[i].quota;
    progress_[i].is_exhausted = !lanes_[i].is_active;
    active_count += lanes_[i].is_active ? 1 : 0;
    limit_ = saturating_sum(limit_, lanes_[i].quota);
  }
  is_divided_ = active_count > 1;
}

Result<std::vector<std::vector<Hit>>> Fanout::run() {
  for (auto searches = wanted(); !searches.empty(); searches = wanted()) {
    TESSERA_ASSIGN_OR_RETURN(auto answers, searcher_.search_many(searches));
    TESSERA_RETURN_IF_ERROR(accept(std::move(answers)));
  }
  return collect();
}

std::vector<Search> Fanout::wanted() {
  pending_.clear();
  asking_.clear();
  do {
    fill_seats();
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
      const Progress& progress = progress_[lane];
      if (progress.accepted >= progress.seats || progress.is_exhausted) continue;
      if (auto page = next_page(lane)) {
        pending_.push_back(*page);
        asking_.push_back(lane);
      }
    }
  } while (pending_.empty() && split_free_seats());
  return pending_;
}

Status Fanout::accept(std::vector<std::vector<Hit>> answers) {
  if (answers.size() != asking_.size()) {
    return {Code::kInternal, "another number of searches was answered than was asked for"};
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Progress& progress = progress_[asking_[i]];
    if (answers[i].size() > pending_[i].limit) {
      return {Code::kInternal, "a search returned more hits than it was asked for"};
    }
    progress.is_exhausted = answers[i].size() < pending_[i].limit;
    progress.found.insert(progress.found.end(), answers[i].begin(), answers[i].end());
  }
  return {};
}

/// Lets lanes propose until each has its seats full or has proposed all that was read of it.
void Fanout::fill_seats() {
  bool is_settled = false;
  while (!is_settled) {
    is_settled = true;
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
      Progress& progress = progress_[lane];
      while (progress.accepted < progress.seats && progress.next < progress.found.size()) {
        propose(lane);
        // Somebody may have lost an item and must be asked again.
        is_settled = false;
      }
    }
  }
}

/// What is missing and some more, at least as much as was read so far, so that the number of
/// searches grows with the logarithm of the depth. A lane never needs more than limit_ items: each
/// is its own or owned by another lane, and no more than limit_ are owned.
std::optional<Search> Fanout::next_page(std::size_t lane) {
  Progress& progress = progress_[lane];
  const std::size_t missing = progress.seats - progress.accepted;
  const std::size_t wanted =
      std::max(saturating_sum(missing, slack_of(missing)), progress.found.size());
  Search search;
  search.vector = lanes_[lane].vector;
  search.limit = std::min(wanted, limit_ - progress.found.size());
  if (search.limit == 0) {
    progress.is_exhausted = true;
    return std::nullopt;
  }
  search.component_filter = lanes_[lane].component_filter;
  search.cluster = lanes_[lane].cluster;
  search.is_part = is_divided_;
  search.excluded = &excluded_;
  if (progress.found.empty()) return search;
  // Pages are told apart by exclusion: an approximate search with a larger limit need not begin
  // with the hits of a smaller one.
  if (progress.seen_count == 0) progress.seen = excluded_;
  while (progress.seen_count < progress.found.size()) {
    progress.seen.add(progress.found[progress.seen_count++].slot);
  }
  search.excluded = &progress.seen;
  return search;
}

void Fanout::propose(std::size_t lane) {
  Progress& progress = progress_[lane];
  const Hit& hit = progress.found[progress.next++];
  const auto [place, is_free] = owners_.try_emplace(hit.slot, Owner{lane, hit});
  if (is_free) {
    ++progress.accepted;
    return;
  }
  Owner& owner = place->second;
  const bool is_better = searcher_.precedes(hit, owner.hit) ||
                         (!searcher_.precedes(owner.hit, hit) && lane < owner.lane);
  if (!is_better) return;
  --progress_[owner.lane].accepted;
  ++progress.accepted;
  owner = Owner{lane, hit};
}

/// False when every seat is taken or no lane has anything more.
bool Fanout::split_free_seats() {
  const std::size_t free_seats = limit_ - owners_.size();
  if (free_seats == 0) return false;
  std::vector<double> weights(lanes_.size(), 0);
  std::vector<double> equal(lanes_.size(), 0);
  bool has_weight = false;
  bool has_lane = false;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    Progress& progress = progress_[lane];
    progress.seats = progress.accepted;
    if (progress.is_exhausted && progress.next == progress.found.size()) continue;
    weights[lane] = lanes_[lane].weight;
    equal[lane] = 1;
    has_lane = true;
    has_weight = has_weight || weights[lane] > 0;
  }
  if (!has_lane) return false;
  const auto extra = largest_remainder(has_weight ? weights : equal, free_seats);
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) progress_[lane].seats += extra[lane];
  return true;
}

std::vector<std::vector<Hit>> Fanout::collect() const {
  std::vector<std::vector<Hit>> lists(lanes_.size());
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    lists[lane].reserve(progress_[lane].accepted);
  }
  for (const auto& [slot, owner] : owners_) lists[owner.lane].push_back(owner.hit);
  for (auto& list : lists) {
    std::sort(list.begin(), list.end(),
              [&](const Hit& a, const Hit& b) { return searcher_.precedes(a, b); });
  }
  return lists;
}

std::vector<std::size_t> interleave(const std::vector<double>& shares,
                                    const std::vector<std::size_t>& sizes) {
  const std::size_t total = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  std::vector<std::size_t> order;
  order.reserve(total);
  std::vector<std::size_t> got(sizes.size(), 0);
  while (order.size() < total) {
    std::size_t best = sizes.size();
    double largest = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (got[i] == sizes[i]) continue;
      const double deficit =
          shares[i] * static_cast<double>(order.size() + 1) - static_cast<double>(got[i]);
      if (best == sizes.size() || is_larger_share(deficit, largest)) {
        best = i;
        largest = deficit;
      }
    }
    ++got[best];
    order.push_back(best);
  }
  return order;
}

}  // namespace tessera::retrieval
