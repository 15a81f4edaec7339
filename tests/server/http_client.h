#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::server {

/// An answer as it came over the wire; header names in lower case.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

/// A bare socket to a server on this machine, for sending bytes that no HTTP client would.
/// Every wait ends after `kPatience` and then counts as a failure.
class RawClient {
 public:
  static constexpr auto kPatience = std::chrono::seconds(20);

  explicit RawClient(std::uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool is_connected() const { return socket_ >= 0; }
  /// false if the server closed the connection before everything was taken.
  bool send(std::string_view bytes);
  void close_sending_half();
  void close();
  /// Closes with a reset, as the end of a process with unread data does.
  void reset();

  /// The next final answer; interim ones (100) are counted in `interim_count`. Nothing if the
  /// connection ends first. `is_head`: the answer has no body whatever its length says.
  std::optional<Answer> read_answer(bool is_head = false);
  /// True if the server ends the connection and sends nothing more before.
  bool is_closed_by_server();
  /// send() and read_answer().
  std::optional<Answer> request(std::string_view bytes);

  int interim_count = 0;

 private:
  bool receive_some();

  int socket_ = -1;
  std::string received_;
};

/// "GET <target> HTTP/1.1" with a host header.
std::string get(std::string_view target);
/// A POST with its length.
std::string post(std::string_view target, std::string_view body);

}  // namespace tessera::server
