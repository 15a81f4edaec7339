#pragma once

#include <string>
#include <string_view>

#include "api/http.h"
#include "base/status.h"

namespace tessera::api {

/// How a failure is shown: the HTTP status and what is put in front of its message.
struct FailureForm {
  int http_status = 500;
  std::string_view prefix;
  int retry_after_seconds = 0;  ///< 0: no Retry-After header.
};

/// The form of every code; kOk has none and gives 200.
FailureForm failure_form(Code code);

/// {"status": {"error": text}, "time": seconds}
HttpResponse error_response(int http_status, std::string_view text, double seconds);
/// The same for a failure, with its status, prefix and headers.
HttpResponse failure_response(const Status& failure, double seconds);

/// {"result": ..., "status": "ok", "time": seconds} is written in two halves around the result.
inline constexpr std::string_view kEnvelopeHead = "{\"result\":";
void append_envelope_tail(std::string& body, double seconds);

}  // namespace tessera::api
