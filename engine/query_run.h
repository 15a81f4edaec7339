#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/collection_impl.h"
#include "engine/field_searcher.h"
#include "retrieval/interests_run.h"
#include "retrieval/refine_run.h"

namespace tessera::engine {

/// A failure of a part of a request, which `place` names. Time runs out for the whole of it.
inline Status named(const Status& status, const std::string& place) {
  const bool is_of_all = status.code() == Code::kTimeout || status.code() == Code::kCancelled;
  return is_of_all ? status : status.with_context(place);
}

/// The interests of a query, or of its first round; null where it has none.
inline const InterestsQuery* interests_of(const QueryKind& query) {
  const auto* refine = std::get_if<RefineQuery>(&query);
  return refine != nullptr ? std::get_if<InterestsQuery>(&refine->query)
                           : std::get_if<InterestsQuery>(&query);
}

/// One query: ids resolved to vectors, filters to slots, prefetches run, then the method, records
/// fetched. run() does it all; start(), then encoding() with accept_vectors() and wanted() with
/// accept() by turns, and finish() do it step by step, so that the vectors and the searches of many
/// queries can be made together.
/// Thread rule: confined to one thread at a time.
class QueryRun {
 public:
  /// A hit on its way to the answer.
  struct Found {
    retrieval::Hit hit;
    std::optional<HitInterest> interest;
    std::optional<std::uint32_t> round;
  };

  /// `parent`: of a prefetch, whose points the parent's filter restricts too.
  QueryRun(const CollectionImpl& collection, const QueryRequest& request, const CancelToken& cancel,
           const QueryRun* parent = nullptr)
      : collection_(collection), request_(request), cancel_(cancel), parent_(parent) {}
  QueryRun(const QueryRun&) = delete;
  QueryRun& operator=(const QueryRun&) = delete;

  Result<QueryResult> run();
  /// All but the records: the hits are then in found(), those of `offset` too.
  Status find();

  Status start();
  /// Persons without whose vectors it cannot go on; null where there are none.
  [[nodiscard]] const retrieval::Encoding* encoding() const;
  Status accept_vectors(std::span<const float> rows) { return refine_run_->accept_vectors(rows); }
  /// The searches without which it cannot go on; none, and no encoding, at the end. They are
  /// answered by the searcher over vectors(), alone or together with others.
  std::vector<retrieval::Search> wanted();
  Status accept(std::vector<std::vector<retrieval::Hit>> answers);
  Result<QueryResult> finish();
  [[nodiscard]] FieldSearcher& searcher() { return *searcher_; }
  [[nodiscard]] const VectorField& vectors() const { return *field_->vectors; }
  /// Of the vectors that it keeps from start() to finish().
  [[nodiscard]] std::size_t held_bytes() const;

  [[nodiscard]] const std::vector<Found>& found() const { return found_; }
  /// The answer without points, once found.
  QueryResult take_reports() { return std::move(result_); }
  /// What the answer shows of these hits. Points that were deleted meanwhile are left out: a flag
  /// for each hit says whether it is there.
  Result<std::vector<ScoredPoint>> points_of(std::span<const Found> hits,
                                             std::vector<bool>* exists = nullptr) const;
  /// The values that the points of `slots` have under the field.
  Result<std::vector<std::vector<std::string>>> scalars_of(std::span<const std::uint32_t> slots,
                                                           const PayloadPath& field) const;

 private:
  friend class SessionRun;

  [[nodiscard]] bool is_scroll() const;
  Result<QueryResult> run_scroll() const;
  Status prepare();
  Status prepare_limits(std::size_t row_count);
  Status prepare_filter();
  Result<SlotBits> bits_of(const Filter& filter) const;
  Status check_vector(const std::vector<float>& vector, const std::string& what) const;
  /// Checks a vector that stands for an interest, and for Cosine gives it unit length; one of zeros
  /// has no direction that could be searched in.
  Status prepare_vector(std::vector<float>& vector, const std::string& what) const;
  Result<std::uint32_t> slot_of(const PointId& id) const;
  // What a query names; see query_resolve.cpp.
  Result<std::vector<float>> resolve(const VectorInput& input, const char* what);
  Result<std::vector<float>> look_up(const VectorLookup& from, const PointId& id,
                                     const char* what) const;
  Result<std::vector<retrieval::HistoryItem>> resolve_history(
      const std::vector<HistoryInput>& history, const char* what) const;
  Result<retrieval::InterestsRequest> resolve_interests(const InterestsQuery& query);
  // Of stored users; see query_users.cpp.
  Status resolve_people(const InterestsQuery& query, retrieval::InterestsRequest& request);
  Status resolve_user(const InterestsQuery& query, retrieval::InterestsRequest& request);
  /// Whether people's mixtures do, so that nobody's events need be read.
  [[nodiscard]] bool uses_mixtures(const InterestsQuery& query) const;
  Result<std::vector<retrieval::NeighborHistory>> find_neighbors(
      const InterestsQuery& query, const std::vector<float>& vector) const;

  /// Makes the searcher know every point's cluster.
  Status prepare_scope(const InterestsQuery& query);

  Status start_vector(const VectorInput& input);
  Status start_interests(const InterestsQuery& query);
  Status drive();
  Status encode();
  /// Once no search is wanted: found_ and result_ are made.
  Status conclude();
  // Rounds; see query_refine.cpp.
  Status start_refine(const RefineQuery& query);
  void conclude_refine();
  static void release_people(retrieval::InterestsRequest& request);
  Status resolve_refined(const RefineQuery& query, retrieval::RefineRequest& request);
  Status resolve_refine_history(const RefineQuery& query, retrieval::RefineRequest& request);
  void report_interests(const std::vector<retrieval::InterestReport>& reports);
  /// The records of what was found, into result_.
  Status fetch();
  void name_dimensions(std::vector<ScoredPoint>& points) const;

  // Over prefetches; see query_prefetch.cpp.
  Status run_prefetches();
  void restrict_to_prefetched();
  void keep_prefetched_places();
  Status fuse(const FusionQuery& fusion);
  Status find_first();
  [[nodiscard]] bool is_higher_better() const;
  [[nodiscard]] QueryPlan plan() const;

  const CollectionImpl& collection_;
  const QueryRequest& request_;
  const CancelToken& cancel_;
  const QueryRun* const parent_;
  bool is_found_only_ = false;  ///< By find(): the records are somebody else's affair.
  bool needs_history_ = true;   ///< Not only what the history is by clusters.

  const CollectionImpl::Field* field_ = nullptr;  ///< Null for a fusion and for no query.
  std::size_t rows_ = 0;                          ///< That have the vector.
  std::size_t wanted_ = 0;                        ///< limit + offset.
  retrieval::SlotSet excluded_;
  std::optional<std::uint32_t> user_slot_;  ///< Of the stored user who asks.
  SearchScope scope_;
  std::shared_ptr<const TrainedClusters> clusters_;
  std::shared_ptr<ItemClusters> items_;             ///< Of clusters_.
  std::vector<std::unique_ptr<QueryRun>> sources_;  ///< The prefetches.
  std::optional<FieldSearcher> searcher_;
  std::optional<std::vector<float>> vector_;  ///< Of a plain query, until it is answered.
  std::unique_ptr<retrieval::InterestsRequest> interests_;
  std::optional<retrieval::InterestsRun> interests_run_;
  std::unique_ptr<retrieval::RefineRequest> refine_;
  std::unique_ptr<retrieval::RefineRun> refine_run_;
  std::vector<Found> found_;
  QueryResult result_;
};

}  // namespace tessera::engine
