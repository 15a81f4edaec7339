#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"

namespace tessera::api {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions, kOther };

/// One HTTP request, already read in full. The views are valid while handle() runs.
struct HttpRequest {
  Method method = Method::kGet;
  std::string_view target;        ///< Path and query as sent: "/collections/a?timeout=5".
  std::string_view content_type;  ///< Empty if absent.
  std::string_view body;
  /// Capacity behind `body` may be read (simdjson's padding): bytes that can be touched after it.
  std::size_t body_padding_bytes = 0;
  /// Cancelled when the client goes away; its deadline is the request timeout.
  CancelToken* cancel = nullptr;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  ///< Beside content-type and length.
};

}  // namespace tessera::api
