#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/cancel.h"
#include "base/point_id.h"
#include "engine/adapters.h"
#include "engine/collection_config.h"
#include "engine/filter.h"
#include "engine/payload.h"
#include "engine/query_plan.h"
#include "engine/user_requests.h"
#include "retrieval/fusion.h"
#include "retrieval/refine.h"

namespace tessera::engine {

// ---- writes -----------------------------------------------------------------------------------

/// A point as a client gives it. Vectors by name ("" is the unnamed one).
struct PointInput {
  PointId id;
  std::vector<std::pair<std::string, std::vector<float>>> vectors;
  std::optional<std::string> payload;  ///< Compact JSON object; absent: empty.
};

struct UpsertPoints {
  std::vector<PointInput> points;
};
/// Which points an operation means.
using PointSelector = std::variant<std::vector<PointId>, Filter>;
struct DeletePoints {
  PointSelector selector;
};
struct SetPayload {
  PointSelector selector;
  std::string payload;             ///< Compact JSON object.
  std::optional<PayloadPath> key;  ///< Merge inside the object at this path.
};
struct OverwritePayload {
  PointSelector selector;
  std::string payload;
};
struct DeletePayloadKeys {
  PointSelector selector;
  std::vector<PayloadPath> keys;
};
struct ClearPayload {
  PointSelector selector;
};
struct CreatePayloadIndex {
  PayloadPath path;
  PayloadIndexType type = PayloadIndexType::kKeyword;
  std::optional<std::string> params_json;
};
struct DeletePayloadIndex {
  PayloadPath path;
};
using WriteOperation = std::variant<UpsertPoints, DeletePoints, SetPayload, OverwritePayload,
                                    DeletePayloadKeys, ClearPayload, CreatePayloadIndex,
                                    DeletePayloadIndex, WriteUsers, PutAdapter, DeleteAdapter>;

struct WriteResult {
  std::uint64_t operation_id = 0;
  bool completed = true;  ///< false: acknowledged (wait=false).
};

// ---- reads ------------------------------------------------------------------------------------

/// Which vectors an answer shows.
struct VectorSelector {
  bool all = false;
  std::vector<std::string> names;  ///< When not all.
  [[nodiscard]] bool none() const { return !all && names.empty(); }
};

struct Record {
  PointId id;
  std::optional<std::string> payload;                               ///< JSON text, when asked for.
  std::vector<std::pair<std::string, std::vector<float>>> vectors;  ///< When asked for.
};

struct RetrieveRequest {
  std::vector<PointId> ids;
  PayloadSelector with_payload{PayloadSelector::Kind::kAll, {}};
  VectorSelector with_vector;
};

struct ScrollRequest {
  std::optional<Filter> filter;
  std::size_t limit = 10;
  std::optional<PointId> offset;  ///< Inclusive.
  PayloadSelector with_payload{PayloadSelector::Kind::kAll, {}};
  VectorSelector with_vector;
};
struct ScrollPage {
  std::vector<Record> records;
  std::optional<PointId> next_offset;
};

struct CountRequest {
  std::optional<Filter> filter;
  bool exact = true;
};

// ---- queries ----------------------------------------------------------------------------------

/// A vector, or the stored vector of a point (which is then left out of the answer).
using VectorInput = std::variant<std::vector<float>, PointId>;

struct HistoryInput {
  VectorInput item;
  double weight = 1;
  std::optional<double> at_seconds;  ///< Unix time.
};
struct ComponentInput {
  std::vector<float> vector;
  double weight = 1;
  std::optional<Filter> filter;
};

/// The part that the nearest users have in a person's interests.
struct SmoothingInput {
  std::uint32_t neighbors = 10;
  double lambda = 0.2;  ///< 0..1
};

/// query.interests. Members as in retrieval::InterestsRequest; one of `user`, `history` and
/// `components` only.
struct InterestsQuery {
  std::optional<UserId> user;  ///< Whose events are the history, and whose vector is `vector`.
  std::vector<HistoryInput> history;
  std::vector<ComponentInput> components;
  std::vector<float> vector;
  std::uint32_t max_components = 5;
  std::uint32_t min_quota = 1;
  double quota_power = 1;
  retrieval::Represent represent = retrieval::Represent::kCentroid;
  std::optional<double> half_life_seconds;
  std::optional<SmoothingInput> smoothing;
  double blend = 0;
  retrieval::BlendWith blend_with = retrieval::BlendWith::kVector;
  std::optional<double> page_blend;
  retrieval::Allocation allocation = retrieval::Allocation::kProportional;
  std::uint64_t seed = 42;
  retrieval::MergeOrder merge = retrieval::MergeOrder::kInterleave;
  std::uint32_t page = 0;
  retrieval::Scope scope = retrieval::Scope::kGlobal;
  retrieval::Clustering clustering = retrieval::Clustering::kGlobal;
  std::optional<double> ward_threshold;
  std::optional<retrieval::Diversity> diversity;
  std::optional<PayloadPath> category_field;  ///< Given with a CategoryPenalty.
  bool exclude_history = true;

