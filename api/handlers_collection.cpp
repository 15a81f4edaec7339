#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

namespace {

constexpr std::size_t kCollectionNameBytesMax = 255;

Status check_collection_name(const std::string& name) {
  std::string problem = check_name("collection name", name, kCollectionNameBytesMax);
  if (name.empty()) problem = "value invalid, must not be empty";
  if (problem.empty()) return {};
  return {Code::kValidation,
          "Validation error in path parameters: [collection_name: " + problem + "]"};
}

}  // namespace

Status list_collections(Call& call, JsonWriter& json) {
  json.begin_object();
  json.key("collections");
  json.begin_array();
  for (const std::string& name : call.database.collection_names()) {
    json.begin_object();
    json.field("name", name);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return {};
}

Status get_collection(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  encode_collection_info(json, collection->info());
  return {};
}

Status create_collection(Call& call, JsonWriter& json) {
  TESSERA_RETURN_IF_ERROR(check_collection_name(call.collection_name()));
  TESSERA_ASSIGN_OR_RETURN(const auto config, decode_body(call, decode_create_collection));
  TESSERA_RETURN_IF_ERROR(call.database.create_collection(call.collection_name(), config));
  json.value(true);
  return {};
}

Status update_collection(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto changes, decode_body(call, decode_update_collection));
  TESSERA_RETURN_IF_ERROR(call.database.update_collection(call.collection_name(), changes));
  json.value(true);
  return {};
}

Status delete_collection(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const bool existed,
                           call.database.delete_collection(call.collection_name()));
  json.value(existed);
  return {};
}

Status collection_exists(Call& call, JsonWriter& json) {
  const auto collection = call.collection();
  if (collection.has_error() && collection.error().code() != Code::kNotFound) {
    return collection.error();
  }
  json.begin_object();
  json.field("exists", collection.has_value());
  json.end_object();
  return {};
}

Status create_payload_index(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(auto request, decode_body(call, decode_payload_index));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->write(std::move(request), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

Status delete_payload_index(Call& call, JsonWriter& json) {
  auto path = engine::parse_payload_path(call.path_parameters.at(1));
  if (path.has_error()) {
    return {Code::kFormat,
            "Deserialize error in path parameters: field_name: " + path.error().message()};
  }
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  engine::DeletePayloadIndex request{*std::move(path)};
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->write(std::move(request), call.parameters.wait));
  encode_write_result(json, result);
  return {};
}

}  // namespace tessera::api
