#include "api/encode.h"

namespace tessera::api {

void encode_adapter(JsonWriter& json, const engine::AdapterInfo& info) {
  json.begin_object();
  json.field("name", info.name);
  if (!info.error.empty()) {
    json.field("error", info.error);
    return json.end_object();
  }
  json.field("version", info.version);
  json.field("created_at", format_datetime(info.created_at_us));
  json.field("bytes", info.file_bytes);
  json.field("parameters", info.parameter_count);
  json.field("backbone", info.backbone);
  json.field("dim", info.dim);
  json.field("context_size", info.context_size);
  json.field("max_history", info.max_history);
  json.field("item_bias", info.has_item_bias);
  json.end_object();
}

}  // namespace tessera::api
