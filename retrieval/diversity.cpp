#include "retrieval/diversity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "index/kernels.h"

namespace tessera::retrieval {
namespace {

constexpr std::size_t kCandidatesPerHit = 4;
/// So many vectors are read between two looks at whether to stop.
constexpr std::size_t kCheckedRows = 256;

Status invalid(const char* member, const std::string& why) {
  return {Code::kInvalidArgument, std::string("query.interests.diversity.") + member + ": " + why};
}

double similarity(Metric metric, float score) {
  return higher_is_nearer(metric) ? double{score} : -double{score};
}

/// Who is chosen from, and how many.
struct Choice {
  const std::vector<InterestHit>& candidates;  ///< In the searcher's order.
  const std::vector<double>& relevance;        ///< Of every candidate.
  std::span<const float> rows;                 ///< Their vectors, if the rule reads_rows().
  std::size_t limit;
  std::span<const std::size_t> turns;  ///< As of diversified_page().
  Searcher& searcher;

  [[nodiscard]] bool may_take(std::size_t place, const InterestHit& candidate) const {
    return turns.empty() || candidate.component == turns[place];
  }
};

/// What is no number is less than any.
bool is_greater(double value, double other) {
  return value > other || (std::isnan(other) && !std::isnan(value));
}

/// Takes `limit` candidates one by one, each time the best by `value_of(candidate)` of those whose
/// turn it is, of equals the first; `taken(candidate)` changes the values of the rest.
template <class ValueOf, class Taken>
Result<std::vector<std::size_t>> choose(const Choice& choice, const ValueOf& value_of,
                                        const Taken& taken) {
  const std::size_t count = choice.candidates.size();
  std::vector<std::size_t> left(count);
  for (std::size_t i = 0; i < count; ++i) left[i] = i;
  std::vector<std::size_t> chosen;
  const std::size_t limit = std::min(choice.limit, count);
  chosen.reserve(limit);
  while (chosen.size() < limit) {
    TESSERA_RETURN_IF_ERROR(choice.searcher.check());
    std::size_t best = left.size();
    double greatest = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (!choice.may_take(chosen.size(), choice.candidates[left[i]])) continue;
      const double value = value_of(left[i]);
      if (best < left.size() && !is_greater(value, greatest)) continue;
      greatest = value;
      best = i;
    }
    chosen.push_back(left[best]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
    if (chosen.size() < limit) taken(chosen.back(), left);
  }
  return chosen;
}

/// Whether the rule compares candidates with each other.
bool reads_rows(const Diversity& diversity) {
  const auto* mmr = std::get_if<Mmr>(&diversity.rule);
  return mmr != nullptr && mmr->lambda < 1;
}

/// The vectors of the hits, behind each other.
Result<std::vector<float>> rows_of(const std::vector<InterestHit>& hits, Searcher& searcher) {
  std::vector<float> rows;
  rows.reserve(hits.size() * searcher.dim());
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (i % kCheckedRows == 0) TESSERA_RETURN_IF_ERROR(searcher.check());
    TESSERA_ASSIGN_OR_RETURN(const auto row, searcher.vector_of(hits[i].hit.slot));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

/// Carbonell and Goldstein (1998).
Result<std::vector<std::size_t>> by_marginal_relevance(const Mmr& rule, const Choice& choice) {
  if (rule.lambda == 1) {
    return choose(
        choice, [&](std::size_t i) { return choice.relevance[i]; },
        [](std::size_t, const std::vector<std::size_t>&) {});
  }
  const Metric metric = choice.searcher.metric();
  const std::size_t dim = choice.searcher.dim();
  const float* const rows = choice.rows.data();
  // The first is the most similar one, whatever lambda: there is nothing to be unlike yet.
  std::vector<double> redundancy(choice.candidates.size(),
                                 -std::numeric_limits<double>::infinity());
  bool is_first = true;
  const auto value_of = [&](std::size_t i) {
    const double relevance = choice.relevance[i];
    if (is_first) return relevance;
    return rule.lambda * relevance - (1 - rule.lambda) * redundancy[i];
  };
  const auto taken = [&](std::size_t chosen, const std::vector<std::size_t>& left) {
    is_first = false;
    for (const std::size_t i : left) {
      const float apart = index::distance(metric, rows + chosen * dim, rows + i * dim, dim);
      redundancy[i] = std::max(redundancy[i], similarity(metric, index::score_of(metric, apart)));
    }
  };
  return choose(choice, value_of, taken);
}

/// Cen et al., "Controllable Multi-Interest Framework for Recommendation" (ComiRec, KDD 2020), as
/// its greedy inference goes.
Result<std::vector<std::size_t>> by_category(const CategoryPenalty& rule, const Choice& choice) {
  const auto& candidates = choice.candidates;
  Searcher& searcher = choice.searcher;
  std::vector<Slot> slots;
  slots.reserve(candidates.size());
  for (const InterestHit& candidate : candidates) slots.push_back(candidate.hit.slot);
  TESSERA_ASSIGN_OR_RETURN(const auto categories, searcher.categories_of(slots));
  if (categories.size() != slots.size()) {
    return Status(Code::kInternal, "the searcher gave another number of categories than of slots");
  }
  std::unordered_map<std::string, std::size_t> taken_counts;
  const auto value_of = [&](std::size_t i) {
    std::size_t most = 0;
    for (const std::string& category : categories[i]) {
      const auto found = taken_counts.find(category);
      if (found != taken_counts.end()) most = std::max(most, found->second);
    }
    return choice.relevance[i] - rule.lambda * static_cast<double>(most);
  };
  const auto taken = [&](std::size_t chosen, const std::vector<std::size_t>&) {
    for (const std::string& category : categories[chosen]) ++taken_counts[category];
  };
  return choose(choice, value_of, taken);
}

Result<std::vector<std::size_t>> by_rule(const Diversity& diversity, const Choice& choice) {
  if (const auto* mmr = std::get_if<Mmr>(&diversity.rule)) {
    return by_marginal_relevance(*mmr, choice);
  }
  return by_category(std::get<CategoryPenalty>(diversity.rule), choice);
}

std::vector<double> scores_of(const std::vector<InterestHit>& hits, Metric metric) {
  std::vector<double> scores;
  scores.reserve(hits.size());
  for (const InterestHit& hit : hits) scores.push_back(similarity(metric, hit.hit.score));
  return scores;
}

/// To the vector of its component.
std::vector<double> similarities(const std::vector<InterestHit>& hits, std::span<const float> rows,
                                 std::span<const std::vector<float>> vectors, Metric metric) {
  std::vector<double> found;
  found.reserve(hits.size());
  const float* row = rows.data();
  for (const InterestHit& hit : hits) {
    const std::vector<float>& vector = vectors[hit.component];
    const float apart = index::distance(metric, vector.data(), row, vector.size());
    found.push_back(similarity(metric, index::score_of(metric, apart)));
    row += vector.size();
  }
  return found;
}

void sort_by_score(std::vector<InterestHit>& hits, const Searcher& searcher) {
  std::sort(hits.begin(), hits.end(), [&](const InterestHit& a, const InterestHit& b) {
    return searcher.precedes(a.hit, b.hit);
  });
}

}  // namespace

Status check_diversity(const Diversity& diversity, std::size_t limit) {
  if (const auto* mmr = std::get_if<Mmr>(&diversity.rule)) {
    if (!(mmr->lambda >= 0 && mmr->lambda <= 1))
      return invalid("mmr.lambda", "must be from 0 to 1");
  } else {
    const double lambda = std::get<CategoryPenalty>(diversity.rule).lambda;
    if (!(lambda >= 0) || !std::isfinite(lambda)) {
      return invalid("category.lambda", "must be 0 or larger");
    }
  }
  if (std::max(limit, diversity.candidates) > kDiversityCandidatesMax) {
    return invalid("candidates", "limit and candidates must be " +
                                     std::to_string(kDiversityCandidatesMax) + " or smaller");
  }
  return {};
}

Status check_choice(const InterestsRequest& request, std::size_t limit) {
  if (request.diversity) return check_diversity(*request.diversity, limit);
  if (request.page_blend && limit > kDiversityCandidatesMax) {
    return {Code::kInvalidArgument, "query.interests.page_blend: with it limit must be " +
                                        std::to_string(kDiversityCandidatesMax) + " or smaller"};
  }
  return {};
}

std::size_t candidate_count(const Diversity& diversity, std::size_t limit) {
  if (diversity.candidates > 0) return std::max(limit, diversity.candidates);
  return std::max(limit, std::min(kDiversityCandidatesMax, limit * kCandidatesPerHit));
}

Result<std::vector<InterestHit>> diversified(const Diversity& diversity,
                                             std::vector<InterestHit> candidates, std::size_t limit,
                                             Searcher& searcher) {
  sort_by_score(candidates, searcher);
  const std::vector<double> relevance = scores_of(candidates, searcher.metric());
  std::vector<float> rows;
  if (reads_rows(diversity)) {
    TESSERA_ASSIGN_OR_RETURN(rows, rows_of(candidates, searcher));
  }
  TESSERA_ASSIGN_OR_RETURN(const auto chosen,
                           by_rule(diversity, {candidates, relevance, rows, limit, {}, searcher}));
  std::vector<InterestHit> hits;
  hits.reserve(chosen.size());
  for (const std::size_t i : chosen) hits.push_back(candidates[i]);
  return hits;
}

Result<std::vector<InterestHit>> diversified_page(const Diversity& diversity,
                                                  std::vector<InterestHit> hits, std::size_t page,
                                                  std::span<const std::size_t> turns,
                                                  std::span<const std::vector<float>> vectors,
                                                  Searcher& searcher) {
  sort_by_score(hits, searcher);
  std::vector<float> rows;
  if (reads_rows(diversity) || !vectors.empty()) {
    TESSERA_ASSIGN_OR_RETURN(rows, rows_of(hits, searcher));
  }
  const std::vector<double> relevance = vectors.empty()
                                            ? scores_of(hits, searcher.metric())
                                            : similarities(hits, rows, vectors, searcher.metric());
  TESSERA_ASSIGN_OR_RETURN(const auto chosen,
                           by_rule(diversity, {hits, relevance, rows, page, turns, searcher}));
  std::vector<InterestHit> ordered;
  ordered.reserve(hits.size());
  std::vector<bool> is_chosen(hits.size(), false);
  for (const std::size_t i : chosen) {
    is_chosen[i] = true;
    ordered.push_back(hits[i]);
  }
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (!is_chosen[i]) ordered.push_back(hits[i]);
  }
  return ordered;
}

}  // namespace tessera::retrieval
