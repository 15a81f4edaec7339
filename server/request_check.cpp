#include "server/request_check.h"

#include <boost/beast/core/string.hpp>

namespace tessera::server {
namespace {

namespace http = boost::beast::http;
using boost::beast::iequals;

Refusal framing_lost(int status, std::string message) {
  return {.status = status, .message = std::move(message), .is_framing_lost = true};
}

/// Two readings of where a request ends are how requests are smuggled past a proxy: any doubt ends
/// the connection (RFC 9112, section 6.3).
std::optional<Refusal> check_framing(const http::request_header<>& header, const Framing& framing) {
  const auto count = header.count(http::field::transfer_encoding);
  if (count == 0) return std::nullopt;
  if (header.version() < 11) {
    return framing_lost(400, "transfer-encoding is not allowed in an HTTP/1.0 request");
  }
  if (count > 1) return framing_lost(400, "more than one transfer-encoding header");
  if (!framing.is_chunked || !iequals(header[http::field::transfer_encoding], "chunked")) {
    return framing_lost(501, "the only transfer-encoding understood is chunked");
  }
  return std::nullopt;
}

}  // namespace

api::Method method_of(http::verb verb) {
  // Only the dialect's methods are named; every other verb of the library is kOther.
  if (verb == http::verb::get) return api::Method::kGet;
  if (verb == http::verb::head) return api::Method::kHead;
  if (verb == http::verb::post) return api::Method::kPost;
  if (verb == http::verb::put) return api::Method::kPut;
  if (verb == http::verb::patch) return api::Method::kPatch;
  if (verb == http::verb::delete_) return api::Method::kDelete;
  if (verb == http::verb::options) return api::Method::kOptions;
  return api::Method::kOther;
}

std::string_view origin_form(std::string_view target) {
  if (target.starts_with('/')) return target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() <= scheme.size() || !iequals(target.substr(0, scheme.size()), scheme)) {
      continue;
    }
    const std::size_t path = target.find_first_of("/?", scheme.size());
    if (path == scheme.size()) return {};
    if (path == std::string_view::npos) return "/";
    return target[path] == '/' ? target.substr(path) : std::string_view{};
  }
  return {};
}

std::optional<Refusal> check_request(const http::request_header<>& header, const Framing& framing,
                                     std::uint64_t body_bytes_max) {
  if (auto refusal = check_framing(header, framing)) return refusal;
  const auto host_count = header.count(http::field::host);
  if (host_count > 1 || (host_count == 0 && header.version() >= 11)) {
    return Refusal{400,
                   host_count == 0 ? "the host header is missing" : "more than one host header"};
  }
  if (header.method() == http::verb::connect) {
    return framing_lost(405, "method CONNECT is not allowed");
  }
  if (method_of(header.method()) == api::Method::kOther) {
    return Refusal{405, "method " + std::string(header.method_string()) + " is not allowed"};
  }
  const bool is_any_resource = header.method() == http::verb::options && header.target() == "*";
  if (!is_any_resource && origin_form(header.target()).empty()) {
    return Refusal{400, "the request target must begin with /"};
  }
  const auto encoding = header[http::field::content_encoding];
  if (!encoding.empty() && !iequals(encoding, "identity")) {
    return Refusal{415, "content-encoding " + std::string(encoding) +
                            " is not supported: send the body as it is"};
  }
  const auto expect = header[http::field::expect];
  if (!expect.empty() && !iequals(expect, "100-continue")) {
    return Refusal{417, "the only expectation understood is 100-continue"};
  }
  if (framing.content_length && *framing.content_length > body_bytes_max) {
    return Refusal{413, "the body has " + std::to_string(*framing.content_length) +
                            " bytes, the limit is " + std::to_string(body_bytes_max)};
  }
  return std::nullopt;
}

}  // namespace tessera::server
