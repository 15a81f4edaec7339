#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "index/clustering.h"
#include "retrieval/person_mixture.h"
#include "retrieval/searcher.h"

namespace tessera::retrieval {

/// Multi-interest retrieval: a person is a mixture of interests; one search per interest, the
/// budget split by weight, every hit names its interest. After El-Kishky et al., "kNN-Embed:
/// Locally Smoothed Embedding Mixtures for Multi-interest Candidate Retrieval" (2022); the formulas
/// and our own choices are in docs/methods.md.

enum class Represent : std::uint8_t { kCentroid, kMedoid, kCluster };
enum class Allocation : std::uint8_t { kProportional, kEqual, kSampled };
enum class MergeOrder : std::uint8_t { kInterleave, kScore };
enum class BlendWith : std::uint8_t { kVector, kHistory };
enum class Scope : std::uint8_t { kGlobal, kCluster };
enum class Clustering : std::uint8_t { kGlobal, kWard };

/// Maximal marginal relevance: next comes the greatest lambda * similarity to the query - (1 -
/// lambda) * similarity to the nearest of those chosen.
struct Mmr {
  double lambda = 0.5;  ///< 0..1: relevance alone at 1.
};
/// ComiRec's penalty: next comes the greatest similarity - lambda * number of those chosen that
/// share a category; of several categories the one that most of them have.
struct CategoryPenalty {
  double lambda = 0;  ///< >= 0.
};
/// Chooses the answer from more hits than it holds, whatever interest they belong to.
struct Diversity {
  std::variant<Mmr, CategoryPenalty> rule;
  std::size_t candidates = 0;  ///< Hits to choose from; 0: four times the limit.
};
inline constexpr std::size_t kDiversityCandidatesMax = 10'000;

/// At most so many items of the history stand for a component in the report.
inline constexpr std::size_t kReportItemsMax = 5;

/// One thing the person engaged with, newest last.
struct HistoryItem {
  std::vector<float> vector;         ///< Normalised for Cosine.
  std::optional<Slot> slot;          ///< Absent for an inline vector.
  double weight = 1;                 ///< > 0.
  std::optional<double> at_seconds;  ///< Unix time.
  /// Its cluster of the request's, if that is known; else it is looked for.
  std::optional<std::uint32_t> cluster = std::nullopt;
};

/// An interest the client computed by itself (MIND, ComiRec, ...).
struct GivenComponent {
  std::vector<float> vector;
  double weight = 1;          ///< > 0.
  int component_filter = -1;  ///< As Search::component_filter.
};

/// One of the people nearest to the person; one of the two.
struct NeighborHistory {
  std::vector<HistoryItem> history;
  std::shared_ptr<const PersonMixture> mixture;
};

struct InterestsRequest {
  // At most one of the two is not empty. Without either the interests are those of the neighbours,
  // and without neighbours that have a history the vector is the only one.
  std::vector<HistoryItem> history;
  std::vector<GivenComponent> components;
  /// In place of the history, when it is not empty: what it is by the request's clusters. Only for
  /// kGlobal without a half-life; the caller excludes its items.
  std::shared_ptr<const PersonMixture> mixture;
  VectorsOf vectors_of;  ///< Required with anybody's mixture.

  std::vector<float> vector;                  ///< The person's own embedding; may be empty.
  const index::Clusters* clusters = nullptr;  ///< Required with anybody's history, unless kWard.
  /// kWard: the history is clustered by itself; without neighbours.
  Clustering clustering = Clustering::kGlobal;
  /// Ward's clusters stay apart above this height, and the heaviest become components; absent:
  /// there are max_components of them, if so many items differ.
  std::optional<double> ward_threshold;

  std::vector<NeighborHistory> neighbors;  ///< Nearest first or not; without the person.
  double smoothing = 0;  ///< Lambda, 0..1: the neighbours' share. A person without history: 1.

