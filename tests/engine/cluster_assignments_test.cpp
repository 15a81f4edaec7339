#include "engine/cluster_assignments.h"

#include <filesystem>
#include <fstream>
#include <random>

#include <catch2/catch.hpp>

#include "engine/item_clusters.h"
#include "storage/section_file.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDim = 8, kRows = 2000;

ClusterAssignments some_assignments() {
  return {3, 1'700'000'000, 77, {0, 4, ItemClusters::kNone, 2}};
}

ClustersInfo clusters_of(const ClusterAssignments& assignments, std::uint32_t count) {
  ClustersInfo info;
  info.version = assignments.version;
  info.trained_at_us = assignments.trained_at_us;
  info.count = count;
  return info;
}

struct RawHeader {
  std::uint64_t version = 3;
  std::int64_t trained_at_us = 1'700'000'000;
  std::uint64_t operation = 77;
  std::uint64_t slot_count = 2;
};

void write_raw(const std::string& path, std::span<const std::byte> header,
               std::span<const std::byte> clusters) {
  auto writer = storage::SectionFileWriter::create(path, "assignments", 1).value();
  REQUIRE(writer->begin_section("header").ok());
  REQUIRE(writer->append(header).ok());
  REQUIRE(writer->begin_section("clusters").ok());
  REQUIRE(writer->append(clusters).ok());
  REQUIRE(writer->publish().ok());
}

/// The one file of assignments there is.
fs::path assignments_file(const std::string& directory) {
  fs::path found;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().extension() == ".asg") found = entry.path();
  }
  return found;
}

class Points {
 public:
  Points() : rows_(testing::clustered_rows({.row_count = kRows, .dim = kDim, .seed = 9})) {
    CollectionConfig config;
    config.vectors[""].dim = kDim;
    config.optimizers.indexing_threshold = 64;
    collection_ = database_.create(config);
    insert_rows(*collection_, rows_);
    TrainClustersRequest request;
    request.count = 24;
    const std::uint64_t job = collection_->start_clusters(request).value();
    while (database_->job(job)->state < JobState::kDone) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    REQUIRE(database_->job(job)->state == JobState::kDone);
  }

  void change(std::mt19937_64& random, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const PointId id(random() % (kRows + 50));
      if (random() % 3 == 0) {
        REQUIRE(collection_->write(DeletePoints{std::vector<PointId>{id}}, false).has_value());
        continue;
      }
      UpsertPoints operation;
      PointInput& point = operation.points.emplace_back();
      point.id = id;
      const float* const row = rows_.row(random() % kRows);
      point.vectors.emplace_back("", std::vector<float>(row, row + kDim));
      REQUIRE(collection_->write(std::move(operation), false).has_value());
    }
  }

  void close() {
    collection_.reset();
    database_.close();
  }
  void open() {
    database_.reopen();
    collection_ = database_->collection("c").value();
  }
  std::vector<std::uint64_t> sizes() {
    const ClustersInfo info = collection_->clusters("").value();
    CHECK(info.unassigned == 0);
    return info.sizes;
  }
  /// Points that were assigned by this process so far.
  double assigned_count() {
    const std::string text = database_.registry().expose();
    const std::string name = "\ntessera_item_assignments_total ";
    const std::size_t place = text.find(name);
    return place == std::string::npos ? 0 : std::stod(text.substr(place + name.size()));
  }
  [[nodiscard]] fs::path file() const { return assignments_file(database_.data_path()); }
  /// What the sizes are without any file.
  std::vector<std::uint64_t> sizes_found_anew() {
    close();
    fs::remove(file());
    open();
    return sizes();
  }

 private:
  const testing::Matrix rows_;
  OpenDatabase database_;
  std::shared_ptr<Collection> collection_;
};

}  // namespace

