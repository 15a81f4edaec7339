#pragma once

#include <span>
#include <string_view>

#include "api/json_writer.h"

namespace tessera::api {

/// Writes the OpenAPI 3.0 document of every route in routes(): what is not in the table is not in
/// the document.
void write_openapi_document(JsonWriter& json);

/// A named schema as JSON text, in which @Name stands for a reference to another schema.
struct NamedSchema {
  std::string_view name;
  std::string_view json;
};
/// Schemas of requests and of results, the two halves of components.schemas.
std::span<const NamedSchema> request_schemas();
std::span<const NamedSchema> result_schemas();

}  // namespace tessera::api
