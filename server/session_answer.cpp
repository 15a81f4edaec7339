#include <array>
#include <new>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_suffix.hpp>

#include "base/log.h"
#include "server/response_head.h"
#include "server/session_state.h"

namespace tessera::server {
namespace {

namespace http = boost::beast::http;
using Milliseconds = std::chrono::milliseconds;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr const char* kMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Status of the log and the metrics for a client that did not wait for its answer.
constexpr int kClientClosedRequest = 499;
constexpr auto kSlowRequest = std::chrono::seconds(1);

bool is_probe(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  return path == "/livez" || path == "/healthz" || path == "/readyz" || path == "/metrics";
}

api::HttpResponse preflight_answer() {
  api::HttpResponse response;
  response.status = 204;
  response.headers = {
      {"Allow", kMethods},
      {"Access-Control-Allow-Methods", kMethods},
      {"Access-Control-Allow-Headers", "accept, api-key, authorization, content-type"},
      {"Access-Control-Max-Age", "3600"}};
  return response;
}

}  // namespace

asio::awaitable<Session::After> Session::refuse(const Refusal& refusal) {
  Exchange& exchange = *exchange_;
  exchange.begin = Clock::now();
  exchange.response =
      guarded_answer(core_, [&] { return core_.refuse(refusal.status, refusal.message); });
  if (exchange.response.status == 405) {
    exchange.response.headers.emplace_back("Allow", kMethods);
  } else if (exchange.response.status == 503) {
    exchange.response.headers.emplace_back("Retry-After", "1");
  }
  const bool is_read = !refusal.is_framing_lost && exchange.parser.is_done();
  co_return co_await send(is_read && may_keep_open());
}

bool Session::may_keep_open() const {
  return exchange_->parser.keep_alive() && !core_.is_stopping;
}

bool Session::answer_now() {
  Exchange& exchange = *exchange_;
  const auto& message = exchange.parser.get();
  exchange.begin = Clock::now();
  if (exchange.request.method == api::Method::kOptions) {
    exchange.response = preflight_answer();
    return true;
  }
  exchange.request.target = origin_form(message.target());
  exchange.request.content_type = message[http::field::content_type];
  exchange.request.body = message.body().view();
  exchange.request.body_padding_bytes = message.body().padding_bytes();
  exchange.cancel.emplace(exchange.begin + Milliseconds(core_.settings.request_timeout_ms));
  exchange.request.cancel = &*exchange.cancel;
  auto response = quick_answer(core_, exchange.request);
  if (!response) return false;
  exchange.response = *std::move(response);
  return true;
}

asio::awaitable<Session::After> Session::answer_by_worker() {
  Exchange& exchange = *exchange_;
  WorkerPool& pool = is_probe(exchange.request.target) ? core_.probe_workers : core_.workers;
  answered_.expires_at(Clock::time_point::max());
  if (!pool.submit([self = shared_from_this(), shared = exchange_] { self->work(*shared); })) {
    const Refusal refusal{503, "too many requests are waiting, try again later"};
    co_return co_await refuse(refusal);
  }
  is_client_gone_ = false;
  wait_for_event(tcp::socket::wait_read, ++watch_generation_);
  while (!exchange.is_answered) co_await answered_.async_wait(kAwait);
  end_watch();
  if (is_client_gone_) {
    exchange.response.status = kClientClosedRequest;
    report(exchange, Clock::now() - exchange.begin);
    co_return After::kClose;
  }
  co_return co_await send(may_keep_open());
}

void Session::work(Exchange& exchange) noexcept {
  const Status state = exchange.cancel->check();
  if (state.ok()) {
    exchange.response =
        guarded_answer(core_, [&] { return core_.handlers.get()->handle(exchange.request); });
  } else if (state.code() == Code::kTimeout) {
    exchange.response = guarded_answer(core_, [&] {
      api::HttpResponse late = core_.refuse(503, "the request waited too long for a worker");
      late.headers.emplace_back("Retry-After", "1");
      return late;
    });
  }
  post_answered(exchange);
}

void Session::post_answered(Exchange& exchange) noexcept {
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

asio::awaitable<Session::After> Session::send(bool is_keep_open) {
  Exchange& exchange = *exchange_;
  const api::HttpResponse& response = exchange.response;
  const Clock::duration time = Clock::now() - exchange.begin;
  const bool is_http_1_0 = exchange.parser.is_header_done() && exchange.parser.get().version() < 11;
  head_.clear();
  append_head(head_, response, {.is_keep_alive = is_keep_open, .is_http_1_0 = is_http_1_0});
  const bool is_body_sent =
      exchange.request.method != api::Method::kHead && has_body(response.status);
  // Head and body in one write: two would wait for each other's acknowledgement.
  const std::array<asio::const_buffer, 2> parts = {
      asio::buffer(head_), is_body_sent ? asio::buffer(response.body) : asio::const_buffer()};
  boost::beast::buffers_suffix unsent(parts);
  // A client that takes its answers makes room for the next one in time.
  error_code ec;
  std::size_t count = socket_.write_some(unsent, ec);
  if (ec == asio::error::would_block) ec = {};
  if (!ec && count < asio::buffer_size(parts)) {
    unsent.consume(count);
    arm(Milliseconds(core_.settings.write_timeout_ms));
    const auto [failure, rest] = co_await asio::async_write(socket_, unsent, kAwait);
    ec = failure;
    count += rest;
    disarm();
  }
  core_.metrics.sent_bytes.add(static_cast<double>(count));
  report(exchange, time);
  if (ec) {
    // Unsent bytes are dropped: the client has had its time.
    error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    co_return After::kClose;
  }
  co_return is_keep_open ? After::kKeepOpen : After::kLinger;
}

void Session::report(const Exchange& exchange, Clock::duration time) {
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

void Session::end_watch() {
  ++watch_generation_;
  cancel_io();
}

void Session::wait_for_event(tcp::socket::wait_type type, std::uint64_t generation) {
  socket_.async_wait(type, [self = shared_from_this(), generation, type](error_code ec) {
    if (generation != self->watch_generation_) return;
    if (ec || type == tcp::socket::wait_error) {
      self->client_is_gone();
    } else {
      self->read_ahead(generation);
    }
  });
}

void Session::read_ahead(std::uint64_t generation) {
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

void Session::client_is_gone() {
  is_client_gone_ = true;
  exchange_->cancel->cancel();
}

}  // namespace tessera::server
