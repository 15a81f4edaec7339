#include "storage/session_record.h"

#include <algorithm>
#include <cmath>

#include "storage/packed.h"

namespace tessera::storage {

using packed::put_float;
using packed::put_id;
using packed::put_varint;
using packed::Reader;

namespace {

constexpr char kFormat = 1;
/// Of a round whose hits have places of their own.
constexpr char kFormatWithPlaces = 2;
constexpr std::size_t kShownBytes = 4;

std::string hexadecimal(const SessionId& id, std::size_t byte_count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < byte_count; ++i) {
    text += kDigits[id[i] >> 4];
    text += kDigits[id[i] & 15];
  }
  return text;
}

// How the ids of a list are written.
constexpr unsigned kIntegers = 0;
constexpr unsigned kUuids = 1;
constexpr unsigned kMixed = 2;  ///< A byte before each: whether it is a UUID.

constexpr unsigned kHasInterests = 1;
constexpr unsigned kHasPerson = 2;
constexpr unsigned kHasOrigin = 4;
constexpr unsigned kHasPage = 8;
constexpr unsigned kHasPageRule = 16;
constexpr unsigned kHasPageOffsets = 32;
constexpr unsigned kHasQuotaPower = 64;
constexpr double kQuotaPowerMax = 10;

bool has_page_offsets(const SessionDefinition& definition) {
  return std::any_of(definition.interests.begin(), definition.interests.end(),
                     [](const SessionInterest& interest) { return !interest.page_offset.empty(); });
}
bool has_origin(const SessionDefinition& definition) {
  return !definition.person_id.empty() || definition.adapter_version != 0 ||
         definition.adapter_created_at_us != 0;
}

/// Of a list of anything that has an id.
template <class Items, class IdOf>
void put_ids(std::string& bytes, const Items& items, const IdOf& id_of) {
  put_varint(bytes, items.size());
  if (items.empty()) return;
  const auto uuid_count = static_cast<std::size_t>(std::count_if(
      items.begin(), items.end(), [&](const auto& item) { return id_of(item).is_uuid(); }));
  unsigned form = kMixed;
  if (uuid_count == 0) form = kIntegers;
  if (uuid_count == items.size()) form = kUuids;
  bytes += static_cast<char>(form);
  for (const auto& item : items) {
    const PointId& id = id_of(item);
    if (form == kMixed) bytes += static_cast<char>(id.is_uuid());
    put_id(bytes, id);
  }
}

const PointId& itself(const PointId& id) {
  return id;
}
template <class Item>
const PointId& own_id(const Item& item) {
  return item.id;
}

void put_floats(std::string& bytes, const std::vector<float>& values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}
void put_text(std::string& bytes, std::string_view text) {
  put_varint(bytes, text.size());
  bytes += text;
}

/// Reads the parts of a record; once something is amiss it stays so, and values are of no use.
class Parts {
 public:
  explicit Parts(std::string_view bytes, unsigned format_max = kFormat) : reader_(bytes) {
    format_ = byte(format_max);
    expect(format_ >= unsigned{kFormat});
  }
  [[nodiscard]] unsigned format() const { return format_; }
  [[nodiscard]] bool is_sound() const { return is_sound_; }
  [[nodiscard]] bool is_at_end() const { return is_sound_ && reader_.left() == 0; }
  void expect(bool condition) { is_sound_ = is_sound_ && condition; }

