#include "api/encode.h"

namespace tessera::api {

void encode_user_id(JsonWriter& json, const engine::UserId& id) {
  if (id.text.empty()) {
    encode_point_id(json, id.key);
  } else {
    json.value(id.text);
  }
}

namespace {

void encode_interests(JsonWriter& json, const std::vector<engine::UserInterest>& interests) {
  json.begin_array();
  for (const engine::UserInterest& interest : interests) {
    json.begin_object();
    json.field("cluster", interest.cluster);
    json.field("weight", interest.weight);
    json.field("count", interest.item_count);
    encode_known_items(json, interest.medoid, interest.items);
    json.end_object();
  }
  json.end_array();
}

/// Opens the object of a user, which stays open.
void begin_user(JsonWriter& json, const engine::UserInfo& user) {
  json.begin_object();
  json.key("id");
  encode_user_id(json, user.id);
  if (!user.vectors.empty()) {
    json.key("vector");
    encode_vectors(json, user.vectors);
  }
  json.field("events", user.event_count);
}

}  // namespace

void encode_user(JsonWriter& json, const engine::UserInfo& user) {
  begin_user(json, user);
  json.key("interests");
  encode_interests(json, user.interests);
  json.end_object();
}

void encode_events(JsonWriter& json, const engine::UserEventsPage& page) {
  json.begin_object();
  json.key("events");
  json.begin_array();
  for (const storage::Event& event : page.events) {
    json.begin_object();
    json.key("id");
    encode_point_id(json, event.id);
    json.field("at", format_datetime(event.at_us));
    json.field("weight", event.weight);
    json.end_object();
  }
  json.end_array();
  json.field("count", page.event_count);
  json.end_object();
}

void encode_user_page(JsonWriter& json, const engine::UserPage& page) {
  json.begin_object();
  json.key("users");
  json.begin_array();
  for (const engine::UserInfo& user : page.users) {
    begin_user(json, user);
    json.end_object();
  }
  json.end_array();
  json.key("next_page_offset");
  if (page.next_offset) {
    encode_user_id(json, *page.next_offset);
  } else {
    json.null();
  }
  json.end_object();
}

}  // namespace tessera::api
