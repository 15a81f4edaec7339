#include "storage/event_block.h"

#include <array>
#include <cmath>

#include "storage/packed.h"

namespace tessera::storage {

using packed::put_float;
using packed::put_id;
using packed::put_varint;
using packed::Reader;
using packed::unzigzag;
using packed::zigzag;

namespace {

constexpr char kFormat = 1;

// The header byte: the unit of the times in its two low bits, then these.
constexpr unsigned kUnitMask = 3;
constexpr unsigned kHasFlags = 4;  ///< Every event has a byte of flags.
constexpr unsigned kAllUuids = 8;  ///< Without flags: all ids are UUIDs; else all are integers.
constexpr unsigned kHeaderBits = kUnitMask | kHasFlags | kAllUuids;
constexpr std::array<std::int64_t, 3> kUnits_us = {1, 1'000, 1'000'000};

// The flags of one event.
constexpr unsigned kIsUuid = 1;
constexpr unsigned kNarrowWeight = 2;  ///< A float32 follows.
constexpr unsigned kWideWeight = 4;    ///< A float64 follows; neither: the weight is 1.

// Differences of times are taken modulo 2^64, so that any two can be told.
std::uint64_t as_unsigned(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

unsigned coarsest_unit(std::span<const Event> events) {
  unsigned unit = kUnits_us.size() - 1;
  for (const Event& event : events) {
    while (event.at_us % kUnits_us[unit] != 0) --unit;
  }
  return unit;
}

unsigned flags_of(const Event& event) {
  unsigned flags = event.id.is_uuid() ? kIsUuid : 0;
  if (event.weight != 1) {
    flags |= double{static_cast<float>(event.weight)} == event.weight ? kNarrowWeight : kWideWeight;
  }
  return flags;
}

std::optional<double> read_weight(Reader& reader, unsigned flags) {
  const unsigned width = flags & (kNarrowWeight | kWideWeight);
  if (width == 0) return 1;
  if (width == (kNarrowWeight | kWideWeight)) return std::nullopt;
  const auto weight = width == kNarrowWeight ? reader.number<float>() : reader.number<double>();
  if (!weight || !(*weight > 0) || !std::isfinite(*weight)) return std::nullopt;
  return weight;
}

/// What stands before an event's time says how it is written.
bool read_event(Reader& reader, unsigned header, Event& event) {
  unsigned flags = (header & kAllUuids) != 0 ? kIsUuid : 0;
  if ((header & kHasFlags) != 0) {
    const auto own = reader.byte();
    if (!own || (*own & ~(kIsUuid | kNarrowWeight | kWideWeight)) != 0) return false;
    flags = *own;
  }
  const auto id = reader.id((flags & kIsUuid) != 0);
  const auto weight = read_weight(reader, flags);
  if (!id || !weight) return false;
  event.id = *id;
  event.weight = *weight;
  return true;
}

/// The time of the next event, in units; nothing when there is none or it has no microseconds.
std::optional<std::int64_t> read_time(Reader& reader, std::optional<std::int64_t> previous,
                                      std::int64_t unit_us) {
  const auto step = reader.varint();
  if (!step) return std::nullopt;
  std::int64_t time = 0, microseconds = 0;
  if (!previous) {
    time = unzigzag(*step);
  } else if (__builtin_add_overflow(*previous, *step, &time)) {
    return std::nullopt;
  }
  if (__builtin_mul_overflow(time, unit_us, &microseconds)) return std::nullopt;
  return time;
}

}  // namespace

std::string encode_events(std::span<const Event> events) {
  bool has_uuids = false, has_integers = false, has_weights = false;
  for (const Event& event : events) {
    (event.id.is_uuid() ? has_uuids : has_integers) = true;
    has_weights = has_weights || event.weight != 1;
  }
  const bool has_flags = has_weights || (has_uuids && has_integers);
  const unsigned unit = coarsest_unit(events);
  std::string bytes(1, kFormat);
  bytes += static_cast<char>(unit | (has_flags ? kHasFlags : 0U) |
                             (has_uuids && !has_flags ? kAllUuids : 0U));
  put_varint(bytes, events.size());
  std::int64_t previous = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const std::int64_t time = events[i].at_us / kUnits_us[unit];
    put_varint(bytes, i == 0 ? zigzag(time) : as_unsigned(time) - as_unsigned(previous));
    previous = time;
    const unsigned flags = flags_of(events[i]);
    if (has_flags) bytes += static_cast<char>(flags);
    put_id(bytes, events[i].id);
    if ((flags & kNarrowWeight) != 0) put_float(bytes, static_cast<float>(events[i].weight));
    if ((flags & kWideWeight) != 0) put_float(bytes, events[i].weight);
  }
  return bytes;
}

std::optional<std::vector<Event>> decode_events(std::string_view bytes) {
  Reader reader(bytes);
  if (reader.byte() != unsigned{kFormat}) return std::nullopt;
  const auto header = reader.byte();
  if (!header || (*header & ~kHeaderBits) != 0) return std::nullopt;
  if ((*header & kUnitMask) >= kUnits_us.size()) return std::nullopt;
  if ((*header & (kHasFlags | kAllUuids)) == (kHasFlags | kAllUuids)) return std::nullopt;
  const std::int64_t unit_us = kUnits_us[*header & kUnitMask];
  const auto count = reader.varint();
  // An event has two bytes at least.
  if (!count || *count == 0 || *count > reader.left() / 2) return std::nullopt;
  std::vector<Event> events(*count);
  std::optional<std::int64_t> time;
  for (std::size_t i = 0; i < events.size(); ++i) {
    time = read_time(reader, time, unit_us);
    if (!time || !read_event(reader, *header, events[i])) return std::nullopt;
    events[i].at_us = *time * unit_us;
    if (i > 0 && !precedes(events[i - 1], events[i])) return std::nullopt;
  }
  if (reader.left() > 0) return std::nullopt;
  return events;
}

}  // namespace tessera::storage