  std::uint32_t max_components = 5;
  std::uint32_t min_quota = 1;
  double quota_power = 1;  ///< 0..10: quotas go by weight^power, a page's turns by the weight.
  Represent represent = Represent::kCentroid;
  std::optional<double> half_life_seconds;
  double blend = 0;  ///< 0..1: share of the person's vector in every component.
  BlendWith blend_with = BlendWith::kVector;
  /// As `blend`, of the vectors by which a page's places are given; absent: by those of the search.
  /// Only with a page.
  std::optional<double> page_blend;
  /// Of a stored person, who may have no vector: a blend with it is then one with the history.
  /// Else a blend with a vector that is not there is an error.
  bool is_vector_optional = false;
  Allocation allocation = Allocation::kProportional;
  std::uint64_t seed = 42;  ///< For kSampled.
  MergeOrder merge = MergeOrder::kInterleave;
  /// So many hits come first in the order that `merge` or `diversity` says, those behind them by
  /// score; 0: all of them. In rounds: of every round.
  std::uint32_t page = 0;
  Scope scope = Scope::kGlobal;  ///< kCluster requires clusters.
  std::optional<Diversity> diversity;
  bool exclude_history = true;
};

struct InterestHit {
  Hit hit;
  std::uint32_t component = 0;
  /// Position among the component's own hits, from 0; with diversity, among those to choose from.
  std::uint32_t rank = 0;
};

struct InterestReport {
  std::uint32_t component = 0;  ///< Its own place in the list.
  /// Absent for given components and a lone vector, unless the scope asks for one: then that which
  /// is nearest to the vector.
  std::optional<std::uint32_t> cluster;
  double weight = 0;         ///< Normalised: the weights sum to 1.
  std::size_t quota = 0;     ///< After the integer split; the quotas sum to the limit.
  std::size_t returned = 0;  ///< After re-splitting unfilled quotas.
  /// Item nearest to the component's centre: of the history, or of the neighbours' where it has
  /// none in the cluster.
  std::optional<Slot> medoid;
  /// The person's items in it that have a slot, each once: nearest to the centre first, the newer
  /// of equally near ones, at most kReportItemsMax.
  std::vector<Slot> items;
  std::size_t item_count = 0;  ///< All of them.
  /// Places in the request's history of all its items, ascending.
  std::vector<std::uint32_t> positions;
  std::vector<float> vector;  ///< The vector that was searched with.
  /// What the one that a page goes by has beyond it; empty: nothing. The same in every round.
  std::vector<float> page_offset;
};

struct InterestsResult {
  std::vector<InterestHit> hits;  ///< Exactly min(limit, rows that match), each slot once.
  std::vector<InterestReport> interests;
};

/// The mixture of a request: components with weight and vector, no search yet. Components of a
/// history come heaviest first, at most max_components; given components all come, in the order
/// given. kInvalidArgument names the field under "query.interests".
Result<std::vector<InterestReport>> make_components(const InterestsRequest& request, Metric metric);

/// The whole method. Deterministic for the same data and seed. Components with too small a quota
/// (min_quota) are left out when they come from the history; a given one stays in the report with
/// weight 0, so that a hit's component is always its place in `interests` and in the request.
/// Where every component has a filter or a cluster to look in and all of them run out, the rest
/// comes from a plain query by the person's vector (or the mean of the history), at the end of the
/// list, credited to the heaviest component. Cost: components x limit hits at most, read in pages.
/// With limit 0 nothing is searched and nothing left out: the report is the person's profile.
Result<InterestsResult> retrieve_interests(const InterestsRequest& request, std::size_t limit,
                                           const SlotSet& excluded, Searcher& searcher);

/// Splits `total` seats by weight: floor, then largest remainder, ties to the larger weight, then
/// the smaller index (Hamilton's method). The sum is exactly `total`. Weights: finite, >= 0, sum >
/// 0.
std::vector<std::size_t> largest_remainder(const std::vector<double>& weights, std::size_t total);

}  // namespace tessera::retrieval
