#include "engine/field_searcher.h"

#include <algorithm>
#include <cmath>

#include "index/kernels.h"

namespace tessera::engine {
namespace {

/// A search is repeated when a fresh segment appeared meanwhile; that happens once in many thousand
/// writes, so twice in a row is already unlikely.
constexpr int kViewAttemptsMax = 3;
/// Up to so many excluded slots, as many more rows are searched for.
constexpr std::size_t kOverfetchMax = 64;

/// Candidates by a prefix alone are further from the true order than those by codes.
constexpr double kPrefixOversampling = 4;

constexpr std::size_t kContributionsMax = 5;

/// The dimensions that add most, the largest first. Cosine and Dot: products, which sum up to the
/// score. Euclid: squared differences, which sum up to its square. Manhattan: differences.
std::vector<Contribution> largest_contributions(Metric metric, const float* query,
                                                const float* vector, std::size_t dim) {
  std::vector<Contribution> all(dim);
  for (std::size_t d = 0; d < dim; ++d) {
    const float difference = query[d] - vector[d];
    all[d].dim = static_cast<std::uint32_t>(d);
    all[d].value = higher_is_nearer(metric)    ? query[d] * vector[d]
                   : metric == Metric::kEuclid ? difference * difference
                                               : std::fabs(difference);
  }
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(dim, kContributionsMax));
  std::partial_sort(all.begin(), end, all.end(), [](const Contribution& a, const Contribution& b) {
    return a.value != b.value ? a.value > b.value : a.dim < b.dim;
  });
  return {all.begin(), end};
}

}  // namespace

Status check_params(const SearchParams& params, std::uint32_t dim) {
  if (params.dims.value_or(0) <= dim) return {};
  return {Code::kInvalidArgument, "params.dims: value " + std::to_string(*params.dims) +
                                      " invalid, must be from 1 to " + std::to_string(dim) +
                                      ", the size of the vector"};
}

FieldSearcher::FieldSearcher(const VectorField& field, const SlotTable& slots,
                             const SearchScope& scope, bool keeps_vectors)
    : field_(field),
      slots_(slots),
      scope_(scope),
      keeps_vectors_(keeps_vectors),
      view_(field.view()) {
  if (scope_.allowed) plan_.match_count = scope_.allowed->count();
}

void FieldSearcher::restrict_to(const SlotBits& bits, Allowed& allowed) const {
  if (allowed.bits == nullptr) {
    allowed.bits = &bits;
    return;
  }
  if (!allowed.own) allowed.own = *allowed.bits;
  allowed.own->intersect(bits);
  allowed.bits = &*allowed.own;
}

/// Copying a bit a slot is slow in a large collection, and testing it on the way slows a walk, so
/// there a few excluded slots are searched for and then left out. A scan tests few rows, but keeps
/// and compares all the more of them the more are asked for.
Status FieldSearcher::find_allowed(const retrieval::Search& search, Allowed& allowed) {
  if (scope_.allowed) restrict_to(*scope_.allowed, allowed);
  if (search.component_filter >= 0) {
    const auto& bits = scope_.component_bits[static_cast<std::size_t>(search.component_filter)];
    if (bits) restrict_to(*bits, allowed);
  }
  if (search.cluster) {
    if (scope_.items == nullptr) return {Code::kInternal, "a search in a cluster of none"};
    auto known = cluster_bits_.find(*search.cluster);
    if (known == cluster_bits_.end()) {
      known = cluster_bits_.emplace(*search.cluster, scope_.items->slots_in(*search.cluster)).first;
    }
    restrict_to(known->second, allowed);
  }
  const std::size_t excluded_count =
      search.excluded == nullptr ? 0 : search.excluded->cardinality();
  const bool has_index =
      std::any_of(view_->sealed.begin(), view_->sealed.end(),
                  [](const auto& segment) { return segment->index() != nullptr; });
  if (excluded_count <= (has_index ? kOverfetchMax : 0)) {
    allowed.extra_count = excluded_count;
  } else {
    if (!allowed.own) {
      allowed.own = allowed.bits != nullptr ? *allowed.bits : SlotBits(field_.slot_count(), true);
    }
    allowed.own->clear_all(*search.excluded);
  }
  if (allowed.own) allowed.bits = &*allowed.own;
  if (allowed.bits == nullptr) return {};
  const bool is_filter_alone = scope_.allowed && allowed.bits == &*scope_.allowed;
  allowed.count = is_filter_alone ? plan_.match_count : allowed.bits->count();
  return {};
}

Status search_stable_view(const VectorField& field, std::span<const FieldSearch> searches,
                          std::shared_ptr<const FieldView>& view, std::span<FieldAnswer> answers) {
  for (int attempt = 1;; ++attempt) {
    TESSERA_RETURN_IF_ERROR(field.search_many(*view, searches, answers));
    auto current = field.view();
    if (current->growing == view->growing || attempt == kViewAttemptsMax) return {};
    view = std::move(current);
    for (FieldAnswer& answer : answers) answer = {};
  }
}

FieldSearch FieldSearcher::request_of(const retrieval::Search& search,
                                      const Allowed& allowed) const {
  FieldSearch request;
  request.query = search.vector.data();
  request.k = search.limit == 0 ? 0 : search.limit + allowed.extra_count;
  request.allowed = allowed.bits;
  request.allowed_count = allowed.count;
  request.exact = scope_.params.exact;
  request.indexed_only = scope_.params.indexed_only;
  request.ef = scope_.params.hnsw_ef;
  request.probe_count = scope_.params.probe_count;
  request.ignore_codes = scope_.params.ignore_codes;
  request.prefix_dim = scope_.params.dims.value_or(0);
  if (request.prefix_dim == dim()) request.prefix_dim = 0;
  // Scores are of whole vectors whatever the prefix.
  request.rescore = scope_.params.rescore || request.prefix_dim > 0;
  // More than every row is no more than every row.
  const double all = static_cast<double>(field_.slot_count()) / static_cast<double>(search.limit);
  request.oversampling = std::clamp(
      scope_.params.oversampling.value_or(request.prefix_dim > 0 ? kPrefixOversampling : 1), 1.0,
      std::max(1.0, all));
  request.is_part = search.is_part;
  request.reports_segments = scope_.explains;
  request.cancel = scope_.cancel;
  return request;
}

