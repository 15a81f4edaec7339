#include "server/session.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>

#include "base/log.h"
#include "server/session_state.h"

namespace tessera::server {
namespace {

namespace http = boost::beast::http;
using Milliseconds = std::chrono::milliseconds;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
/// After the last answer the client may still be sending; what it sends is read and dropped, or the
/// reset that closing provokes could overtake the answer.
constexpr auto kLingerTime = std::chrono::seconds(5);
/// How long requests that a client sent ahead are answered in a row.
constexpr auto kTurnTime = Milliseconds(1);

std::string_view text_of(asio::const_buffer bytes) {
  return {static_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Session::Session(tcp::socket socket, IoThread& thread, Core& core)
    : core_(core),
      thread_(thread),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      answered_(socket_.get_executor()),
      buffer_(core.settings.header_bytes_max + kBodyReadBytes + kReadBytesMax) {
  ++thread_.connection_count;
  core_.metrics.connections.add(1);
}

Session::~Session() {
  --thread_.connection_count;
  core_.metrics.connections.add(-1);
  core_.connections.remove(this);
}

void Session::start() {
  core_.connections.add(shared_from_this());
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this()] { return self->run(); },
      [self = shared_from_this()](const std::exception_ptr& failure) { self->end(failure); });
}

void Session::drain() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->is_idle_) self->cancel_io();
  });
}

void Session::cancel_request() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->exchange_ && self->exchange_->cancel) self->exchange_->cancel->cancel();
  });
}

void Session::abort() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->exchange_ && self->exchange_->cancel) self->exchange_->cancel->cancel();
    self->close();
  });
}

asio::awaitable<void> Session::run() {
  bool is_first = true;
  for (;;) {
    const bool has_request = co_await wait_for_request(is_first);
    if (!has_request) break;
    is_first = false;
    const After after = co_await serve();
    exchange_.reset();
    if (after == After::kLinger) co_await linger(kLingerTime);
    if (after != After::kKeepOpen) break;
    if (buffer_.size() == 0 && buffer_.capacity() > read_bytes_) buffer_.shrink_to_fit();
  }
}

void Session::end(const std::exception_ptr& failure) {
  disarm();
  ++timer_generation_;
  timer_.cancel();
  close();
  try {
    if (failure) std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    log::error("a connection ended with an exception", {{"reason", error.what()}});
  }
}

void Session::close() {
  error_code ignored;
  socket_.close(ignored);
}

void Session::arm(Clock::duration timeout) {
  is_expired_ = false;
  deadline_ = Clock::now() + timeout;
  if (!is_timer_set_ || timer_.expiry() > *deadline_) set_timer(*deadline_);
}

void Session::disarm() {
  deadline_.reset();
}

void Session::set_timer(Clock::time_point time) {
  is_timer_set_ = true;
  timer_.expires_at(time);
  timer_.async_wait([self = shared_from_this(), generation = ++timer_generation_](error_code ec) {
    if (!ec && generation == self->timer_generation_) self->on_timer();
  });
}

void Session::on_timer() {
  is_timer_set_ = false;
  if (!deadline_) return;
  const Clock::time_point now = Clock::now();
  if (now < *deadline_) return set_timer(*deadline_);
  is_expired_ = true;
  cancel_io();
  // A read made of several steps may have been between two of them, with nothing to cancel.
  constexpr auto kAgain = Milliseconds(50);
  set_timer(now + kAgain);
}

void Session::cancel_io() {
  error_code ignored;
  socket_.cancel(ignored);
}

asio::awaitable<bool> Session::wait_for_request(bool is_first) {
  const auto& settings = core_.settings;
  skip_line_breaks();
  if (has_request_bytes()) {
    // The client sends ahead. It does not keep the others of this thread from their turn.
    disarm();
    if (Clock::now() - turn_begin_ > kTurnTime) {
      co_await asio::post(socket_.get_executor(), asio::use_awaitable);
      turn_begin_ = Clock::now();
    }
    co_return !core_.is_stopping;
  }
  arm(Milliseconds(is_first ? settings.header_timeout_ms : settings.idle_timeout_ms));
  while (!has_request_bytes()) {
    if (core_.is_stopping) co_return false;
    is_idle_ = true;
    const auto [ec, count] = co_await socket_.async_read_some(buffer_.prepare(read_bytes_), kAwait);
    is_idle_ = false;
    if (ec) co_return false;
    buffer_.commit(count);
    skip_line_breaks();
  }
  turn_begin_ = Clock::now();
  // The first request's head has to be there by the deadline that began with the connection.
  if (!is_first) disarm();
  co_return true;
}

void Session::skip_line_breaks() {
  while (buffer_.size() >= 2 && text_of(buffer_.data()).starts_with("\r\n")) buffer_.consume(2);
}

