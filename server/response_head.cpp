#include "server/response_head.h"

#include <ctime>

namespace tessera::server {
namespace {

/// RFC 9110, section 15.
const char* reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

/// RFC 9110, section 5.6.7; the process keeps the "C" locale.
std::string http_date(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

void append_header(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) head += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  head += "\r\n";
}

}  // namespace

std::string compose_head(const api::HttpResponse& response, const HeadOptions& options) {
  std::string head;
  head.reserve(320);
  head += "HTTP/1.1 " + std::to_string(response.status) + ' ' + reason_phrase(response.status);
  head += "\r\n";
  append_header(head, "Date", http_date(options.now));
  if (has_body(response.status)) {
    append_header(head, "Content-Type", response.content_type);
    append_header(head, "Content-Length", std::to_string(response.body.size()));
  }
  append_header(head, "Access-Control-Allow-Origin", "*");
  if (!options.is_keep_alive) {
    append_header(head, "Connection", "close");
  } else if (options.is_http_1_0) {
    append_header(head, "Connection", "keep-alive");
  }
  for (const auto& [name, value] : response.headers) append_header(head, name, value);
  head += "\r\n";
  return head;
}

}  // namespace tessera::server
