#include "api/binary_body.h"
#include "api/build_info.h"
#include "api/handlers.h"
#include "api/openapi.h"

namespace tessera::api {

namespace {

/// The version of the dialect: clients compare it with their own.
constexpr const char* kDialectVersion = "1.19.0";

}  // namespace

Status get_root(Call&, JsonWriter& json) {
  json.begin_object();
  json.field("title", "tessera - vector search engine");
  json.field("version", kDialectVersion);
  json.key("tessera");
  json.begin_object();
  json.field("version", kTesseraVersion);
  json.field("commit", kTesseraCommit);
  json.field("cpu", engine::cpu_level());
  json.key("body_types");
  json.begin_array();
  for (const std::string_view type : {kBinaryPointsType, kBinaryQueryType}) json.value(type);
  json.end_array();
  json.end_object();
  json.end_object();
  return {};
}

Status get_health(Call&, JsonWriter& json) {
  json.out() += "healthz check passed";
  return {};
}

Status get_ready(Call& call, JsonWriter& json) {
  if (call.is_ready) {
    json.out() += "all shards are ready";
  } else {
    call.http_status = 503;
    json.out() += "some shards are not ready";
  }
  return {};
}

Status get_metrics(Call& call, JsonWriter& json) {
  json.out() += call.registry.expose();
  return {};
}

Status get_openapi(Call&, JsonWriter& json) {
  write_openapi_document(json);
  return {};
}

Status get_cluster(Call&, JsonWriter& json) {
  json.begin_object();
  json.field("status", "disabled");
  json.end_object();
  return {};
}

// Advice on bad settings ("issues") is not gathered, so there is none to list or to clear.
Status get_issues(Call&, JsonWriter& json) {
  json.begin_object();
  json.key("issues");
  json.begin_array();
  json.end_array();
  json.end_object();
  return {};
}

Status delete_issues(Call&, JsonWriter& json) {
  json.value(true);
  return {};
}

}  // namespace tessera::api