std::vector<retrieval::Hit> FieldSearcher::take_answer(const retrieval::Search& search,
                                                       const Allowed& allowed,
                                                       FieldAnswer& answer) {
  ++plan_.search_count;
  plan_.visited_count += answer.stats.visited_count;
  plan_.segment_count = view_->sealed.size() + view_->frozen.size() + 1;
  plan_.strategy = answer.stats.strategy;
  plan_.segments = std::move(answer.stats.segments);

  std::vector<retrieval::Hit> hits;
  hits.reserve(std::min(answer.hits.size(), search.limit));
  for (const SlotHit& hit : answer.hits) {
    if (hits.size() == search.limit) break;
    if (allowed.extra_count > 0 && search.excluded->contains(hit.slot)) continue;
    const float score = index::score_of(metric(), hit.distance);
    if (scope_.score_threshold) {
      const bool is_near_enough = higher_is_nearer(metric()) ? score >= *scope_.score_threshold
                                                             : score <= *scope_.score_threshold;
      if (!is_near_enough) break;
    }
    hits.push_back({hit.slot, score});
    if (scope_.explains) explain(search.vector.data(), hit);
    if (keeps_vectors_) seen_.try_emplace(hit.slot, field_.vector_of(hit));
  }
  return hits;
}

Result<FieldSearcher::Prepared> FieldSearcher::prepare(
    std::span<const retrieval::Search> searches) {
  Prepared prepared;
  prepared.searches_.assign(searches.begin(), searches.end());
  for (std::size_t i = 0; i < searches.size(); ++i) {
    const retrieval::Search& search = searches[i];
    // The searches of a fan-out mostly allow the same.
    const auto same = std::find_if(
        searches.begin(), searches.begin() + static_cast<std::ptrdiff_t>(i),
        [&](const auto& other) {
          return other.excluded == search.excluded && other.cluster == search.cluster &&
                 other.component_filter == search.component_filter;
        });
    const auto place = static_cast<std::size_t>(same - searches.begin());
    if (place < i) {
      prepared.allowed_.push_back(prepared.allowed_[place]);
    } else {
      auto allowed = std::make_shared<Allowed>();
      TESSERA_RETURN_IF_ERROR(find_allowed(search, *allowed));
      prepared.allowed_.push_back(std::move(allowed));
    }
    prepared.requests_.push_back(request_of(search, *prepared.allowed_.back()));
  }
  return prepared;
}

std::vector<std::vector<retrieval::Hit>> FieldSearcher::take_answers(
    const Prepared& prepared, std::span<FieldAnswer> answers) {
  std::vector<std::vector<retrieval::Hit>> hits;
  hits.reserve(answers.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    hits.push_back(take_answer(prepared.searches_[i], *prepared.allowed_[i], answers[i]));
  }
  return hits;
}

Result<std::vector<std::vector<retrieval::Hit>>> FieldSearcher::search_many(
    std::span<const retrieval::Search> searches) {
  TESSERA_ASSIGN_OR_RETURN(const Prepared prepared, prepare(searches));
  std::vector<FieldAnswer> answers(searches.size());
  TESSERA_RETURN_IF_ERROR(search_stable_view(field_, prepared.requests(), view_, answers));
  return take_answers(prepared, answers);
}

Result<std::vector<retrieval::Hit>> FieldSearcher::search(const retrieval::Search& search) {
  TESSERA_ASSIGN_OR_RETURN(auto answers, search_many({&search, 1}));
  return std::move(answers.front());
}

void FieldSearcher::explain(const float* query, const SlotHit& hit) {
  // Several searches of a query may find a point; the answer shows its best score.
  const auto [place, is_new] = explained_.try_emplace(hit.slot);
  if (!is_new && place->second.distance <= hit.distance) return;
  place->second = {hit.distance,
                   largest_contributions(metric(), query, field_.vector_of(hit).data(), dim())};
}

std::vector<Contribution> FieldSearcher::contributions_of(retrieval::Slot slot) const {
  const auto found = explained_.find(slot);
  return found == explained_.end() ? std::vector<Contribution>() : found->second.contributions;
}

Result<std::vector<float>> FieldSearcher::vector_of(retrieval::Slot slot) {
  const auto found = seen_.find(slot);
  if (found == seen_.end()) {
    return Status(Code::kInternal, "the vector of a slot that was not found was asked for");
  }
  return found->second;
}

Result<std::vector<std::vector<std::string>>> FieldSearcher::categories_of(
    std::span<const retrieval::Slot> slots) {
  if (!scope_.categories_of) {
    return Status(Code::kInternal, "categories were asked for, and the query names no field");
  }
  return scope_.categories_of(slots);
}

Status FieldSearcher::check() const {
  return scope_.cancel == nullptr ? Status() : scope_.cancel->check();
}

bool FieldSearcher::precedes(const retrieval::Hit& a, const retrieval::Hit& b) const {
  if (a.score != b.score) {
    return higher_is_nearer(metric()) ? a.score > b.score : a.score < b.score;
  }
  return slots_.id_of(a.slot) < slots_.id_of(b.slot);
}

}  // namespace tessera::engine
