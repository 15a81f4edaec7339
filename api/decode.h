#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/schema.h"
#include "engine/collection_config.h"
#include "engine/requests.h"
#include "engine/session_requests.h"

namespace tessera::api {

/// Decoders from JSON values to the engine's requests. They report to the value's Issues and go on;
/// what they return must not be used unless Issues::status() is ok. Missing optional fields keep
/// the defaults of the engine's structs, which are the dialect's. Known fields that this version
/// does not have are kUnimplemented unless null or the default.

inline constexpr std::size_t kHistoryCountMax = 10'000;
inline constexpr std::size_t kComponentCountMax = 256;
inline constexpr std::uint64_t kRoundsMax = 100;
inline constexpr std::size_t kPrefetchCountMax = 256;
/// Of one request.
inline constexpr std::size_t kUserCountMax = 1'000'000;
inline constexpr std::size_t kEventCountMax = 1'000'000;

// ---- values -------------------------------------------------------------------------------------

/// Refuses a list that is too long before it is decoded.
bool is_within(const Value& list, std::size_t max);
std::optional<PointId> decode_point_id(const Value& value);
std::vector<PointId> decode_point_ids(const Value& value);
/// A dense vector that is not empty.
std::vector<float> decode_dense(const Value& value);
/// The vectors of one point: a list (the unnamed vector) or a map of names.
std::vector<std::pair<std::string, std::vector<float>>> decode_vectors(const Value& value);
std::optional<engine::PayloadPath> decode_payload_path(const Value& value);
engine::PayloadSelector decode_payload_selector(const Value& value);
engine::VectorSelector decode_vector_selector(const Value& value);
/// `with_vector` or its alias `with_vectors`; neither: none.
engine::VectorSelector decode_with_vector(const Object& body);
/// Reports `shard_key`, which needs custom sharding.
void refuse_shard_key(const Object& body);

engine::Filter decode_filter(const Value& value);

/// "collection name" or "vector name": empty when the name is legal, else the text that says why
/// not.
std::string check_name(std::string_view what, std::string_view name, std::size_t bytes_max);

// ---- collections --------------------------------------------------------------------------------

engine::CollectionConfig decode_create_collection(const Value& body);
engine::CollectionConfig decode_update_collection(const Value& body);
std::optional<engine::HnswConfig> decode_hnsw_config(const Value& value);
std::optional<engine::IndexConfig> decode_index_config(const Value& value);
enum class QuantizationPlace : std::uint8_t { kCreation, kChange };
/// `quantization_config` or its alias `quantization`; a change may also be "Disabled".
std::optional<engine::QuantizationConfig> decode_quantization(const Object& object,
                                                              QuantizationPlace place);
engine::CreatePayloadIndex decode_payload_index(const Value& body);
engine::TrainClustersRequest decode_train_clusters(const Value& body);
engine::ReindexRequest decode_reindex(const Value& body);
/// One set of parameters, which is the unnamed vector, or a map of names.
std::map<std::string, engine::VectorConfig> decode_vector_configs(const Value& value);
/// Reports a quantization beside an index type that has no codes, or its own (ivf_sq8, ivf_pq).
void refuse_unused_quantization(const Object& object, engine::IndexType type);

// ---- measuring and planning ---------------------------------------------------------------------

engine::RecallRequest decode_recall(const Value& body);
engine::EstimateRequest decode_estimate(const Value& body);

// ---- points -------------------------------------------------------------------------------------

engine::UpsertPoints decode_upsert(const Value& body);
engine::DeletePoints decode_delete(const Value& body);
engine::SetPayload decode_set_payload(const Value& body);
engine::OverwritePayload decode_overwrite_payload(const Value& body);
engine::DeletePayloadKeys decode_delete_payload(const Value& body);
engine::ClearPayload decode_clear_payload(const Value& body);
std::vector<engine::WriteOperation> decode_operations(const Value& body);

engine::RetrieveRequest decode_retrieve(const Value& body);
engine::ScrollRequest decode_scroll(const Value& body);
engine::CountRequest decode_count(const Value& body);

// ---- users --------------------------------------------------------------------------------------

/// What is no user id breaks a limit, unless it is no text and no integer at all.
std::optional<engine::UserId> decode_user_id(const Value& value);
engine::PutUsers decode_put_users(const Value& body);
engine::AppendEvents decode_append_events(const Value& body);
std::vector<engine::EventInput> decode_events_of_user(const Value& body);
std::vector<engine::EventSelector> decode_event_selectors(const Value& body);
std::vector<engine::UserId> decode_delete_users(const Value& body);
engine::ScrollUsersRequest decode_scroll_users(const Value& body);
engine::CountRequest decode_count_users(const Value& body);

// ---- queries ------------------------------------------------------------------------------------

engine::QueryRequest decode_query(const Value& body);
/// Where the records of groups come from: the points whose ids are the groups' values.
struct GroupLookup {
  std::string collection;
  engine::PayloadSelector with_payload{engine::PayloadSelector::Kind::kAll, {}};
  engine::VectorSelector with_vector;
};
struct GroupsRequest {
  engine::QueryGroupsRequest groups;
  std::optional<GroupLookup> lookup;
};
GroupsRequest decode_query_groups(const Value& body);
engine::SearchParams decode_params(const Value& value);
std::vector<engine::QueryRequest> decode_query_batch(const Value& body);
/// The older `points/search`: a plain vector query.
engine::QueryRequest decode_search(const Value& body);
std::vector<engine::QueryRequest> decode_search_batch(const Value& body);
engine::VectorInput decode_vector_input(const Value& value);
engine::InterestsQuery decode_interests(const Value& value);
engine::RefineQuery decode_refine(const Value& value);
/// What rounds begin with: a vector, an id, {"nearest"} or {"interests"}.
std::variant<engine::VectorInput, engine::InterestsQuery> decode_first_query(const Value& value);
std::vector<engine::HistoryInput> decode_history(const Value& value);
retrieval::Explore decode_explore(const Value& value);
retrieval::Attention decode_attention(const Value& value);
retrieval::RelevanceFeedback decode_relevance_feedback(const Value& value);
std::optional<engine::SmoothingInput> decode_smoothing(const Value& value);
/// A number of seconds, or digits with one of the units s, m, h, d; above 0.
std::optional<double> decode_duration(const Value& value);

// ---- sessions -----------------------------------------------------------------------------------

engine::StartSession decode_start_session(const Value& body);
engine::NextRound decode_next_round(const Value& body);
/// The round that is to be taken back, if the body names one.
std::optional<std::uint32_t> decode_undo(const Value& body);
/// Of the text that decode_start_session() makes. kCorrupt for any other.
Result<engine::SessionOptions> read_session_options(std::string_view text);

}  // namespace tessera::api
