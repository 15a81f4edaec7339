#include "engine/item_clusters.h"

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "engine/cluster_labels.h"
#include "engine/trained_clusters.h"
#include "storage/section_file.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {
namespace {

using Vector = std::vector<float>;

/// Clusters 0 to 3 are the directions of a plane.
std::shared_ptr<const index::Clusters> directions() {
  return std::make_shared<const index::Clusters>(
      index::Clusters{Metric::kCosine, 2, {1, 0, 0, 1, -1, 0, 0, -1}});
}

Vector vector_in(std::uint32_t cluster) {
  const auto clusters = directions();
  return {clusters->centroid(cluster)[0], clusters->centroid(cluster)[1]};
}

/// What the store holds: slots with the cluster that their vector lies in.
class FakeStore {
 public:
  void put(std::uint32_t slot, std::uint32_t cluster) {
    const std::scoped_lock lock(mutex_);
    clusters_[slot] = cluster;
  }
  void remove(std::uint32_t slot) {
    const std::scoped_lock lock(mutex_);
    clusters_.erase(slot);
  }
  [[nodiscard]] std::vector<Vector> fetch(std::span<const std::uint32_t> slots) const {
    const std::scoped_lock lock(mutex_);
    std::vector<Vector> vectors(slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto found = clusters_.find(slots[i]);
      if (found != clusters_.end()) vectors[i] = vector_in(found->second);
    }
    return vectors;
  }
  [[nodiscard]] std::map<std::uint32_t, std::uint32_t> clusters() const {
    const std::scoped_lock lock(mutex_);
    return clusters_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::uint32_t, std::uint32_t> clusters_;
};

ItemClusters over(const FakeStore& store) {
  return {directions(),
          [&store](std::span<const std::uint32_t> slots) { return store.fetch(slots); }};
}

void check_equal(const ItemClusters& items, const FakeStore& store, std::uint32_t slot_count) {
  const auto expected = store.clusters();
  std::vector<std::uint64_t> sizes(4, 0);
  for (const auto& [slot, cluster] : expected) ++sizes[cluster];
  CHECK(items.sizes() == sizes);
  for (std::uint32_t cluster = 0; cluster < 4; ++cluster) {
    const SlotBits bits = items.slots_in(cluster);
    for (std::uint32_t slot = 0; slot < slot_count; ++slot) {
      const auto found = expected.find(slot);
      REQUIRE(bits.contains(slot) == (found != expected.end() && found->second == cluster));
    }
  }
  for (const auto& [slot, cluster] : expected) {
    REQUIRE(items.clusters_of({&slot, 1}).front() == cluster);
  }
}

index::BuildControl threads(unsigned count) {
  index::BuildControl control;
  control.thread_count = count;
  return control;
}

}  // namespace

TEST_CASE("item clusters: what was marked is assigned as it is stored, with any threads") {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    FakeStore store;
    ItemClusters items = over(store);
    for (int round = 0; round < 5; ++round) {
      std::vector<std::uint32_t> changed;
      for (int i = 0; i < 1500; ++i) {
        const auto slot = static_cast<std::uint32_t>(random() % 4000);
        if (random() % 4 == 0) {
          store.remove(slot);
        } else {
          store.put(slot, static_cast<std::uint32_t>(random() % 4));
        }
        changed.push_back(slot);
      }
      items.mark(changed);
      const std::uint32_t known = changed.front();
      CHECK(items.clusters_of({&known, 1}).front() == ItemClusters::kNone);
      CHECK(items.marked_count() > 0);
      REQUIRE(items.catch_up(threads(1 + seed % 3)).ok());
      CHECK(items.marked_count() == 0);
      check_equal(items, store, 4100);
    }
  }
}

TEST_CASE("item clusters: a round may be bounded, and a cancelled one goes on later") {
  FakeStore store;
  ItemClusters items = over(store);
  index::Bitmap slots;
  for (std::uint32_t slot = 0; slot < 5000; ++slot) {
    store.put(slot, slot % 4);
    slots.add(slot);
  }
  items.mark(slots);
  REQUIRE(items.catch_up(threads(1), 700).ok());
  CHECK(items.marked_count() == 4300);
  CancelToken cancel;
  cancel.cancel();
  index::BuildControl control;
  control.cancel = &cancel;
  CHECK(items.catch_up(control).code() == Code::kCancelled);
  CHECK(items.marked_count() == 4300);
  REQUIRE(items.catch_up(threads(2)).ok());
  check_equal(items, store, 5000);
}

TEST_CASE("item clusters: a failure keeps the marks") {
  FakeStore store;
  bool fails = true;
  ItemClusters items(directions(), [&](std::span<const std::uint32_t> slots) {
    if (fails) throw std::bad_alloc();
    return store.fetch(slots);
  });
  store.put(7, 2);
  const std::uint32_t slot = 7;
  items.mark({&slot, 1});
  CHECK(items.catch_up(threads(1)).code() == Code::kResourceExhausted);
  fails = false;
  REQUIRE(items.catch_up(threads(1)).ok());
  check_equal(items, store, 8);
}