  unsigned byte(unsigned max) {
    const unsigned value = take(reader_.byte());
    expect(value <= max);
    return value;
  }
  std::uint64_t varint() { return take(reader_.varint()); }
  std::uint32_t varint32() {
    const std::uint64_t value = varint();
    expect(value <= UINT32_MAX);
    return static_cast<std::uint32_t>(value);
  }
  std::int64_t time() { return packed::unzigzag(varint()); }
  template <class Float>
  double number() {
    const double value = take(reader_.number<Float>());
    expect(std::isfinite(value));
    return value;
  }
  /// A count of things that take so many bytes at least.
  std::size_t count(std::size_t bytes_each) {
    const std::uint64_t value = varint();
    expect(value <= reader_.left() / bytes_each);
    return is_sound_ ? static_cast<std::size_t>(value) : 0;
  }
  std::string text() {
    const std::size_t size = count(1);
    return std::string(take(reader_.text(size)));
  }
  std::vector<float> floats(std::size_t count) {
    std::vector<float> values;
    expect(count <= reader_.left() / sizeof(float));
    if (!is_sound_) return values;
    values.resize(count);
    for (float& value : values) value = static_cast<float>(number<float>());
    return values;
  }
  std::vector<PointId> ids() {
    std::vector<PointId> ids(count(1));
    if (ids.empty()) return ids;
    const unsigned form = byte(kMixed);
    for (PointId& id : ids) {
      const bool is_uuid = form == kMixed ? byte(1) == 1 : form == kUuids;
      id = take(reader_.id(is_uuid));
      if (!is_sound_) break;
    }
    return ids;
  }

 private:
  template <class T>
  T take(std::optional<T> value) {
    expect(value.has_value());
    return is_sound_ ? std::move(*value) : T();
  }

  Reader reader_;
  bool is_sound_ = true;
  unsigned format_ = 0;
};

/// Where the interests' hits follow each other nearest first, their places need not be written.
bool are_counted(const SessionRound& round) {
  std::vector<std::uint32_t> next(round.moves.size(), 0);
  return std::all_of(round.hits.begin(), round.hits.end(), [&next](const SessionHit& hit) {
    return hit.component < next.size() && hit.place == next[hit.component]++;
  });
}

bool are_unique(std::vector<PointId> ids) {
  std::sort(ids.begin(), ids.end());
  return std::adjacent_find(ids.begin(), ids.end()) == ids.end();
}

void put_interest(std::string& bytes, const SessionInterest& interest) {
  put_varint(bytes, interest.cluster ? std::uint64_t{*interest.cluster} + 1 : 0);
  put_float(bytes, interest.weight);
  const std::vector<PointId> medoid =
      interest.medoid ? std::vector<PointId>{*interest.medoid} : std::vector<PointId>();
  put_ids(bytes, medoid, itself);
  put_ids(bytes, interest.items, itself);
  put_floats(bytes, interest.vector);
}

SessionInterest read_interest(Parts& parts, std::size_t dim) {
  SessionInterest interest;
  const std::uint64_t cluster = parts.varint();
  parts.expect(cluster <= std::uint64_t{UINT32_MAX} + 1);
  if (cluster > 0) interest.cluster = static_cast<std::uint32_t>(cluster - 1);
  interest.weight = parts.number<double>();
  parts.expect(interest.weight >= 0);
  const std::vector<PointId> medoid = parts.ids();
  parts.expect(medoid.size() <= 1);
  if (!medoid.empty()) interest.medoid = medoid.front();
  interest.items = parts.ids();
  interest.vector = parts.floats(dim);
  return interest;
}

}  // namespace

std::string session_text(const SessionId& id) {
  return hexadecimal(id, id.size());
}

std::string session_label(const SessionId& id) {
  return "session " + hexadecimal(id, kShownBytes) + "...";
}

std::optional<SessionId> parse_session_id(std::string_view text) {
  SessionId id{};
  if (text.size() != 2 * id.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char digit = text[i];
    unsigned value = 0;
    if (digit >= '0' && digit <= '9') {
      value = static_cast<unsigned>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      value = static_cast<unsigned>(digit - 'a') + 10;
    } else {
      return std::nullopt;
    }
    id[i / 2] = static_cast<std::uint8_t>(id[i / 2] << 4 | value);
  }
  return id;
}

