#include "server/server.h"

#include <algorithm>
#include <exception>
#include <future>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

#include "base/log.h"
#include "server/core.h"
#include "server/io_threads.h"
#include "server/session.h"

namespace tessera::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr auto kCancelGrace = milliseconds(1000);
constexpr auto kAbortGrace = milliseconds(200);

std::string format_address(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

bool is_loopback(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

Result<tcp::endpoint> resolve(asio::io_context& io, const config::ServerSettings& settings) {
  tcp::resolver resolver(io);
  error_code ec;
  const auto found = resolver.resolve(settings.host, std::to_string(settings.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, ec);
  if (ec || found.empty()) {
    return Status(Code::kInvalidArgument, "server.host \"" + settings.host +
                                              "\" is no address of this machine: " + ec.message());
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  if (!settings.allow_remote && !is_loopback(endpoint.address())) {
    return Status(Code::kInvalidArgument,
                  "server.host " + endpoint.address().to_string() +
                      " can be reached from other machines, and there is no authentication yet: "
                      "everybody who reaches it could read, change and delete everything. Set "
                      "server.allow_remote = true if something else protects it");
  }
  return endpoint;
}

std::size_t io_thread_count(const config::ServerSettings& settings) {
  if (settings.io_thread_count != 0) return settings.io_thread_count;
  return std::max(1U, std::thread::hardware_concurrency());
}

Status listen(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (!ec) return {};
  return {Code::kUnavailable, "cannot listen on " + format_address(endpoint) + ": " + ec.message()};
}

}  // namespace

struct Server::Impl {
  Impl(const config::ServerSettings& settings, metrics::Registry& registry, Refuse refuse,
       Handlers handlers)
      : core(settings, registry, std::move(refuse), std::move(handlers)),
        io_threads(io_thread_count(settings)),
        acceptor(io_threads.first().io) {}

  ~Impl() {
    shutdown(milliseconds(0));
    // Handlers post to the io_contexts: they end before those do.
    core.workers.stop();
    core.probe_workers.stop();
    io_threads.stop();
  }

  void start() {
    address = acceptor.local_endpoint();
    start_accepting();
    io_threads.start();
  }

  void start_accepting() {
    asio::co_spawn(
        acceptor.get_executor(), [this] { return accept(); },
        [this](const std::exception_ptr& failure) {
          log_failure(failure);
          if (failure && !core.is_stopping) start_accepting();
        });
  }

  static void log_failure(const std::exception_ptr& failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log::error("accepting connections failed with an exception", {{"reason", error.what()}});
    } catch (...) {
      log::error("accepting connections failed with an unknown exception");
    }
  }

  asio::awaitable<void> accept() {
    asio::steady_timer pause(acceptor.get_executor());
    while (acceptor.is_open()) {
      auto [ec, socket] = co_await acceptor.async_accept(kAwait);
      if (!acceptor.is_open() || core.is_stopping) break;
      if (!ec) {
        admit(std::move(socket));
        continue;
      }
      if (ec == asio::error::connection_aborted) continue;
      // Out of descriptors or memory: trying again at once would only spin.
      log::warn("a connection could not be accepted", {{"reason", ec.message()}});
      pause.expires_after(milliseconds(100));
      co_await pause.async_wait(kAwait);
    }
  }

  void admit(tcp::socket socket) {
    if (core.connections.size() >= core.settings.connection_count_max) {
      core.metrics.connections_refused.add();
      return start_refusal(std::move(socket), core);
    }
    IoThread& thread = io_threads.least_busy();
    if (&thread == &io_threads.first()) return start_session(std::move(socket), thread, core);
    // Only now is it known who has the fewest connections: the socket moves there.
    error_code ec;
    const tcp::endpoint endpoint = socket.local_endpoint(ec);
    if (ec) return;
    const auto handle = socket.release(ec);
    if (ec) return;
    tcp::socket moved(thread.io);
    moved.assign(endpoint.protocol(), handle, ec);
    if (ec) {
      ::close(handle);
      return;
    }
    start_session(std::move(moved), thread, core);
  }

  bool shutdown(milliseconds grace) {
    core.is_stopping = true;
    if (io_threads.is_started()) stop_accepting();
    const auto each = [this](void (Connection::*action)()) {
      for (const auto& connection : core.connections.all()) ((*connection).*action)();
    };
    each(&Connection::drain);
    if (core.connections.wait_until_empty(grace)) return true;
    each(&Connection::cancel_request);
    if (grace.count() > 0 && core.connections.wait_until_empty(kCancelGrace)) return false;
    each(&Connection::abort);
    (void)core.connections.wait_until_empty(kAbortGrace);
    return false;
  }

  void stop_accepting() {
    std::promise<void> closed;
    asio::post(acceptor.get_executor(), [this, &closed] {
      error_code ignored;
      acceptor.close(ignored);
      closed.set_value();
    });
    closed.get_future().wait();
  }

  // Destroyed last to first: the coroutines of the threads use the core.
  Core core;
  IoThreads io_threads;
  tcp::acceptor acceptor;  // Confined to the first thread once the threads run.
  tcp::endpoint address;   // Constant after start().
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(const config::ServerSettings& settings,
                                             metrics::Registry& registry, Refuse refuse,
                                             Handler handler) {
  return open(settings, registry, std::move(refuse), Handlers{std::move(handler), {}});
}

Result<std::unique_ptr<Server>> Server::open(const config::ServerSettings& settings,
                                             metrics::Registry& registry, Refuse refuse,
                                             Handlers handlers) {
  try {
    auto impl = std::make_unique<Impl>(settings, registry, std::move(refuse), std::move(handlers));
    TESSERA_ASSIGN_OR_RETURN(const tcp::endpoint endpoint,
                             resolve(impl->io_threads.first().io, settings));
    TESSERA_RETURN_IF_ERROR(listen(impl->acceptor, endpoint));
    impl->start();
    return std::make_unique<Server>(std::move(impl));
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("the server cannot start: ") + error.what());
  }
}

void Server::set_handlers(Handlers handlers) {
  impl_->core.handlers.set(std::move(handlers));
}

std::string Server::address() const {
  return format_address(impl_->address);
}

std::uint16_t Server::port() const {
  return impl_->address.port();
}

bool Server::shutdown(milliseconds grace) {
  return impl_->shutdown(grace);
}

}  // namespace tessera::server
