#include "server/response_head.h"

#include <array>
#include <charconv>
#include <ctime>
#include <string_view>

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
struct HttpDate {
  std::time_t seconds = -1;
  std::size_t size = 0;
  std::array<char, 40> text{};
};

/// The text of a second is made once a thread.
std::string_view http_date(std::chrono::system_clock::time_point now) {
  thread_local HttpDate date;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  if (seconds != date.seconds) {
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    date.size =
        std::strftime(date.text.data(), date.text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    date.seconds = seconds;
  }
  return {date.text.data(), date.size};
}

void append_number(std::string& head, std::size_t number) {
  std::array<char, 24> digits;
  head.append(digits.data(),
              std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

void append_header(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) head += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  head += "\r\n";
}

}  // namespace

void append_head(std::string& head, const api::HttpResponse& response, const HeadOptions& options) {
  head += "HTTP/1.1 ";
  append_number(head, static_cast<std::size_t>(response.status));
  head += ' ';
  head += reason_phrase(response.status);
  head += "\r\n";
  append_header(head, "Date", http_date(options.now));
  if (has_body(response.status)) {
    append_header(head, "Content-Type", response.content_type);
    head += "Content-Length: ";
    append_number(head, response.body.size());
    head += "\r\n";
  }
  append_header(head, "Access-Control-Allow-Origin", "*");
  if (!options.is_keep_alive) {
    append_header(head, "Connection", "close");
  } else if (options.is_http_1_0) {
    append_header(head, "Connection", "keep-alive");
  }
  for (const auto& [name, value] : response.headers) append_header(head, name, value);
  head += "\r\n";
}

std::string compose_head(const api::HttpResponse& response, const HeadOptions& options) {
  std::string head;
  head.reserve(320);
  append_head(head, response, options);
  return head;
}

}  // namespace tessera::server
