#include "server/core.h"

#include <algorithm>
#include <exception>
#include <new>
#include <thread>
#include <utility>

#include "base/log.h"

namespace tessera::server {
namespace {

constexpr std::size_t kProbeQueueLengthMax = 256;

std::size_t worker_count(const config::ServerSettings& settings) {
  if (settings.worker_count != 0) return settings.worker_count;
  return std::max(2U, std::thread::hardware_concurrency());
}

}  // namespace

void ConnectionSet::add(const std::shared_ptr<Connection>& connection) {
  const Lock lock(mutex_);
  connections_.emplace(connection.get(), connection);
}

void ConnectionSet::remove(const Connection* connection) {
  const Lock lock(mutex_);
  connections_.erase(connection);
  if (connections_.empty()) empty_.notify_all();
}

std::size_t ConnectionSet::size() const {
  const SharedLock lock(mutex_);
  return connections_.size();
}

std::vector<std::shared_ptr<Connection>> ConnectionSet::all() const {
  std::vector<std::shared_ptr<Connection>> found;
  const SharedLock lock(mutex_);
  found.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) {
    if (auto alive = connection.lock()) found.push_back(std::move(alive));
  }
  return found;
}

bool ConnectionSet::wait_until_empty(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  Lock lock(mutex_);
  while (!connections_.empty()) {
    if (empty_.wait_until(lock, deadline) == std::cv_status::timeout) return connections_.empty();
  }
  return true;
}

Core::Core(const config::ServerSettings& server_settings, metrics::Registry& registry,
           Refuse refuse_with, Handlers handle_with)
    : settings(server_settings),
      refuse(std::move(refuse_with)),
      metrics(registry),
      handlers(std::move(handle_with)),
      body_budget(server_settings.body_bytes_total_max),
      workers(worker_count(settings), settings.queue_length_max, metrics.queue_length),
      probe_workers(1, kProbeQueueLengthMax, metrics.probe_queue_length) {}

api::HttpResponse guarded_answer(const Core& core,
                                 const std::function<api::HttpResponse()>& make) noexcept {
  try {
    try {
      return make();
    } catch (const std::bad_alloc&) {
      log::error("a request ran out of memory");
      api::HttpResponse response = core.refuse(503, "the server is out of memory");
      response.headers.emplace_back("Retry-After", "1");
      return response;
    } catch (const std::exception& error) {
      log::error("a request failed with an exception", {{"reason", error.what()}});
    } catch (...) {
      log::error("a request failed with an unknown exception");
    }
    return core.refuse(500, "internal error");
  } catch (...) {
    // Not even the refusal could be written: an empty body needs no memory.
    api::HttpResponse response;
    response.status = 500;
    return response;
  }
}

std::optional<api::HttpResponse> quick_answer(const Core& core,
                                              const api::HttpRequest& request) noexcept {
  try {
    const std::shared_ptr<const Handlers> handlers = core.handlers.get();
    if (handlers->handle_quickly) return handlers->handle_quickly(request);
  } catch (const std::exception& error) {
    log::warn("a request failed with an exception, a worker tries again",
              {{"reason", error.what()}});
  } catch (...) {
    log::warn("a request failed with an unknown exception, a worker tries again");
  }
  return std::nullopt;
}

}  // namespace tessera::server
