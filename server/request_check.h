#pragma once

#include <optional>
#include <string>

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/optional.hpp>

#include "api/http.h"

namespace tessera::server {

/// Why a request is refused before its body is read.
struct Refusal {
  int status = 400;
  std::string message;
  /// Where the request ends is not known, so nothing after it can be read.
  bool is_framing_lost = false;
};

/// What the check needs to know about a request's framing.
struct Framing {
  boost::optional<std::uint64_t> content_length;
  bool is_chunked = false;
};

/// The dialect's method, kOther for those that it does not have.
api::Method method_of(boost::beast::http::verb verb);

/// Checks what RFC 9110 and 9112 ask of a server and what Tessera does not offer.
std::optional<Refusal> check_request(const boost::beast::http::request_header<>& header,
                                     const Framing& framing, std::uint64_t body_bytes_max);

/// Path and query of a target in origin form or absolute form (RFC 9112, section 3.2); empty if it
/// is neither.
std::string_view origin_form(std::string_view target);

}  // namespace tessera::server
