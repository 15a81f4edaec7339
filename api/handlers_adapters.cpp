#include "api/binary_body.h"
#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

namespace {

constexpr std::size_t kAdapterNameBytesMax = 200;
constexpr std::string_view kFileType = "application/octet-stream";

Result<std::string> path_adapter_name(const Call& call) {
  const std::string& name = call.path_parameters.at(1);
  std::string problem = check_name("adapter name", name, kAdapterNameBytesMax);
  if (name.empty()) problem = "value invalid, must not be empty";
  if (problem.empty()) return name;
  return Status(Code::kValidation,
                "Validation error in path parameters: [adapter_name: " + problem + "]");
}

Status check_file_type(std::string_view content_type) {
  if (content_type.empty() || is_content_type(content_type, kFileType)) return {};
  constexpr std::size_t kShownBytesMax = 60;
  return {Code::kFormat, "Format error in adapter: the content type must be " +
                             std::string(kFileType) + ", not \"" +
                             std::string(content_type.substr(0, kShownBytesMax)) + "\""};
}

}  // namespace

Status put_adapter(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const std::string name, path_adapter_name(call));
  TESSERA_RETURN_IF_ERROR(check_file_type(call.request.content_type));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto info, collection->adapters().put(name, call.request.body));
  encode_adapter(json, info);
  return {};
}

Status delete_adapter(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto result,
                           collection->adapters().remove(call.path_parameters.at(1)));
  encode_write_result(json, result);
  return {};
}

Status get_adapter(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto info, collection->adapters().get(call.path_parameters.at(1)));
  encode_adapter(json, info);
  return {};
}

Status list_adapters(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto infos, collection->adapters().list());
  json.begin_object();
  json.key("adapters");
  json.begin_array();
  for (const engine::AdapterInfo& info : infos) encode_adapter(json, info);
  json.end_array();
  json.end_object();
  return {};
}

}  // namespace tessera::api
