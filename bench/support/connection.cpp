#include "bench/support/connection.h"

#include <charconv>
#include <cstring>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/support/watch.h"

namespace tessera::bench {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr int kTimeoutSeconds = 60;

[[noreturn]] void fail_with_errno(const std::string& what) {
  throw Failure(what + ": " + std::strerror(errno));
}

int open_socket() {
  const int opened = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (opened < 0) fail_with_errno("socket");
  return opened;
}

/// The number after `name` (with its colon) in the head.
std::optional<std::size_t> header_number(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2);
    if (line.size() < name.size() || ::strncasecmp(line.data(), name.data(), name.size()) != 0) {
      continue;
    }
    std::size_t first = name.size(), value = 0;
    while (first < line.size() && line[first] == ' ') ++first;
    const auto parsed = std::from_chars(line.data() + first, line.data() + line.size(), value);
    if (parsed.ec == std::errc()) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string http_request(std::string_view method, std::string_view target, std::string_view body,
                         std::string_view content_type) {
  std::string text;
  text.reserve(body.size() + 256);
  text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  if (!body.empty()) text.append("Content-Type: ").append(content_type).append("\r\n");
  text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return text.append(body);
}

Connection::Connection(std::uint16_t port) : socket_(open_socket()) {
  const int one = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  const timeval timeout = {kTimeoutSeconds, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int reason = errno;
    ::close(socket_);
    errno = reason;
    fail_with_errno("connect to port " + std::to_string(port));
  }
}

Connection::~Connection() {
  ::close(socket_);
}

void Connection::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written < 0) fail_with_errno("send");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Connection::read_more() {
  const std::size_t used = received_.size();
  received_.resize(used + kReadBytes);
  const ssize_t count = ::recv(socket_, received_.data() + used, kReadBytes, 0);
  if (count < 0) fail_with_errno("receive");
  if (count == 0) throw Failure("the daemon closed the connection");
  received_.resize(used + static_cast<std::size_t>(count));
}

Reply Connection::send(std::string_view request) {
  write_all(request);
  received_.clear();
  std::size_t head_end = std::string::npos;
  while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) read_more();
  const std::string_view head = std::string_view(received_).substr(0, head_end);
  const auto body_bytes = header_number(head, "content-length:");
  Reply reply;
  const auto parsed = std::from_chars(head.data() + std::min<std::size_t>(9, head.size()),
                                      head.data() + head.size(), reply.status);
  if (!body_bytes || parsed.ec != std::errc()) {
    throw Failure("an answer without status or Content-Length: " + std::string(head));
  }
  const std::size_t body_begin = head_end + 4;
  while (received_.size() < body_begin + *body_bytes) read_more();
  reply.body.assign(received_, body_begin, *body_bytes);
  return reply;
}

std::string Connection::send_ok(std::string_view request) {
  Reply reply = send(request);
  if (reply.status != 200) {
    throw Failure("HTTP " + std::to_string(reply.status) + " to " +
                  std::string(request.substr(0, request.find('\r'))) + ": " +
                  reply.body.substr(0, 500));
  }
  return std::move(reply.body);
}

}  // namespace tessera::bench
