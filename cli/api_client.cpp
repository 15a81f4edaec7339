#include "cli/api_client.h"

namespace tessera::cli {
namespace {

Code code_of(int http_status) {
  switch (http_status) {
    case 404:
      return Code::kNotFound;
    case 408:
      return Code::kTimeout;
    case 409:
      return Code::kAlreadyExists;
    case 422:
      return Code::kValidation;
    case 401:
    case 403:
      return Code::kForbidden;
    case 413:
    case 429:
      return Code::kResourceExhausted;
    case 501:
      return Code::kUnimplemented;
    case 503:
      return Code::kUnavailable;
    case 507:
      return Code::kDiskFull;
    default:
      return http_status >= 500 ? Code::kInternal : Code::kInvalidArgument;
  }
}

}  // namespace

Status ApiReply::to_status() const {
  return {code_of(http_status), error};
}

Result<ApiReply> ApiClient::send(std::string_view method, std::string_view target,
                                 std::string_view body, std::string_view content_type) {
  TESSERA_ASSIGN_OR_RETURN(HttpReply http, http_.send(method, target, body, content_type));
  ApiReply reply;
  reply.http_status = http.status;
  reply.retry_after_seconds = http.retry_after_seconds;
  Result<Json> parsed = parse_json(http.body);
  if (!reply.ok()) {
    const Json& error = parsed ? member(member(*parsed, "status"), "error") : member(Json(), "");
    // Answers from in front of the API (a proxy, an authentication check) are plain text.
    reply.error = error.is_string() ? error.get<std::string>() : http.body.substr(0, 500);
    if (reply.error.empty()) reply.error = "HTTP status " + std::to_string(http.status);
    return reply;
  }
  if (!parsed || !parsed->is_object()) {
    return Status(Code::kInternal, url().text + " does not answer like a Tessera daemon to " +
                                       std::string(method) + " " + std::string(target));
  }
  reply.result = parsed->contains("result") ? std::move((*parsed)["result"]) : std::move(*parsed);
  return reply;
}

Result<Json> ApiClient::call(std::string_view method, std::string_view target,
                             std::string_view body) {
  TESSERA_ASSIGN_OR_RETURN(ApiReply reply, send(method, target, body));
  if (!reply.ok()) return reply.to_status();
  return std::move(reply.result);
}

std::string collection_path(std::string_view collection, std::string_view rest) {
  return "/collections/" + percent_encoded(collection) + std::string(rest);
}

}  // namespace tessera::cli
