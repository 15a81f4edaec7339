#pragma once

#include <array>
#include <atomic>
#include <cstddef>

#include "api/http.h"
#include "base/metrics.h"

namespace tessera::server {

/// "GET", "POST", ... or "other", for logs and metrics.
const char* method_name(api::Method method);

/// What the server counts. Thread rule: safe from any thread.
class RequestMetrics {
 public:
  /// Borrows the registry, which outlives this.
  explicit RequestMetrics(metrics::Registry& registry);

  /// One answered request; `status` from 100 to 599.
  void count_request(api::Method method, int status);

  metrics::Histogram& request_seconds;
  metrics::Gauge& connections;
  metrics::Gauge& queue_length;
  metrics::Gauge& probe_queue_length;
  metrics::Counter& connections_refused;
  metrics::Counter& received_bytes;
  metrics::Counter& sent_bytes;

 private:
  static constexpr std::size_t kMethodCount = 8;
  static constexpr std::size_t kStatusCount = 600;

  metrics::Registry& registry_;
  /// The registry's lookup takes a lock and builds labels; each counter is looked up once.
  std::array<std::atomic<metrics::Counter*>, kMethodCount * kStatusCount> requests_{};
};

}  // namespace tessera::server
