#include "api/encode.h"

namespace tessera::api {

Shown shown_of(const engine::PayloadSelector& payload, const engine::VectorSelector& vector) {
  return {payload.kind != engine::PayloadSelector::Kind::kNone, !vector.none()};
}

void encode_point_id(JsonWriter& json, const PointId& id) {
  if (id.is_uuid()) {
    json.value(id.to_string());
  } else {
    json.value(id.number());
  }
}

void encode_floats(JsonWriter& json, const std::vector<float>& numbers) {
  json.begin_array();
  for (const float number : numbers) json.value(number);
  json.end_array();
}

void encode_vectors(JsonWriter& json, const engine::NamedVectors& vectors) {
  if (vectors.size() == 1 && vectors.front().first.empty()) {
    encode_floats(json, vectors.front().second);
    return;
  }
  json.begin_object();
  for (const auto& [name, vector] : vectors) {
    json.key(name);
    encode_floats(json, vector);
  }
  json.end_object();
}

void encode_known_items(JsonWriter& json, const std::optional<PointId>& medoid,
                        const std::vector<PointId>& items) {
  json.key("medoid");
  if (medoid) {
    encode_point_id(json, *medoid);
  } else {
    json.null();
  }
  json.key("items");
  json.begin_array();
  for (const PointId& id : items) encode_point_id(json, id);
  json.end_array();
}

namespace {

void encode_parts(JsonWriter& json, const engine::Record& record, Shown shown) {
  if (shown.payload) {
    const bool is_empty = !record.payload || record.payload->empty();
    json.raw_field("payload", is_empty ? std::string_view("{}") : *record.payload);
  }
  if (shown.vector) {
    json.key("vector");
    encode_vectors(json, record.vectors);
  }
}

}  // namespace

void encode_interests(JsonWriter& json, const std::vector<engine::InterestInfo>& interests) {
  json.begin_array();
  for (const engine::InterestInfo& interest : interests) {
    json.begin_object();
    json.field("component", interest.component);
    json.nullable_field("cluster", interest.cluster);
    json.field("weight", interest.weight);
    json.field("quota", interest.quota);
    json.field("returned", interest.returned);
    encode_known_items(json, interest.medoid, interest.items);
    json.optional_field("shift", interest.shift);
    if (!interest.label.empty()) {
      json.key("label");
      json.begin_array();
      for (const std::string& value : interest.label) json.raw(value);
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
}

namespace {

void encode_rounds(JsonWriter& json, const std::vector<retrieval::RoundReport>& rounds) {
  json.begin_array();
  for (const retrieval::RoundReport& round : rounds) {
    json.begin_object();
    json.field("round", round.round);
    json.field("returned", round.returned);
    json.field("shift", round.shift);
    json.end_object();
  }
  json.end_array();
}

void encode_contributions(JsonWriter& json,
                          const std::vector<engine::Contribution>& contributions) {
  json.begin_array();
  for (const engine::Contribution& contribution : contributions) {
    json.begin_object();
    json.field("dim", contribution.dim);
    json.field("contribution", contribution.value);
    if (!contribution.name.empty()) json.field("name", contribution.name);
    json.end_object();
  }
  json.end_array();
}

void encode_plan(JsonWriter& json, const engine::QueryPlan& plan) {
  json.begin_object();
  json.field("strategy", plan.strategy);
  json.field("match_count", plan.match_count);
  json.field("visited_count", plan.visited_count);
  json.field("search_count", plan.search_count);
  json.field("segment_count", plan.segment_count);
  json.key("segments");
  json.begin_array();
  for (const engine::SegmentPlan& segment : plan.segments) {
    json.begin_object();
    json.field("type", segment.type);
    json.field("strategy", segment.strategy);
    json.field("rows", segment.row_count);
    json.field("live", segment.live_count);
    json.field("matches", segment.match_count);
    if (segment.is_match_estimated) json.field("matches_estimated", true);
    json.field("visited", segment.visited_count);
    json.field("reranked", segment.reranked_count);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

}  // namespace

void encode_record(JsonWriter& json, const engine::Record& record, Shown shown) {
  json.begin_object();
  json.key("id");
  encode_point_id(json, record.id);
  encode_parts(json, record, shown);
  json.end_object();
}

void encode_records(JsonWriter& json, const std::vector<engine::Record>& records, Shown shown) {
  json.begin_array();
  for (const engine::Record& record : records) encode_record(json, record, shown);
  json.end_array();
}

void encode_scored_points(JsonWriter& json, const std::vector<engine::ScoredPoint>& points,
                          Shown shown) {
  json.begin_array();
  for (const engine::ScoredPoint& point : points) {
    json.begin_object();
    json.key("id");
    encode_point_id(json, point.record.id);
    json.field("version", point.version);
    json.field("score", point.score);
    encode_parts(json, point.record, shown);
    if (point.interest) {
      json.key("interest");
      json.begin_object();
      json.field("component", point.interest->component);
      json.field("rank", point.interest->rank);
      json.field("score", point.interest->score);
      json.end_object();
    }
    json.optional_field("round", point.round);
    if (!point.contributions.empty()) {
      json.key("contributions");
      encode_contributions(json, point.contributions);
    }
    json.end_object();
  }
  json.end_array();
}

namespace {

/// What an answer says beside its points.
template <class Answer>
void encode_reports(JsonWriter& json, const Answer& result) {
  if (!result.interests.empty()) {
    json.key("interests");
    encode_interests(json, result.interests);
  }
  if (!result.rounds.empty()) {
    json.key("rounds");
    encode_rounds(json, result.rounds);
  }
  if (result.plan) {
    json.key("plan");
    encode_plan(json, *result.plan);
  }
}

}  // namespace

void encode_query_result(JsonWriter& json, const engine::QueryResult& result, Shown shown) {
  json.begin_object();
  json.key("points");
  encode_scored_points(json, result.points, shown);
  encode_reports(json, result);
  json.end_object();
}

void encode_groups(JsonWriter& json, const engine::QueryGroupsResult& result,
                   const std::vector<std::optional<engine::Record>>& lookups,
                   const ShownGroups& shown) {
  json.begin_object();
  json.key("groups");
  json.begin_array();
  for (std::size_t i = 0; i < result.groups.size(); ++i) {
    const engine::PointGroup& group = result.groups[i];
    json.begin_object();
    json.raw_field("id", group.value);
    json.key("hits");
    encode_scored_points(json, group.points, shown.hits);
    if (i < lookups.size() && lookups[i]) {
      json.key("lookup");
      encode_record(json, *lookups[i], shown.lookup);
    }
    json.end_object();
  }
  json.end_array();
  encode_reports(json, result);
  json.end_object();
}

void encode_write_result(JsonWriter& json, const engine::WriteResult& result) {
  json.begin_object();
  json.field("operation_id", result.operation_id);
  json.field("status", result.completed ? "completed" : "acknowledged");
  json.end_object();
}

}  // namespace tessera::api
