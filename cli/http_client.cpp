#include "cli/http_client.h"

#include <charconv>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace tessera::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::uint64_t kAnswerBytesMax = 512ULL << 20;

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

Status bad_url(std::string_view text, const std::string& reason) {
  return {Code::kInvalidArgument, "the URL \"" + std::string(text) + "\" " + reason};
}

}  // namespace

Result<DaemonUrl> parse_daemon_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with("https://")) return bad_url(text, "asks for TLS, which is not supported");
  if (!text.starts_with(kScheme)) return bad_url(text, "must begin with http://");
  std::string_view rest = text.substr(kScheme.size());

  DaemonUrl url;
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    std::string_view path = rest.substr(slash);
    while (path.ends_with('/')) path.remove_suffix(1);
    url.prefix = path;
    rest = rest.substr(0, slash);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad_url(text, "has no \"]\" after its address");
    url.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else {
    const std::size_t colon = rest.find(':');
    url.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon);
  }
  if (url.host.empty()) return bad_url(text, "names no host");
  for (const char c : url.host + url.prefix) {
    if (c <= ' ' || c == 0x7f || c == '@' || c == '?' || c == '#') {
      return bad_url(text, "holds a character that does not belong there");
    }
  }
  if (port.empty()) {
    url.port = "6333";
  } else if (port.front() == ':' && is_port(port.substr(1))) {
    url.port = port.substr(1);
  } else {
    return bad_url(text, "has no valid port: 1 to 65535");
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  url.text = text;
  return url;
}

struct HttpClient::Impl {
  Impl(DaemonUrl daemon_url, Options client_options)
      : url(std::move(daemon_url)), options(client_options) {}

  /// Runs the operation that was just started until it ends, by itself or by the stream's timer.
  void run_to_end() {
    context.restart();
    context.run();
  }

  Status connect() {
    stream.emplace(context);
    buffer.clear();
    answered_on_connection = false;
    error_code error;
    asio::ip::tcp::resolver resolver(context);
    const auto endpoints = resolver.resolve(url.host, url.port, error);
    if (error) return unreachable(error);
    stream->expires_after(options.connect_timeout);
    stream->async_connect(endpoints, [&](error_code result, const auto&) { error = result; });
    run_to_end();
    if (error) return unreachable(error);
    stream->socket().set_option(asio::ip::tcp::no_delay(true), error);
    if (error) return unreachable(error);
    return {};
  }

  Status unreachable(const error_code& error) {
    stream.reset();
    const bool timed_out = error == beast::error::timeout;
    const std::string reason = timed_out ? "no answer in time" : error.message();
    return {Code::kUnavailable,
            "cannot reach " + url.text + ": " + reason + ". Is tesserad running?"};
  }

  Status broken(const error_code& error, std::string_view doing) {
    stream.reset();
    if (error == beast::error::timeout) {
      return {Code::kTimeout, url.text + " did not answer within " +
                                  std::to_string(options.request_timeout.count() / 1000) + " s"};
    }
    if (error == http::error::body_limit) {
      return {Code::kResourceExhausted, "the answer of " + url.text + " is too large"};
    }
    if (error == http::error::end_of_stream) {
      return {Code::kUnavailable, url.text + " closed the connection before it answered"};
    }
    return {Code::kUnavailable, "the connection to " + url.text + " broke while " +
                                    std::string(doing) + ": " + error.message()};
  }

  Result<HttpReply> exchange(const http::request<http::string_body>& request) {
    error_code error;
    stream->expires_after(options.request_timeout);
    http::async_write(*stream, request, [&](error_code result, std::size_t) { error = result; });
    run_to_end();
    // A daemon that refuses a large body answers and closes while we still write, so a broken write
    // is only reported when there is no answer to read either.
    const error_code write_error = error;
    if (write_error == beast::error::timeout) return broken(write_error, "sending the request");

    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerBytesMax);
    stream->expires_after(options.request_timeout);
    http::async_read(*stream, buffer, parser,
                     [&](error_code result, std::size_t) { error = result; });
    run_to_end();
    if (error && write_error) return broken(write_error, "sending the request");
    if (error) return broken(error, "reading the answer");

    HttpReply reply;
    reply.status = parser.get().result_int();
    reply.body = std::move(parser.get().body());
    const std::string_view retry_after = parser.get()[http::field::retry_after];
    std::uint32_t seconds = 0;
    const char* const end = retry_after.data() + retry_after.size();
    if (!retry_after.empty() && std::from_chars(retry_after.data(), end, seconds).ptr == end) {
      reply.retry_after_seconds = seconds;
    }
    answered_on_connection = true;
    if (write_error || !parser.get().keep_alive()) stream.reset();
    return reply;
  }

  const DaemonUrl url;
  const Options options;
  asio::io_context context{1};
  std::optional<beast::tcp_stream> stream;
  beast::flat_buffer buffer;
  bool answered_on_connection = false;
};

HttpClient::HttpClient(DaemonUrl url, Options options)
    : impl_(std::make_unique<Impl>(std::move(url), options)) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

const DaemonUrl& HttpClient::url() const {
  return impl_->url;
}

Result<HttpReply> HttpClient::send(std::string_view method, std::string_view target,
                                   std::string_view body, std::string_view content_type) {
  const http::verb verb = http::string_to_verb(method);
  http::request<http::string_body> request(verb, impl_->url.prefix + std::string(target), 11);
  request.set(http::field::host, impl_->url.host + ":" + impl_->url.port);
  request.set(http::field::user_agent, "tessera/" TESSERA_CLI_VERSION);
  if (!body.empty()) {
    request.set(http::field::content_type, content_type);
    request.body() = body;
  }
  request.prepare_payload();
  try {
    const bool is_reused = impl_->stream.has_value() && impl_->answered_on_connection;
    if (!impl_->stream) TESSERA_RETURN_IF_ERROR(impl_->connect());
    Result<HttpReply> reply = impl_->exchange(request);
    if (reply || !is_reused || verb == http::verb::post ||
        reply.error().code() != Code::kUnavailable) {
      return reply;
    }
    TESSERA_RETURN_IF_ERROR(impl_->connect());
    return impl_->exchange(request);
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("the HTTP library failed: ") + error.what());
  }
}

std::string percent_encoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (is_plain) {
      encoded += c;
    } else {
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace tessera::cli
