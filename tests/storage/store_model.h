#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <catch2/catch.hpp>

#include "storage/store.h"
#include "tests/storage/store_support.h"

namespace tessera::storage::test {

/// What the store must hold.
struct Model {
  struct Row {
    std::uint64_t version = 0;
    std::vector<float> values;
    bool operator==(const Row&) const = default;
  };
  std::map<std::pair<CollectionNumber, PointId>, std::pair<std::uint32_t, std::uint64_t>> points;
  std::map<std::pair<CollectionNumber, std::uint32_t>, std::string> payloads;
  std::map<std::tuple<CollectionNumber, VectorNumber, std::uint32_t>, Row> rows;
  using EventKey = std::tuple<CollectionNumber, std::uint32_t, std::optional<EventPosition>>;
  std::map<EventKey, std::vector<Event>> events;
  std::map<std::string, std::string> meta;
};

inline constexpr CollectionNumber kCollections[] = {0, 1, 255, 256, 0xfffffffe, 0xffffffff};
inline constexpr VectorNumber kVectors[] = {0, 1, 255, 0xffff};

inline void require_points(const Store& store, const Model& model, CollectionNumber collection) {
  std::vector<PointId> expected;
  std::vector<PointId> found;
  for (const auto& [key, record] : model.points) {
    if (key.first == collection) expected.push_back(key.second);
  }
  require_ok(store.visit_points(collection, std::nullopt,
                                [&](const PointId& id, const PointRecord& record) {
                                  found.push_back(id);
                                  const auto known = model.points.find({collection, id});
                                  return known != model.points.end() &&
                                         known->second == std::pair(record.slot, record.version);
                                }));
  REQUIRE(found == expected);
}

inline void require_payloads(const Store& store, const Model& model, CollectionNumber collection) {
  std::vector<std::pair<std::uint32_t, std::string>> expected;
  std::vector<std::pair<std::uint32_t, std::string>> found;
  for (const auto& [key, json] : model.payloads) {
    if (key.first == collection) expected.emplace_back(key.second, json);
  }
  require_ok(store.visit_payloads(collection, [&](std::uint32_t slot, std::string_view json) {
    found.emplace_back(slot, json);
    return true;
  }));
  REQUIRE(found == expected);
}

inline void require_rows(const Store& store, const Model& model, CollectionNumber collection,
                         VectorNumber vector) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> expected;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> rows;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> vectors;
  for (const auto& [key, row] : model.rows) {
    if (std::get<0>(key) == collection && std::get<1>(key) == vector) {
      expected.emplace_back(std::get<2>(key), row.version);
    }
  }
  require_ok(store.visit_rows(collection, vector, [&](std::uint32_t slot, std::uint64_t version) {
    rows.emplace_back(slot, version);
    return true;
  }));
  require_ok(store.visit_vectors(
      collection, vector,
      [&](std::uint32_t slot, std::uint64_t version, std::span<const float> values) {
        const auto& known = model.rows.at({collection, vector, slot}).values;
        REQUIRE(std::equal(values.begin(), values.end(), known.begin(), known.end()));
        vectors.emplace_back(slot, version);
        return true;
      }));
  REQUIRE(rows == expected);
  REQUIRE(vectors == expected);
}

inline void require_events(const Store& store, const Model& model, CollectionNumber collection) {
  std::map<Model::EventKey, std::vector<Event>> expected, found;
  for (const auto& [key, events] : model.events) {
    if (std::get<0>(key) == collection) expected[key] = events;
  }
  require_ok(
      store.visit_events(collection, std::nullopt, [&](std::uint32_t slot, EventBlock&& block) {
        const Model::EventKey key(collection, slot, block.begin);
        REQUIRE((found.empty() || std::prev(found.end())->first < key));
        found[key] = std::move(block.events);
        return true;
      }));
  REQUIRE(found == expected);
  for (const auto& [key, events] : expected) {
    const auto& [number, slot, begin] = key;
    std::size_t count = 0;
    require_ok(store.visit_events(collection, slot, [&](std::uint32_t visited, EventBlock&&) {
      REQUIRE(visited == slot);
      return ++count > 0;
    }));
    REQUIRE(store.event_blocks(collection, slot)->size() == count);
    REQUIRE(count == static_cast<std::size_t>(std::count_if(
                         expected.begin(), expected.end(),
                         [&](const auto& e) { return std::get<1>(e.first) == slot; })));
    // Where an event belongs: the last block that does not begin behind it.
    for (const EventPosition& position : {events.front().position(), events.back().position()}) {
      const auto place = store.find_events(collection, slot, position);
      REQUIRE(place.has_value());
      auto next = expected.upper_bound({collection, slot, position});
      const auto& home = *std::prev(next);
      REQUIRE((*place)->block.begin == std::get<2>(home.first));
      REQUIRE((*place)->block.events == home.second);
      const bool has_next = next != expected.end() && std::get<1>(next->first) == slot;
      REQUIRE((*place)->end == (has_next ? std::get<2>(next->first) : std::nullopt));
    }
  }
}

