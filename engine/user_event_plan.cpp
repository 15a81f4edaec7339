#include "engine/user_event_plan.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace tessera::engine {

using storage::Event;
using storage::EventBlock;
using storage::EventPlace;
using storage::EventPosition;

namespace {

/// An event that is appended has its block rewritten, and a user with few events has one block.
constexpr std::size_t kBlockEventsMax = 128;
const EventPosition kFirst{std::numeric_limits<std::int64_t>::min(), PointId()};

/// `events` and those of `added` whose position is free.
std::vector<Event> merged(const std::vector<Event>& events, std::span<const Event> added) {
  std::vector<Event> all;
  all.reserve(events.size() + added.size());
  std::set_union(events.begin(), events.end(), added.begin(), added.end(), std::back_inserter(all),
                 storage::precedes);
  return all;
}

}  // namespace

std::vector<EventBlock> cut_into_blocks(const std::optional<EventPosition>& begin,
                                        const std::vector<Event>& events, bool is_growing) {
  const std::size_t block_count = (events.size() + kBlockEventsMax - 1) / kBlockEventsMax;
  std::vector<EventBlock> blocks;
  for (std::size_t i = 0; i < block_count; ++i) {
    const std::size_t from = is_growing ? i * kBlockEventsMax : events.size() * i / block_count;
    const std::size_t to = is_growing ? std::min(events.size(), from + kBlockEventsMax)
                                      : events.size() * (i + 1) / block_count;
    EventBlock& block = blocks.emplace_back();
    block.begin = i == 0 ? begin : std::optional(events[from].position());
    block.events.assign(events.begin() + static_cast<std::ptrdiff_t>(from),
                        events.begin() + static_cast<std::ptrdiff_t>(to));
  }
  return blocks;
}

Result<EventPlace> UserEventPlan::find(std::uint32_t slot, const EventPosition& position) const {
  EventPlace place;
  if (!replaced_.contains(slot)) {
    TESSERA_ASSIGN_OR_RETURN(auto stored, store_.find_events(collection_, slot, position));
    if (stored) place = std::move(*stored);
  }
  const auto is_block = [slot](const auto& entry) {
    return entry.first.first == slot && !entry.second.empty();
  };
  const auto after = blocks_.upper_bound({slot, Begin(position)});
  for (auto own = after; own != blocks_.begin() && std::prev(own)->first.first == slot;) {
    --own;
    if (!is_block(*own)) continue;
    if (own->first.second >= place.block.begin) {
      place.block = {own->first.second, own->second};
    }
    break;
  }
  const auto next = std::find_if(after, blocks_.end(), [&](const auto& entry) {
    return entry.first.first != slot || is_block(entry);
  });
  if (next != blocks_.end() && next->first.first == slot &&
      (!place.end || *next->first.second < *place.end)) {
    place.end = next->first.second;
  }
  return place;
}

Result<UserEventPlan::Staged> UserEventPlan::append(std::uint32_t slot,
                                                    const std::vector<Event>& events) const {
  Staged staged;
  staged.slot = slot;
  for (std::size_t i = 0; i < events.size();) {
    TESSERA_ASSIGN_OR_RETURN(const EventPlace place, find(slot, events[i].position()));
    std::size_t end = events.size();
    if (place.end) {
      const auto beyond = std::lower_bound(
          events.begin() + static_cast<std::ptrdiff_t>(i), events.end(), *place.end,
          [](const Event& event, const EventPosition& at) { return event.position() < at; });
      end = static_cast<std::size_t>(beyond - events.begin());
    }
    const std::vector<Event>& known = place.block.events;
    const std::vector<Event> all = merged(known, std::span(events).subspan(i, end - i));
    if (all.size() > known.size()) {
      const bool is_growing = known.empty() || storage::precedes(known.back(), events[i]);
      auto blocks = cut_into_blocks(place.block.begin, all, is_growing);
      std::move(blocks.begin(), blocks.end(), std::back_inserter(staged.blocks));
    }
    i = end;
  }
  return staged;
}

Result<UserEventPlan::Staged> UserEventPlan::replace(std::uint32_t slot,
                                                     const std::vector<Event>& events) const {
  Staged staged;
  staged.slot = slot;
  staged.is_replaced = true;
  TESSERA_ASSIGN_OR_RETURN(staged.removed, store_.event_blocks(collection_, slot));
  staged.blocks = cut_into_blocks(std::nullopt, events, true);
  return staged;
}

Result<UserEventPlan::Staged> UserEventPlan::remove(std::uint32_t slot,
                                                    const EventMatcher& removed) const {
  Staged staged;
  staged.slot = slot;
  EventPosition at = kFirst;
  while (true) {
    if (removed.items.empty()) {
      const auto next = removed.positions.lower_bound(at);
      if (next == removed.positions.end()) break;
      at = *next;
    }
    TESSERA_ASSIGN_OR_RETURN(EventPlace place, find(slot, at));
    std::vector<Event>& events = place.block.events;
    const std::size_t removed_count =
        std::erase_if(events, [&](const Event& event) { return removed.matches(event); });
    if (removed_count > 0 && events.empty()) return rewrite(slot, removed);
    if (removed_count > 0) staged.blocks.push_back(std::move(place.block));
    if (!place.end) break;
    at = *place.end;
  }
  return staged;
}

/// A block that is empty has no place in the store, and the one before it takes over its range.
Result<UserEventPlan::Staged> UserEventPlan::rewrite(std::uint32_t slot,
                                                     const EventMatcher& removed) const {
  std::vector<Event> kept;
  EventPosition at = kFirst;
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const EventPlace place, find(slot, at));
    for (const Event& event : place.block.events) {
      if (!removed.matches(event)) kept.push_back(event);
    }
    if (!place.end) break;
    at = *place.end;
  }
  return replace(slot, kept);
}

void UserEventPlan::accept(Staged staged) {
  if (staged.is_replaced) {
    replaced_.insert(staged.slot);
    for (auto own = blocks_.lower_bound({staged.slot, std::nullopt});
         own != blocks_.end() && own->first.first == staged.slot; ++own) {
      own->second.clear();
    }
    for (const Begin& begin : staged.removed) blocks_[{staged.slot, begin}].clear();
  }
  for (EventBlock& block : staged.blocks) {
    blocks_[{staged.slot, block.begin}] = std::move(block.events);
  }
}

void UserEventPlan::write_to(storage::Batch& batch) const {
  for (const auto& [key, events] : blocks_) {
    if (events.empty()) {
      batch.delete_events(collection_, key.first, key.second);
    } else {
      batch.put_events(collection_, key.first, key.second, events);
    }
  }
}

}  // namespace tessera::engine
