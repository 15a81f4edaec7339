#include "api/decode.h"

namespace tessera::api {

using engine::PayloadIndexType;

namespace {

/// The type behind its name; the types that are not there yet are reported.
std::optional<PayloadIndexType> decode_index_type(const Value& value) {
  enum class Name : std::uint8_t { kKeyword, kInteger, kFloat, kBool, kDatetime, kNotYet };
  const auto name = value.one_of<Name>({{"keyword", Name::kKeyword},
                                        {"integer", Name::kInteger},
                                        {"float", Name::kFloat},
                                        {"bool", Name::kBool},
                                        {"datetime", Name::kDatetime},
                                        {"geo", Name::kNotYet},
                                        {"text", Name::kNotYet},
                                        {"uuid", Name::kNotYet}});
  if (!name) return std::nullopt;
  switch (*name) {
    case Name::kKeyword:
      return PayloadIndexType::kKeyword;
    case Name::kInteger:
      return PayloadIndexType::kInteger;
    case Name::kFloat:
      return PayloadIndexType::kFloat;
    case Name::kBool:
      return PayloadIndexType::kBool;
    case Name::kDatetime:
      return PayloadIndexType::kDatetime;
    case Name::kNotYet:
      break;
  }
  value.report_unimplemented("a payload index of the type " + value.shown());
  return std::nullopt;
}

/// {type, ...}. The accepted parameters are hints: an index here answers matches and ranges
/// whatever they say, and lives in memory.
void decode_index_params(const Value& schema, engine::CreatePayloadIndex& request) {
  const Object object(schema);
  if (!object.ok()) return;
  const auto type = object.require("type");
  if (!type) return;
  const auto decoded = decode_index_type(*type);
  if (!decoded) return;
  request.type = *decoded;
  bool has_lookup = true;
  bool has_range = true;
  const auto read_flag = [&object](const char* name, bool fallback) {
    const auto value = object.given(name);
    return value ? value->boolean().value_or(fallback) : fallback;
  };
  (void)read_flag("is_tenant", false);
  (void)read_flag("is_principal", false);
  (void)read_flag("on_disk", false);
  has_lookup = read_flag("lookup", true);
  has_range = read_flag("range", true);
  if (request.type == PayloadIndexType::kInteger && !has_lookup && !has_range) {
    schema.report_validation(
        "Validation error: the 'lookup' and 'range' capabilities can't be both disabled");
  }
  object.not_yet("memory", "a memory policy");
  object.not_yet_true("prefix", "a prefix index");
  if (const auto enable = object.given("enable_hnsw")) {
    if (!enable->boolean().value_or(true)) {
      enable->report_unimplemented("a graph without links for this payload field");
    }
  }
  request.params_json = schema.compact_object();
}

}  // namespace

engine::CreatePayloadIndex decode_payload_index(const Value& body) {
  engine::CreatePayloadIndex request;
  const Object object(body);
  if (!object.ok()) return request;
  if (const auto name = object.require("field_name")) {
    if (auto path = decode_payload_path(*name)) request.path = *std::move(path);
  }
  auto schema = object.given("field_schema");
  if (!schema) schema = object.given("field_type");
  if (!schema) {
    body.issues().unimplemented("field_schema", "guessing the type of a payload index");
  } else if (schema->is(Value::Kind::kString)) {
    if (const auto type = decode_index_type(*schema)) request.type = *type;
  } else if (schema->is(Value::Kind::kObject)) {
    decode_index_params(*schema, request);
  } else {
    schema->report_expected("the name of an index type or an object with `type`");
  }
  return request;
}

}  // namespace tessera::api
