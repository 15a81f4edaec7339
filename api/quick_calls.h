#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "api/routes.h"
#include "engine/requests.h"

namespace tessera::api {

/// Bodies up to this size are read by the thread of the connection; decoding one takes well below
/// a millisecond.
inline constexpr std::size_t kQuickBodyBytesMax = 128U << 10;
/// Points that a quick call may fetch without a search.
inline constexpr std::size_t kQuickPointsMax = 64;
/// A call that is expected to take longer goes to a worker.
inline constexpr auto kQuickTime = std::chrono::milliseconds(1);
/// A call that was expected to be quick is stopped after this long, and begun again by a worker.
inline constexpr auto kQuickTimeMax = std::chrono::milliseconds(5);

/// Whether calls of the route can be quick at all: reads that may be begun twice.
bool is_quick_route(const Route& route);

/// What decides about the time of a query, beside the data: collection, kind, vector, filter,
/// parameters, and the order of magnitude of the counts. As a number for QueryTimeTable.
std::size_t query_shape(std::string_view collection, const engine::QueryRequest& request);

/// How long queries of a shape took lately: about their median, so that single slow ones do not
/// count. Shapes whose numbers collide share a time, which at worst sends a quick query to a worker
/// or has a slow one stopped and begun again there.
/// Thread rule: safe from any thread.
class QueryTimeTable {
 public:
  /// Nothing for a shape that was not seen yet.
  [[nodiscard]] std::optional<std::chrono::microseconds> expected(std::size_t shape) const;
  void observe(std::size_t shape, std::chrono::steady_clock::duration taken);

 private:
  static constexpr std::size_t kSlotCount = 1024;
  /// In quarters of a microsecond; 0: not seen.
  std::array<std::atomic<std::uint32_t>, kSlotCount> times_{};
};

/// The time that a query will probably take. A shape that was not seen yet counts as quick if it is
/// a plain search, and as slow otherwise.
std::chrono::microseconds expected_time(const QueryTimeTable& times, std::size_t shape,
                                        const engine::QueryRequest& request);

}  // namespace tessera::api
