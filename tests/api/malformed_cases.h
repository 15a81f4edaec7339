#pragma once

#include <span>

#include "api/http.h"

namespace tessera::api {

/// A request that must fail, with the whole text of its error.
struct MalformedCase {
  Method method;
  const char* target;
  const char* body;
  int status;
  const char* error;
};

std::span<const MalformedCase> malformed_targets();
std::span<const MalformedCase> malformed_collections();
std::span<const MalformedCase> malformed_points();
std::span<const MalformedCase> malformed_filters();
std::span<const MalformedCase> malformed_queries();

}  // namespace tessera::api
