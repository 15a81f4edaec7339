#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/point_id.h"

namespace tessera::storage {

/// Where an event is among those of its owner: by time, equal times by item. No two of an owner
/// share a position.
struct EventPosition {
  std::int64_t at_us = 0;  ///< Since 1970, UTC.
  PointId id;

  friend auto operator<=>(const EventPosition&, const EventPosition&) = default;
};

/// That somebody engaged with an item, which need not exist.
struct Event {
  PointId id;
  std::int64_t at_us = 0;
  double weight = 1;

  [[nodiscard]] EventPosition position() const { return {at_us, id}; }
  friend bool operator==(const Event&, const Event&) = default;
};

inline bool precedes(const Event& a, const Event& b) {
  return a.position() < b.position();
}

/// Consecutive events of one owner. A block begins at its `begin`, whether or not that event is in
/// it, and holds everything up to the next block's; the first one begins before all events.
struct EventBlock {
  std::optional<EventPosition> begin;
  std::vector<Event> events;  ///< Ascending.
};

/// Bytes of events, docs/formats.md describes them: about seven an event of an integer id below two
/// million, at a whole second, of weight 1. `events`: at least one, strictly ascending by position,
/// weights finite and > 0.
[[nodiscard]] std::string encode_events(std::span<const Event> events);

/// Nothing for bytes that encode_events() could not have meant: what comes back has the properties
/// that it requires.
[[nodiscard]] std::optional<std::vector<Event>> decode_events(std::string_view bytes);

}  // namespace tessera::storage
