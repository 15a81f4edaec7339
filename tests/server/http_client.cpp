#include "tests/server/http_client.h"

#include <algorithm>
#include <cctype>
#include <cerrno>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tessera::server {
namespace {

bool wait_for(int socket, short events) {
  pollfd descriptor = {socket, events, 0};
  const auto patience = std::chrono::milliseconds(RawClient::kPatience);
  return ::poll(&descriptor, 1, static_cast<int>(patience.count())) == 1;
}

}  // namespace

RawClient::RawClient(std::uint16_t port) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) close();
}

RawClient::~RawClient() {
  close();
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!wait_for(socket_, POLLOUT)) return false;
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void RawClient::close_sending_half() {
  ::shutdown(socket_, SHUT_WR);
}

void RawClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void RawClient::reset() {
  const linger at_once = {1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

bool RawClient::receive_some() {
  if (!wait_for(socket_, POLLIN)) return false;
  char chunk[65536];
  const ssize_t count = ::recv(socket_, chunk, sizeof chunk, 0);
  if (count <= 0) return false;
  received_.append(chunk, static_cast<std::size_t>(count));
  return true;
}

std::optional<Answer> RawClient::read_answer(bool is_head) {
  std::size_t head_end = 0;
  while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) {
    if (!receive_some()) return std::nullopt;
  }
  Answer answer;
  const std::string head = received_.substr(0, head_end + 2);
  received_.erase(0, head_end + 4);
  if (!head.starts_with("HTTP/1.1 ")) return std::nullopt;
  answer.status = std::stoi(head.substr(9, 3));
  for (std::size_t line = head.find("\r\n") + 2; line < head.size();) {
    const std::size_t end = head.find("\r\n", line);
    const std::size_t colon = head.find(':', line);
    std::string name = head.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.headers[name] = head.substr(colon + 2, end - colon - 2);
    line = end + 2;
  }
  if (answer.status == 100) {
    ++interim_count;
    return read_answer(is_head);
  }
  const auto length = answer.headers.find("content-length");
  const std::size_t body_bytes =
      is_head || length == answer.headers.end() ? 0 : std::stoul(length->second);
  while (received_.size() < body_bytes) {
    if (!receive_some()) return std::nullopt;
  }
  answer.body = received_.substr(0, body_bytes);
  received_.erase(0, body_bytes);
  return answer;
}

bool RawClient::is_closed_by_server() {
  if (!received_.empty() || !wait_for(socket_, POLLIN)) return false;
  char byte = 0;
  return ::recv(socket_, &byte, 1, 0) <= 0;
}

std::optional<Answer> RawClient::request(std::string_view bytes) {
  if (!send(bytes)) return std::nullopt;
  return read_answer();
}

std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::string post(std::string_view target, std::string_view body) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace tessera::server
