#pragma once

#include <memory>
#include <optional>

#include "api/http.h"
#include "base/metrics.h"

namespace tessera::engine {
class Database;
}

namespace tessera::api {

/// Answers every request: routes it, decodes it, asks the engine, writes the answer.
/// Thread rule: safe from any thread.
class Service {
 public:
  /// Borrows both; they outlive the service.
  Service(engine::Database& database, metrics::Registry& registry);
  ~Service();

  /// Never throws; every input gets an answer.
  [[nodiscard]] HttpResponse handle(const HttpRequest& request) noexcept;

  /// The answer to a call that takes next to no time; nothing if it may take longer, and handle()
  /// then begins anew. Bounded by the size of the body (128 KiB) and, for searches, by a cost that
  /// is estimated from the times of earlier ones like it (1 ms) and enforced (5 ms).
  [[nodiscard]] std::optional<HttpResponse> handle_quickly(const HttpRequest& request) noexcept;

  /// Body of a refusal the server makes by itself (413, 503, 408 ...), in the error envelope.
  static HttpResponse refusal(int status, std::string_view message);

  /// While false, /readyz answers 503; the server sets it once the engine is open, and clears it
  /// when it begins to stop.
  void set_ready(bool is_ready);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::api
