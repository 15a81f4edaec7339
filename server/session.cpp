#include "server/session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include "base/log.h"
#include "server/request_body.h"
#include "server/request_check.h"
#include "server/response_head.h"

namespace tessera::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 4096;          // What an idle connection keeps.
constexpr std::size_t kBodyReadBytes = 64 << 10;  // What a large body is read with.
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
/// Status of the log and the metrics for a client that did not wait for its answer.
constexpr int kClientClosedRequest = 499;
constexpr auto kSlowRequest = std::chrono::seconds(1);
/// After the last answer the client may still be sending; what it sends is read and dropped, or the
/// reset that closing provokes could overtake the answer.
constexpr auto kLingerTime = std::chrono::seconds(5);
constexpr auto kRefusalLingerTime = std::chrono::seconds(1);
/// Clients told at once that there are too many connections; more are just closed.
constexpr int kRefusalCountMax = 256;

/// Beast's view of RequestBody.
struct BodyFormat {
  using value_type = RequestBody;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }
    template <class ConstBufferSequence>
    std::size_t put(const ConstBufferSequence& buffers, error_code& ec) {
      std::size_t count = 0;
      for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers);
           ++it) {
        const asio::const_buffer part = *it;
        if (!body_.append(static_cast<const char*>(part.data()), part.size())) {
          ec = make_error_code(boost::system::errc::not_enough_memory);
          return count;
        }
        count += part.size();
      }
      ec = {};
      return count;
    }
    void finish(error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

bool is_probe(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  return path == "/livez" || path == "/healthz" || path == "/readyz" || path == "/metrics";
}

/// One request and its answer. A worker has it between submission and `is_answered`, the session's
/// strand at all other times; `cancel` belongs to both.
struct Exchange {
  http::request_parser<BodyFormat> parser;
  std::optional<CancelToken> cancel;
  api::HttpRequest request;
  api::HttpResponse response;
  Clock::time_point begin;
  bool is_answered = false;
};

/// What becomes of the connection after an answer.
enum class After : std::uint8_t { kKeepOpen, kLinger, kClose };

/// Invariants: 1. at most one asynchronous read and one write is under way; 2. `buffer_` belongs to
/// the reading coroutine, except while a request is with a worker: then to the watch.
/// Thread rule: confined to the socket's strand, but for Connection's functions.
class Session final : public Connection, public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Core& core)
      : core_(core),
        socket_(std::move(socket)),
        deadline_(socket_.get_executor()),
        answered_(socket_.get_executor()),
        buffer_(core.settings.header_bytes_max + kBodyReadBytes + kReadBytes) {
    core_.metrics.connections.add(1);
  }

  ~Session() override {
    core_.metrics.connections.add(-1);
    core_.connections.remove(this);
  }

  void start() {
    core_.connections.add(shared_from_this());
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->run(); },
        [self = shared_from_this()](std::exception_ptr failure) { self->end(failure); });
  }

  void drain() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (self->is_idle_) self->cancel_io();
    });
  }

  void cancel_request() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (self->exchange_ && self->exchange_->cancel) self->exchange_->cancel->cancel();
    });
  }

  void abort() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (self->exchange_ && self->exchange_->cancel) self->exchange_->cancel->cancel();
      self->close();
    });
  }

 private:
  asio::awaitable<void> run() {
    bool is_first = true;
    for (;;) {
      const bool has_request = co_await wait_for_request(is_first);
      if (!has_request) break;
      is_first = false;
      const After after = co_await serve();
      exchange_.reset();
      if (after == After::kLinger) co_await linger(kLingerTime);
      if (after != After::kKeepOpen) break;
      if (buffer_.size() == 0 && buffer_.capacity() > 4 * kReadBytes) buffer_.shrink_to_fit();
    }
  }

  void end(const std::exception_ptr& failure) {
    disarm();
    close();
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log::error("a connection ended with an exception", {{"reason", error.what()}});
    }
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

  // --- Deadlines -------------------------------------------------------------------------------

  /// Everything until disarm() or the next arm() has to be done by then, however many bytes trickle
  /// in meanwhile.
  void arm(Clock::duration timeout) {
    is_expired_ = false;
    wait_for_deadline(timeout, ++deadline_generation_);
  }

  void disarm() {
    ++deadline_generation_;
    deadline_.cancel();
  }

  void wait_for_deadline(Clock::duration timeout, std::uint64_t generation) {
    deadline_.expires_after(timeout);
    deadline_.async_wait([self = shared_from_this(), generation](error_code ec) {
      if (ec || generation != self->deadline_generation_) return;
      self->is_expired_ = true;
      self->cancel_io();
      // A read made of several steps may have been between two of them, with nothing to cancel.
      constexpr auto kAgain = Milliseconds(50);
      self->wait_for_deadline(kAgain, generation);
    });
  }

  void cancel_io() {
    error_code ignored;
    socket_.cancel(ignored);
  }

  // --- Reading ---------------------------------------------------------------------------------

  /// False if the connection is over: closed by the client, idle for too long, or draining.
  asio::awaitable<bool> wait_for_request(bool is_first) {
    const auto& settings = core_.settings;
    skip_line_breaks();
    if (has_request_bytes()) {
      arm(Milliseconds(settings.header_timeout_ms));
      co_return !core_.is_stopping;
    }
    arm(Milliseconds(is_first ? settings.header_timeout_ms : settings.idle_timeout_ms));
    while (!has_request_bytes()) {
      if (core_.is_stopping) co_return false;
      is_idle_ = true;
      const auto [ec, count] =
          co_await socket_.async_read_some(buffer_.prepare(kReadBytes), kAwait);
      is_idle_ = false;
      if (ec) co_return false;
      buffer_.commit(count);
      skip_line_breaks();
    }
    if (!is_first) arm(Milliseconds(settings.header_timeout_ms));
    co_return true;
  }

  /// RFC 9112, section 2.2: empty lines before a request are ignored.
  void skip_line_breaks() {
    while (buffer_.size() >= 2 && text_of(buffer_.data()).starts_with("\r\n")) buffer_.consume(2);
  }
  [[nodiscard]] bool has_request_bytes() const {
    return buffer_.size() > 1 || (buffer_.size() == 1 && text_of(buffer_.data()) != "\r");
  }
  static std::string_view text_of(asio::const_buffer bytes) {
    return {static_cast<const char*>(bytes.data()), bytes.size()};
  }

  asio::awaitable<After> serve() {
    exchange_ = std::make_shared<Exchange>();
    Exchange& exchange = *exchange_;
    auto& parser = exchange.parser;
    exchange.request.method = api::Method::kOther;
    parser.header_limit(core_.settings.header_bytes_max);
    // The limit is checked with the head, where the answer can say what it is.
    parser.body_limit(boost::none);
    const auto [ec, head_bytes] =
        co_await http::async_read_header(socket_, buffer_, parser, kAwait);
    core_.metrics.received_bytes.add(static_cast<double>(head_bytes));
    if (ec || head_bytes > core_.settings.header_bytes_max) {
      const error_code reason = ec ? ec : make_error_code(http::error::header_limit);
      co_return co_await refuse_read(reason, "head");
    }
    exchange.request.method = method_of(parser.get().method());
    const Framing framing{parser.content_length(), parser.chunked()};
    const std::optional<Refusal> refusal =
        check_request(parser.get().base(), framing, core_.settings.body_bytes_max);
    if (refusal) co_return co_await refuse(*refusal);
    if (!parser.is_done()) {
      const After after = co_await read_body(framing);
      if (after != After::kKeepOpen) co_return after;
    }
    disarm();
    co_return co_await answer();
  }

  /// kKeepOpen if the body was read; else the refusal has been sent.
  asio::awaitable<After> read_body(Framing framing) {
    auto& parser = exchange_->parser;
    parser.body_limit(core_.settings.body_bytes_max);
    parser.get().body().open(core_.body_budget, framing.content_length.value_or(0));
    arm(Milliseconds(core_.settings.body_timeout_ms));
    const bool is_awaited = !parser.get()[http::field::expect].empty();
    if (is_awaited && parser.get().version() >= 11 && buffer_.size() == 0) {
      const auto [ec, count] = co_await asio::async_write(socket_, asio::buffer(kContinue), kAwait);
      core_.metrics.sent_bytes.add(static_cast<double>(count));
      if (ec) co_return After::kClose;
    }
    if (framing.is_chunked || *framing.content_length > buffer_.size() + kReadBytes) {
      buffer_.reserve(kBodyReadBytes);
    }
    const auto [ec, count] = co_await http::async_read(socket_, buffer_, parser, kAwait);
    core_.metrics.received_bytes.add(static_cast<double>(count));
    if (ec) co_return co_await refuse_read(ec, "body");
    co_return After::kKeepOpen;
  }

  /// The refusal of a request that could not be read; nothing if the connection is broken.
  [[nodiscard]] std::optional<Refusal> explain(error_code ec, const std::string& part) const {
    const auto lost = [](int status, std::string message) {
      return Refusal{.status = status, .message = std::move(message), .is_framing_lost = true};
    };
    if (is_expired_) return lost(408, "the " + part + " of the request came too slowly");
    if (ec == http::error::body_limit) {
      return lost(413, "the body is larger than the limit of " +
                           std::to_string(core_.settings.body_bytes_max) + " bytes");
    }
    if (ec == boost::system::errc::not_enough_memory) {
      return lost(503, "no memory is left for request bodies");
    }
    if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
      return lost(431, "the headers have more than " +
                           std::to_string(core_.settings.header_bytes_max) + " bytes");
    }
    if (ec == http::error::partial_message) {
      return lost(400, "the request ends within its " + part);
    }
    if (ec.category() == make_error_code(http::error::bad_method).category()) {
      return lost(400, "malformed HTTP: " + ec.message());
    }
    return std::nullopt;
  }

  asio::awaitable<After> refuse_read(error_code ec, const char* part) {
    const std::optional<Refusal> refusal = explain(ec, part);
    if (!refusal) co_return After::kClose;
    const After after = co_await refuse(*refusal);
    co_return after;
  }

  // --- Answering -------------------------------------------------------------------------------

  asio::awaitable<After> refuse(const Refusal& refusal) {
    Exchange& exchange = *exchange_;
    exchange.begin = Clock::now();
    exchange.response =
        guarded_answer(core_, [&] { return core_.refuse(refusal.status, refusal.message); });
    if (exchange.response.status == 405) {
      exchange.response.headers.emplace_back("Allow",
                                             "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    } else if (exchange.response.status == 503) {
      exchange.response.headers.emplace_back("Retry-After", "1");
    }
    const bool is_read = !refusal.is_framing_lost && exchange.parser.is_done();
    co_return co_await send(is_read && may_keep_open());
  }

  [[nodiscard]] bool may_keep_open() const {
    return exchange_->parser.keep_alive() && !core_.is_stopping;
  }

  asio::awaitable<After> answer() {
    Exchange& exchange = *exchange_;
    const auto& message = exchange.parser.get();
    exchange.begin = Clock::now();
    if (exchange.request.method == api::Method::kOptions) {
      exchange.response = preflight_answer();
      co_return co_await send(may_keep_open());
    }
    exchange.request.target = origin_form(message.target());
    exchange.request.content_type = message[http::field::content_type];
    exchange.request.body = message.body().view();
    exchange.request.body_padding_bytes = message.body().padding_bytes();
    exchange.cancel.emplace(exchange.begin + Milliseconds(core_.settings.request_timeout_ms));
    exchange.request.cancel = &*exchange.cancel;

    WorkerPool& pool = is_probe(exchange.request.target) ? core_.probe_workers : core_.workers;
    answered_.expires_at(Clock::time_point::max());
    if (!pool.submit([self = shared_from_this(), shared = exchange_] { self->work(*shared); })) {
      const Refusal refusal{503, "too many requests are waiting, try again later"};
      co_return co_await refuse(refusal);
    }
    is_client_gone_ = false;
    watch();
    while (!exchange.is_answered) co_await answered_.async_wait(kAwait);
    end_watch();
    if (is_client_gone_) {
      exchange.response.status = kClientClosedRequest;
      report(exchange);
      co_return After::kClose;
    }
    co_return co_await send(may_keep_open());
  }

  /// On a worker's thread.
  void work(Exchange& exchange) noexcept {
    const Status state = exchange.cancel->check();
    if (state.ok()) {
      exchange.response =
          guarded_answer(core_, [&] { return (*core_.handler.get())(exchange.request); });
    } else if (state.code() == Code::kTimeout) {
      exchange.response = guarded_answer(core_, [&] {
        api::HttpResponse late = core_.refuse(503, "the request waited too long for a worker");
        late.headers.emplace_back("Retry-After", "1");
        return late;
      });
    }
    post_answered(exchange);
  }

  /// The session waits for this: it is tried until there is memory for it.
  void post_answered(Exchange& exchange) noexcept {
    for (;;) {
      try {
        return asio::post(socket_.get_executor(), [self = shared_from_this(), &exchange] {
          exchange.is_answered = true;
          self->answered_.cancel();
        });
      } catch (const std::bad_alloc&) {
        std::this_thread::yield();
      }
    }
  }

  static api::HttpResponse preflight_answer() {
    api::HttpResponse response;
    response.status = 204;
    response.headers = {
        {"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
        {"Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
        {"Access-Control-Allow-Headers", "accept, api-key, authorization, content-type"},
        {"Access-Control-Max-Age", "3600"}};
    return response;
  }

  /// Head and body in one write: two would wait for each other's acknowledgement.
  asio::awaitable<After> send(bool is_keep_open) {
    Exchange& exchange = *exchange_;
    const api::HttpResponse& response = exchange.response;
    const bool is_http_1_0 =
        exchange.parser.is_header_done() && exchange.parser.get().version() < 11;
    const std::string head =
        compose_head(response, {.is_keep_alive = is_keep_open, .is_http_1_0 = is_http_1_0});
    const bool is_body_sent =
        exchange.request.method != api::Method::kHead && has_body(response.status);
    const std::array<asio::const_buffer, 2> parts = {
        asio::buffer(head), is_body_sent ? asio::buffer(response.body) : asio::const_buffer()};
    arm(Milliseconds(core_.settings.write_timeout_ms));
    const auto [ec, count] = co_await asio::async_write(socket_, parts, kAwait);
    disarm();
    core_.metrics.sent_bytes.add(static_cast<double>(count));
    report(exchange);
    if (ec) {
      // Unsent bytes are dropped: the client has had its time.
      error_code ignored;
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
      co_return After::kClose;
    }
    co_return is_keep_open ? After::kKeepOpen : After::kLinger;
  }

  void report(const Exchange& exchange) {
    const auto time = Clock::now() - exchange.begin;
    const double seconds = std::chrono::duration<double>(time).count();
    const api::Method method = exchange.request.method;
    core_.metrics.count_request(method, exchange.response.status);
    core_.metrics.request_seconds.observe(seconds);
    const bool is_slow = time > kSlowRequest;
    const log::Level level = is_slow ? log::Level::kWarn : log::Level::kDebug;
    if (!log::is_enabled(level)) return;
    const std::string_view target = exchange.request.target;
    log::write(level, is_slow ? "slow request" : "request",
               {{"method", method_name(method)},
                {"path", target.substr(0, target.find('?'))},
                {"status", exchange.response.status},
                {"seconds", seconds}});
  }

  // --- The client, while a worker has its request ----------------------------------------------

  void watch() { wait_for_event(tcp::socket::wait_read, ++watch_generation_); }

  void end_watch() {
    ++watch_generation_;
    cancel_io();
  }

  void wait_for_event(tcp::socket::wait_type type, std::uint64_t generation) {
    socket_.async_wait(type, [self = shared_from_this(), generation, type](error_code ec) {
      if (generation != self->watch_generation_) return;
      if (ec || type == tcp::socket::wait_error) {
        self->client_is_gone();
      } else {
        self->read_ahead(generation);
      }
    });
  }

  /// Takes the beginning of the next request, so that an end or a reset behind it is seen. Behind
  /// more than a head's length only a reset is.
  void read_ahead(std::uint64_t generation) {
    if (buffer_.size() >= core_.settings.header_bytes_max) {
      return wait_for_event(tcp::socket::wait_error, generation);
    }
    error_code ec;
    const std::size_t count = socket_.read_some(buffer_.prepare(kReadBytes), ec);
    if (!ec || ec == asio::error::would_block) {
      buffer_.commit(count);
      return wait_for_event(tcp::socket::wait_read, generation);
    }
    if (ec != asio::error::eof) return client_is_gone();
    // Either the client is gone or it closed only its sending half and waits. An interim answer,
    // which every client of HTTP/1.1 has to skip (RFC 9110, section 15.2), tells: one that is gone
    // resets the connection.
    if (exchange_->parser.get().version() >= 11) {
      (void)socket_.write_some(asio::buffer(kContinue), ec);
    }
    wait_for_event(tcp::socket::wait_error, generation);
  }

  void client_is_gone() {
    is_client_gone_ = true;
    exchange_->cancel->cancel();
  }

  // --- Closing ---------------------------------------------------------------------------------

  asio::awaitable<void> linger(Clock::duration time) {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    arm(time);
    is_idle_ = true;  // A server that stops does not wait for this.
    std::uint64_t bytes_left = 2 * core_.settings.body_bytes_max + kBodyReadBytes;
    buffer_.clear();
    while (!is_expired_ && bytes_left > 0 && !core_.is_stopping) {
      const auto [ec, count] =
          co_await socket_.async_read_some(buffer_.prepare(kBodyReadBytes), kAwait);
      if (ec) break;
      bytes_left -= std::min<std::uint64_t>(bytes_left, count);
    }
    is_idle_ = false;
  }

  Core& core_;
  tcp::socket socket_;
  asio::steady_timer deadline_;
  asio::steady_timer answered_;  // Never expires: cancelled when the worker is done.
  beast::flat_buffer buffer_;
  std::shared_ptr<Exchange> exchange_;
  std::uint64_t deadline_generation_ = 0;
  std::uint64_t watch_generation_ = 0;
  bool is_expired_ = false;
  bool is_idle_ = false;
  bool is_client_gone_ = false;
};

asio::awaitable<void> refuse_connection(std::shared_ptr<tcp::socket> socket, Core& core) {
  api::HttpResponse response =
      guarded_answer(core, [&] { return core.refuse(503, "too many connections"); });
  response.headers.emplace_back("Retry-After", "1");
  const std::string answer = compose_head(response, {.is_keep_alive = false}) + response.body;
  error_code ec;
  // A new socket's buffer takes the answer at once.
  (void)socket->write_some(asio::buffer(answer), ec);
  socket->shutdown(tcp::socket::shutdown_send, ec);
  asio::steady_timer deadline(socket->get_executor(), kRefusalLingerTime);
  deadline.async_wait([socket](error_code cancelled) {
    error_code ignored;
    if (!cancelled) socket->close(ignored);
  });
  std::array<char, 1024> dropped;
  for (;;) {
    const auto [failure, count] = co_await socket->async_read_some(asio::buffer(dropped), kAwait);
    if (failure) break;
  }
}

}  // namespace

void start_session(tcp::socket socket, Core& core) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  std::make_shared<Session>(std::move(socket), core)->start();
}

void start_refusal(tcp::socket socket, Core& core) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  if (++core.refusal_count > kRefusalCountMax) {
    --core.refusal_count;
    return;
  }
  auto shared = std::make_shared<tcp::socket>(std::move(socket));
  asio::co_spawn(
      shared->get_executor(), [shared, &core] { return refuse_connection(shared, core); },
      [&core](const std::exception_ptr&) { --core.refusal_count; });
}

}  // namespace tessera::server
