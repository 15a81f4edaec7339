#include "storage/encoding.h"

#include <array>
#include <cstring>

#include "storage/fixed.h"

namespace tessera::storage::encoding {
namespace {

constexpr char kValueFormat = 1;
constexpr char kNumberTag = 0;
constexpr char kUuidTag = 1;
constexpr std::size_t kUuidBytes = 16;

template <class Integer>
void put_big_endian(std::string& text, Integer value) {
  for (int shift = 8 * (static_cast<int>(sizeof(value)) - 1); shift >= 0; shift -= 8) {
    text += static_cast<char>(static_cast<std::uint8_t>(value >> shift));
  }
}

template <class Integer>
Integer get_big_endian(std::string_view text) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = value << 8 | static_cast<std::uint8_t>(text[i]);
  }
  return static_cast<Integer>(value);
}

/// What stands behind the format byte.
std::optional<std::string_view> body_of(std::string_view value) {
  if (value.empty() || value.front() != kValueFormat) return std::nullopt;
  return value.substr(1);
}

}  // namespace

std::string collection_prefix(CollectionNumber collection) {
  std::string key;
  put_big_endian(key, collection);
  return key;
}

std::string vector_prefix(CollectionNumber collection, VectorNumber vector) {
  std::string key = collection_prefix(collection);
  put_big_endian(key, vector);
  return key;
}

