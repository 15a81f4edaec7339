#include <cmath>

#include "api/decode.h"

namespace tessera::api {

using engine::EventInput;
using engine::UserId;

namespace {

// 0001-01-01 to 9999-12-31: what a date can be written as.
constexpr double kSecondsMin = -62'135'596'800;
constexpr double kSecondsMax = 253'402'300'799;
constexpr double kMicrosecondsPerSecond = 1e6;

/// Unix seconds, or a date and time as text; in microseconds.
std::optional<std::int64_t> decode_event_time(const Value& value) {
  if (value.is_number()) {
    const auto seconds = value.number_in(kSecondsMin, kSecondsMax);
    if (!seconds) return std::nullopt;
    return std::llround(*seconds * kMicrosecondsPerSecond);
  }
  if (!value.is(Value::Kind::kString)) {
    value.report_expected("a date and time, or a number of seconds since 1970");
    return std::nullopt;
  }
  const auto time_us = engine::parse_datetime(*value.string());
  if (!time_us) value.report_format("value " + value.shown() + " is not a date and time");
  return time_us;
}

/// The id of a point, or {id, weight?, at?}.
EventInput decode_event(const Value& value) {
  EventInput event;
  if (!value.is(Value::Kind::kObject)) {
    event.id = decode_point_id(value).value_or(PointId());
    return event;
  }
  const Object object(value);
  if (!object.ok()) return event;
  object.refuse_unknown({"id", "weight", "at"});
  if (const auto id = object.require("id")) event.id = decode_point_id(*id).value_or(PointId());
  if (const auto weight = object.given("weight")) {
    event.weight = weight->number_above(0).value_or(1);
  }
  if (const auto at = object.given("at")) event.at_us = decode_event_time(*at);
  return event;
}

/// A list of events; `count` are in the request so far.
std::vector<EventInput> decode_events(const Value& value, std::size_t& count) {
  std::vector<EventInput> events;
  count += value.element_count();
  if (count > kEventCountMax) {
    value.report_validation("a request with " + std::to_string(count) + " events, at most " +
                            std::to_string(kEventCountMax) + " are allowed");
    return events;
  }
  events.reserve(value.element_count());
  value.each([&events](const Value& event) { events.push_back(decode_event(event)); });
  return events;
}

/// Calls `decode(Object)` for each element of `users`.
template <class Decode>
void each_user(const Value& body, std::initializer_list<std::string_view> known, Decode decode) {
  const Object object(body);
  if (!object.ok()) return;
  object.refuse_unknown({"users"});
  const auto users = object.require("users");
  if (!users || !is_within(*users, kUserCountMax)) return;
  users->each([&](const Value& value) {
    const Object user(value);
    if (!user.ok()) return;
    user.refuse_unknown(known);
    decode(user);
  });
}

UserId required_user_id(const Object& object) {
  const auto id = object.require("id");
  return id ? decode_user_id(*id).value_or(UserId()) : UserId();
}

}  // namespace

std::optional<UserId> decode_user_id(const Value& value) {
  if (value.is_unsigned_integer()) return UserId(PointId(*value.unsigned_integer()));
  if (!value.is(Value::Kind::kString)) {
    value.report_expected("a user id, which is an unsigned integer, a UUID or another text");
    return std::nullopt;
  }
  auto id = UserId::parse(*value.string());
  if (id.has_error()) {
    value.report_validation(id.error().message());
    return std::nullopt;
  }
  return *std::move(id);
}

engine::PutUsers decode_put_users(const Value& body) {
  engine::PutUsers request;
  std::size_t event_count = 0;
  each_user(body, {"id", "vector", "history"}, [&](const Object& object) {
    engine::UserInput& user = request.users.emplace_back();
    user.id = required_user_id(object);
    if (const auto vector = object.given("vector")) user.vectors = decode_vectors(*vector);
    if (const auto history = object.given("history")) {
      user.history = decode_events(*history, event_count);
    }
  });
  return request;
}

engine::AppendEvents decode_append_events(const Value& body) {
  engine::AppendEvents request;
  std::size_t event_count = 0;
  each_user(body, {"id", "events"}, [&](const Object& object) {
    engine::UserEvents& user = request.users.emplace_back();
    user.id = required_user_id(object);
    if (const auto events = object.require("events")) {
      user.events = decode_events(*events, event_count);
    }
  });
  return request;
}

std::vector<EventInput> decode_events_of_user(const Value& body) {
  const Object object(body);
  if (!object.ok()) return {};
  object.refuse_unknown({"events"});
  std::size_t count = 0;
  const auto events = object.require("events");
  return events ? decode_events(*events, count) : std::vector<EventInput>();
}

std::vector<engine::EventSelector> decode_event_selectors(const Value& body) {
  std::vector<engine::EventSelector> selectors;
  const Object object(body);
  if (!object.ok()) return selectors;
  object.refuse_unknown({"events"});
  const auto events = object.require("events");
  if (!events || !is_within(*events, kEventCountMax)) return selectors;
  events->each([&selectors](const Value& value) {
    engine::EventSelector& selector = selectors.emplace_back();
    if (!value.is(Value::Kind::kObject)) {
      selector.id = decode_point_id(value).value_or(PointId());
      return;
    }
    const Object event(value);
    if (!event.ok()) return;
    event.refuse_unknown({"id", "at"});
    if (const auto id = event.require("id")) selector.id = decode_point_id(*id).value_or(PointId());
    if (const auto at = event.given("at")) selector.at_us = decode_event_time(*at);
  });
  if (events->is(Value::Kind::kArray) && events->element_count() == 0) {
    events->report_validation("value invalid, must not be empty");
  }
  return selectors;
}

std::vector<UserId> decode_delete_users(const Value& body) {
  std::vector<UserId> ids;
  const Object object(body);
  if (!object.ok()) return ids;
  object.refuse_unknown({"ids"});
  const auto list = object.require("ids");
  if (!list || !is_within(*list, kUserCountMax)) return ids;
  list->each([&ids](const Value& id) { ids.push_back(decode_user_id(id).value_or(UserId())); });
  return ids;
}

engine::ScrollUsersRequest decode_scroll_users(const Value& body) {
  engine::ScrollUsersRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"limit", "offset", "with_vector", "filter"});
  object.not_yet("filter", "a filter over users");
  if (const auto limit = object.given("limit")) {
    request.limit = limit->integer_in(1).value_or(request.limit);
  }
  if (const auto offset = object.given("offset")) request.offset = decode_user_id(*offset);
  if (const auto with_vector = object.given("with_vector")) {
    request.with_vector = with_vector->boolean().value_or(false);
  }
  return request;
}

engine::CountRequest decode_count_users(const Value& body) {
  const Object object(body);
  if (!object.ok()) return {};
  object.refuse_unknown({"exact", "filter"});
  object.not_yet("filter", "a filter over users");
  // Users are always counted exactly.
  if (const auto exact = object.given("exact")) (void)exact->boolean();
  return {};
}

std::optional<engine::SmoothingInput> decode_smoothing(const Value& value) {
  constexpr std::uint64_t kNeighborsMax = 1000;
  engine::SmoothingInput smoothing;
  const Object object(value);
  if (!object.ok()) return smoothing;
  object.refuse_unknown({"neighbors", "lambda"});
  if (const auto neighbors = object.given("neighbors")) {
    smoothing.neighbors =
        static_cast<std::uint32_t>(neighbors->integer_in(1, kNeighborsMax).value_or(1));
  }
  if (const auto lambda = object.given("lambda")) {
    smoothing.lambda = lambda->number_in(0, 1).value_or(0);
  }
  return smoothing;
}

}  // namespace tessera::api
