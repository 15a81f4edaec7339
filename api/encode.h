#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/json_writer.h"
#include "engine/adapters.h"
#include "engine/collection_config.h"
#include "engine/requests.h"
#include "engine/session_requests.h"
#include "engine/user_requests.h"

namespace tessera::api {

/// Encoders from the engine's answers to the dialect's JSON.

/// Which parts of a point an answer shows: asked-for parts that a point does not have are shown
/// empty, others are left out.
struct Shown {
  bool payload = false;
  bool vector = false;
};
Shown shown_of(const engine::PayloadSelector& payload, const engine::VectorSelector& vector);

void encode_point_id(JsonWriter& json, const PointId& id);
/// The unnamed vector alone is a bare list, anything else a map.
void encode_vectors(JsonWriter& json, const engine::NamedVectors& vectors);
void encode_floats(JsonWriter& json, const std::vector<float>& numbers);
void encode_record(JsonWriter& json, const engine::Record& record, Shown shown);
void encode_records(JsonWriter& json, const std::vector<engine::Record>& records, Shown shown);
void encode_scored_points(JsonWriter& json, const std::vector<engine::ScoredPoint>& points,
                          Shown shown);
/// {points, interests?, rounds?, plan?}
void encode_query_result(JsonWriter& json, const engine::QueryResult& result, Shown shown);
/// {groups: [{id, hits, lookup?}], interests?, rounds?, plan?}. `lookups`: one a group, or none.
struct ShownGroups {
  Shown hits;
  Shown lookup;
};
void encode_groups(JsonWriter& json, const engine::QueryGroupsResult& result,
                   const std::vector<std::optional<engine::Record>>& lookups,
                   const ShownGroups& shown);
void encode_write_result(JsonWriter& json, const engine::WriteResult& result);

/// medoid and items, the members of an interest that say what it is made of.
void encode_known_items(JsonWriter& json, const std::optional<PointId>& medoid,
                        const std::vector<PointId>& items);

void encode_user_id(JsonWriter& json, const engine::UserId& id);
/// {id, vector?, events, interests}
void encode_user(JsonWriter& json, const engine::UserInfo& user);
/// {events, count}
void encode_events(JsonWriter& json, const engine::UserEventsPage& page);
/// {users, next_page_offset}
void encode_user_page(JsonWriter& json, const engine::UserPage& page);

/// {name, version, created_at, bytes, parameters, backbone, dim, context_size, max_history,
/// item_bias}
void encode_adapter(JsonWriter& json, const engine::AdapterInfo& info);

/// One interest of a query's answer each.
void encode_interests(JsonWriter& json, const std::vector<engine::InterestInfo>& interests);

/// {session, round, returned, shift, expires_at, points, interests?}
void encode_session_round(JsonWriter& json, const engine::SessionRoundAnswer& answer);
/// {session, created_at, expires_at, ttl, round, returned, bytes, rounds}
void encode_session(JsonWriter& json, const engine::SessionInfo& info);

void encode_collection_info(JsonWriter& json, const engine::CollectionInfo& info);
void encode_clusters(JsonWriter& json, const engine::ClustersInfo& clusters);
void encode_recall(JsonWriter& json, const engine::RecallReport& report);
void encode_estimate(JsonWriter& json, const engine::Estimate& estimate);
void encode_job(JsonWriter& json, const engine::JobInfo& job);

/// RFC 3339 in UTC with microseconds: "2026-01-05T10:00:00.000000Z".
std::string format_datetime(std::int64_t microseconds);

}  // namespace tessera::api
