#include <ctime>
#include <random>

#include <catch2/catch.hpp>

#include "engine/payload.h"

using tessera::engine::parse_datetime;

namespace {
constexpr std::int64_t kNoonUs = 1767607200LL * 1'000'000;  // 2026-01-05T10:00:00Z
}

TEST_CASE("datetime: every spelling of one moment gives the same microseconds") {
  for (const char* text :
       {"2026-01-05T10:00:00Z", "2026-01-05T10:00:00z", "2026-01-05t10:00:00Z",
        "2026-01-05 10:00:00Z", "2026-01-05T10:00:00", "2026-01-05 10:00:00", "2026-01-05T10:00",
        "2026-01-05 10:00", "2026-01-05T10:00Z", "2026-01-05T10:00:00.0Z",
        "2026-01-05T10:00:00.0000001Z", "2026-01-05T10:00:00+00:00", "2026-01-05T12:00:00+02:00",
        "2026-01-05T12:00:00+0200", "2026-01-05T12:00:00+02", "2026-01-05T12:00+02:00",
        "2026-01-05T04:30:00-05:30", "2026-01-04T23:00:00-11:00", "2026-01-06 00:00:00+14:00"}) {
    CAPTURE(text);
    REQUIRE(parse_datetime(text) == kNoonUs);
  }
}

TEST_CASE("datetime: a plain date is its midnight in UTC") {
  CHECK(parse_datetime("1970-01-01") == 0);
  CHECK(parse_datetime("2026-01-05") == kNoonUs - 36'000'000'000LL);
  CHECK(parse_datetime("1969-12-31") == -86'400'000'000LL);
  CHECK(parse_datetime("0001-01-01") == -62'135'596'800'000'000LL);
  CHECK(parse_datetime("9999-12-31T23:59:59.999999Z") == 253'402'300'799'999'999LL);
}

TEST_CASE("datetime: fractions are read to microseconds") {
  CHECK(parse_datetime("1970-01-01T00:00:00.5Z") == 500'000);
  CHECK(parse_datetime("1970-01-01T00:00:00.000001Z") == 1);
  CHECK(parse_datetime("1970-01-01T00:00:00.1234567891234Z") == 123'456);
  CHECK(parse_datetime("1970-01-01 00:00:00.25") == 250'000);
  CHECK(parse_datetime("1969-12-31T23:59:59.75Z") == -250'000);
}

TEST_CASE("datetime: leap days and leap seconds") {
  CHECK(parse_datetime("2024-02-29T24:00") == std::nullopt);
  CHECK(parse_datetime("2024-02-29").value() + 86'400'000'000LL == parse_datetime("2024-03-01"));
  CHECK(parse_datetime("2000-02-29").has_value());
  CHECK_FALSE(parse_datetime("1900-02-29").has_value());
  CHECK(parse_datetime("2016-12-31T23:59:60Z") == parse_datetime("2017-01-01T00:00:00Z"));
}

TEST_CASE("datetime: what is no date and time is refused") {
  for (const char* text : {"",
                           " ",
                           "2026",
                           "2026-01",
                           "2026-1-5",
                           "2026-13-01",
                           "2026-00-01",
                           "2026-01-00",
                           "2026-01-32",
                           "2025-02-29",
                           "2026-04-31",
                           "2026-01-05T",
                           "2026-01-05T10",
                           "2026-01-05T10:",
                           "2026-01-05T24:00:00Z",
                           "2026-01-05T10:60:00Z",
                           "2026-01-05T10:00:61Z",
                           "2026-01-05T10:00:00.Z",
                           "2026-01-05T10:00:00ZZ",
                           "2026-01-05T10:00:00+",
                           "2026-01-05T10:00:00+2",
                           "2026-01-05T10:00:00+02:",
                           "2026-01-05T10:00:00+02:60",
                           "2026-01-05T10:00:00+24:00",
                           "2026-01-05Z",
                           " 2026-01-05",
                           "2026-01-05 ",
                           "05/01/2026",
                           "2026/01/05",
                           "20260105",
                           "1767607200",
                           "-026-01-05",
                           "2026-01-05T10:00:00 UTC",
                           "now"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_datetime(text).has_value());
  }
  CHECK_FALSE(parse_datetime(std::string_view("2026-01-05\0", 11)).has_value());
}

TEST_CASE("datetime: agrees with the C library on random moments") {
  const unsigned seed = 7;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const std::time_t seconds =
        static_cast<std::time_t>(random() % 200'000'000'000ULL) - 60'000'000'000LL;
    std::tm parts{};
    REQUIRE(gmtime_r(&seconds, &parts) != nullptr);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    CAPTURE(text);
    REQUIRE(parse_datetime(text) == static_cast<std::int64_t>(seconds) * 1'000'000);
  }
}