  /// Whether the vectors of what is found are looked at to choose or to order it.
  [[nodiscard]] bool reads_found() const { return diversity || page_blend; }
};

/// query.refine.
struct RefineQuery {
  /// Nothing with an adapter only, which then makes the vector of round 1 too.
  std::variant<VectorInput, InterestsQuery, std::monostate> query;
  std::optional<UserId> user;  ///< Whose events are the history.
  std::vector<HistoryInput> history;
  std::uint32_t rounds = 5;
  retrieval::Strategy strategy = retrieval::Explore{};
  std::optional<std::string> adapter;     ///< Name; instead of a strategy.
  bool exclude_history = true;            ///< With an adapter, from the answer.
  bool context_includes_history = false;  ///< As RefineRequest::context_includes_known.
};

/// The answers of the prefetches as one, by places or by scores; see retrieval/fusion.h.
struct ScoreFusion {};
using FusionQuery = std::variant<retrieval::ReciprocalRank, ScoreFusion>;

/// No query: scroll order, score 0.
struct NoQuery {};
using QueryKind = std::variant<NoQuery, VectorInput, InterestsQuery, RefineQuery, FusionQuery>;

struct SearchParams {
  std::optional<std::size_t> hnsw_ef;
  bool exact = false;
  bool indexed_only = false;
  std::optional<std::size_t> probe_count;  ///< "nprobe", for IVF.
  bool ignore_codes = false;               ///< "quantization.ignore"
  bool rescore = true;                     ///< "quantization.rescore"
  std::optional<double> oversampling;      ///< "quantization.oversampling", at least 1.
  std::optional<std::size_t> dims;         ///< Candidates by so many first values only.
};

/// Where the vector of a point that a query names is, if not in the collection itself.
struct VectorLookup {
  std::string collection;
  std::optional<std::string> vector;  ///< Absent: named as the one that is searched.
};

struct QueryRequest {
  QueryKind query;
  std::string using_vector;  ///< "" is the unnamed one.
  std::optional<Filter> filter;
  SearchParams params;
  std::optional<float> score_threshold;
  std::size_t limit = 10;
  std::size_t offset = 0;
  PayloadSelector with_payload;
  VectorSelector with_vector;
  bool explain = false;
  /// For an id as the query, which then is no point of this collection and is not left out.
  std::optional<VectorLookup> lookup_from;
  /// What is fused, or whose points alone the query ranks anew. Of each only the query, the limit
  /// and what restricts it count. The filter holds for the prefetches too.
  std::vector<QueryRequest> prefetch;
};

/// Hits together that share a payload value: a string or an integer.
struct QueryGroupsRequest {
  QueryRequest query;  ///< Its limit and offset do not count.
  PayloadPath group_by;
  std::size_t group_size = 3;  ///< Hits of a group, at most.
  std::size_t limit = 10;      ///< Groups.
};

/// Where a hit stands in an interest. After a fusion or a new ranking it is the place that it had
/// in the prefetch.
struct HitInterest {
  std::uint32_t component = 0;  ///< Of the answer's interests.
  std::uint32_t rank = 0;
  float score = 0;  ///< There.
};

struct ScoredPoint {
  Record record;
  std::uint64_t version = 0;
  float score = 0;
  std::optional<HitInterest> interest;
  std::optional<std::uint32_t> round;
  std::vector<Contribution> contributions;  ///< The largest first; with "explain": true.
};

/// One interest as the answer shows it.
struct InterestInfo {
  std::uint32_t component = 0;
  std::optional<std::uint32_t> cluster;
  double weight = 0;
  std::size_t quota = 0;
  std::size_t returned = 0;
  std::optional<PointId> medoid;
  std::vector<PointId> items;      ///< Of the history, nearest to the interest's centre first.
  std::vector<std::string> label;  ///< Values of the cluster's label, as JSON text.
  std::optional<double> shift;     ///< In a session: cosine to the vector it began with.
};

struct QueryResult {
  std::vector<ScoredPoint> points;
  std::vector<InterestInfo> interests;  ///< Of the query, or of its prefetches one after the other.
  std::vector<retrieval::RoundReport> rounds;
  std::optional<QueryPlan> plan;
};

struct PointGroup {
  std::string value;  ///< A string or an integer as JSON text.
  std::vector<ScoredPoint> points;
};
struct QueryGroupsResult {
  std::vector<PointGroup> groups;
  std::vector<InterestInfo> interests;
  std::vector<retrieval::RoundReport> rounds;
  std::optional<QueryPlan> plan;
};

// ---- measuring and planning ---------------------------------------------------------------------

/// How often a search finds what an exact one finds, measured with stored vectors as queries.
struct RecallRequest {
  std::string vector;        ///< Name; "" is the unnamed one.
  std::size_t sample = 100;  ///< Queries.
  std::size_t limit = 10;    ///< Hits of each.
  std::uint64_t seed = 42;   ///< Of the choice of queries.
  SearchParams params;       ///< Of the search that is measured.
  std::optional<Filter> filter;
};
struct SearchTimes {
  double mean_us = 0;
  double p50_us = 0;
  double p99_us = 0;
  double visited_mean = 0;  ///< Distances computed.
};
struct RecallReport {
  std::optional<double> recall;  ///< Absent when there was nothing to find.
  std::size_t sample = 0;        ///< Queries that were run.
  std::size_t limit = 0;
  SearchTimes approximate;
  SearchTimes exact;
};

/// What a configuration would take. What is absent is as the collection has it.
struct EstimateRequest {
  std::optional<std::string> vector_name;       ///< One vector of the collection only.
  std::map<std::string, VectorConfig> vectors;  ///< Or these, which it need not have.
  std::optional<std::uint64_t> point_count;
  std::optional<HnswConfig> hnsw;
  std::optional<IndexConfig> index;
  std::optional<QuantizationConfig> quantization;
  std::optional<bool> on_disk;
};
/// Of one vector.
struct VectorEstimate {
  std::string index_type;
  std::uint64_t vector_bytes = 0;     ///< The vectors as they are.
  std::uint64_t code_bytes = 0;       ///< Their codes.
  std::uint64_t graph_bytes = 0;      ///< Links, or inverted lists with their centroids.
  std::uint64_t id_bytes = 0;         ///< Which row belongs to which point.
  std::uint64_t ram_bytes = 0;        ///< What searches keep in memory.
  std::uint64_t disk_bytes = 0;       ///< Store and index file.
  std::uint64_t build_ram_bytes = 0;  ///< More, while the index is built.
  double build_seconds = 0;
};
struct Estimate {
  std::uint64_t point_count = 0;
  std::map<std::string, VectorEstimate> vectors;
  std::uint64_t point_bytes = 0;  ///< Memory of the ids, whatever the vectors; without payloads.
  std::uint64_t ram_bytes = 0;
  std::uint64_t disk_bytes = 0;
  double build_seconds = 0;
  unsigned thread_count = 1;  ///< That build.
};

// ---- clusters, reindex, jobs ------------------------------------------------------------------

struct TrainClustersRequest {
  std::string vector;  ///< Name; "" is the unnamed one.
  std::uint32_t count = 0;
  std::uint32_t iterations = 20;
  std::uint64_t seed = 42;
  std::optional<std::size_t> sample;  ///< Rows to train on; absent: at most 256 a cluster.
  /// Clusters are labelled with the values that their points have most often under it.
  std::optional<PayloadPath> label_field;
};
/// A payload value as JSON text, and how many points of the cluster have it.
struct LabelValue {
  std::string value;
  std::uint64_t count = 0;
};
/// At most three values, the most frequent first.
using ClusterLabel = std::vector<LabelValue>;
struct ClustersInfo {
  std::string vector;
  std::uint32_t count = 0;
  std::int64_t trained_at_us = 0;
  std::vector<std::uint64_t> sizes;  ///< Points of every cluster, as they are now.
  std::uint64_t version = 0;
  /// Relative growth of the mean distance to the nearest centroid since training.
  double drift = 0;
  std::uint64_t unassigned = 0;      ///< Points whose cluster is not known yet.
  std::string label_field;           ///< Empty: no labels.
  std::vector<ClusterLabel> labels;  ///< Of every cluster, when trained.
};

struct ReindexRequest {
  std::string vector;
  std::optional<IndexConfig> index;
  std::optional<HnswConfig> hnsw;
  std::optional<QuantizationConfig> quantization;
};

enum class JobState : std::uint8_t { kQueued, kRunning, kDone, kFailed, kCancelled };
struct JobInfo {
  std::uint64_t id = 0;
  std::string kind;  ///< "reindex", "clusters", "index" (background build)
  std::string collection;
  std::string detail;
  JobState state = JobState::kQueued;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::optional<double> eta_seconds;
  std::string error;
  std::int64_t created_at_us = 0;
  std::optional<std::int64_t> finished_at_us;
};

}  // namespace tessera::engine
