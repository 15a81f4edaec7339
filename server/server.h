#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/status.h"
#include "config/settings.h"
#include "server/handler.h"

namespace tessera::server {

/// HTTP/1.1 over TCP: reads requests within the limits of the settings, answers small ones at once
/// and has worker threads answer the others, writes the answers in order. Refuses by itself what
/// breaks a limit or is no HTTP. Thread rule: set_handlers() and address() are safe from any
/// thread; the rest is the owner's.
class Server {
 public:
  /// Binds and listens at once; every request goes to `handlers`. Borrows the registry.
  /// kInvalidArgument: the host is unknown, or reachable from other machines without allow_remote;
  /// kUnavailable: the address cannot be bound (in use, for example).
  static Result<std::unique_ptr<Server>> open(const config::ServerSettings& settings,
                                              metrics::Registry& registry, Refuse refuse,
                                              Handlers handlers);
  /// The same with workers alone.
  static Result<std::unique_ptr<Server>> open(const config::ServerSettings& settings,
                                              metrics::Registry& registry, Refuse refuse,
                                              Handler handler);
  /// Stops without grace; waits for the handlers that run.
  ~Server();

  /// Requests that begin from now on go to `handlers`.
  void set_handlers(Handlers handlers);

  /// "127.0.0.1:6333", with the port that was bound.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const;

  /// Stops accepting and closes idle connections at once, lets requests under way finish. Those
  /// that have not after `grace` are cancelled; a second later their connections are closed. True
  /// if every request got its answer.
  bool shutdown(std::chrono::milliseconds grace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;

 public:
  /// For open(); nobody else can make an Impl.
  explicit Server(std::unique_ptr<Impl> impl);
};

}  // namespace tessera::server
