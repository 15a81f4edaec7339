#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "api/http.h"
#include "base/mutex.h"

namespace tessera::server {

/// Answers one request. Called from many threads at once. What it throws is answered 500.
using Handler = std::function<api::HttpResponse(const api::HttpRequest&)>;

/// Answers one request on the thread that read it, if that takes next to no time; nothing if it may
/// take longer, and the request then goes to a worker and its Handler as if it had not been tried.
/// While it runs, other connections of the thread wait. What it throws counts as nothing.
using QuickHandler = std::function<std::optional<api::HttpResponse>(const api::HttpRequest&)>;

struct Handlers {
  Handler handle;
  QuickHandler handle_quickly;  ///< May be empty: everything goes to a worker.
};

/// Writes the answer to a request that the server refuses by itself, in the API's error envelope.
using Refuse = std::function<api::HttpResponse(int status, std::string_view message)>;

/// The handlers in force; they can be exchanged while requests run, which finish with the old ones.
/// Thread rule: guarded by mutex_.
class HandlerSlot {
 public:
  explicit HandlerSlot(Handlers handlers)
      : handlers_(std::make_shared<const Handlers>(std::move(handlers))) {}

  void set(Handlers handlers) {
    auto next = std::make_shared<const Handlers>(std::move(handlers));
    const Lock lock(mutex_);
    handlers_.swap(next);
  }

  [[nodiscard]] std::shared_ptr<const Handlers> get() const {
    const SharedLock lock(mutex_);
    return handlers_;
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const Handlers> handlers_ TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::server
