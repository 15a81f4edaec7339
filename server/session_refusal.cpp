#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/response_head.h"
#include "server/session.h"

namespace tessera::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
/// How long what the client sends is dropped, so that a reset does not overtake the answer.
constexpr auto kRefusalLingerTime = std::chrono::seconds(1);
/// Clients told at once that there are too many connections; more are just closed.
constexpr int kRefusalCountMax = 256;

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
