#include "fake_daemon.h"

#include <list>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "cli/json_text.h"

namespace tessera::cli::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

}  // namespace

struct FakeDaemon::Impl {
  explicit Impl(Handler request_handler)
      : handler(std::move(request_handler)),
        acceptor(context, {asio::ip::make_address("127.0.0.1"), 0}) {
    acceptor_thread = std::thread([this] { accept(); });
  }

  void accept() {
    while (true) {
      asio::ip::tcp::socket socket(context);
      boost::system::error_code error;
      acceptor.accept(socket, error);
      if (error || is_stopping) return;
      const std::lock_guard lock(mutex);
      ++connection_count;
      sockets.push_back(std::move(socket));
      threads.emplace_back([this, &connection = sockets.back()] { serve(connection); });
    }
  }

  void serve(asio::ip::tcp::socket& socket) {
    beast::flat_buffer buffer;
    boost::system::error_code error;
    while (true) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(64U << 20);
      http::read(socket, buffer, parser, error);
      if (error) break;
      const auto& request = parser.get();
      FakeReply reply;
      {
        const std::lock_guard lock(handler_mutex);
        reply = handler(
            {std::string(request.method_string()), std::string(request.target()), request.body()});
      }
      if (reply.status == 0) break;
      http::response<http::string_body> response(static_cast<http::status>(reply.status), 11);
      response.set(http::field::content_type, "application/json");
      if (!reply.retry_after.empty()) response.set(http::field::retry_after, reply.retry_after);
      response.body() = reply.body;
      response.prepare_payload();
      http::write(socket, response, error);
      if (error) break;
    }
    socket.shutdown(asio::ip::tcp::socket::shutdown_both, error);
  }

  void stop() {
    is_stopping = true;
    boost::system::error_code error;
    // A connection of our own ends the blocking accept.
    asio::io_context own;
    asio::ip::tcp::socket knock(own);
    knock.connect(acceptor.local_endpoint(), error);
    acceptor_thread.join();
    {
      const std::lock_guard lock(mutex);
      for (auto& socket : sockets) socket.shutdown(asio::ip::tcp::socket::shutdown_both, error);
    }
    for (std::thread& thread : threads) thread.join();
  }

  Handler handler;
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor;
  std::atomic<bool> is_stopping = false;
  std::thread acceptor_thread;
  std::mutex handler_mutex;
  std::mutex mutex;  // guards the rest
  std::list<asio::ip::tcp::socket> sockets;
  std::list<std::thread> threads;
  std::size_t connection_count = 0;
};

FakeDaemon::FakeDaemon(Handler handler) : impl_(std::make_unique<Impl>(std::move(handler))) {}
FakeDaemon::~FakeDaemon() {
  impl_->stop();
}

std::uint16_t FakeDaemon::port() const {
  return impl_->acceptor.local_endpoint().port();
}
std::string FakeDaemon::url() const {
  return "http://127.0.0.1:" + std::to_string(port());
}
std::size_t FakeDaemon::connection_count() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->connection_count;
}

FakeReply FakeCollection::handle(const FakeRequest& request) {
  if (request.method == "GET" && request.target == "/collections/c") {
    if (exists) return {200, R"({"result":{"status":"green"},"status":"ok","time":0})", ""};
    return {404, R"({"status":{"error":"Not found: Collection `c` doesn't exist!"},"time":0})", ""};
  }
  if (request.method == "PUT" && request.target == "/collections/c") {
    creations.push_back(request.body);
    exists = true;
    return {};
  }
  if (request.method != "PUT" || request.target != "/collections/c/points?wait=true") {
    return {404, R"({"status":{"error":"Not found: no such call"},"time":0})", ""};
  }
  const std::size_t number = upsert_count++;
  if (interrupt) {
    const FakeReply reply = interrupt(number);
    if (reply.status != 200) return reply;
  }
  const Result<Json> body = parse_json(request.body);
  if (!body) return {400, R"({"status":{"error":"Format error in JSON body"},"time":0})", ""};
  const Json& sent = member(*body, "points");
  for (const Json& point : sent) {
    if (!is_bad(member_text(point, "id"))) continue;
    return {400,
            R"({"status":{"error":"Wrong input: bad point )" + member_text(point, "id") +
                R"("},"time":0})",
            ""};
  }
  for (const Json& point : sent) {
    ids.push_back(member_text(point, "id"));
    points.push_back(show_json(point));
  }
  batch_sizes.push_back(sent.size());
  return {200, R"({"result":{"operation_id":1,"status":"completed"},"status":"ok","time":0})", ""};
}

}  // namespace tessera::cli::test
