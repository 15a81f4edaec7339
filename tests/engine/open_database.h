#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "engine/database.h"
#include "tests/datasets/dataset.h"
#include "tests/support/temporary_directory.h"

namespace tessera::engine {

/// A database in a directory of its own, which builds indexes as soon as it may.
class OpenDatabase {
 public:
  OpenDatabase() {
    settings_.storage.path = directory_.path() + "/data";
    settings_.storage.free_bytes_min = 0;
    settings_.index.build_thread_count = 1;
    settings_.index.build_idle_ms = 0;
    reopen();
  }
  void reopen() {
    database_.reset();
    auto opened = Database::open(settings_, registry_);
    INFO((opened.has_error() ? opened.error().to_string() : std::string()));
    REQUIRE(opened.has_value());
    database_ = std::move(*opened);
  }
  void close() { database_.reset(); }
  [[nodiscard]] const std::string& data_path() const { return settings_.storage.path; }
  Database& operator*() { return *database_; }
  Database* operator->() { return database_.get(); }
  [[nodiscard]] metrics::Registry& registry() { return registry_; }

  std::shared_ptr<Collection> create(const CollectionConfig& config) {
    REQUIRE(database_->create_collection("c", config).ok());
    return database_->collection("c").value();
  }

 private:
  test::TemporaryDirectory directory_;
  metrics::Registry registry_;
  config::Settings settings_;
  std::unique_ptr<Database> database_;
};

/// Row i becomes the unnamed vector of point i.
inline void insert_rows(Collection& collection, const testing::Matrix& rows) {
  UpsertPoints operation;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    PointInput& point = operation.points.emplace_back();
    point.id = PointId(i);
    point.vectors.emplace_back("", std::vector<float>(rows.row(i), rows.row(i) + rows.dim));
  }
  REQUIRE(collection.write(std::move(operation), true).has_value());
}

/// Rebuilds the unnamed vector's index.
inline void reindex(Database& database, Collection& collection, const ReindexRequest& request) {
  const std::uint64_t job = collection.start_reindex(request).value();
  for (int i = 0; i < 6000 && database.job(job)->state < JobState::kDone; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  REQUIRE(database.job(job)->state == JobState::kDone);
}

inline void wait_until_indexed(const Collection& collection, std::uint64_t row_count) {
  for (int i = 0; i < 6000 && collection.info().indexed_vector_count != row_count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  REQUIRE(collection.info().indexed_vector_count == row_count);
}

}  // namespace tessera::engine
