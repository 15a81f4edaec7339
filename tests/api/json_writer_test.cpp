#include "api/json_writer.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "support.h"

using tessera::api::JsonWriter;

namespace {

template <class T>
std::string written(const T& value) {
  std::string out;
  JsonWriter(out).value(value);
  return out;
}

}  // namespace

TEST_CASE("json writer: puts commas between values and nowhere else", "[unit]") {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("a", 1);
  json.key("b");
  json.begin_array();
  json.end_array();
  json.key("c");
  json.begin_array();
  json.value(true);
  json.null();
  json.raw("{\"x\":[1]}");
  json.begin_object();
  json.end_object();
  json.value("t");
  json.end_array();
  json.raw_field("d", "7");
  json.end_object();
  CHECK(out == R"({"a":1,"b":[],"c":[true,null,{"x":[1]},{},"t"],"d":7})");
  CHECK(tessera::api::is_json(out));
}

TEST_CASE("json writer: a text that ends like an open bracket still gets its comma", "[unit]") {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const char* text : {"[", "{", ":", ",", "\\"}) json.value(text);
  json.end_array();
  CHECK(out == R"(["[","{",":",",","\\"])");
}

TEST_CASE("json writer: escapes what JSON demands and leaves UTF-8 alone", "[unit]") {
  using namespace std::string_literals;
  CHECK(written("a\"b\\c\n\r\t"s) == R"("a\"b\\c\n\r\t")");
  CHECK(written("\0\x01\x1f\x7f"s) == "\"\\u0000\\u0001\\u001f\x7f\"");
  CHECK(written("Größe 大 😀"s) == "\"Größe 大 😀\"");
  CHECK(written(""s) == "\"\"");
}

TEST_CASE("json writer: floats are the shortest text that reads back the same", "[unit]") {
  CHECK(written(0.1F) == "0.1");
  CHECK(written(1.0F) == "1.0");
  CHECK(written(-0.0F) == "-0.0");
  CHECK(written(1e20F) == "1e+20");
  CHECK(written(16777216.0F) == "16777216.0");
  CHECK(written(0.1) == "0.1");
  CHECK(written(std::numeric_limits<float>::infinity()) == "null");
  CHECK(written(std::numeric_limits<float>::quiet_NaN()) == "null");
  const unsigned seed = 20260105;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t bits = random();
    float number = 0;
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) continue;
    const std::string text = written(number);
    REQUIRE(std::strtof(text.c_str(), nullptr) == number);
  }
}

TEST_CASE("json writer: integers keep all 64 bits", "[unit]") {
  CHECK(written(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(written(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
}
