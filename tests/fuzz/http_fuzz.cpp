// Bytes of a connection -> the server, through a real socket. Whatever comes in, the server answers
// in HTTP, closes, and serves the next connection.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"
#include "server/server.h"
#include "tests/fuzz/seeds.h"

namespace tessera::server {
namespace {

api::HttpResponse refuse(int status, std::string_view message) {
  api::HttpResponse response;
  response.status = status;
  response.body = message;
  return response;
}

/// Looks at everything that a handler may look at.
api::HttpResponse handle(const api::HttpRequest& request) {
  TESSERA_ASSERT(request.target.starts_with('/'));
  TESSERA_ASSERT(request.body.empty() || request.body_padding_bytes >= 64);
  api::HttpResponse response;
  unsigned sum = 0;
  for (const char c : request.body) sum += static_cast<unsigned char>(c);
  response.body = std::string(request.target) + std::string(request.content_type);
  response.body += std::to_string(sum);
  return response;
}

struct Target {
  Target() {
    log::configure(log::Level::kOff, log::Format::kText);
    config::ServerSettings settings;
    settings.port = 0;
    settings.worker_count = 1;
    settings.header_bytes_max = 1024;
    settings.body_bytes_max = 4096;
    settings.body_bytes_total_max = 1U << 20;
    server = *Server::open(settings, registry, refuse, handle);
  }

  metrics::Registry registry;
  std::unique_ptr<Server> server;
};

/// Sends the bytes and the end, and takes everything that comes back.
std::string converse(std::uint16_t port, std::string_view bytes) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  TESSERA_ASSERT(connected == 0);
  // The server may have closed already: then what it said still has to be an answer.
  (void)::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  ::shutdown(socket, SHUT_WR);
  std::string received;
  char chunk[4096];
  for (ssize_t count = 0; (count = ::recv(socket, chunk, sizeof chunk, 0)) > 0;) {
    received.append(chunk, static_cast<std::size_t>(count));
  }
  // Without the wait that the closing side keeps a port for, which would use up the ports.
  const linger at_once = {1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(socket);
  return received;
}

void check_connection(std::uint16_t port, std::string_view bytes) {
  const std::string received = converse(port, bytes);
  if (received.empty()) return;
  TESSERA_ASSERT(received.starts_with("HTTP/1.1 "));
  for (const std::string_view status : {"500", "503"}) {
    TESSERA_ASSERT(received.substr(9, 3) != status);
  }
}

}  // namespace
}  // namespace tessera::server

std::vector<std::string> tessera::fuzz::seeds() {
  return {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
      "GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
      "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n",
      "PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n",
      "HEAD http://a/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      "\r\nOPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
  };
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tessera::server::Target target;
  const std::uint16_t port = target.server->port();
  tessera::server::check_connection(port, {reinterpret_cast<const char*>(data), size});
  return 0;
}
