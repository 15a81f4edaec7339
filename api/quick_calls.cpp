#include "api/quick_calls.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "api/handlers.h"

namespace tessera::api {

namespace {

constexpr std::size_t kPlainLimitMax = 1000;
constexpr std::uint32_t kUnitsPerMicrosecond = 4;

void mix(std::size_t& hash, std::size_t value) {
  constexpr std::size_t kOdd = 0x9E3779B97F4A7C15U;
  hash = (hash ^ value) * kOdd;
  hash ^= hash >> 32;
}

}  // namespace

bool is_quick_route(const Route& route) {
  static constexpr Handle kQuick[] = {query_points,  query_batch,  search_points,
                                      search_batch,  get_point,    retrieve_points,
                                      scroll_points, count_points, collection_exists};
  return std::find(std::begin(kQuick), std::end(kQuick), route.handle) != std::end(kQuick);
}

std::size_t query_shape(std::string_view collection, const engine::QueryRequest& request) {
  std::size_t hash = std::hash<std::string_view>()(collection);
  mix(hash, std::hash<std::string_view>()(request.using_vector));
  mix(hash, request.query.index());
  mix(hash, std::bit_width(request.limit + request.offset));
  mix(hash, std::bit_width(request.params.hnsw_ef.value_or(0)));
  mix(hash, std::bit_width(request.params.probe_count.value_or(0)));
  const bool has_filter = request.filter && !request.filter->empty();
  mix(hash, (request.params.exact ? 1U : 0U) + (has_filter ? 2U : 0U) +
                (request.params.indexed_only ? 4U : 0U) + (request.with_vector.none() ? 0U : 8U));
  mix(hash, static_cast<std::size_t>(request.with_payload.kind));
  for (const engine::QueryRequest& prefetch : request.prefetch) {
    mix(hash, query_shape({}, prefetch));
  }
  return hash;
}

std::optional<std::chrono::microseconds> QueryTimeTable::expected(std::size_t shape) const {
  const std::uint32_t units = times_[shape % kSlotCount].load(std::memory_order_relaxed);
  if (units == 0) return std::nullopt;
  return std::chrono::microseconds(units / kUnitsPerMicrosecond);
}

void QueryTimeTable::observe(std::size_t shape, std::chrono::steady_clock::duration taken) {
  // A step of an eighth up or down, whichever side the new time is on, follows the median. Updates
  // that race lose a step, no more.
  constexpr std::uint32_t kLongest = std::uint32_t{1} << 30;
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(taken).count();
  const auto units = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      microseconds * kUnitsPerMicrosecond, kUnitsPerMicrosecond, kLongest));
  std::atomic<std::uint32_t>& slot = times_[shape % kSlotCount];
  std::uint32_t expected = slot.load(std::memory_order_relaxed);
  if (expected == 0) {
    expected = units;
  } else if (units > expected) {
    expected = std::min(units, expected + expected / 8 + 1);
  } else {
    expected = std::max(units, expected - expected / 8);
  }
  slot.store(expected, std::memory_order_relaxed);
}

std::chrono::microseconds expected_time(const QueryTimeTable& times, std::size_t shape,
                                        const engine::QueryRequest& request) {
  if (const auto expected = times.expected(shape)) return *expected;
  const bool is_plain = std::holds_alternative<engine::VectorInput>(request.query) &&
                        !request.params.exact && !request.filter && request.prefetch.empty() &&
                        request.limit <= kPlainLimitMax && request.offset <= kPlainLimitMax;
  return is_plain ? std::chrono::microseconds(0) : 2 * kQuickTime;
}

}  // namespace tessera::api
