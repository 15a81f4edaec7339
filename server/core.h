#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "config/settings.h"
#include "server/byte_budget.h"
#include "server/handler.h"
#include "server/request_metrics.h"
#include "server/worker_pool.h"

namespace tessera::server {

/// One open connection, as the server sees it. Thread rule: safe from any thread.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Finishes the request under way and closes; closes at once when there is none.
  virtual void drain() = 0;
  /// Cancels the request under way; its answer is still sent.
  virtual void cancel_request() = 0;
  /// Closes the socket now.
  virtual void abort() = 0;
};

/// The open connections. Thread rule: guarded by mutex_.
class ConnectionSet {
 public:
  void add(const std::shared_ptr<Connection>& connection);
  void remove(const Connection* connection);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::vector<std::shared_ptr<Connection>> all() const;
  /// Waits until there is none; false if `timeout` passes first.
  [[nodiscard]] bool wait_until_empty(std::chrono::milliseconds timeout);

 private:
  mutable Mutex mutex_;
  std::condition_variable_any empty_;
  std::unordered_map<const Connection*, std::weak_ptr<Connection>> connections_
      TESSERA_GUARDED_BY(mutex_);
};

/// What all connections of a server share. Outlives them.
struct Core {
  Core(const config::ServerSettings& server_settings, metrics::Registry& registry,
       Refuse refuse_with, Handlers handle_with);

  const config::ServerSettings settings;
  const Refuse refuse;
  // The rest locks itself.
  RequestMetrics metrics;
  HandlerSlot handlers;
  ByteBudget body_budget;
  ConnectionSet connections;
  std::atomic<bool> is_stopping = false;
  std::atomic<int> refusal_count = 0;
  /// Runs requests. The probes have a thread of their own: an overloaded daemon must not look dead.
  WorkerPool workers;
  WorkerPool probe_workers;
};

/// Runs `make`; what it throws becomes a refusal. Never throws.
api::HttpResponse guarded_answer(const Core& core,
                                 const std::function<api::HttpResponse()>& make) noexcept;

/// The answer of the quick handler, if there is one. Never throws.
std::optional<api::HttpResponse> quick_answer(const Core& core,
                                              const api::HttpRequest& request) noexcept;

}  // namespace tessera::server
