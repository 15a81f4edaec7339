#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "engine/adapter_registry.h"
#include "engine/collection.h"
#include "engine/commit_queue.h"
#include "engine/item_clusters.h"
#include "engine/payload_indexes.h"
#include "engine/sessions_impl.h"
#include "engine/shared.h"
#include "engine/slot_table.h"
#include "engine/trained_clusters.h"
#include "engine/user_mixtures.h"
#include "engine/users_impl.h"
#include "engine/vector_field.h"

namespace tessera::engine {

/// Catalog document of one collection.
struct CatalogEntry {
  storage::CollectionNumber number = 0;
  std::string name;
  CollectionConfig config;
  std::map<std::string, storage::VectorNumber> vector_numbers;
  struct PayloadField {
    std::string path;
    PayloadIndexType type = PayloadIndexType::kKeyword;
    std::optional<std::string> params_json;
  };
  std::vector<PayloadField> payload_fields;
  /// Set in the hidden collection of the users of the collection with this number.
  std::optional<storage::CollectionNumber> users_of = {};

  [[nodiscard]] std::string encode() const;
  /// kCorrupt names the field.
  static Result<CatalogEntry> decode(std::string_view json);
  /// Meta key: "collection/<number>".
  static std::string key(storage::CollectionNumber number);
};

/// Background builds go in two lanes, so that new rows do not wait for a long merge.
enum class BuildLane : std::uint8_t { kNewRows = 0, kMerges = 1 };

/// A collection over one store.
///
/// Data flow of a write: validate -> queue -> leader plans the group (slots, batch, changes to
/// come)
/// -> one synced store write -> changes applied in memory -> writers answered. Nothing in memory
/// changes before the store has the group, so a failed write leaves no trace.
/// Data flow of a read: slots from ids or a filter, under a shared lock for as long as bitmaps are
/// combined -> search over a published view, no lock -> payloads and vectors by one MultiGet.
///
/// Lock order: the lanes' mutexes of a field (merges first), then state_mutex_ or config_mutex_,
/// then a field's own.
class CollectionImpl final : public Collection,
                             public std::enable_shared_from_this<CollectionImpl> {
 public:
  CollectionImpl(CatalogEntry entry, Shared& shared);
  ~CollectionImpl() override;

  /// Reads everything from the store and the segment files. Called once, before any other use.
  Status load();
  /// Waits for the write in progress; every later call answers kNotFound.
  void close_as_deleted();
  /// Undoes close_as_deleted(), for a deletion that the store refused.
  void reopen();
  /// Runs one piece of a lane's background work, if one is due. Called by one thread a lane.
  void maintain(BuildLane lane, const MaintenanceRules& rules);
  void sweep_sessions() { sessions_.sweep(); }
  /// Writes what spares the next start work. Once no background work runs any more.
  void save_derived() const;
  /// Changes that are set in `changes`; in effect for later builds.
  Status update_config(const CollectionConfig& changes);
  [[nodiscard]] storage::CollectionNumber number() const { return number_; }
  [[nodiscard]] bool is_of_users() const { return users_of_.has_value(); }
  [[nodiscard]] const std::map<std::string, storage::VectorNumber>& vector_numbers() const {
    return vector_numbers_;
  }
  [[nodiscard]] std::uint64_t point_count() const;
  /// What the hidden collection of its users is made with; number and users_of are still to be set.
  [[nodiscard]] CatalogEntry users_entry() const;
  [[nodiscard]] std::optional<std::uint32_t> slot_of(const PointId& id) const;
  /// Meta key of the record of a vector's unfinished reindex.
  static std::string reindex_key(storage::CollectionNumber collection,
                                 storage::VectorNumber vector);

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] CollectionInfo info() const override;
  Result<WriteResult> write(WriteOperation operation, bool wait) override;
  [[nodiscard]] Result<std::vector<Record>> retrieve(const RetrieveRequest& request) const override;
  [[nodiscard]] Result<ScrollPage> scroll(const ScrollRequest& request,
                                          const CancelToken& cancel) const override;
  [[nodiscard]] Result<std::uint64_t> count(const CountRequest& request,
                                            const CancelToken& cancel) const override;
  [[nodiscard]] UsersImpl& users() override { return users_; }
  [[nodiscard]] AdapterRegistry& adapters() override { return adapters_; }
  [[nodiscard]] SessionsImpl& sessions() override { return sessions_; }
  [[nodiscard]] Result<QueryResult> query(const QueryRequest& request,
                                          const CancelToken& cancel) const override;
  [[nodiscard]] Result<std::vector<QueryResult>> query_many(
      std::span<const QueryRequest> requests, const CancelToken& cancel) const override;
  [[nodiscard]] Result<QueryGroupsResult> query_groups(const QueryGroupsRequest& request,
                                                       const CancelToken& cancel) const override;
  [[nodiscard]] Result<RecallReport> recall(const RecallRequest& request,
                                            const CancelToken& cancel) const override;
  [[nodiscard]] Result<Estimate> estimate_size(const EstimateRequest& request) const override;
  Result<std::uint64_t> start_clusters(const TrainClustersRequest& request) override;
  Result<std::uint64_t> start_reindex(const ReindexRequest& request) override;
  [[nodiscard]] Result<ClustersInfo> clusters(const std::string& vector) const override;

