// Small texts that clients write: payload paths, times, UUIDs.

#include "engine/payload.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

void check_path(std::string_view text) {
  const Result<engine::PayloadPath> path = engine::parse_payload_path(text);
  if (path.has_error()) {
    TESSERA_ASSERT(path.error().code() == Code::kInvalidArgument);
    return;
  }
  TESSERA_ASSERT(path->text == text);
  TESSERA_ASSERT(!path->steps.empty());
  TESSERA_ASSERT(path->steps.front().kind == engine::PayloadPath::Step::Kind::kKey);
}

void check_datetime(std::string_view text) {
  const std::optional<std::int64_t> time_us = engine::parse_datetime(text);
  if (!time_us) return;
  // No spelling reaches years outside 0 to 9999, give or take an offset.
  constexpr std::int64_t kDayUs = 86'400'000'000;
  TESSERA_ASSERT(*time_us >= -719'529 * kDayUs && *time_us <= 2'932'898 * kDayUs);
}

void check_uuid(std::string_view text) {
  const std::optional<PointId> id = PointId::parse_uuid(text);
  if (!id) return;
  TESSERA_ASSERT(id->is_uuid());
  TESSERA_ASSERT(PointId::from_uuid(id->uuid_bytes()) == *id);
  TESSERA_ASSERT(PointId::parse_uuid(id->to_string()) == *id);
  TESSERA_ASSERT(id->to_string().size() == 36);
}

}  // namespace

std::vector<std::string> seeds() {
  return {"a.b",
          "a[].b[0]",
          "\"quoted key\".x",
          "\"a\\\"b\"",
          "2026-01-05T10:00:00Z",
          "2026-01-05 10:00:00.123456+05:30",
          "2024-02-29",
          "0000-01-01T00:00",
          "9999-12-31T23:59:60-23:59",
          "550e8400-e29b-41d4-a716-446655440000",
          "550e8400e29b41d4a716446655440000",
          "{550e8400-e29b-41d4-a716-446655440000}",
          "urn:uuid:550E8400-E29B-41D4-A716-446655440000"};
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text = tessera::fuzz::text_of(data, size);
  tessera::fuzz::check_path(text);
  tessera::fuzz::check_datetime(text);
  tessera::fuzz::check_uuid(text);
  return 0;
}
