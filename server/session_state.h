#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "server/core.h"
#include "server/exchange.h"
#include "server/io_threads.h"
#include "server/request_check.h"

namespace tessera::server {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

/// The interim answer that asks for a body.
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

/// The requests of one connection, one after the other.
///
/// A request that has come in full and is small is answered without waiting for anything; the
/// reactor, timers and workers are for the others.
///
/// Invariants: 1. at most one asynchronous read and one write is under way; 2. `buffer_` belongs to
/// the reading coroutine, except while a request is with a worker: then to the watch; 3. while a
/// deadline is set, the timer ends at it or before.
/// Thread rule: confined to the socket's thread, but for Connection's functions and work().
class Session final : public Connection, public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, IoThread& thread, Core& core);
  ~Session() override;

  void start();
  void drain() override;
  void cancel_request() override;
  void abort() override;

 private:
  using Clock = std::chrono::steady_clock;

  /// What becomes of the connection after an answer.
  enum class After : std::uint8_t { kKeepOpen, kLinger, kClose };

  static constexpr std::size_t kReadBytes = 4096;  // What an idle connection keeps,
  // up to this much if it needed it for the request before.
  static constexpr std::size_t kReadBytesMax = 16U << 10;
  static constexpr std::size_t kBodyReadBytes = 64U << 10;  // What a large body is read with.

  asio::awaitable<void> run();
  void end(const std::exception_ptr& failure);
  void close();

  // Deadlines: everything until disarm() or the next arm() has to be done by then, however many
  // bytes trickle in meanwhile. The timer is only ever moved to an earlier time; when it ends
  // before the deadline, it is set again. So a connection whose requests come in one piece costs no
  // timer.
  void arm(Clock::duration timeout);
  void disarm();
  void set_timer(Clock::time_point time);
  void on_timer();
  void cancel_io();

  // Reading.
  /// False if the connection is over: closed by the client, idle for too long, or draining.
  asio::awaitable<bool> wait_for_request(bool is_first);
  /// RFC 9112, section 2.2: empty lines before a request are ignored.
  void skip_line_breaks();
  [[nodiscard]] bool has_request_bytes() const;
  /// What has been read already is parsed, until the head or (then) the body is complete.
  std::size_t parse_buffered(error_code& ec);
  asio::awaitable<After> serve();
  /// Bytes of the head, whether or not it could be parsed.
  asio::awaitable<std::size_t> read_head(error_code& ec);
  /// kKeepOpen if the body was read; else the refusal has been sent.
  asio::awaitable<After> read_body(Framing framing);
  /// The refusal of a request that could not be read; nothing if the connection is broken.
  [[nodiscard]] std::optional<Refusal> explain(error_code ec, const std::string& part) const;
  asio::awaitable<After> refuse_read(error_code ec, const char* part);
  asio::awaitable<void> linger(Clock::duration time);

  // Answering.
  asio::awaitable<After> refuse(const Refusal& refusal);
  [[nodiscard]] bool may_keep_open() const;
  /// Completes the request; true if its response is there already.
  bool answer_now();
  asio::awaitable<After> answer_by_worker();
  /// On a worker's thread.
  void work(Exchange& exchange) noexcept;
  /// The session waits for this: it is tried until there is memory for it.
  void post_answered(Exchange& exchange) noexcept;
  asio::awaitable<After> send(bool is_keep_open);
  void report(const Exchange& exchange, Clock::duration time);

  // Watching the client while a worker has its request.
  void end_watch();
  void wait_for_event(tcp::socket::wait_type type, std::uint64_t generation);
  /// Takes the beginning of the next request, so that an end or a reset behind it is seen. Behind
  /// more than a head's length only a reset is.
  void read_ahead(std::uint64_t generation);
  void client_is_gone();

  Core& core_;
  IoThread& thread_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  asio::steady_timer answered_;  // Never expires: cancelled when the worker is done.
  boost::beast::flat_buffer buffer_;
  std::string head_;  // Of the answer; kept for its memory.
  std::shared_ptr<Exchange> exchange_;
  std::optional<Clock::time_point> deadline_;
  Clock::time_point turn_begin_;  // Others of this thread had their turn then.
  std::size_t read_bytes_ = kReadBytes;
  std::uint64_t timer_generation_ = 0;
  std::uint64_t watch_generation_ = 0;
  bool is_timer_set_ = false;
  bool is_expired_ = false;
  bool is_idle_ = false;
  bool is_client_gone_ = false;
};

}  // namespace tessera::server
