#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "api/http.h"
#include "base/mutex.h"

namespace tessera::server {

/// Answers one request. Called from many threads at once. What it throws is answered 500.
using Handler = std::function<api::HttpResponse(const api::HttpRequest&)>;

/// Writes the answer to a request that the server refuses by itself, in the API's error envelope.
using Refuse = std::function<api::HttpResponse(int status, std::string_view message)>;

/// The handler in force; it can be exchanged while requests run, which finish with the old one.
/// Thread rule: guarded by mutex_.
class HandlerSlot {
 public:
  explicit HandlerSlot(Handler handler)
      : handler_(std::make_shared<const Handler>(std::move(handler))) {}

  void set(Handler handler) {
    auto next = std::make_shared<const Handler>(std::move(handler));
    const Lock lock(mutex_);
    handler_.swap(next);
  }

  [[nodiscard]] std::shared_ptr<const Handler> get() const {
    const SharedLock lock(mutex_);
    return handler_;
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const Handler> handler_ TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::server
