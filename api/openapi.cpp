#include "api/openapi.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "api/binary_body.h"
#include "api/build_info.h"
#include "api/routes.h"

namespace tessera::api {

namespace {

void write_reference(JsonWriter& json, std::string_view name) {
  json.begin_object();
  json.field("$ref", "#/components/schemas/" + std::string(name));
  json.end_object();
}

void write_parameter(JsonWriter& json, std::string_view name, std::string_view place,
                     std::string_view schema, std::string_view description) {
  json.begin_object();
  json.field("name", name);
  json.field("in", place);
  json.field("required", place == "path");
  json.field("description", description);
  json.raw_field("schema", schema);
  json.end_object();
}

/// Replaces every @Name by a reference. Only a description could hold another @, and none does.
std::string expand_references(std::string_view schema) {
  std::string expanded;
  while (true) {
    const std::size_t at = std::min(schema.find('@'), schema.size());
    expanded += schema.substr(0, at);
    if (at == schema.size()) return expanded;
    schema.remove_prefix(at + 1);
    const auto end = std::find_if(schema.begin(), schema.end(),
                                  [](unsigned char letter) { return std::isalnum(letter) == 0; });
    const auto name_bytes = static_cast<std::size_t>(end - schema.begin());
    expanded += R"({"$ref":"#/components/schemas/)";
    expanded += schema.substr(0, name_bytes);
    expanded += "\"}";
    schema.remove_prefix(name_bytes);
  }
}

void write_schemas(JsonWriter& json, std::span<const NamedSchema> schemas) {
  for (const NamedSchema& schema : schemas) {
    json.raw_field(schema.name, expand_references(schema.json));
  }
}

void write_path_parameters(JsonWriter& json, std::string_view pattern) {
  while (true) {
    const std::size_t begin = pattern.find('{');
    if (begin == std::string_view::npos) return;
    const std::size_t end = pattern.find('}', begin);
    const std::string_view name = pattern.substr(begin + 1, end - begin - 1);
    if (name == "user_id") {
      write_parameter(json, name, "path", expand_references("@UserId"), "Percent-encoded");
    } else if (name == "id") {
      write_parameter(json, name, "path", expand_references("@PointId"), "Id of a point");
    } else if (name == "job_id") {
      write_parameter(json, name, "path", R"({"type":"integer","minimum":0})", "Id of a job");
    } else {
      write_parameter(json, name, "path", R"({"type":"string"})", "Percent-encoded");
    }
    pattern.remove_prefix(end + 1);
  }
}

void write_consistency(JsonWriter& json) {
  write_parameter(json, "consistency", "query",
                  R"({"anyOf":[{"type":"integer","minimum":1},)"
                  R"({"type":"string","enum":["majority","quorum","all"]}]})",
                  "Accepted; one node has one replica");
}

void write_query_parameters(JsonWriter& json, ParameterSet set) {
  constexpr std::string_view kSeconds = R"({"type":"integer","minimum":1})";
  const auto write_timeout = [&] {
    write_parameter(json, "timeout", "query", kSeconds, "Seconds after which to give up (408)");
  };
  switch (set) {
    case ParameterSet::kNone:
      return;
    case ParameterSet::kTimeout:
      write_timeout();
      return;
    case ParameterSet::kWrite:
      write_parameter(json, "wait", "query", R"({"type":"boolean","default":false})",
                      "Answer after the change is on disk and visible");
      write_parameter(json, "ordering", "query",
                      R"({"type":"string","enum":["weak","medium","strong"]})",
                      "Accepted; one node orders all writes");
      write_timeout();
      return;
    case ParameterSet::kRead:
      write_consistency(json);
      write_timeout();
      return;
    case ParameterSet::kUser:
      write_parameter(json, "vector", "query", R"({"type":"string"})",
                      "Name of the vector whose item clusters count; absent: the first");
      write_consistency(json);
      write_timeout();
      return;
    case ParameterSet::kPage:
      write_parameter(json, "limit", "query", R"({"type":"integer","minimum":1,"default":100})",
                      "Events at most");
      write_parameter(json, "offset", "query", R"({"type":"integer","minimum":0,"default":0})",
                      "Events to pass over");
      write_consistency(json);
      write_timeout();
      return;
    case ParameterSet::kSession:
      write_parameter(json, "with_vectors", "query", R"({"type":"boolean","default":false})",
                      "Also the vectors of all rounds, computed anew");
      write_consistency(json);
      write_timeout();
      return;
    case ParameterSet::kVector:
      write_parameter(json, "vector", "query", R"({"type":"string","default":""})",
                      "Name of the vector");
      return;
  }
}

/// A body that is never JSON.
constexpr std::string_view kFileSchema = "AdapterFile";

/// The content type of bodies that are bytes; empty where there is none. docs/api.md describes
/// them.
std::string_view binary_type_of(std::string_view schema) {
  if (schema == "UpsertPoints") return kBinaryPointsType;
  if (schema == "Query" || schema == "Search") return kBinaryQueryType;
  if (schema == kFileSchema) return "application/octet-stream";
  return {};
}

void write_body(JsonWriter& json, std::string_view schema) {
  json.key("requestBody");
  json.begin_object();
  json.key("content");
  json.begin_object();
  if (schema != kFileSchema) {
    json.key("application/json");
    json.begin_object();
    json.key("schema");
    write_reference(json, schema);
    json.end_object();
  }
  if (const std::string_view type = binary_type_of(schema); !type.empty()) {
    json.key(type);
    json.raw(schema == kFileSchema ? expand_references(R"({"schema":@AdapterFile})")
                                   : R"({"schema":{"type":"string","format":"binary"}})");
  }
  json.end_object();
  json.end_object();
}

void write_success_schema(JsonWriter& json, const Route& route) {
  if (route.form == AnswerForm::kPlain) {
    write_reference(json, route.result_schema);
    return;
  }
  json.begin_object();
  json.field("type", "object");
  json.raw_field("required", R"(["result","status","time"])");
  json.key("properties");
  json.begin_object();
  json.key("result");
  write_reference(json, route.result_schema);
  json.raw_field("status", R"({"type":"string","enum":["ok"]})");
  json.raw_field("time", R"({"type":"number","description":"Seconds"})");
  json.end_object();
  json.end_object();
}

void write_operation(JsonWriter& json, const Route& route) {
  json.begin_object();
  json.raw_field("tags", "[\"" + std::string(route.tag) + "\"]");
  json.field("operationId", route.operation);
  json.field("summary", route.summary);
  json.key("parameters");
  json.begin_array();
  write_path_parameters(json, route.pattern);
  write_query_parameters(json, route.parameters);
  json.end_array();
  if (!route.request_schema.empty()) write_body(json, route.request_schema);
  json.key("responses");
  json.begin_object();
  json.key("200");
  json.begin_object();
  json.field("description", "Success");
  json.key("content");
  json.begin_object();
  json.key(route.content_type.substr(0, route.content_type.find(';')));
  json.begin_object();
  json.key("schema");
  write_success_schema(json, route);
  json.end_object();
  json.end_object();
  json.end_object();
  json.raw_field("default", R"({"description":"Failure","content":{"application/json":)"
                            R"({"schema":{"$ref":"#/components/schemas/Error"}}}})");
  json.end_object();
  json.end_object();
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& letter : lowered) letter = static_cast<char>(letter | 0x20);
  return lowered;
}

void write_paths(JsonWriter& json) {
  std::vector<std::string_view> patterns;
  for (const Route& route : routes()) {
    if (std::find(patterns.begin(), patterns.end(), route.pattern) == patterns.end()) {
      patterns.push_back(route.pattern);
    }
  }
  json.begin_object();
  for (const std::string_view pattern : patterns) {
    json.key(pattern);
    json.begin_object();
    for (const Route& route : routes()) {
      if (route.pattern != pattern) continue;
      json.key(lower(method_name(route.method)));
      write_operation(json, route);
    }
    json.end_object();
  }
  json.end_object();
}

}  // namespace

void write_openapi_document(JsonWriter& json) {
  json.begin_object();
  json.field("openapi", "3.0.3");
  json.key("info");
  json.begin_object();
  json.field("title", "Tessera");
  json.field("description",
             "Vector search with multi-interest and multi-round retrieval. The calls that this "
             "daemon answers; known calls that it does not have yet answer 501.");
  json.field("version", kTesseraVersion);
  json.end_object();
  json.key("paths");
  write_paths(json);
  json.key("components");
  json.begin_object();
  json.key("schemas");
  json.begin_object();
  write_schemas(json, request_schemas());
  write_schemas(json, result_schemas());
  json.end_object();
  json.end_object();
  json.end_object();
}

}  // namespace tessera::api
