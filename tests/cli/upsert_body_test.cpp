#include "cli/upsert_body.h"

#include <catch2/catch.hpp>

#include "cli/json_text.h"

using namespace tessera;
using namespace tessera::cli;

namespace {

ImportRow row_of(PointId id, std::vector<std::pair<std::string, std::vector<float>>> vectors,
                 std::string payload = {}) {
  ImportRow row;
  row.id = id;
  row.vectors = std::move(vectors);
  row.payload_json = std::move(payload);
  return row;
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST_CASE("upsert body: rows of one shape become the bytes that docs/api.md describes", "[unit]") {
  const std::vector<ImportRow> rows = {row_of(PointId(258), {{"", {1, -2}}, {"b", {0.5F}}}, "{}"),
                                       row_of(PointId(3), {{"", {0, 4}}, {"b", {8}}})};
  const UpsertBody body = make_upsert_body(rows, true);
  CHECK(body.content_type == kBinaryPointsType);
  CHECK(hex(body.bytes) ==
        "54535250"
        "01000000"
        "02000000"
        "0200"
        "00"
        "01"  // head
        "02000000"
        "0000"
        "01000000"
        "0100"
        "62"  // vectors
        "0201000000000000"
        "0300000000000000"  // ids
        "0000803f000000c0"
        "0000000000008040"  // rows of ""
        "0000003f"
        "00000041"  // rows of "b"
        "02000000"
        "00000000"
        "7b7d");  // payloads
}

TEST_CASE("upsert body: UUIDs are 16 bytes in network order", "[unit]") {
  const auto uuid = *PointId::parse_uuid("550e8400-e29b-41d4-a716-446655440000");
  const std::vector<ImportRow> rows = {row_of(uuid, {{"", {1}}})};
  CHECK(hex(make_upsert_body(rows, true).bytes) ==
        "54535250"
        "01000000"
        "01000000"
        "0100"
        "01"
        "00"
        "01000000"
        "0000"
        "550e8400e29b41d4a716446655440000"
        "0000803f");
}

TEST_CASE("upsert body: rows of several shapes, and a daemon that wants it, get JSON", "[unit]") {
  const auto uuid = *PointId::parse_uuid("550e8400-e29b-41d4-a716-446655440000");
  const ImportRow plain = row_of(PointId(1), {{"", {1, 2}}});
  const std::vector<std::vector<ImportRow>> mixed = {
      {plain, row_of(uuid, {{"", {1, 2}}})},
      {plain, row_of(PointId(2), {{"", {1, 2, 3}}})},
      {plain, row_of(PointId(2), {{"b", {1, 2}}})},
      {plain, row_of(PointId(2), {{"", {1, 2}}, {"b", {1}}})},
      {row_of(PointId(2), {})}};
  for (const auto& rows : mixed) {
    const UpsertBody body = make_upsert_body(rows, true);
    CHECK(body.content_type == "application/json");
    CHECK(parse_json(body.bytes).has_value());
  }
  const UpsertBody json = make_upsert_body({&plain, 1}, false);
  CHECK(json.content_type == "application/json");
  CHECK(json.bytes == R"({"points":[{"id":1,"vector":[1,2]}]})");
  CHECK(make_upsert_body({&plain, 1}, true).content_type == kBinaryPointsType);
}

}  // namespace
