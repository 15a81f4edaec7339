#include <charconv>

#include "api/binary_body.h"
#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

namespace {

/// Applies a write and answers with its result.
Status write(Call& call, JsonWriter& json, engine::WriteOperation operation) {
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->write(std::move(operation), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

template <class Operation>
Status write_decoded(Call& call, JsonWriter& json, Operation (*decode)(const Value&)) {
  TESSERA_ASSIGN_OR_RETURN(Operation operation, decode_body(call, decode));
  return write(call, json, std::move(operation));
}

Result<PointId> parse_path_id(const std::string& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc{} && stop == end) return PointId(number);
  if (const auto uuid = PointId::parse_uuid(text)) return *uuid;
  constexpr std::size_t kShownBytesMax = 60;
  const std::string shown = text.size() <= kShownBytesMax ? text + " " : "";
  return Status(Code::kFormat,
                "Deserialize error in path parameters: value " + shown +
                    "is not a valid point ID, valid values are either an unsigned integer or a "
                    "UUID");
}

}  // namespace

Status upsert_points(Call& call, JsonWriter& json) {
  if (is_content_type(call.request.content_type, kBinaryPointsType)) {
    TESSERA_ASSIGN_OR_RETURN(auto points, decode_binary_points(call.request.body));
    return write(call, json, std::move(points));
  }
  TESSERA_ASSIGN_OR_RETURN(auto points,
                           decode_vectors_body(call, decode_upsert, VectorPlaces::kPoints));
  return write(call, json, std::move(points));
}
Status delete_points(Call& call, JsonWriter& json) {
  return write_decoded(call, json, decode_delete);
}
Status set_payload(Call& call, JsonWriter& json) {
  return write_decoded(call, json, decode_set_payload);
}
Status overwrite_payload(Call& call, JsonWriter& json) {
  return write_decoded(call, json, decode_overwrite_payload);
}
Status delete_payload(Call& call, JsonWriter& json) {
  return write_decoded(call, json, decode_delete_payload);
}
Status clear_payload(Call& call, JsonWriter& json) {
  return write_decoded(call, json, decode_clear_payload);
}

Status batch_update(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(auto operations, decode_body(call, decode_operations));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  json.begin_array();
  for (engine::WriteOperation& operation : operations) {
    TESSERA_ASSIGN_OR_RETURN(const auto result,
                             collection->write(std::move(operation), call.parameters.wait));
    encode_write_result(json, result);
  }
  json.end_array();
  return {};
}

Status retrieve_points(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request, decode_body(call, decode_retrieve));
  if (call.is_quick && request.ids.size() > kQuickPointsMax) return call.hand_over();
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto records, collection->retrieve(request));
  encode_records(json, records, shown_of(request.with_payload, request.with_vector));
  return {};
}

Status get_point(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const PointId id, parse_path_id(call.path_parameters.at(1)));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  engine::RetrieveRequest request;
  request.ids = {id};
  request.with_vector.all = true;
  TESSERA_ASSIGN_OR_RETURN(const auto records, collection->retrieve(request));
  if (records.empty()) {
    return {Code::kNotFound, "Point with id " + id.to_string() + " does not exists!"};
  }
  encode_record(json, records.front(), {.payload = true, .vector = true});
  return {};
}

Status scroll_points(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request, decode_body(call, decode_scroll));
  if (call.is_quick && (request.filter || request.limit > kQuickPointsMax)) {
    return call.hand_over();
  }
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto page, collection->scroll(request, call.cancel));
  json.begin_object();
  json.key("points");
  encode_records(json, page.records, shown_of(request.with_payload, request.with_vector));
  json.key("next_page_offset");
  if (page.next_offset) {
    encode_point_id(json, *page.next_offset);
  } else {
    json.null();
  }
  json.end_object();
  return {};
}

Status count_points(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request, decode_body(call, decode_count));
  if (call.is_quick && request.filter) return call.hand_over();
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t count, collection->count(request, call.cancel));
  json.begin_object();
  json.field("count", count);
  json.end_object();
  return {};
}

}  // namespace tessera::api
