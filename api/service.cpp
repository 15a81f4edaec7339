#include "api/service.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>

#include "api/envelope.h"
#include "api/handlers.h"
#include "api/routes.h"
#include "base/log.h"

namespace tessera::api {

namespace {

using Clock = std::chrono::steady_clock;

/// Statuses that answers have; another one is counted under its own label by a lookup.
constexpr std::array<int, 16> kCountedStatuses = {200, 201, 202, 400, 401, 403, 404, 405,
                                                  408, 409, 422, 429, 500, 501, 503, 507};
/// A `timeout` beyond this many seconds is as good as none; it keeps the clock from overflowing.
constexpr std::uint64_t kTimeoutSecondsMax = 7 * 24 * 3600;

/// Request counters of one route, looked up in the registry once a status.
struct RouteCounters {
  std::string label;
  std::array<std::atomic<metrics::Counter*>, kCountedStatuses.size()> by_status{};
};

double seconds_since(Clock::time_point started) {
  return std::chrono::duration<double>(Clock::now() - started).count();
}

/// The path for a message: printable ASCII only, so that the answer is valid UTF-8.
std::string shown_path(std::string_view target) {
  constexpr std::size_t kShownBytesMax = 100;
  const std::string_view path = target.substr(0, std::min(target.find('?'), kShownBytesMax));
  std::string shown(path);
  for (char& byte : shown) {
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code > 0x7E) byte = '?';
  }
  return shown;
}

}  // namespace

/// Thread rule: safe from any thread; the router is immutable, counters and the flag are atomic.
struct Service::Impl {
  Impl(engine::Database& database, metrics::Registry& registry)
      : database(database), registry(registry), query_times(registry) {
    for (std::size_t i = 0; i < routes().size(); ++i) {
      counters[i].label =
          std::string(method_name(routes()[i].method)) + " " + std::string(routes()[i].pattern);
    }
    counters.back().label = "unmatched";
  }

  HttpResponse answer(const HttpRequest& request, Clock::time_point started,
                      std::size_t& counter_index);
  std::optional<HttpResponse> answer_quickly(const HttpRequest& request, Clock::time_point started,
                                             std::size_t& counter_index);
  /// Nothing only if `is_quick`.
  std::optional<HttpResponse> call_route(const HttpRequest& request, const Target& target,
                                         const Router::Match& match, Clock::time_point started,
                                         bool is_quick);
  void count(std::size_t counter_index, int status);

  engine::Database& database;
  metrics::Registry& registry;
  const Router router;
  const QueryTimes query_times;
  QueryTimeTable time_table;
  std::atomic<bool> is_ready = false;
  /// One a route, and one for everything else.
  std::vector<RouteCounters> counters = std::vector<RouteCounters>(routes().size() + 1);
};

void Service::Impl::count(std::size_t counter_index, int status) {
  RouteCounters& route = counters[counter_index];
  const auto position =
      static_cast<std::size_t>(std::find(kCountedStatuses.begin(), kCountedStatuses.end(), status) -
                               kCountedStatuses.begin());
  const auto look_up = [&]() -> metrics::Counter* {
    return &registry.counter("tessera_api_requests_total", "Requests by route and HTTP status",
                             {{"route", route.label}, {"status", std::to_string(status)}});
  };
  if (position == kCountedStatuses.size()) {
    look_up()->add();
    return;
  }
  // Two threads may look up at once; the registry gives both the same counter.
  metrics::Counter* counter = route.by_status[position].load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = look_up();
    route.by_status[position].store(counter, std::memory_order_release);
  }
  counter->add();
}