bool Session::has_request_bytes() const {
  return buffer_.size() > 1 || (buffer_.size() == 1 && text_of(buffer_.data()) != "\r");
}

std::size_t Session::parse_buffered(error_code& ec) {
  auto& parser = exchange_->parser;
  const bool is_head = !parser.is_header_done();
  std::size_t parsed = 0;
  ec = {};
  while (buffer_.size() > 0 && !(is_head ? parser.is_header_done() : parser.is_done())) {
    const std::size_t count = parser.put(buffer_.data(), ec);
    buffer_.consume(count);
    parsed += count;
    if (ec == http::error::need_more) {
      ec = {};
      return parsed;
    }
    if (ec) return parsed;
  }
  return parsed;
}

asio::awaitable<std::size_t> Session::read_head(error_code& ec) {
  auto& parser = exchange_->parser;
  parser.header_limit(core_.settings.header_bytes_max);
  // The limit is checked with the head, where the answer can say what it is.
  parser.body_limit(boost::none);
  const std::size_t parsed = parse_buffered(ec);
  if (ec || parser.is_header_done()) co_return parsed;
  if (!deadline_) arm(Milliseconds(core_.settings.header_timeout_ms));
  const auto [failure, count] = co_await http::async_read_header(socket_, buffer_, parser, kAwait);
  ec = failure;
  co_return parsed + count;
}

asio::awaitable<Session::After> Session::serve() {
  exchange_ = std::make_shared<Exchange>();
  Exchange& exchange = *exchange_;
  auto& parser = exchange.parser;
  exchange.request.method = api::Method::kOther;
  error_code ec;
  const std::size_t head_bytes = co_await read_head(ec);
  core_.metrics.received_bytes.add(static_cast<double>(head_bytes));
  if (ec || head_bytes > core_.settings.header_bytes_max) {
    const error_code reason = ec ? ec : make_error_code(http::error::header_limit);
    co_return co_await refuse_read(reason, "head");
  }
  exchange.request.method = method_of(parser.get().method());
  exchange.request.target = parser.get().target();
  const Framing framing{parser.content_length(), parser.chunked()};
  const std::optional<Refusal> refusal =
      check_request(parser.get().base(), framing, core_.settings.body_bytes_max);
  if (refusal) co_return co_await refuse(*refusal);
  if (!parser.is_done()) {
    const After after = co_await read_body(framing);
    if (after != After::kKeepOpen) co_return after;
  }
  disarm();
  if (!answer_now()) co_return co_await answer_by_worker();
  co_return co_await send(may_keep_open());
}

asio::awaitable<Session::After> Session::read_body(Framing framing) {
  auto& parser = exchange_->parser;
  parser.body_limit(core_.settings.body_bytes_max);
  parser.get().body().open(core_.body_budget, framing.content_length.value_or(0));
  disarm();
  const bool is_awaited = !parser.get()[http::field::expect].empty();
  if (is_awaited && parser.get().version() >= 11 && buffer_.size() == 0) {
    arm(Milliseconds(core_.settings.body_timeout_ms));
    const auto [ec, count] = co_await asio::async_write(socket_, asio::buffer(kContinue), kAwait);
    core_.metrics.sent_bytes.add(static_cast<double>(count));
    if (ec) co_return After::kClose;
  }
  error_code ec;
  std::size_t count = parse_buffered(ec);
  if (!ec && !parser.is_done()) {
    if (!deadline_) arm(Milliseconds(core_.settings.body_timeout_ms));
    if (framing.is_chunked || *framing.content_length - count > kReadBytes) {
      buffer_.reserve(kBodyReadBytes);
    }
    const auto [failure, read_count] = co_await http::async_read(socket_, buffer_, parser, kAwait);
    ec = failure;
    count += read_count;
  }
  core_.metrics.received_bytes.add(static_cast<double>(count));
  if (ec) co_return co_await refuse_read(ec, "body");
  read_bytes_ = std::clamp(count + kReadBytes, read_bytes_, kReadBytesMax);
  co_return After::kKeepOpen;
}

std::optional<Refusal> Session::explain(error_code ec, const std::string& part) const {
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

asio::awaitable<Session::After> Session::refuse_read(error_code ec, const char* part) {
  const std::optional<Refusal> refusal = explain(ec, part);
  if (!refusal) co_return After::kClose;
  const After after = co_await refuse(*refusal);
  co_return after;
}

asio::awaitable<void> Session::linger(Clock::duration time) {
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

void start_session(tcp::socket socket, IoThread& thread, Core& core) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  std::make_shared<Session>(std::move(socket), thread, core)->start();
}

}  // namespace tessera::server