std::string prefix_end(std::string prefix) {
  while (!prefix.empty() && static_cast<std::uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  // No key is as long as this, so it lies behind every key that begins with 0xff bytes.
  if (prefix.empty()) return std::string(64, '\xff');
  prefix.back() = static_cast<char>(static_cast<std::uint8_t>(prefix.back()) + 1);
  return prefix;
}

namespace {

void put_id(std::string& key, const PointId& id) {
  if (!id.is_uuid()) {
    key += kNumberTag;
    put_big_endian(key, id.number());
    return;
  }
  key += kUuidTag;
  const std::array<std::uint8_t, kUuidBytes> bytes = id.uuid_bytes();
  key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// Tag and id, and nothing behind them.
std::optional<PointId> get_id(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const char tag = text.front();
  const std::string_view id = text.substr(1);
  if (tag == kNumberTag && id.size() == sizeof(std::uint64_t)) {
    return PointId(get_big_endian<std::uint64_t>(id));
  }
  if (tag == kUuidTag && id.size() == kUuidBytes) {
    std::array<std::uint8_t, kUuidBytes> bytes{};
    std::memcpy(bytes.data(), id.data(), kUuidBytes);
    return PointId::from_uuid(bytes);
  }
  return std::nullopt;
}

/// Times before 1970 are negative; with the sign bit turned they sort as unsigned numbers.
constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;

}  // namespace

std::string point_key(CollectionNumber collection, const PointId& id) {
  std::string key = collection_prefix(collection);
  put_id(key, id);
  return key;
}

std::string event_key(CollectionNumber collection, std::uint32_t slot,
                      const std::optional<EventPosition>& begin) {
  std::string key = payload_key(collection, slot);
  if (!begin) return key;
  put_big_endian(key, static_cast<std::uint64_t>(begin->at_us) ^ kSignBit);
  put_id(key, begin->id);
  return key;
}

std::string payload_key(CollectionNumber collection, std::uint32_t slot) {
  std::string key = collection_prefix(collection);
  put_big_endian(key, slot);
  return key;
}

std::string row_key(CollectionNumber collection, VectorNumber vector, std::uint32_t slot) {
  std::string key = vector_prefix(collection, vector);
  put_big_endian(key, slot);
  return key;
}

std::string session_prefix(CollectionNumber collection, const SessionId& session) {
  std::string key = collection_prefix(collection);
  key.append(reinterpret_cast<const char*>(session.data()), session.size());
  return key;
}

std::string session_key(CollectionNumber collection, const SessionKey& key) {
  std::string text = session_prefix(collection, key.session);
  text += static_cast<char>(key.part);
  if (key.part == SessionKey::Part::kRound) put_big_endian(text, key.round);
  return text;
}

std::optional<CollectionNumber> decode_collection(std::string_view key) {
  if (key.size() < kCollectionPrefixBytes) return std::nullopt;
  return get_big_endian<CollectionNumber>(key);
}

std::optional<PointId> decode_point_key(std::string_view key) {
  if (key.size() < kCollectionPrefixBytes) return std::nullopt;
  return get_id(key.substr(kCollectionPrefixBytes));
}

std::optional<EventKey> decode_event_key(std::string_view key) {
  constexpr std::size_t kBeginOffset = kCollectionPrefixBytes + sizeof(std::uint32_t);
  if (key.size() < kBeginOffset) return std::nullopt;
  EventKey decoded{get_big_endian<std::uint32_t>(key.substr(kCollectionPrefixBytes)), std::nullopt};
  const std::string_view begin = key.substr(kBeginOffset);
  if (begin.empty()) return decoded;
  if (begin.size() < sizeof(std::uint64_t)) return std::nullopt;
  const auto id = get_id(begin.substr(sizeof(std::uint64_t)));
  if (!id) return std::nullopt;
  decoded.begin = EventPosition{
      static_cast<std::int64_t>(get_big_endian<std::uint64_t>(begin) ^ kSignBit), *id};
  return decoded;
}

std::optional<std::uint32_t> decode_payload_key(std::string_view key) {
  if (key.size() != kCollectionPrefixBytes + sizeof(std::uint32_t)) return std::nullopt;
  return get_big_endian<std::uint32_t>(key.substr(kCollectionPrefixBytes));
}

std::optional<RowKey> decode_row_key(std::string_view key) {
  constexpr std::size_t kSlotOffset = kCollectionPrefixBytes + sizeof(VectorNumber);
  if (key.size() != kSlotOffset + sizeof(std::uint32_t)) return std::nullopt;
  return RowKey{get_big_endian<VectorNumber>(key.substr(kCollectionPrefixBytes)),
                get_big_endian<std::uint32_t>(key.substr(kSlotOffset))};
}

std::optional<SessionKey> decode_session_key(std::string_view key) {
  constexpr std::size_t kPartOffset = kCollectionPrefixBytes + sizeof(SessionId);
  if (key.size() <= kPartOffset) return std::nullopt;
  SessionKey decoded;
  std::memcpy(decoded.session.data(), key.data() + kCollectionPrefixBytes, sizeof(SessionId));
  const auto part = static_cast<std::uint8_t>(key[kPartOffset]);
  if (part > static_cast<std::uint8_t>(SessionKey::Part::kRound)) return std::nullopt;
  decoded.part = static_cast<SessionKey::Part>(part);
  const std::string_view round = key.substr(kPartOffset + 1);
  const bool is_round = decoded.part == SessionKey::Part::kRound;
  if (round.size() != (is_round ? sizeof(decoded.round) : 0)) return std::nullopt;
  if (is_round) decoded.round = get_big_endian<std::uint32_t>(round);
  return decoded;
}

std::string point_value(const PointRecord& record) {
  std::string value(1, kValueFormat);
  put_fixed(value, record.slot);
  put_fixed(value, record.version);
  return value;
}

std::optional<PointRecord> decode_point_value(std::string_view value) {
  const std::optional<std::string_view> body = body_of(value);
  if (!body || body->size() != sizeof(std::uint32_t) + sizeof(std::uint64_t)) return std::nullopt;
  return PointRecord{get_fixed<std::uint32_t>(body->data()),
                     get_fixed<std::uint64_t>(body->data() + sizeof(std::uint32_t))};
}

std::string text_value(std::string_view text) {
  std::string value(1, kValueFormat);
  value += text;
  return value;
}

std::optional<std::string_view> decode_text_value(std::string_view value) {
  return body_of(value);
}

std::string row_value(std::uint64_t version) {
  std::string value(1, kValueFormat);
  put_fixed(value, version);
  return value;
}

std::optional<std::uint64_t> decode_row_value(std::string_view value) {
  const std::optional<std::string_view> body = body_of(value);
  if (!body || body->size() != sizeof(std::uint64_t)) return std::nullopt;
  return get_fixed<std::uint64_t>(body->data());
}

std::string adapter_key(CollectionNumber collection, std::string_view name) {
  std::string key = collection_prefix(collection);
  key += name;
  return key;
}

std::optional<std::string_view> decode_adapter_key(std::string_view key) {
  if (key.size() <= kCollectionPrefixBytes) return std::nullopt;
  return key.substr(kCollectionPrefixBytes);
}

std::string adapter_value(const AdapterRecord& record) {
  std::string value(1, kValueFormat);
  value.reserve(1 + 2 * sizeof(std::uint64_t) + record.file.size());
  put_fixed(value, record.version);
  put_fixed(value, static_cast<std::uint64_t>(record.created_at_us));
  value += record.file;
  return value;
}

std::optional<AdapterRecord> decode_adapter_value(std::string_view value) {
  const std::optional<std::string_view> body = body_of(value);
  constexpr std::size_t kHeadBytes = 2 * sizeof(std::uint64_t);
  if (!body || body->size() < kHeadBytes) return std::nullopt;
  return AdapterRecord{
      get_fixed<std::uint64_t>(body->data()),
      static_cast<std::int64_t>(get_fixed<std::uint64_t>(body->data() + sizeof(std::uint64_t))),
      body->substr(kHeadBytes)};
}

std::string vector_value(std::uint64_t version, std::span<const float> values, ValueType type) {
  std::string value(1, static_cast<char>(kValueFormat + static_cast<char>(type)));
  const std::size_t bytes = values.size() * value_bytes(type);
  value.reserve(1 + sizeof(version) + bytes);
  put_fixed(value, version);
  const std::size_t head_bytes = value.size();
  value.resize(head_bytes + bytes);
  narrow_values(type, values.data(), values.size(), value.data() + head_bytes);
  return value;
}

std::optional<std::uint64_t> decode_vector_value(std::string_view value,
                                                 std::vector<float>& values) {
  constexpr std::size_t kHeadBytes = 1 + sizeof(std::uint64_t);
  if (value.size() < kHeadBytes || value.front() < kValueFormat) return std::nullopt;
  const auto type = value_type_of(static_cast<std::uint8_t>(value.front() - kValueFormat));
  if (!type) return std::nullopt;
  const std::string_view stored = value.substr(kHeadBytes);
  if (stored.size() % value_bytes(*type) != 0) return std::nullopt;
  values.resize(stored.size() / value_bytes(*type));
  widen_values(*type, stored.data(), values.size(), values.data());
  return get_fixed<std::uint64_t>(value.data() + 1);
}

}  // namespace tessera::storage::encoding
