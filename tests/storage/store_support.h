#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <rocksdb/db.h>

#include "storage/batch.h"
#include "storage/store.h"
#include "storage/store_options.h"

namespace tessera::storage::test {

inline constexpr std::uint64_t kMegabyte = 1 << 20;

/// Small memory, so that a test's data reaches tables.
inline StoreOptions small_options() {
  StoreOptions options;
  options.block_cache_bytes = 4 * kMegabyte;
  options.write_buffer_bytes = kMegabyte;
  return options;
}

inline std::unique_ptr<Store> open_or_fail(const std::string& path,
                                           const StoreOptions& options = small_options()) {
  Result<std::unique_ptr<Store>> store = Store::open(path, options);
  INFO(store.error().to_string());
  REQUIRE(store.has_value());
  return std::move(*store);
}

inline void require_ok(const Status& status) {
  INFO(status.to_string());
  REQUIRE(status.ok());
}

/// Floats that are known from who they belong to.
inline std::vector<float> vector_of(std::uint32_t slot, std::uint64_t version, std::size_t dim) {
  std::vector<float> values(dim);
  for (std::size_t i = 0; i < dim; ++i) {
    values[i] = static_cast<float>(slot) + 0.001F * static_cast<float>(version) +
                10.0F * static_cast<float>(i);
  }
  return values;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  REQUIRE(file.good());
}

/// Paths of the files with this extension, ascending.
inline std::vector<std::string> files_with(const std::string& directory,
                                           const std::string& extension) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == extension) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// Opens the files with RocksDB itself and changes them as damage or another version might have.
/// `change(database, handle_of)`, where handle_of(Family) is the family's handle.
template <class Change>
void change_behind(const std::string& path, const Change& change) {
  rocksdb::DB* raw = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const auto options = database_options(small_options(), rocksdb::Env::Default());
  const auto families = family_descriptors(small_options());
  REQUIRE(rocksdb::DB::Open(options, path, families, &handles, &raw).ok());
  const std::unique_ptr<rocksdb::DB> database(raw);
  change(*database, [&](Family family) { return handles[1 + static_cast<std::size_t>(family)]; });
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    REQUIRE(database->DestroyColumnFamilyHandle(handle).ok());
  }
}

}  // namespace tessera::storage::test
