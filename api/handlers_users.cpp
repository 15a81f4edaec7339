#include <charconv>

#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

namespace {

Result<engine::UserId> path_user_id(const Call& call) {
  auto id = engine::UserId::parse(call.path_parameters.at(1));
  if (id.has_value()) return *std::move(id);
  return Status(Code::kFormat,
                "Deserialize error in path parameters: user_id: " + id.error().message());
}

/// Of the query parameters; the limit of a page, or where it begins.
Status read_number(const Call& call, std::string_view name, std::uint64_t min,
                   std::size_t& number) {
  for (const auto& [given, text] : call.target.parameters) {
    if (given != name) continue;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return {Code::kFormat,
              "Deserialize error in query parameters: " + given + ": expected an unsigned integer"};
    }
    if (value < min) {
      return {Code::kValidation, "Validation error in query parameters: [" + given + ": value " +
                                     std::to_string(value) + " invalid, must be " +
                                     std::to_string(min) + " or larger]"};
    }
    number = value;
  }
  return {};
}

}  // namespace

Status put_users(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(auto request, decode_body(call, decode_put_users));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->users().put(std::move(request), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status append_events(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(auto request, decode_body(call, decode_append_events));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->users().append(std::move(request), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status append_events_of_user(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(auto id, path_user_id(call));
  TESSERA_ASSIGN_OR_RETURN(auto events, decode_body(call, decode_events_of_user));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  engine::AppendEvents request;
  request.users.push_back({std::move(id), std::move(events)});
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->users().append(std::move(request), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status delete_events_of_user(Call& call, JsonWriter& json) {
  engine::RemoveEvents request;
  TESSERA_ASSIGN_OR_RETURN(request.id, path_user_id(call));
  TESSERA_ASSIGN_OR_RETURN(request.events, decode_body(call, decode_event_selectors));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result, collection->users().remove_events(
                                                  std::move(request), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status delete_user(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto id, path_user_id(call));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->users().remove({id}, call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status delete_users(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto ids, decode_body(call, decode_delete_users));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->users().remove(ids, call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status get_user(Call& call, JsonWriter& json) {
  engine::UserRequest request;
  TESSERA_ASSIGN_OR_RETURN(request.id, path_user_id(call));
  for (const auto& [name, value] : call.target.parameters) {
    if (name == "vector") request.vector = value;
  }
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto user, collection->users().get(request, call.cancel));
  encode_user(json, user);
  return {};
}

Status get_user_events(Call& call, JsonWriter& json) {
  engine::UserEventsRequest request;
  TESSERA_ASSIGN_OR_RETURN(request.id, path_user_id(call));
  TESSERA_RETURN_IF_ERROR(read_number(call, "limit", 1, request.limit));
  TESSERA_RETURN_IF_ERROR(read_number(call, "offset", 0, request.offset));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto page, collection->users().events(request, call.cancel));
  encode_events(json, page);
  return {};
}

Status scroll_users(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_scroll_users, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto page, collection->users().scroll(request, call.cancel));
  encode_user_page(json, page);
  return {};
}

Status count_users(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_count_users, EmptyBody::kMeansEmptyObject));
  (void)request;
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t count, collection->users().count());
  json.begin_object();
  json.field("count", count);
  json.end_object();
  return {};
}

}  // namespace tessera::api