std::string encode_session_state(const SessionState& state) {
  std::string bytes(1, kFormat);
  put_varint(bytes, packed::zigzag(state.used_at_us));
  put_varint(bytes, state.ttl_s);
  put_varint(bytes, state.round_count);
  return bytes;
}

std::optional<SessionState> decode_session_state(std::string_view bytes) {
  Parts parts(bytes);
  SessionState state;
  state.used_at_us = parts.time();
  state.ttl_s = parts.varint32();
  state.round_count = parts.varint32();
  if (!parts.is_at_end()) return std::nullopt;
  return state;
}

std::string encode_session_definition(const SessionDefinition& definition) {
  std::string bytes(1, kFormat);
  bytes += static_cast<char>(
      (definition.has_interests ? kHasInterests : 0U) |
      (definition.person.empty() ? 0U : kHasPerson) | (has_origin(definition) ? kHasOrigin : 0U) |
      (definition.page > 0 ? kHasPage : 0U) | (definition.page_mmr_lambda ? kHasPageRule : 0U) |
      (has_page_offsets(definition) ? kHasPageOffsets : 0U) |
      (definition.quota_power != 1 ? kHasQuotaPower : 0U));
  bytes += static_cast<char>(definition.allocation);
  bytes += static_cast<char>(definition.merge);
  bytes += static_cast<char>(definition.scope);
  put_varint(bytes, packed::zigzag(definition.created_at_us));
  put_varint(bytes, definition.min_quota);
  put_varint(bytes, definition.seed);
  put_varint(bytes, definition.clusters_version);
  put_text(bytes, definition.options);
  put_text(bytes, definition.user);
  put_varint(bytes, definition.interests.front().vector.size());
  put_varint(bytes, definition.interests.size());
  for (const SessionInterest& interest : definition.interests) put_interest(bytes, interest);
  put_floats(bytes, definition.person);
  put_ids(bytes, definition.excluded, itself);
  if (has_origin(definition)) {
    put_text(bytes, definition.person_id);
    put_varint(bytes, definition.adapter_version);
    put_varint(bytes, packed::zigzag(definition.adapter_created_at_us));
  }
  if (definition.page > 0) put_varint(bytes, definition.page);
  if (definition.page_mmr_lambda) put_float(bytes, *definition.page_mmr_lambda);
  if (has_page_offsets(definition)) {
    for (const SessionInterest& interest : definition.interests) {
      bytes += static_cast<char>(!interest.page_offset.empty());
      put_floats(bytes, interest.page_offset);
    }
  }
  if (definition.quota_power != 1) put_float(bytes, definition.quota_power);
  return bytes;
}

std::optional<SessionDefinition> decode_session_definition(std::string_view bytes) {
  Parts parts(bytes);
  SessionDefinition definition;
  const unsigned flags = parts.byte(kHasInterests | kHasPerson | kHasOrigin | kHasPage |
                                    kHasPageRule | kHasPageOffsets | kHasQuotaPower);
  definition.has_interests = (flags & kHasInterests) != 0;
  definition.allocation = static_cast<std::uint8_t>(parts.byte(UINT8_MAX));
  definition.merge = static_cast<std::uint8_t>(parts.byte(UINT8_MAX));
  definition.scope = static_cast<std::uint8_t>(parts.byte(UINT8_MAX));
  definition.created_at_us = parts.time();
  definition.min_quota = parts.varint32();
  definition.seed = parts.varint();
  definition.clusters_version = parts.varint();
  definition.options = parts.text();
  definition.user = parts.text();
  const std::size_t dim = parts.count(sizeof(float));
  const std::size_t interest_count = parts.count(1);
  parts.expect(dim > 0 && interest_count > 0);
  for (std::size_t i = 0; i < interest_count && parts.is_sound(); ++i) {
    definition.interests.push_back(read_interest(parts, dim));
  }
  if ((flags & kHasPerson) != 0) definition.person = parts.floats(dim);
  definition.excluded = parts.ids();
  if ((flags & kHasOrigin) != 0) {
    definition.person_id = parts.text();
    definition.adapter_version = parts.varint();
    definition.adapter_created_at_us = parts.time();
    parts.expect(has_origin(definition));
  }
  if ((flags & kHasPage) != 0) {
    definition.page = parts.varint32();
    parts.expect(definition.page > 0);
  }
  if ((flags & kHasPageRule) != 0) {
    const double lambda = parts.number<double>();
    parts.expect(definition.page > 0 && lambda >= 0 && lambda <= 1);
    definition.page_mmr_lambda = lambda;
  }
  if ((flags & kHasPageOffsets) != 0) {
    parts.expect(definition.page_mmr_lambda.has_value());
    for (SessionInterest& interest : definition.interests) {
      if (parts.byte(1) == 1) interest.page_offset = parts.floats(dim);
    }
    parts.expect(has_page_offsets(definition));
  }
  if ((flags & kHasQuotaPower) != 0) {
    definition.quota_power = parts.number<double>();
    parts.expect(definition.quota_power >= 0 && definition.quota_power <= kQuotaPowerMax &&
                 definition.quota_power != 1);
  }
  if (!parts.is_at_end()) return std::nullopt;
  return definition;
}

