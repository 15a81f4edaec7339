#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tessera::cli {

/// Where a daemon listens: "http://host:port", host a name, an IPv4 address or a bracketed IPv6
/// one.
struct DaemonUrl {
  std::string text;    ///< As given, without a trailing slash.
  std::string host;    ///< Without brackets.
  std::string port;    ///< Decimal; "6333" when the URL names none.
  std::string prefix;  ///< Path in front of every call, "" or "/a/b".
};

/// kInvalidArgument says what is wrong with the URL.
Result<DaemonUrl> parse_daemon_url(std::string_view text);

struct HttpReply {
  int status = 0;
  std::string body;
  std::optional<std::uint32_t> retry_after_seconds;
};

/// One keep-alive connection to a daemon, opened at the first call and again when it was lost.
/// Thread rule: confined to one thread.
class HttpClient {
 public:
  struct Options {
    std::chrono::milliseconds connect_timeout{5'000};
    std::chrono::milliseconds request_timeout{120'000};  ///< Writing and reading, each.
  };

  HttpClient(DaemonUrl url, Options options);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  /// Any HTTP answer is a success here. kUnavailable when the daemon cannot be reached or the
  /// connection broke, kTimeout when it did not answer in time; both name the URL. A GET, PUT or
  /// DELETE that fails on a reused connection is tried once more on a fresh one, because the daemon
  /// may have closed an idle connection at that very moment.
  Result<HttpReply> send(std::string_view method, std::string_view target, std::string_view body,
                         std::string_view content_type = "application/json");

  [[nodiscard]] const DaemonUrl& url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A path segment or query value with everything but unreserved characters percent-encoded.
std::string percent_encoded(std::string_view text);

}  // namespace tessera::cli