inline void require_same(const Store& store, const Model& model) {
  std::vector<CollectionNumber> used;
  for (const auto& [key, record] : model.points) used.push_back(key.first);
  for (const auto& [key, json] : model.payloads) used.push_back(key.first);
  for (const auto& [key, row] : model.rows) used.push_back(std::get<0>(key));
  for (const auto& [key, events] : model.events) used.push_back(std::get<0>(key));
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  REQUIRE(*store.collections() == used);

  for (const CollectionNumber collection : kCollections) {
    require_points(store, model, collection);
    require_payloads(store, model, collection);
    require_events(store, model, collection);
    std::vector<VectorNumber> used_vectors;
    for (const VectorNumber vector : kVectors) {
      require_rows(store, model, collection, vector);
      const auto first = model.rows.lower_bound({collection, vector, 0});
      const bool has_rows = first != model.rows.end() && std::get<0>(first->first) == collection &&
                            std::get<1>(first->first) == vector;
      if (has_rows) used_vectors.push_back(vector);
    }
    REQUIRE(*store.vectors(collection) == used_vectors);
  }
  std::map<std::string, std::string> meta;
  require_ok(store.visit_meta("", [&](std::string_view key, std::string_view value) {
    meta.emplace(key, value);
    return ok_status();
  }));
  REQUIRE(meta == model.meta);
}

/// Random changes, applied to a batch and to the model.
class Workload {
 public:
  explicit Workload(std::uint64_t seed) : random_(seed) {}

  template <class Values>
  auto pick(const Values& values) {
    return values[number(static_cast<std::uint32_t>(std::size(values)))];
  }

  void change(Batch& batch, Model& model) {
    const CollectionNumber collection = pick(kCollections);
    const VectorNumber vector = pick(kVectors);
    const std::uint32_t slot = number(2) == 0 ? number(40) : 0xffffffff - number(3);
    switch (number(40)) {
      case 0:
        batch.delete_collection(collection);
        std::erase_if(model.points, [&](const auto& e) { return e.first.first == collection; });
        std::erase_if(model.payloads, [&](const auto& e) { return e.first.first == collection; });
        std::erase_if(model.rows,
                      [&](const auto& e) { return std::get<0>(e.first) == collection; });
        std::erase_if(model.events,
                      [&](const auto& e) { return std::get<0>(e.first) == collection; });
        return;
      case 1:
        batch.delete_vectors(collection, vector);
        std::erase_if(model.rows, [&](const auto& e) {
          return std::get<0>(e.first) == collection && std::get<1>(e.first) == vector;
        });
        return;
      default:
        change_record(batch, model, {collection, vector, slot});
    }
  }

  std::uint32_t number(std::uint32_t bound) {
    return static_cast<std::uint32_t>(random_() % bound);
  }

 private:
  /// A block that begins before all events or at one of a few places, with events from there on.
  void change_events(Batch& batch, Model& model, CollectionNumber collection, std::uint32_t slot) {
    std::optional<EventPosition> begin;
    if (number(3) != 0) begin = EventPosition{static_cast<std::int64_t>(number(5)) - 2, id()};
    const Model::EventKey key(collection, slot, begin);
    if (number(3) == 0) {
      batch.delete_events(collection, slot, begin);
      model.events.erase(key);
      return;
    }
    std::map<EventPosition, double> events;
    const std::int64_t first = begin ? begin->at_us : -10;
    if (begin) events[*begin] = 1;
    for (std::uint32_t i = number(20) + 1; i > 0; --i) {
      events[{first + 1 + number(30), id()}] = 1 + number(2);
    }
    std::vector<Event> list;
    for (const auto& [at, weight] : events) list.push_back({at.id, at.at_us, weight});
    batch.put_events(collection, slot, begin, list);
    model.events[key] = list;
  }

  PointId id() {
    if (number(2) == 0) return PointId(number(2) == 0 ? number(50) : ~0ULL - number(3));
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = static_cast<std::uint8_t>(number(2) * 255);
    bytes[15] = static_cast<std::uint8_t>(number(20));
    return PointId::from_uuid(bytes);
  }

  void change_record(Batch& batch, Model& model,
                     std::tuple<CollectionNumber, VectorNumber, std::uint32_t> row) {
    const auto [collection, vector, slot] = row;
    const std::uint64_t version = random_();
    const std::string text(number(300), static_cast<char>('a' + number(26)));
    const PointId point = id();
    switch (number(10)) {
      case 8:
      case 9:
        change_events(batch, model, collection, slot);
        return;
      case 0:
        batch.delete_point(collection, point);
        model.points.erase({collection, point});
        return;
      case 1:
        batch.delete_payload(collection, slot);
        model.payloads.erase({collection, slot});
        return;
      case 2:
        batch.delete_vector(collection, vector, slot);
        model.rows.erase(row);
        return;
      case 3:
        batch.put_meta("key/" + std::to_string(slot), text);
        model.meta["key/" + std::to_string(slot)] = text;
        return;
      case 4:
        batch.delete_meta("key/" + std::to_string(slot));
        model.meta.erase("key/" + std::to_string(slot));
        return;
      case 5:
        batch.put_point(collection, point, {slot, version});
        model.points[{collection, point}] = {slot, version};
        return;
      case 6:
        batch.put_payload(collection, slot, text);
        model.payloads[{collection, slot}] = text;
        return;
      default: {
        // Both sides of the length from which on vectors go to blob files.
        const std::vector<float> values = vector_of(slot, version % 1000, 1 + number(200));
        batch.put_vector(collection, vector, slot, version, values);
        model.rows[row] = {version, values};
      }
    }
  }

  std::mt19937_64 random_;
};

/// The operation of this seed: a few dozen changes, and its number under the meta key "operation".
inline Batch make_operation(std::uint64_t seed, std::uint64_t number, Model& model) {
  Workload workload(seed);
  Batch batch;
  for (std::uint32_t i = 1 + workload.number(40); i > 0; --i) workload.change(batch, model);
  batch.put_meta("operation", std::to_string(number));
  model.meta["operation"] = std::to_string(number);
  return batch;
}

/// Number of the last operation that the store has; 0 for none.
inline std::uint64_t last_operation(const Store& store) {
  return std::stoull((*store.get_meta("operation")).value_or("0"));
}

}  // namespace tessera::storage::test
