#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/point_id.h"
#include "base/status.h"
#include "engine/filter.h"
#include "index/payload_index.h"

namespace tessera::engine {

/// Payloads are compact JSON objects, kept as text: read with simdjson, changed with nlohmann.
/// Thread rule: pure functions (parsers are kept per thread). Depth is limited to kPayloadDepthMax.

inline constexpr std::size_t kPayloadDepthMax = 64;

/// kInvalidArgument when `text` is no payload path.
Result<PayloadPath> parse_payload_path(std::string_view text);

/// RFC 3339 and the spellings clients use: "2026-01-05T10:00:00Z", with offset or without (UTC),
/// "2026-01-05 10:00:00", "2026-01-05T10:00", "2026-01-05"; fractions to microseconds.
/// Microseconds since 1970 UTC; nullopt when it is none of them.
std::optional<std::int64_t> parse_datetime(std::string_view text);

/// The values under `path` that an index of `type` holds, array elements one by one.
Result<std::vector<index::PayloadValue>> extract_values(std::string_view payload,
                                                        const PayloadPath& path,
                                                        index::PayloadIndexType type);

/// The strings, integers and booleans under `path` as JSON text, array elements one by one, each
/// value once, in the order of the payload. kCorrupt for a bad payload.
Result<std::vector<std::string>> extract_scalars(std::string_view payload, const PayloadPath& path);

/// What a filter asks about a point beside its payload.
struct PointFacts {
  PointId id;
  std::function<bool(std::string_view vector_name)> has_vector;
};
/// Whether a point satisfies `filter`; the whole of the dialect's filter semantics. An empty
/// payload text means {}. Integers are compared with range bounds exactly. A path that ends at an
/// array asks its elements one by one (one level: "a[]" looks into arrays of arrays). null is no
/// value: `except` does not match it and its values_count is 0. `nested` looks at the objects of an
/// array. kCorrupt for a bad payload, kInvalidArgument for a filter nested deeper than 128 levels.
Result<bool> matches(const Filter& filter, const PointFacts& point, std::string_view payload);
/// Sorts the ids of every has_id, so that matches() need not look at each of them for every point.
void sort_ids(Filter& filter);

/// The form in which payloads are stored: compact, keys sorted, of equal keys the last one,
/// integers beyond 64 bits as floats. kFormat when `text` is no JSON object, kInvalidArgument when
/// it is too deep. All functions here that return a payload text return this form.
Result<std::string> canonical_payload(std::string_view text);

/// Keys of `changes` replace those of `payload`; with `key`, inside the object at that path. What
/// `key` needs and is not there is made, a value that is no container is replaced by one; array
/// elements are never made. Result: the new payload text. kFormat when `changes` is no JSON object,
/// kInvalidArgument when the result is too deep or too large, kCorrupt for a bad `payload`.
Result<std::string> merge_payload(std::string_view payload, std::string_view changes,
                                  const std::optional<PayloadPath>& key);
/// Removes the values at `paths`; paths that lead nowhere change nothing. Element numbers are those
/// of the payload as given, whatever the other paths remove.
Result<std::string> remove_payload_keys(std::string_view payload,
                                        const std::vector<PayloadPath>& paths);

/// Which parts of a payload an answer shows.
struct PayloadSelector {
  enum class Kind : std::uint8_t { kNone, kAll, kInclude, kExclude };
  Kind kind = Kind::kNone;
  std::vector<PayloadPath> paths;
};
/// The payload text with only what the selector shows; kAll returns it unchanged, kNone "{}".
/// Included paths keep the objects and arrays around them; what leads nowhere leaves no trace.
Result<std::string> select_payload(std::string_view payload, const PayloadSelector& selector);

}  // namespace tessera::engine