 private:
  friend class WriteGroup;
  friend class QueryRun;
  friend class SessionRun;
  friend class SessionsImpl;
  friend class UsersImpl;
  friend class UserMixtureMaker;
  friend struct MixtureSources;
  friend class AdapterRegistry;

  struct LaneState {
    std::timed_mutex mutex;  ///< Held while segments are rebuilt; searches do not take it.
    /// After a build failed, the next one waits until then. The lane's thread only.
    std::chrono::steady_clock::time_point next_attempt{};
  };
  /// One named vector with what belongs to it.
  struct Field {
    std::unique_ptr<VectorField> vectors;
    std::array<LaneState, 2> lanes;
    /// Settings of a reindex that is under way; guarded by config_mutex_ of the collection.
    std::optional<ReindexRequest> reindexing;
    mutable Mutex clusters_mutex;
    std::shared_ptr<const TrainedClusters> clusters TESSERA_GUARDED_BY(clusters_mutex);
    /// Of these clusters.
    std::shared_ptr<ItemClusters> items TESSERA_GUARDED_BY(clusters_mutex);
    /// Of those that are being trained, until they take their place.
    std::shared_ptr<ItemClusters> next_items TESSERA_GUARDED_BY(clusters_mutex);
    UserMixtures mixtures;  ///< In the hidden collection of users.
  };

  Status check_open() const;
  Result<Field*> field(const std::string& name);
  Result<const Field*> field(const std::string& name) const;
  [[nodiscard]] std::string clusters_path(const VectorField& field) const;
  Status load_points();
  Status load_payload_indexes();
  void load_clusters_of(Field& field);
  Status save_catalog() const;

  // Writes; see collection_write.cpp.
  Status validate(WriteOperation& operation) const;
  /// `owner` names what has the vectors, for errors.
  Status validate_vectors(NamedVectors& vectors, const std::function<std::string()>& owner) const;
  void commit(std::vector<PendingWrite*>& group);
  Status create_payload_index(const CreatePayloadIndex& operation);
  Status delete_payload_index(const DeletePayloadIndex& operation);
  /// After a schema change that could not be saved.
  void restore_payload_index(const PayloadPath& path, std::optional<PayloadIndexes::Field> before);

  // Reads; see collection_read.cpp and filter_plan.cpp.
  /// The first `wanted` points in the order of their ids, of `matching` where it is given.
  Result<std::vector<std::pair<PointId, std::uint32_t>>> points_in_order(
      const std::optional<index::Bitmap>& matching, const std::optional<PointId>& offset,
      std::size_t wanted, const CancelToken& cancel) const;
  /// Live slots that satisfy the filter, exactly.
  Result<index::Bitmap> matching_slots(const Filter& filter, const CancelToken& cancel) const;
  SlotEstimate estimate(const Filter& filter) const TESSERA_REQUIRES_SHARED(state_mutex_);
  SlotEstimate estimate(const Condition& condition) const TESSERA_REQUIRES_SHARED(state_mutex_);
  Result<index::Bitmap> verify(const Filter& filter, const index::Bitmap& candidates,
                               const CancelToken& cancel) const;
  [[nodiscard]] bool slot_has_vector(std::uint32_t slot, std::string_view vector_name) const;
  /// Payloads and vectors of records whose ids are set. A flag a record: false when the point has
  /// been deleted meanwhile.
  Result<std::vector<bool>> fill_records(const std::vector<std::uint32_t>& slots,
                                         const PayloadSelector& payload,
                                         const VectorSelector& vectors, const CancelToken& cancel,
                                         std::vector<Record>& records) const;
  Status fill_payloads(std::span<const std::uint32_t> slots, const PayloadSelector& payload,
                       std::span<Record> records) const;
  Status fill_vectors(std::span<const std::uint32_t> slots, const VectorSelector& vectors,
                      std::span<Record> records) const;
  // Item clusters; see collection_clusters.cpp.
  Status train_clusters(Field& field, const TrainClustersRequest& request,
                        class JobContext& context);
  Status assign_items(Field& field, TrainedClusters& trained, ItemClusters& items,
                      class JobContext& context) const;
  Status label_clusters(const PayloadPath& field, const ItemClusters& items,
                        TrainedClusters& trained, const CancelToken& cancel) const;
  std::shared_ptr<ItemClusters> make_item_clusters(
      const Field& field, const std::shared_ptr<const TrainedClusters>& trained) const;
  /// Vectors of at most `sample` points as they are compared, chosen by seed from all.
  Result<std::vector<float>> sample_vectors(const VectorField& field, std::size_t sample,
                                            std::uint64_t seed, const CancelToken& cancel) const;
  Result<double> mean_sample_distance(const VectorField& field, const index::Clusters& clusters,
                                      const CancelToken& cancel) const;
  /// What follows from a write that changed these slots' vectors.
  static void mark_items(const Field& field, std::span<const std::uint32_t> slots);
  void keep_items_assigned(Field& field) const;
  /// Which cluster every point is in, beside the file of the clusters.
  [[nodiscard]] std::string assignments_path(const VectorField& field) const;
  Status save_assignments_of(const Field& field) const;
  void restore_assignments(const Field& field, const TrainedClusters& trained,
                           ItemClusters& items) const;

