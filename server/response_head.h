#pragma once

#include <chrono>
#include <string>

#include "api/http.h"

namespace tessera::server {

struct HeadOptions {
  bool is_keep_alive = true;
  bool is_http_1_0 = false;  ///< Then keep-alive has to be said.
  std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
};

/// Appends status line and headers of the answer, up to and with the empty line. Adds date, content
/// type and length, the connection's fate and the header that lets pages of any origin read the
/// answer. Line breaks inside a header's value become spaces.
void append_head(std::string& head, const api::HttpResponse& response, const HeadOptions& options);
/// The same as a text of its own.
std::string compose_head(const api::HttpResponse& response, const HeadOptions& options);

/// Whether an answer of this status has a body at all.
inline bool has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace tessera::server
