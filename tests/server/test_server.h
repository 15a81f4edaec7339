#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "base/metrics.h"
#include "server/server.h"
#include "tests/server/http_client.h"

namespace tessera::server {

/// The error envelope, as far as these tests look at it.
inline api::HttpResponse refuse_in_test(int status, std::string_view message) {
  api::HttpResponse response;
  response.status = status;
  response.body = R"({"status":{"error":")" + std::string(message) + R"("}})";
  return response;
}

/// Says what the server made of the request: "<method number> <target> <body>".
inline api::HttpResponse echo(const api::HttpRequest& request) {
  api::HttpResponse response;
  response.content_type = "text/plain";
  response.body = std::to_string(static_cast<int>(request.method)) + " " +
                  std::string(request.target) + " " + std::string(request.body);
  return response;
}

/// Settings with an ephemeral port and two workers.
inline config::ServerSettings test_settings() {
  config::ServerSettings settings;
  settings.port = 0;
  settings.worker_count = 2;
  return settings;
}

/// A server on a free port for the length of a test.
struct TestServer {
  explicit TestServer(const config::ServerSettings& settings = test_settings(),
                      Handler handler = echo) {
    auto opened = Server::open(settings, registry, refuse_in_test, std::move(handler));
    INFO((opened.has_error() ? opened.error().message() : "open"));
    REQUIRE(opened.has_value());
    server = std::move(*opened);
    port = server->port();
  }

  metrics::Registry registry;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
};

/// Waits for something that another thread brings about; false after a generous time.
inline bool eventually(const std::function<bool()>& is_true) {
  const auto deadline = std::chrono::steady_clock::now() + RawClient::kPatience;
  while (!is_true()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// A door that handlers wait at until the test opens it.
class Gate {
 public:
  void wait() const {
    while (!is_open_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void open() { is_open_ = true; }

 private:
  std::atomic<bool> is_open_ = false;
};

}  // namespace tessera::server