  // Background work; see collection_maintenance.cpp.
  struct BuildSteps {
    class JobContext& context;
    unsigned thread_count = 1;
    BuildLane lane = BuildLane::kNewRows;
    std::size_t done = 0;   ///< Rows of earlier steps.
    std::size_t total = 0;  ///< Of all steps.
    [[nodiscard]] bool is_paced(const Field& field) const;
  };
  struct Reindex {
    ReindexRequest request;
    std::uint64_t before = 0;  ///< Segments numbered below are to be rebuilt; 0: not begun.
  };
  static void apply_reindex(VectorConfig& vector, const ReindexRequest& request);
  IndexSpec spec_of(const std::string& name, const Field& field) const;
  /// Holds a writer of so many points up while rows come faster than they are indexed.
  void wait_for_builds(std::size_t point_count) const;
  void run_lane(const std::string& name, Field& field, BuildLane lane,
                const MaintenanceRules& rules);
  Status check_fits(const Field& field, const BuildPlan& plan, const IndexSpec& spec) const;
  Status build(Field& field, const BuildPlan& plan, const IndexSpec& spec, const BuildSteps& steps);
  Result<std::uint64_t> start_reindex(Reindex reindex);
  Status resume_reindex(const std::string& name, Field& field);
  Status reindex(Field& field, Reindex& reindex, class JobContext& context);
  Status begin_reindex(Field& field, Reindex& reindex, const CancelToken& cancel);
  Status rebuild_segments(Field& field, const Reindex& reindex, class JobContext& context);
  Status end_reindex(Field& field);

  // Constant after construction.
  const storage::CollectionNumber number_;
  const std::string name_;
  const std::optional<storage::CollectionNumber> users_of_;
  Shared& shared_;
  std::map<std::string, storage::VectorNumber> vector_numbers_;

  UsersImpl users_{*this};
  AdapterRegistry adapters_{*this};
  SessionsImpl sessions_{*this, shared_};
  SlotTable slots_;  // Ids of slots are read without a lock; the rest is guarded by state_mutex_.
  std::map<std::string, Field> fields_;  // The map itself is constant after construction.

  CommitQueue commits_;
  std::atomic<bool> is_deleted_ = false;

  // Only the leader of a commit group touches these.
  std::uint32_t next_slot_ = 0;
  std::uint64_t next_operation_ = 1;
  /// Every write of points up to this operation is visible. Set by the leader, before it answers.
  std::atomic<std::uint64_t> applied_operation_ = 0;

  mutable Mutex state_mutex_;
  PayloadIndexes indexes_ TESSERA_GUARDED_BY(state_mutex_);

  /// Held while a catalog entry is taken and written, so that an older one cannot be written last.
  mutable std::mutex catalog_write_mutex_;

  mutable Mutex config_mutex_;
  CollectionConfig config_ TESSERA_GUARDED_BY(config_mutex_);
  /// Why the last build of a vector failed.
  std::map<std::pair<std::string, BuildLane>, std::string> build_errors_
      TESSERA_GUARDED_BY(config_mutex_);
};

/// What a mixture is made with, borrowed.
struct MixtureSources {
  const CollectionImpl::Field& field;  ///< Of the points.
  const TrainedClusters& clusters;
  const ItemClusters& items;
};

}  // namespace tessera::engine