TEST_CASE("cluster assignments: are read as they were written, and damage is found") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path() + "/a.asg";
  const ClusterAssignments written = some_assignments();
  CHECK(load_assignments(path, clusters_of(written, 5)).error().code() == Code::kNotFound);
  REQUIRE(save_assignments(path, written).ok());
  const auto read = load_assignments(path, clusters_of(written, 5));
  REQUIRE(read.has_value());
  CHECK(read->operation == written.operation);
  CHECK(read->clusters == written.clusters);

  const auto what = [&](const ClustersInfo& clusters) {
    const auto failed = load_assignments(path, clusters);
    REQUIRE(failed.has_error());
    CHECK(failed.error().code() == Code::kCorrupt);
    return failed.error().message();
  };
  using Catch::Contains;
  CHECK_THAT(what(clusters_of(written, 4)), Contains("a cluster number is out of range"));
  ClustersInfo other = clusters_of(written, 5);
  ++other.version;
  CHECK_THAT(what(other), Contains("of another training"));
  other = clusters_of(written, 5);
  ++other.trained_at_us;
  CHECK_THAT(what(other), Contains("of another training"));

  const RawHeader header;
  const std::vector<std::uint32_t> three = {0, 1, 2};
  const auto header_bytes = std::as_bytes(std::span(&header, 1));
  write_raw(path, header_bytes, std::as_bytes(std::span(three)));
  CHECK_THAT(what(clusters_of(written, 5)), Contains("section clusters has the wrong size"));
  write_raw(path, header_bytes, std::as_bytes(std::span(three)).first(9));
  CHECK_THAT(what(clusters_of(written, 5)), Contains("section clusters has the wrong size"));
  write_raw(path, header_bytes.first(24), std::as_bytes(std::span(three)).first(8));
  CHECK_THAT(what(clusters_of(written, 5)), Contains("section header has the wrong size"));
}

TEST_CASE("cluster assignments: any byte of the file that changes is noticed") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path() + "/a.asg";
  const ClusterAssignments written = some_assignments();
  REQUIRE(save_assignments(path, written).ok());
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    std::ofstream(path, std::ios::binary) << changed;
    const auto read = load_assignments(path, clusters_of(written, 5));
    CAPTURE(i);
    // Padding between sections is nobody's.
    if (read.has_value()) CHECK(read->clusters == written.clusters);
  }
}

TEST_CASE("cluster assignments: a start finds the points assigned as they were") {
  Points points;
  std::mt19937_64 random(1);
  points.change(random, 500);
  const auto sizes = points.sizes();
  points.close();
  const double before = points.assigned_count();
  points.open();
  CHECK(points.sizes() == sizes);
  CHECK(points.assigned_count() == before);
  CHECK(points.sizes_found_anew() == sizes);
  CHECK(points.assigned_count() > before);
}

TEST_CASE("cluster assignments: after a crash, points that changed since are assigned again") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Points points;
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    points.change(random, 100);
    points.close();
    // Of the time before the changes that follow: nothing is saved by a process that is killed.
    const fs::path file = points.file();
    const fs::path kept = file.string() + ".kept";
    fs::copy_file(file, kept, fs::copy_options::overwrite_existing);
    points.open();
    points.change(random, 100);
    points.close();
    fs::rename(kept, file);
    points.open();
    const auto sizes = points.sizes();
    CHECK(points.sizes_found_anew() == sizes);
  }
}

TEST_CASE("cluster assignments: a file from the future of the store does not count") {
  Points points;
  std::mt19937_64 random(2);
  points.close();
  const fs::path file = points.file();
  points.open();
  points.change(random, 50);
  const auto sizes = points.sizes();
  points.close();
  RawHeader header;
  std::vector<std::uint32_t> clusters(kRows, 0);
  const auto honest = storage::SectionFile::open(file.string(), "assignments", 1).value();
  std::memcpy(&header, honest->section("header")->data(), sizeof(header));
  header.operation += 1'000'000;
  header.slot_count = clusters.size();
  write_raw(file.string(), std::as_bytes(std::span(&header, 1)),
            std::as_bytes(std::span(clusters)));
  points.open();
  CHECK_FALSE(fs::exists(file));
  CHECK(points.sizes() == sizes);
}

}  // namespace tessera::engine
