#include "engine/user_event_plan.h"

#include <algorithm>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

using storage::Event;
using storage::EventBlock;
using storage::EventPosition;

constexpr storage::CollectionNumber kCollection = 7;

using Model = std::map<std::uint32_t, std::map<EventPosition, double>>;

/// Groups of changes against a store and against a map.
class Run {
 public:
  explicit Run(std::uint64_t seed) : random_(seed) {
    store_ = storage::Store::open(directory_.path() + "/store", {}).value();
  }

  void group() {
    UserEventPlan plan(*store_, kCollection);
    for (std::uint64_t i = 1 + random_() % 8; i > 0; --i) {
      const auto slot = static_cast<std::uint32_t>(random_() % 4);
      const std::uint64_t kind = random_() % 14;
      if (kind >= 12) {
        remove_some(plan, slot);
        continue;
      }
      const auto events = kind == 0 ? std::vector<Event>() : random_events();
      auto staged = kind < 2 ? plan.replace(slot, events) : plan.append(slot, events);
      REQUIRE(staged.has_value());
      if (random_() % 5 == 0) continue;  // An operation that failed elsewhere.
      plan.accept(std::move(*staged));
      auto& known = model_[slot];
      if (kind < 2) known.clear();
      for (const Event& event : events) known.emplace(event.position(), event.weight);
    }
    storage::Batch batch;
    plan.write_to(batch);
    if (!batch.empty()) REQUIRE(store_->write(std::move(batch), false).ok());
  }

  void check() const {
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
      std::vector<Event> expected, found;
      const auto known = model_.find(slot);
      if (known != model_.end()) {
        for (const auto& [at, weight] : known->second) {
          expected.push_back({at.id, at.at_us, weight});
        }
      }
      REQUIRE(store_
                  ->visit_events(kCollection, slot,
                                 [&](std::uint32_t, EventBlock&& block) {
                                   REQUIRE(block.begin.has_value() == !found.empty());
                                   REQUIRE(block.events.size() <= 128);
                                   found.insert(found.end(), block.events.begin(),
                                                block.events.end());
                                   return true;
                                 })
                  .ok());
      REQUIRE(found == expected);
    }
  }

 private:
  /// A third of the events there are, a single one, or those of a few items.
  void remove_some(UserEventPlan& plan, std::uint32_t slot) {
    EventMatcher removed;
    const auto& known = model_[slot];
    const std::uint64_t kind = random_() % 3, salt = random_();
    if (kind == 0) {
      for (std::uint64_t item = 0; item < 300; item += 3) removed.items.insert(PointId(item));
    }
    for (const auto& [position, weight] : known) {
      const std::uint64_t number =
          position.id.number() + static_cast<std::uint64_t>(position.at_us);
      if (kind == 1 && (number + salt) % 3 == 0) removed.positions.insert(position);
    }
    if (kind == 2 && !known.empty()) {
      auto one = known.begin();
      std::advance(one, salt % known.size());
      removed.positions.insert(one->first);
    }
    removed.positions.insert({-5, PointId(1)});
    auto staged = plan.remove(slot, removed);
    REQUIRE(staged.has_value());
    if (random_() % 5 == 0) return;
    plan.accept(std::move(*staged));
    std::erase_if(model_[slot], [&](const auto& entry) {
      return removed.matches({entry.first.id, entry.first.at_us, entry.second});
    });
  }

  /// Often at the end of what there is, sometimes anywhere, sometimes all at one time.
  std::vector<Event> random_events() {
    std::map<EventPosition, Event> events;
    const std::uint64_t count = 1 + random_() % (random_() % 4 == 0 ? 700 : 12);
    const std::uint64_t shape = random_() % 4;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::int64_t at_us = static_cast<std::int64_t>(random_() % 5000);
      if (shape < 2) at_us = ++clock_;
      if (shape == 2) at_us = 2500;
      const Event event{PointId(random_() % 300), at_us, 1 + static_cast<double>(random_() % 2)};
      events.emplace(event.position(), event);
    }
    std::vector<Event> list;
    for (const auto& [position, event] : events) list.push_back(event);
    return list;
  }

  std::mt19937_64 random_;
  test::TemporaryDirectory directory_;
  std::unique_ptr<storage::Store> store_;
  Model model_;
  std::int64_t clock_ = 5000;
};

}  // namespace

TEST_CASE("user events: random groups of changes agree with a map", "[unit]") {
  const std::uint64_t seed = std::random_device{}();
  for (std::uint64_t round = 0; round < 4; ++round) {
    CAPTURE(seed, round);
    Run run(seed + round);
    for (int group = 0; group < 60; ++group) {
      CAPTURE(group);
      run.group();
      run.check();
    }
  }
}

TEST_CASE("user events: blocks are full when events come in order, and halved otherwise",
          "[unit]") {
  std::vector<Event> events;
  for (std::int64_t i = 0; i < 300; ++i) events.push_back({PointId(1), i, 1});
  const auto sizes = [&](bool is_growing) {
    std::vector<std::size_t> sizes;
    for (const EventBlock& block : cut_into_blocks(std::nullopt, events, is_growing)) {
      sizes.push_back(block.events.size());
    }
    return sizes;
  };
  REQUIRE(sizes(true) == std::vector<std::size_t>{128, 128, 44});
  REQUIRE(sizes(false) == std::vector<std::size_t>{100, 100, 100});
  REQUIRE(cut_into_blocks(std::nullopt, {}, true).empty());
}

TEST_CASE("user events: what a slot has can be replaced although it is damaged", "[unit]") {
  test::TemporaryDirectory directory;
  const auto store = storage::Store::open(directory.path() + "/store", {}).value();
  storage::Batch batch;
  // An event before its block begins.
  batch.put_events(kCollection, 1, EventPosition{50, PointId(1)},
                   std::vector<Event>{{PointId(1), 10, 1}});
  REQUIRE(store->write(std::move(batch), false).ok());
  UserEventPlan plan(*store, kCollection);
  const auto failed = plan.append(1, {{PointId(1), 60, 1}});
  REQUIRE(failed.has_error());
  REQUIRE(failed.error().code() == Code::kCorrupt);
  REQUIRE(failed.error().message().find("collection 7, slot 1") != std::string::npos);
  plan.accept(plan.replace(1, {{PointId(2), 5, 1}}).value());
  storage::Batch repair;
  plan.write_to(repair);
  REQUIRE(store->write(std::move(repair), false).ok());
  REQUIRE(store->event_blocks(kCollection, 1)->size() == 1);
}

}  // namespace tessera::engine