std::optional<HttpResponse> Service::Impl::call_route(const HttpRequest& request,
                                                      const Target& target,
                                                      const Router::Match& match,
                                                      Clock::time_point started, bool is_quick) {
  const Route& route = *match.route;
  const auto parameters = parse_call_parameters(target);
  if (parameters.has_error()) return failure_response(parameters.error(), seconds_since(started));

  const CancelToken no_cancel;
  std::optional<CancelToken> narrowed;
  if (parameters->timeout_seconds) {
    const std::uint64_t seconds = std::min(*parameters->timeout_seconds, kTimeoutSecondsMax);
    narrowed.emplace(request.cancel, started + std::chrono::seconds(seconds));
  }
  const CancelToken* cancel = request.cancel != nullptr ? request.cancel : &no_cancel;
  if (narrowed) cancel = &*narrowed;

  Call call{.database = database,
            .registry = registry,
            .query_times = query_times,
            .time_table = time_table,
            .request = request,
            .target = target,
            .path_parameters = match.path_parameters,
            .parameters = *parameters,
            .cancel = *cancel,
            .is_ready = is_ready.load(std::memory_order_relaxed),
            .is_quick = is_quick};
  HttpResponse response;
  response.content_type = route.content_type;
  const bool is_enveloped = route.form == AnswerForm::kEnvelope;
  if (is_enveloped) response.body = kEnvelopeHead;
  JsonWriter json(response.body);
  const Status status = route.handle(call, json);
  if (call.is_handed_over) return std::nullopt;
  if (!status.ok()) return failure_response(status, seconds_since(started));
  response.status = call.http_status;
  if (is_enveloped) append_envelope_tail(response.body, seconds_since(started));
  return response;
}

HttpResponse Service::Impl::answer(const HttpRequest& request, Clock::time_point started,
                                   std::size_t& counter_index) {
  const auto target = parse_target(request.target);
  if (target.has_error()) return failure_response(target.error(), seconds_since(started));
  const Router::Match match = router.find(request.method, target->segments);
  if (match.route != nullptr) {
    counter_index = match.index;
    return *call_route(request, *target, match, started, false);
  }
  const std::string call =
      std::string(method_name(request.method)) + " " + shown_path(request.target);
  if (match.missing != nullptr) {
    const std::string text =
        call + ": " + std::string(match.missing->what) + " is not supported by this version";
    return failure_response({Code::kUnimplemented, text}, seconds_since(started));
  }
  if (!match.allow.empty()) {
    HttpResponse response = error_response(
        405, "Method not allowed: " + call + ", allowed: " + match.allow, seconds_since(started));
    response.headers.emplace_back("Allow", match.allow);
    return response;
  }
  return failure_response({Code::kNotFound, "there is no " + call}, seconds_since(started));
}

std::optional<HttpResponse> Service::Impl::answer_quickly(const HttpRequest& request,
                                                          Clock::time_point started,
                                                          std::size_t& counter_index) {
  if (request.body.size() > kQuickBodyBytesMax) return std::nullopt;
  const auto target = parse_target(request.target);
  if (target.has_error()) return std::nullopt;
  const Router::Match match = router.find(request.method, target->segments);
  if (match.route == nullptr || !is_quick_route(*match.route)) return std::nullopt;
  counter_index = match.index;
  return call_route(request, *target, match, started, true);
}

Service::Service(engine::Database& database, metrics::Registry& registry)
    : impl_(std::make_unique<Impl>(database, registry)) {}

Service::~Service() = default;

HttpResponse Service::handle(const HttpRequest& request) noexcept {
  const auto started = Clock::now();
  // The last counter is that of requests without a route.
  std::size_t counter_index = impl_->counters.size() - 1;
  HttpResponse response;
  try {
    try {
      response = impl_->answer(request, started, counter_index);
    } catch (const std::bad_alloc&) {
      response = failure_response({Code::kResourceExhausted, "not enough memory for this request"},
                                  seconds_since(started));
    } catch (const std::exception& exception) {
      log::error("a request failed with an exception", {{"what", exception.what()}});
      response = failure_response({Code::kInternal, "an unexpected failure, see the log"},
                                  seconds_since(started));
    }
    impl_->count(counter_index, response.status);
  } catch (...) {
    // Memory is so short that not even a text can be made.
    response.status = 500;
    response.body.clear();
  }
  return response;
}

std::optional<HttpResponse> Service::handle_quickly(const HttpRequest& request) noexcept {
  try {
    std::size_t counter_index = 0;
    auto response = impl_->answer_quickly(request, Clock::now(), counter_index);
    if (response) impl_->count(counter_index, response->status);
    return response;
  } catch (...) {
    // handle() meets the same failure and says what it is.
    return std::nullopt;
  }
}

HttpResponse Service::refusal(int status, std::string_view message) {
  return error_response(status, message, 0);
}

void Service::set_ready(bool is_ready) {
  impl_->is_ready.store(is_ready);
}

}  // namespace tessera::api