TEST_CASE("item clusters: writers, readers and those who catch up may run at once") {
  FakeStore store;
  ItemClusters items = over(store);
  std::atomic<bool> is_writing = true;
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      while (is_writing) {
        if (!items.catch_up(threads(2)).ok()) return;
        (void)items.slots_in(1);
        (void)items.sizes();
      }
    });
  }
  std::mt19937_64 random(17);
  for (int i = 0; i < 4000; ++i) {
    const auto slot = static_cast<std::uint32_t>(random() % 300);
    if (random() % 5 == 0) {
      store.remove(slot);
    } else {
      store.put(slot, static_cast<std::uint32_t>(random() % 4));
    }
    items.mark({&slot, 1});
  }
  is_writing = false;
  for (std::thread& other : others) other.join();
  REQUIRE(items.catch_up(threads(1)).ok());
  check_equal(items, store, 300);
}

TEST_CASE("cluster labels: the most frequent values, ties by their text, three at most") {
  LabelCounter counter(2);
  counter.add(0, {"\"b\"", "\"a\""});
  counter.add(0, {"\"b\"", "true"});
  counter.add(0, {"7", "\"a\""});
  counter.add(0, {std::string(1000, 'x')});
  const auto labels = counter.labels();
  REQUIRE(labels.size() == 2);
  REQUIRE(labels[0].size() == 3);
  CHECK(labels[0][0].value == "\"a\"");
  CHECK(labels[0][0].count == 2);
  CHECK(labels[0][1].value == "\"b\"");
  CHECK(labels[0][2].value == "7");
  CHECK(labels[1].empty());
}

TEST_CASE("cluster labels: are read as they were written, and damage is found") {
  const std::vector<ClusterLabel> labels = {{{"\"x\"", 5}, {"7", 3}}, {}, {{"true", 1}}};
  const std::string bytes = encode_labels("a.b", labels);
  ClustersInfo info;
  REQUIRE(decode_labels(bytes, 3, info).ok());
  CHECK(info.label_field == "a.b");
  REQUIRE(info.labels.size() == 3);
  CHECK(info.labels[0][1].value == "7");
  CHECK(info.labels[0][1].count == 3);
  CHECK(encode_labels(info.label_field, info.labels) == bytes);
  CHECK(encode_labels("", {}).empty());
  ClustersInfo none;
  REQUIRE(decode_labels("", 3, none).ok());
  CHECK(none.labels.empty());
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    ClustersInfo cut;
    CHECK(decode_labels(std::string_view(bytes).substr(0, size), 3, cut).code() == Code::kCorrupt);
  }
  CHECK(decode_labels(bytes + "x", 3, info).code() == Code::kCorrupt);
  CHECK(decode_labels(bytes, 4, info).code() == Code::kCorrupt);
  const auto damaged = [&](std::size_t at) {
    std::string copy = bytes;
    copy[at] = '\x7f';
    ClustersInfo read;
    return decode_labels(copy, 3, read).code();
  };
  CHECK(damaged(3) == Code::kCorrupt);          // The length of the field.
  CHECK(damaged(7) == Code::kCorrupt);          // How many values the first cluster has.
  CHECK(damaged(7 + 4 + 8) == Code::kCorrupt);  // The length of a value.
}

TEST_CASE("cluster file: holds the labels, and one of the version before is read without") {
  test::TemporaryDirectory directory;
  const std::string path = directory.path() + "/c.clu";
  TrainedClusters trained;
  trained.clusters = *directions();
  trained.info.sizes = {1, 2, 3, 4};
  trained.info.version = 9;
  trained.mean_distance = 0.5;
  trained.info.label_field = "genre";
  trained.info.labels = {{{"\"x\"", 5}}, {}, {}, {{"true", 1}}};
  REQUIRE(save_clusters(path, trained).ok());
  const auto loaded = load_clusters(path, Metric::kCosine, 2).value();
  CHECK(loaded->clusters.centroids == trained.clusters.centroids);
  CHECK(loaded->info.sizes == trained.info.sizes);
  CHECK(loaded->info.version == 9);
  CHECK(loaded->mean_distance == 0.5);
  CHECK(loaded->info.label_field == "genre");
  CHECK(loaded->info.labels[3][0].value == "true");

  const auto copied = [&](std::uint32_t version, bool with_labels) {
    const auto file = storage::SectionFile::open(path, "clusters", 2).value();
    const std::string other = directory.path() + "/other.clu";
    auto writer = storage::SectionFileWriter::create(other, "clusters", version).value();
    for (const char* name : {"header", "sizes", "centroids", "labels"}) {
      if (!with_labels && std::string_view(name) == "labels") continue;
      REQUIRE(writer->begin_section(name).ok());
      REQUIRE(writer->append(file->section(name).value()).ok());
    }
    REQUIRE(writer->publish().ok());
    return load_clusters(other, Metric::kCosine, 2);
  };
  CHECK(copied(1, false).value()->info.labels.empty());
  CHECK(copied(2, true).value()->info.labels.size() == 4);
  CHECK(copied(2, false).error().code() == Code::kCorrupt);
}

}  // namespace tessera::engine
