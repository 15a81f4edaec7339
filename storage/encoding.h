#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/point_id.h"
#include "base/value_type.h"
#include "storage/store.h"

/// Keys and values of the store; docs/formats.md describes them. Keys are big-endian so that the
/// store's byte order is the order of the numbers; values begin with a format byte.
namespace tessera::storage::encoding {

inline constexpr std::size_t kCollectionPrefixBytes = sizeof(CollectionNumber);

[[nodiscard]] std::string collection_prefix(CollectionNumber collection);
[[nodiscard]] std::string vector_prefix(CollectionNumber collection, VectorNumber vector);
/// The first key after every key that begins with `prefix`.
[[nodiscard]] std::string prefix_end(std::string prefix);

[[nodiscard]] std::string point_key(CollectionNumber collection, const PointId& id);
[[nodiscard]] std::string payload_key(CollectionNumber collection, std::uint32_t slot);
/// Of a block of events: the first one of a slot has no `begin`, and so comes first.
[[nodiscard]] std::string event_key(CollectionNumber collection, std::uint32_t slot,
                                    const std::optional<EventPosition>& begin);
[[nodiscard]] std::string session_prefix(CollectionNumber collection, const SessionId& session);
[[nodiscard]] std::string session_key(CollectionNumber collection, const SessionKey& key);
/// Key of a vector and of its row record.
[[nodiscard]] std::string row_key(CollectionNumber collection, VectorNumber vector,
                                  std::uint32_t slot);

// The decoders give nullopt for bytes that no encoder wrote.
[[nodiscard]] std::optional<CollectionNumber> decode_collection(std::string_view key);
[[nodiscard]] std::optional<PointId> decode_point_key(std::string_view key);
[[nodiscard]] std::optional<std::uint32_t> decode_payload_key(std::string_view key);

struct RowKey {
  VectorNumber vector = 0;
  std::uint32_t slot = 0;
};
[[nodiscard]] std::optional<RowKey> decode_row_key(std::string_view key);

struct EventKey {
  std::uint32_t slot = 0;
  std::optional<EventPosition> begin;
};
[[nodiscard]] std::optional<EventKey> decode_event_key(std::string_view key);

[[nodiscard]] std::string adapter_key(CollectionNumber collection, std::string_view name);
/// The name, which is not empty.
[[nodiscard]] std::optional<std::string_view> decode_adapter_key(std::string_view key);

[[nodiscard]] std::optional<SessionKey> decode_session_key(std::string_view key);

[[nodiscard]] std::string point_value(const PointRecord& record);
[[nodiscard]] std::optional<PointRecord> decode_point_value(std::string_view value);

/// Payloads and meta entries: the text behind its format byte.
[[nodiscard]] std::string text_value(std::string_view text);
[[nodiscard]] std::optional<std::string_view> decode_text_value(std::string_view value);

[[nodiscard]] std::string row_value(std::uint64_t version);
[[nodiscard]] std::optional<std::uint64_t> decode_row_value(std::string_view value);

[[nodiscard]] std::string adapter_value(const AdapterRecord& record);
/// The file points into the value.
[[nodiscard]] std::optional<AdapterRecord> decode_adapter_value(std::string_view value);

/// `values` are storable as `type`; float16 rounds them.
[[nodiscard]] std::string vector_value(std::uint64_t version, std::span<const float> values,
                                       ValueType type = ValueType::kFloat32);
/// Gives the values as floats, whatever they are stored as, in a copy, because a stored value has
/// no alignment; gives the version.
[[nodiscard]] std::optional<std::uint64_t> decode_vector_value(std::string_view value,
                                                               std::vector<float>& values);

}  // namespace tessera::storage::encoding
