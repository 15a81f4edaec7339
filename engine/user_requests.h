#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/point_id.h"
#include "base/status.h"
#include "storage/event_block.h"

namespace tessera::engine {

inline constexpr std::size_t kUserIdBytesMax = 128;

/// A client's name for a user: an integer, a UUID, or any other text. Users are stored under keys
/// that are point ids; a text has the key that base/name_uuid.h makes of it.
struct UserId {
  PointId key;
  std::string text;  ///< Empty for integers and UUIDs.

  UserId() = default;
  explicit UserId(const PointId& id) : key(id) {}
  /// Of UTF-8: a number without leading zeros that fits 64 bits is that integer, any spelling of a
  /// UUID is that UUID. kInvalidArgument: empty, longer than kUserIdBytesMax, or control
  /// characters.
  static Result<UserId> parse(std::string_view text);

  [[nodiscard]] std::string to_string() const { return text.empty() ? key.to_string() : text; }
  friend bool operator==(const UserId&, const UserId&) = default;
};

using NamedVectors = std::vector<std::pair<std::string, std::vector<float>>>;

struct EventInput {
  PointId id;
  double weight = 1;                  ///< Finite, > 0.
  std::optional<std::int64_t> at_us;  ///< Absent: when it is received, in the order of the list.
};

/// What is not given stays as it is.
struct UserInput {
  UserId id;
  NamedVectors vectors;
  std::optional<std::vector<EventInput>> history;  ///< Replaces all events.
};
struct PutUsers {
  std::vector<UserInput> users;
};
struct UserEvents {
  UserId id;
  std::vector<EventInput> events;
};
/// Users that are not there are made. An event whose (id, at) is there already changes nothing.
struct AppendEvents {
  std::vector<UserEvents> users;
};

/// An event at that time, or all of an item.
struct EventSelector {
  PointId id;
  std::optional<std::int64_t> at_us;
};
/// Events that are not there are passed over.
struct RemoveEvents {
  UserId id;
  std::vector<EventSelector> events;
};

/// A write of users as the commit queue carries it.
struct UserChange {
  UserId id;
  NamedVectors vectors;                ///< Those that are not given stay.
  std::vector<storage::Event> events;  ///< Strictly ascending.
  bool replaces_events = false;
  /// Not empty: nothing but these events of a user, who must be there, is removed.
  std::vector<EventSelector> removed_events;
};
struct WriteUsers {
  std::vector<UserChange> users;  ///< Every user once.
};

struct UserRequest {
  UserId id;
  std::optional<std::string> vector;  ///< Whose clusters the interests are of; absent: the first.
};
struct UserInterest {
  std::uint32_t cluster = 0;
  double weight = 0;  ///< Of all interests they sum to 1.
  std::optional<PointId> medoid;
  std::uint64_t item_count = 0;  ///< Different points.
  std::vector<PointId> items;    ///< Those nearest to the centre, as in answers to queries.
};
struct UserInfo {
  UserId id;
  NamedVectors vectors;
  std::uint64_t event_count = 0;
  std::vector<UserInterest> interests;  ///< Heaviest first; none before clusters are trained.
};

struct UserEventsRequest {
  UserId id;
  std::size_t limit = 100;
  std::size_t offset = 0;
};
struct UserEventsPage {
  std::vector<storage::Event> events;  ///< Newest first.
  std::uint64_t event_count = 0;       ///< Of the user.
};

struct ScrollUsersRequest {
  std::size_t limit = 10;
  std::optional<UserId> offset;  ///< Inclusive.
  bool with_vector = false;
};
struct UserPage {
  std::vector<UserInfo> users;  ///< In the order of their keys; without interests.
  std::optional<UserId> next_offset;
};

}  // namespace tessera::engine
