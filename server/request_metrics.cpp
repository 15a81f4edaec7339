#include "server/request_metrics.h"

#include <string>

#include "base/status.h"

namespace tessera::server {

const char* method_name(api::Method method) {
  switch (method) {
    case api::Method::kGet:
      return "GET";
    case api::Method::kHead:
      return "HEAD";
    case api::Method::kPost:
      return "POST";
    case api::Method::kPut:
      return "PUT";
    case api::Method::kPatch:
      return "PATCH";
    case api::Method::kDelete:
      return "DELETE";
    case api::Method::kOptions:
      return "OPTIONS";
    case api::Method::kOther:
      return "other";
  }
  return "other";
}

RequestMetrics::RequestMetrics(metrics::Registry& registry)
    : request_seconds(registry.histogram(
          "tessera_http_request_seconds",
          "Time from the last byte of a request to its answer, waiting for a worker included.",
          metrics::latency_bounds_seconds())),
      connections(registry.gauge("tessera_http_connections", "Open connections.")),
      queue_length(registry.gauge("tessera_http_queue_length", "Requests waiting for a worker.")),
      probe_queue_length(registry.gauge("tessera_http_probe_queue_length",
                                        "Health probes waiting to be answered.")),
      connections_refused(registry.counter("tessera_http_connections_refused_total",
                                           "Connections refused because of the limit.")),
      received_bytes(registry.counter("tessera_http_received_bytes_total",
                                      "Bytes of requests, heads included.")),
      sent_bytes(
          registry.counter("tessera_http_sent_bytes_total", "Bytes of answers, heads included.")),
      registry_(registry) {}

void RequestMetrics::count_request(api::Method method, int status) {
  TESSERA_ASSERT(status >= 100 && status < static_cast<int>(kStatusCount));
  auto& slot =
      requests_[static_cast<std::size_t>(method) * kStatusCount + static_cast<std::size_t>(status)];
  metrics::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter =
        &registry_.counter("tessera_http_requests_total", "Requests answered.",
                           {{"method", method_name(method)}, {"status", std::to_string(status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->add();
}

}  // namespace tessera::server
