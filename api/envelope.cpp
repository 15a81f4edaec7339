#include "api/envelope.h"

#include "api/json_writer.h"
#include "api/parameters.h"

namespace tessera::api {

namespace {

/// A message may quote input that was cut anywhere; an answer is valid UTF-8 all the same.
std::string valid_utf8(std::string_view text) {
  std::string valid(text);
  if (is_utf8(valid)) return valid;
  for (char& byte : valid) {
    if ((static_cast<unsigned char>(byte) & 0x80) != 0) byte = '?';
  }
  return valid;
}

}  // namespace

FailureForm failure_form(Code code) {
  switch (code) {
    case Code::kOk:
      return {200, "", 0};
    case Code::kInvalidArgument:
      return {400, "Wrong input: ", 0};
    case Code::kBadRequest:
      return {400, "Bad request: ", 0};
    // These two say by themselves where the error is: body, query or path parameters.
    case Code::kFormat:
      return {400, "", 0};
    case Code::kValidation:
      return {422, "", 0};
    case Code::kNotFound:
      return {404, "Not found: ", 0};
    case Code::kAlreadyExists:
      return {409, "Wrong input: ", 0};
    case Code::kForbidden:
      return {403, "Forbidden: ", 0};
    case Code::kTimeout:
      return {408, "Timeout: ", 0};
    // Nobody reads it when the client went away; otherwise work was stopped by a shutdown.
    case Code::kCancelled:
      return {503, "Shard temporarily unavailable: ", 1};
    case Code::kResourceExhausted:
      return {429, "Rate limiting exceeded: ", 1};
    case Code::kUnavailable:
      return {503, "Shard temporarily unavailable: ", 1};
    case Code::kDiskFull:
      return {507, "Service internal error: ", 0};
    case Code::kUnimplemented:
      return {501, "Not implemented: ", 0};
    case Code::kCorrupt:
      return {500, "Service internal error: ", 0};
    case Code::kInternal:
      return {500, "Service internal error: ", 0};
  }
  return {};
}

HttpResponse error_response(int http_status, std::string_view text, double seconds) {
  HttpResponse response;
  response.status = http_status;
  JsonWriter json(response.body);
  json.begin_object();
  json.key("status");
  json.begin_object();
  json.field("error", valid_utf8(text));
  json.end_object();
  json.field("time", seconds);
  json.end_object();
  return response;
}

HttpResponse failure_response(const Status& failure, double seconds) {
  const FailureForm form = failure_form(failure.code());
  HttpResponse response =
      error_response(form.http_status, std::string(form.prefix) + failure.message(), seconds);
  if (form.retry_after_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(form.retry_after_seconds));
  }
  return response;
}

void append_envelope_tail(std::string& body, double seconds) {
  JsonWriter json(body);
  json.field("status", "ok");
  json.field("time", seconds);
  json.end_object();
}

}  // namespace tessera::api
