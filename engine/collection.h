#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/adapters.h"
#include "engine/collection_config.h"
#include "engine/requests.h"
#include "engine/sessions.h"
#include "engine/users.h"

namespace tessera::engine {

/// One collection: its points, payloads, named vectors and indexes.
///
/// Every write is validated as a whole before anything is logged; it is applied in order, all or
/// nothing, and is visible to every read that starts after write() returned.
/// Error texts are the dialect's, without the "Wrong input: " prefix (api adds it by code).
/// Thread rule: safe from any thread.
class Collection {
 public:
  virtual ~Collection() = default;

  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual CollectionInfo info() const = 0;

  /// `wait`: answer after the log is synced; otherwise after it is written.
  /// kInvalidArgument: unknown vector name, wrong dimension, not finite, index limits.
  /// kNotFound: a payload change names a missing id (the others were applied).
  /// kDiskFull, kUnavailable: nothing was applied.
  virtual Result<WriteResult> write(WriteOperation operation, bool wait) = 0;

  [[nodiscard]] virtual Result<std::vector<Record>> retrieve(
      const RetrieveRequest& request) const = 0;
  [[nodiscard]] virtual Result<ScrollPage> scroll(const ScrollRequest& request,
                                                  const CancelToken& cancel) const = 0;
  [[nodiscard]] virtual Result<std::uint64_t> count(const CountRequest& request,
                                                    const CancelToken& cancel) const = 0;
  [[nodiscard]] virtual Result<QueryResult> query(const QueryRequest& request,
                                                  const CancelToken& cancel) const = 0;
  /// The answers of query() to each, in order, found together: with several threads when there are
  /// many, and rows that are scanned are read once for many searches. Fails as a whole, with the
  /// error of the first request that has one.
  [[nodiscard]] virtual Result<std::vector<QueryResult>> query_many(
      std::span<const QueryRequest> requests, const CancelToken& cancel) const = 0;
  /// Groups in the order of their best hits. A plain vector query goes on until the groups are
  /// complete; other kinds are asked for up to 64 times as many hits as the groups hold.
  [[nodiscard]] virtual Result<QueryGroupsResult> query_groups(const QueryGroupsRequest& request,
                                                               const CancelToken& cancel) const = 0;

  /// The people of this collection. Lives as long as it.
  [[nodiscard]] virtual Users& users() = 0;
  /// Its sessions. Lives as long as it.
  [[nodiscard]] virtual Sessions& sessions() = 0;

  /// Its trained adapters. Lives as long as it.
  [[nodiscard]] virtual Adapters& adapters() = 0;

  /// Bounded by the request: sample * (an approximate and an exact search). kInvalidArgument when
  /// there is no vector to measure with; kCancelled, kTimeout.
  [[nodiscard]] virtual Result<RecallReport> recall(const RecallRequest& request,
                                                    const CancelToken& cancel) const = 0;
  /// Takes some milliseconds: how fast distances are computed here is measured.
  [[nodiscard]] virtual Result<Estimate> estimate_size(const EstimateRequest& request) const = 0;

  /// Start a job; its id. kInvalidArgument as for writes, kAlreadyExists when one of that kind
  /// runs.
  virtual Result<std::uint64_t> start_clusters(const TrainClustersRequest& request) = 0;
  virtual Result<std::uint64_t> start_reindex(const ReindexRequest& request) = 0;
  /// Clusters of one vector; kNotFound before the first training.
  [[nodiscard]] virtual Result<ClustersInfo> clusters(const std::string& vector) const = 0;
};

}  // namespace tessera::engine
