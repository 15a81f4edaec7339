#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/http_client.h"
#include "cli/json_text.h"

namespace tessera::cli {

/// An answer with its envelope taken off.
struct ApiReply {
  int http_status = 0;
  Json result;        ///< Member "result", or the whole body where there is no envelope.
  std::string error;  ///< Text of a refusal; empty on success.
  std::optional<std::uint32_t> retry_after_seconds;

  [[nodiscard]] bool ok() const { return http_status >= 200 && http_status < 300; }
  /// The refusal as a Status. Requires !ok().
  [[nodiscard]] Status to_status() const;
};

/// Calls of the daemon's HTTP API. Thread rule: confined to one thread.
class ApiClient {
 public:
  explicit ApiClient(DaemonUrl url, HttpClient::Options options = {})
      : http_(std::move(url), options) {}

  /// Any answer of the daemon, refusals too. Fails when the daemon cannot be reached or what
  /// answered is no Tessera daemon (kInternal).
  Result<ApiReply> send(std::string_view method, std::string_view target,
                        std::string_view body = {},
                        std::string_view content_type = "application/json");
  /// The result of a call; a refusal is a Status with the daemon's text.
  Result<Json> call(std::string_view method, std::string_view target, std::string_view body = {});

  [[nodiscard]] const DaemonUrl& url() const { return http_.url(); }

 private:
  HttpClient http_;
};

/// "/collections/NAME" + `rest`, NAME percent-encoded.
std::string collection_path(std::string_view collection, std::string_view rest = {});

}  // namespace tessera::cli
