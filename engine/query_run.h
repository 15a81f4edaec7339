#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/collection_impl.h"
#include "engine/field_searcher.h"

namespace tessera::engine {

/// One query: ids resolved to vectors, filters to slots, the method run, records fetched.
/// Thread rule: confined to the request.
class QueryRun {
 public:
  QueryRun(const CollectionImpl& collection, const QueryRequest& request, const CancelToken& cancel)
      : collection_(collection), request_(request), cancel_(cancel) {}
  Result<QueryResult> run();

 private:
  friend class SessionRun;

  /// A hit on its way to the answer.
  struct Found {
    retrieval::Hit hit;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> interest;
    std::optional<std::uint32_t> round;
  };

  Result<QueryResult> run_scroll() const;
  Status prepare();
  Result<SlotBits> bits_of(const Filter& filter) const;
  Status check_vector(const std::vector<float>& vector, const char* what) const;
  Result<std::uint32_t> slot_of(const PointId& id) const;
  Result<std::vector<float>> resolve(const VectorInput& input, const char* what);
  Result<std::vector<retrieval::HistoryItem>> resolve_history(
      const std::vector<HistoryInput>& history, const char* what) const;
  Result<retrieval::InterestsRequest> resolve_interests(const InterestsQuery& query);
  // Of stored users; see query_users.cpp.
  Status resolve_people(const InterestsQuery& query, retrieval::InterestsRequest& request);
  Status resolve_user(const InterestsQuery& query, retrieval::InterestsRequest& request);
  Result<std::vector<retrieval::NeighborHistory>> find_neighbors(const std::vector<float>& vector,
                                                                 std::size_t count) const;

  /// The values that the points of `slots` have under the field.
  Result<std::vector<std::vector<std::string>>> scalars_of(std::span<const std::uint32_t> slots,
                                                           const PayloadPath& field) const;

  /// Makes the searcher know every point's cluster.
  Status prepare_scope(const InterestsQuery& query);

  Status run_vector(FieldSearcher& searcher, const VectorInput& input);
  Status run_interests(FieldSearcher& searcher, const InterestsQuery& query);
  // Rounds; see query_refine.cpp.
  Status run_refine(FieldSearcher& searcher, const RefineQuery& query);
  Status resolve_refined(const RefineQuery& query, retrieval::RefineRequest& request);
  Status resolve_refine_history(const RefineQuery& query, retrieval::RefineRequest& request);
  void report_interests(const std::vector<retrieval::InterestReport>& reports);
  Status fetch(const FieldSearcher& searcher);
  void name_dimensions();

  const CollectionImpl& collection_;
  const QueryRequest& request_;
  const CancelToken& cancel_;

  const CollectionImpl::Field* field_ = nullptr;
  std::size_t rows_ = 0;    ///< That have the vector.
  std::size_t wanted_ = 0;  ///< limit + offset.
  retrieval::SlotSet excluded_;
  std::optional<std::uint32_t> user_slot_;  ///< Of the stored user who asks.
  SearchScope scope_;
  std::shared_ptr<const TrainedClusters> clusters_;
  std::shared_ptr<ItemClusters> items_;  ///< Of clusters_.
  std::vector<Found> found_;
  QueryResult result_;
};

}  // namespace tessera::engine
