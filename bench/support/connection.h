#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::bench {

/// A whole request, head and body, ready for one write.
std::string http_request(std::string_view method, std::string_view target, std::string_view body,
                         std::string_view content_type = "application/json");

struct Reply {
  int status = 0;
  std::string body;
};

/// One keep-alive connection to 127.0.0.1 with TCP_NODELAY. It knows just enough HTTP for the
/// daemon's answers, so that a measurement contains little of the client. Everything that goes
/// wrong throws Failure. Thread rule: confined to one thread.
class Connection {
 public:
  explicit Connection(std::uint16_t port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Sends what http_request() made and reads the answer; waits at most a minute.
  Reply send(std::string_view request);
  /// As send(), and the status must be 200.
  std::string send_ok(std::string_view request);

 private:
  void write_all(std::string_view bytes);
  void read_more();

  const int socket_;
  std::string received_;
};

}  // namespace tessera::bench