std::string encode_session_round(const SessionRound& round) {
  const bool has_places = !are_counted(round);
  std::string bytes(1, has_places ? kFormatWithPlaces : kFormat);
  put_varint(bytes, packed::zigzag(round.at_us));
  put_varint(bytes, round.limit);
  put_ids(bytes, round.feedback, own_id<SessionJudgement>);
  for (const SessionJudgement& judgement : round.feedback) put_float(bytes, judgement.score);
  put_varint(bytes, round.moves.size());
  for (const SessionMove& move : round.moves) {
    put_float(bytes, move.weight);
    put_varint(bytes, move.quota);
    put_float(bytes, move.shift);
  }
  put_ids(bytes, round.hits, own_id<SessionHit>);
  for (const SessionHit& hit : round.hits) {
    put_float(bytes, hit.score);
    // Of one interest all hits are.
    if (round.moves.size() > 1) put_varint(bytes, hit.component);
    if (has_places) put_varint(bytes, hit.place);
  }
  return bytes;
}

std::optional<SessionRound> decode_session_round(std::string_view bytes) {
  Parts parts(bytes, kFormatWithPlaces);
  SessionRound round;
  round.at_us = parts.time();
  round.limit = parts.varint32();
  const std::vector<PointId> judged = parts.ids();
  parts.expect(are_unique(judged));
  for (const PointId& id : judged) {
    if (!parts.is_sound()) return std::nullopt;
    round.feedback.push_back({id, parts.number<double>()});
  }
  const std::size_t interest_count = parts.count(2 * sizeof(double));
  parts.expect(interest_count > 0);
  for (std::size_t i = 0; i < interest_count; ++i) {
    SessionMove move;
    move.weight = parts.number<double>();
    move.quota = parts.varint32();
    move.shift = parts.number<double>();
    parts.expect(move.weight >= 0 && move.shift >= -1 && move.shift <= 1);
    round.moves.push_back(move);
  }
  const std::vector<PointId> ids = parts.ids();
  parts.expect(are_unique(ids));
  std::vector<std::uint32_t> counts(round.moves.size(), 0);
  for (const PointId& id : ids) {
    if (!parts.is_sound()) return std::nullopt;
    const auto score = static_cast<float>(parts.number<float>());
    const std::uint32_t component = interest_count > 1 ? parts.varint32() : 0;
    parts.expect(component < interest_count);
    if (!parts.is_sound()) return std::nullopt;
    std::uint32_t place = counts[component]++;
    if (parts.format() == unsigned{kFormatWithPlaces}) place = parts.varint32();
    round.hits.push_back({id, score, component, place});
  }
  if (!parts.is_at_end()) return std::nullopt;
  return round;
}

}  // namespace tessera::storage
