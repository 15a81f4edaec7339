#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/store.h"

namespace tessera::storage {

/// The store's column families. Their order is that of kFamilyNames.
enum class Family : std::uint8_t {
  kMeta,
  kPoints,
  kPayloads,
  kVectors,
  kRows,
  kEvents,
  kAdapters,
  kSessions,
};
inline constexpr std::array<const char*, 8> kFamilyNames = {
    "meta", "points", "payloads", "vectors", "rows", "events", "adapters", "sessions"};
/// The first of them are in every store; the others came one by one, in their order.
inline constexpr std::size_t kFirstFamilyCount = 5;
/// Those whose keys begin with a collection number.
inline constexpr std::array<Family, 7> kCollectionFamilies = {
    Family::kPoints, Family::kPayloads, Family::kVectors, Family::kRows,
    Family::kEvents, Family::kAdapters, Family::kSessions};

/// Operations in order, their keys and values behind each other in one buffer.
struct BatchOperations {
  enum class Kind : std::uint8_t { kPut, kDelete, kDeleteRange };
  struct Operation {
    Family family;
    Kind kind;
    std::size_t key_bytes;
    std::size_t value_bytes;  ///< Of the value, or of the end of the range.
  };

  void add(Family family, Kind kind, std::string_view key, std::string_view value = {}) {
    operations.push_back({family, kind, key.size(), value.size()});
    bytes += key;
    bytes += value;
  }

  std::vector<Operation> operations;
  std::string bytes;
};

}  // namespace tessera::storage
