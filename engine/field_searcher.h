#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/item_clusters.h"
#include "engine/requests.h"
#include "engine/slot_bits.h"
#include "engine/vector_field.h"
#include "retrieval/searcher.h"

namespace tessera::engine {

/// kInvalidArgument for parameters that vectors of this dim cannot be searched with.
Status check_params(const SearchParams& params, std::uint32_t dim);

/// What a query allows, and how it wants to be searched.
struct SearchScope {
  std::optional<SlotBits> allowed;                      ///< Of the query's filter.
  std::vector<std::optional<SlotBits>> component_bits;  ///< By Search::component_filter.
  const ItemClusters* items = nullptr;                  ///< For searches inside a cluster.
  SearchParams params;
  std::optional<float> score_threshold;
  bool explains = false;  ///< Say how each segment was searched.
  /// Values of the field that diversity goes by; empty when it does not.
  std::function<Result<std::vector<std::vector<std::string>>>(std::span<const std::uint32_t>)>
      categories_of;
  const CancelToken* cancel = nullptr;
};

/// A collection's vectors as the retrieval methods see them: one request's searches over one view.
/// Thread rule: confined to the request.
class FieldSearcher final : public retrieval::Searcher {
 public:
  /// Borrows all three. `keeps_vectors`: vector_of() will be asked for hits.
  FieldSearcher(const VectorField& field, const SlotTable& slots, const SearchScope& scope,
                bool keeps_vectors);

  [[nodiscard]] Metric metric() const override { return field_.identity().metric; }
  [[nodiscard]] std::size_t dim() const override { return field_.identity().dim; }
  Result<std::vector<retrieval::Hit>> search(const retrieval::Search& search) override;
  Result<std::vector<std::vector<retrieval::Hit>>> search_many(
      std::span<const retrieval::Search> searches) override;

  /// Searches made ready, for whoever does those of several searchers together.
  class Prepared;
  Result<Prepared> prepare(std::span<const retrieval::Search> searches);
  /// What the field answered to Prepared::requests(), as the retrieval methods see it.
  std::vector<std::vector<retrieval::Hit>> take_answers(const Prepared& prepared,
                                                        std::span<FieldAnswer> answers);
  /// The view that is searched from now on.
  void use_view(std::shared_ptr<const FieldView> view) { view_ = std::move(view); }

  Result<std::vector<float>> vector_of(retrieval::Slot slot) override;
  Result<std::vector<std::vector<std::string>>> categories_of(
      std::span<const retrieval::Slot> slots) override;
  [[nodiscard]] Status check() const override;
  [[nodiscard]] bool precedes(const retrieval::Hit& a, const retrieval::Hit& b) const override;

  [[nodiscard]] const QueryPlan& plan() const { return plan_; }
  /// The dimensions that did most for the best score of a slot that was found; none unless the
  /// scope explains.
  [[nodiscard]] std::vector<Contribution> contributions_of(retrieval::Slot slot) const;

 private:
  /// What one search may return: of the scope's bits where they will do, else of `own`.
  struct Allowed {
    const SlotBits* bits = nullptr;
    std::size_t count = 0;
    std::size_t extra_count = 0;  ///< Excluded slots that are still in `bits`.
    std::optional<SlotBits> own;
  };
  Status find_allowed(const retrieval::Search& search, Allowed& allowed);
  void restrict_to(const SlotBits& bits, Allowed& allowed) const;
  [[nodiscard]] FieldSearch request_of(const retrieval::Search& search,
                                       const Allowed& allowed) const;
  std::vector<retrieval::Hit> take_answer(const retrieval::Search& search, const Allowed& allowed,
                                          FieldAnswer& answer);
  void explain(const float* query, const SlotHit& hit);

  const VectorField& field_;
  const SlotTable& slots_;
  const SearchScope& scope_;
  const bool keeps_vectors_;
  std::shared_ptr<const FieldView> view_;
  std::unordered_map<retrieval::Slot, std::vector<float>> seen_;  ///< Vectors of hits so far.
  std::unordered_map<std::uint32_t, SlotBits> cluster_bits_;      ///< Of those searched so far.
  QueryPlan plan_;
  struct Explained {
    float distance = 0;
    std::vector<Contribution> contributions;
  };
  std::unordered_map<retrieval::Slot, Explained> explained_;
};

/// Searches of one searcher. They borrow from it and from what was prepared.
class FieldSearcher::Prepared {
 public:
  [[nodiscard]] std::span<const FieldSearch> requests() const { return requests_; }

 private:
  friend class FieldSearcher;
  std::vector<retrieval::Search> searches_;
  std::vector<FieldSearch> requests_;
  std::vector<std::shared_ptr<Allowed>> allowed_;  ///< One a search; of equal searches the same.
};

/// Searches again, at most a few times, while fresh rows begin to go elsewhere under the search: a
/// point that was replaced in that moment could be in neither place that was searched. `view` is
/// then the newer one. `answers`: as many as searches, which share their cancel token.
Status search_stable_view(const VectorField& field, std::span<const FieldSearch> searches,
                          std::shared_ptr<const FieldView>& view, std::span<FieldAnswer> answers);

}  // namespace tessera::engine
