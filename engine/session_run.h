#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/adapter_registry.h"
#include "engine/query_run.h"
#include "engine/session_requests.h"

namespace tessera::engine {

/// The hits of a round, those of each interest nearest first: what a page arranged for a person
/// does not change what comes next.
std::vector<const storage::SessionHit*> hits_by_place(const storage::SessionRound& round);

/// One call on a session: its definition made of a request, or one of its rounds. Reads the
/// collection and changes nothing.
/// Thread rule: confined to the request.
class SessionRun {
 public:
  /// Borrows all three.
  SessionRun(const CollectionImpl& collection, const SessionOptions& options,
             const CancelToken& cancel);

  /// Looks up vector, filter and clusters. First of all calls.
  Status prepare();

  /// What a session begins with; times and the text of the options are the caller's.
  Result<storage::SessionDefinition> define(const StartSession& request);

  struct Round {
    storage::SessionRound record;  ///< Without a time.
    QueryResult result;
  };
  /// The round after `rounds`, of at most `limit` points that no earlier one returned.
  Result<Round> make(const storage::SessionDefinition& definition,
                     const std::vector<storage::SessionRound>& rounds,
                     std::vector<storage::SessionJudgement> feedback, std::size_t limit);
  /// The last of `rounds` as it was answered, less the points that are gone.
  Result<QueryResult> repeat(const storage::SessionDefinition& definition,
                             const std::vector<storage::SessionRound>& rounds);
  /// The interests as they were in each of `rounds`, from the items as they are now.
  Result<std::vector<std::vector<retrieval::MovedInterest>>> vectors(
      const storage::SessionDefinition& definition,
      const std::vector<storage::SessionRound>& rounds);

  /// Cosine to the start, averaged over the interests by their weights.
  static double shift_of(const storage::SessionRound& round);

 private:
  Result<storage::SessionDefinition> define_interests(const InterestsQuery& query);
  /// The points of the history are not returned.
  static void exclude_history(const std::vector<HistoryInput>& history,
                              storage::SessionDefinition& definition);
  // By an adapter; see session_adapter.cpp.
  Status prepare_adapter();
  Result<storage::SessionDefinition> define_adapted(const StartSession& request);
  Status define_first_vector(const StartSession& request, storage::SessionDefinition& definition);
  [[nodiscard]] Status check_adapter_version(const storage::SessionDefinition& definition) const;
  [[nodiscard]] Result<std::vector<retrieval::HistoryItem>> adapter_history() const;
  /// Of each interest: the vectors of all rounds, and of the one that `feedback` precedes.
  [[nodiscard]] Result<std::vector<std::vector<std::vector<float>>>> adapted_vectors(
      const storage::SessionDefinition& definition,
      const std::vector<storage::SessionRound>& rounds,
      const std::vector<storage::SessionJudgement>& feedback) const;
  Result<std::vector<retrieval::MovedInterest>> move_adapted(
      const storage::SessionDefinition& definition,
      const std::vector<storage::SessionRound>& rounds,
      const std::vector<storage::SessionJudgement>& feedback) const;
  [[nodiscard]] std::vector<std::optional<std::uint32_t>> slots_of(
      const std::vector<PointId>& ids) const;
  /// Reads the vectors of points that were not read before.
  void load_vectors(const std::vector<PointId>& ids) const;
  Result<std::vector<retrieval::MovedInterest>> move(
      const storage::SessionDefinition& definition,
      const std::vector<storage::SessionRound>& rounds,
      const std::vector<storage::SessionJudgement>& feedback) const;
  Status exclude(const storage::SessionDefinition& definition,
                 const std::vector<storage::SessionRound>& rounds);
  Status prepare_scope(const storage::SessionDefinition& definition);
  Result<std::vector<int>> component_filters(std::size_t count);
  /// The numbers that the interests' clusters have now.
  [[nodiscard]] std::vector<std::optional<std::uint32_t>> clusters_of(
      const storage::SessionDefinition& definition) const;
  Result<retrieval::SessionRoundRequest> request_of(
      const storage::SessionDefinition& definition,
      const std::vector<storage::SessionRound>& rounds,
      const std::vector<retrieval::MovedInterest>& moved);
  void report(const storage::SessionDefinition& definition, const storage::SessionRound& round);

  const CollectionImpl& collection_;
  const SessionOptions& options_;
  const CancelToken& cancel_;
  QueryRequest request_;
  QueryRun run_;
  std::shared_ptr<const AdapterRegistry::Entry> trained_;
  const adapter::Adapter* adapter_ = nullptr;  ///< Its weights.
  /// Of the session's points; empty for those that are gone.
  mutable std::unordered_map<PointId, std::vector<float>> vectors_;
};

}  // namespace tessera::engine
