#include "cli/row_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "cli/json_text.h"
#include "cli/matrix_source.h"
#include "cli/point_json.h"
#include "scratch_directory.h"

using namespace tessera;
using namespace tessera::cli;
using namespace tessera::cli::test;

namespace {

struct Rows {
  std::vector<ImportRow> rows;
  Status status;  ///< Of opening, or of the row at which reading ended.
};

Rows read_all(const std::string& path, const RowOptions& options = {},
              std::uint64_t row_count_before = 0) {
  Rows result;
  auto source = open_row_source(path, options, row_count_before);
  if (!source) {
    result.status = source.error();
    return result;
  }
  while (true) {
    ImportRow row;
    const Result<bool> next = (*source)->next(row);
    if (!next) result.status = next.error();
    if (!next || !*next) return result;
    result.rows.push_back(std::move(row));
  }
}

Json point_of(const ImportRow& row) {
  const Result<Json> point = parse_json(point_json(row));
  REQUIRE(point.has_value());
  return *point;
}

/// Reading on from behind any row gives the rows that follow it.
void check_seek(const std::string& path, const RowOptions& options) {
  const Rows all = read_all(path, options);
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    auto source = open_row_source(path, options, 0);
    REQUIRE(source.has_value());
    REQUIRE((*source)->seek(all.rows[i].after).ok());
    for (std::size_t j = i + 1; j < all.rows.size(); ++j) {
      ImportRow row;
      REQUIRE(*(*source)->next(row));
      CHECK(point_json(row) == point_json(all.rows[j]));
      CHECK(row.where == all.rows[j].where);
    }
    ImportRow row;
    CHECK_FALSE(*(*source)->next(row));
  }
}

template <class T>
std::string raw_list(std::initializer_list<T> values) {
  std::string bytes;
  for (const T value : values) bytes += raw(value);
  return bytes;
}

std::string fvecs_row(std::int32_t dim, std::initializer_list<float> values) {
  return raw(dim) + raw_list(values);
}

constexpr const char* kUuid = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

}  // namespace

TEST_CASE("json lines: ids, plain and named vectors and payloads become points", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write(
      "a.jsonl",
      "{\"id\": 18446744073709551615, \"vector\": [0.1, -2, 1e-7]}\n"
      "\n"
      "{\"id\": \"F47AC10B-58CC-4372-A567-0E02B2C3D479\", \"vector\": {\"a\": [1], \"b\": [2, 3]},"
      " \"payload\": {\"t\": \"x\"}}\r\n"
      "{\"id\": 3, \"vector\": [0, 0], \"payload\": null}");
  const Rows result = read_all(path);
  REQUIRE(result.status.ok());
  REQUIRE(result.rows.size() == 3);
  CHECK(point_json(result.rows[0]) == R"({"id":18446744073709551615,"vector":[0.1,-2,1e-07]})");
  CHECK(point_json(result.rows[1]) == std::string(R"({"id":")") + kUuid +
                                          R"(","vector":{"a":[1],"b":[2,3]},"payload":{"t":"x"}})");
  CHECK(result.rows[1].where == path + ":3");
  CHECK((result.rows[1].vectors ==
         std::vector<std::pair<std::string, std::vector<float>>>{{"a", {1}}, {"b", {2, 3}}}));
  CHECK(point_json(result.rows[2]) == R"({"id":3,"vector":[0,0]})");
  check_seek(path, {});
}

TEST_CASE("json lines: field names and the rest as payload follow the options", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write(
      "a.jsonl", R"({"key": 7, "emb": [1.5], "title": "T", "payload": {"n": 1}, "tags": [1, 2]})");
  RowOptions options;
  options.id_field = "key";
  options.vector_field = "emb";
  options.vector_name = "v";
  CHECK(read_all(path, options).rows.at(0).problem ==
        "field \"title\" has no place in a point; with --payload-rest it becomes payload");
  options.takes_rest_as_payload = true;
  CHECK(point_json(read_all(path, options).rows.at(0)) ==
        R"({"id":7,"vector":{"v":[1.5]},"payload":{"n":1,"title":"T","tags":[1,2]}})");
}

TEST_CASE("json lines: each bad line is reported with its number and the rest is read", "[unit]") {
  const ScratchDirectory scratch;
  const std::string deep = R"({"id":1,"vector":[1],"payload":{"a":)" + std::string(1'000'000, '[');
  const std::vector<std::pair<std::string, std::string>> lines{
      {R"({"id": 1, "vector": [1], )", "parse error"},
      {"[1, 2]", "not a JSON object"},
      {R"({"vector": [1]})", "field \"id\" is missing"},
      {R"({"id": 1})", "field \"vector\" is missing"},
      {R"({"id": -1, "vector": [1]})", "id -1 is neither"},
      {R"({"id": 1.0, "vector": [1]})", "id 1.0 is neither"},
      {R"({"id": "abc", "vector": [1]})", "id \"abc\" is neither"},
      {R"({"id": 1, "vector": []})", "vector is empty"},
      {R"({"id": 1, "vector": [1, "x"]})", "vector value 1 is \"x\", not a number"},
      {R"({"id": 1, "vector": [1e39]})", "beyond the range"},
      {R"({"id": 1, "vector": {"a": [true]}})", "vector \"a\": vector value 0 is true"},
      {R"({"id": 1, "vector": [1], "payload": [1]})", "payload is array, not a JSON object"},
      {"{\"id\": 1, \"vector\": [1], \"payload\": {\"a\": \"\xff\"}}", "UTF-8"},
      {deep, "nested deeper"},
  };
  std::string text;
  for (const auto& [line, reason] : lines) text += line + "\n{\"id\": 5, \"vector\": [1]}\n";
  const std::string path = scratch.write("a.jsonl", text);
  const Rows result = read_all(path);
  REQUIRE(result.status.ok());
  REQUIRE(result.rows.size() == 2 * lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    INFO("line " << 2 * i + 1 << ": " << result.rows[2 * i].problem);
    CHECK(result.rows[2 * i].where == path + ":" + std::to_string(2 * i + 1));
    CHECK(result.rows[2 * i].problem.find(lines[i].second) != std::string::npos);
    CHECK(result.rows[2 * i + 1].problem.empty());
  }
}

TEST_CASE("json lines: a line beyond the limit is a bad line, not memory without bound", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write("a.jsonl", R"({"id":1,"vector":[1],"payload":{"a":")" +
                                                        std::string(17U << 20, 'x') +
                                                        "\"}}\n{\"id\":2,\"vector\":[1]}\n");
  const Rows result = read_all(path);
  REQUIRE(result.rows.size() == 2);
  CHECK(result.rows[0].problem == "the line is longer than 16 MiB");
  CHECK(result.rows[1].problem.empty());
}

TEST_CASE("npy: every element type and header version gives the same rows", "[unit]") {
  const ScratchDirectory scratch;
  const std::string f2 = raw_list<std::uint16_t>({0x3C00, 0xC000, 0, 0x4200});  // 1 -2 0 3
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"<f2", f2},
      {"<f4", raw_list<float>({1, -2, 0, 3})},
      {"<f8", raw_list<double>({1, -2, 0, 3})},
      {"|i1", raw_list<std::int8_t>({1, -2, 0, 3})}};
  for (const int version : {1, 2, 3}) {
    for (const auto& [descr, data] : kinds) {
      CAPTURE(version, descr);
      const std::string path = scratch.write("a.npy", npy(descr, "(2, 2)", data, "False", version));
      const Rows result = read_all(path, {}, 10);
      REQUIRE(result.status.ok());
      REQUIRE(result.rows.size() == 2);
      CHECK(point_json(result.rows[0]) == R"({"id":10,"vector":[1,-2]})");
      CHECK(point_json(result.rows[1]) == R"({"id":11,"vector":[0,3]})");
      check_seek(path, {});
    }
  }
  const std::string bytes = scratch.write("b.npy", npy("|u1", "(1, 2)", "\xff\x01"));
  CHECK(point_json(read_all(bytes).rows.at(0)) == R"({"id":0,"vector":[255,1]})");
}

TEST_CASE("npy: a half is the float of the same value for all 65536 patterns", "[unit]") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double mantissa = bits & 1023;
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    const float actual = float_from_half(static_cast<std::uint16_t>(bits));
    if (exponent == 31) {
      if (mantissa != 0 ? !std::isnan(actual) : actual != sign * INFINITY) FAIL("bits " << bits);
      continue;
    }
    const double expected = exponent == 0
                                ? sign * mantissa * std::pow(2.0, -24)
                                : sign * (1 + mantissa / 1024) * std::pow(2.0, exponent - 15);
    if (actual != static_cast<float>(expected)) FAIL("bits " << bits << " gave " << actual);
  }
  CHECK(std::signbit(float_from_half(0x8000)));
}

TEST_CASE("npy: each damage and each unsupported kind has an error that names the file", "[unit]") {
  const ScratchDirectory scratch;
  const std::string data = raw_list<float>({1, 2, 3, 4});
  const std::string good = npy("<f4", "(2, 2)", data);
  const std::vector<std::pair<std::string, std::string>> files{
      {"", "is not a .npy file"},
      {"\x93NUMPX" + good.substr(6), "is not a .npy file"},
      {good.substr(0, 40), "is truncated inside its header"},
      {good.substr(0, good.size() - 1),
       "is truncated: its header announces shape (2, 2), which is 144 bytes, but the file has 143"},
      {good + "x", "has bytes after its array"},
      {npy("<f4", "(2, 2)", data, "True"), "Fortran"},
      {npy("<f4", "(2, 2)", data, "Maybe"), "fortran_order is Maybe"},
      {npy(">f4", "(2, 2)", data), "element type >f4 (big-endian) is not supported"},
      {npy("<i8", "(1, 2)", data), "element type <i8 is not supported"},
      {npy("<f4", "(4,)", data), "has shape (4,); expected 2 dimensions"},
      {npy("<f4", "(2, 2, 1)", data), "expected 2 dimensions"},
      {npy("<f4", "(2, 0)", ""), "rows of 0 values"},
      {npy("<f4", "(1, 65537)", data), "rows of 65537 values"},
      {npy("<f4", "(2, x)", data), "shape is (2, x)"},
      {npy("<f4", "(99999999999999999, 2)", data), "too many rows"},
      {npy("<f8", "(281474976710656, 65536)", data), "more bytes than a file can have"},
      {good.substr(0, 6) + '\x09' + good.substr(7), "format version 9"},
      {"\x93NUMPY\x02" + std::string(1, '\0') + "\xff\xff\xff\x7f" + good, "announces a header of"},
  };
  for (const auto& [content, reason] : files) {
    const std::string path = scratch.write("a.npy", content);
    const Rows result = read_all(path);
    INFO(reason << " <> " << result.status.message());
    CHECK(result.rows.empty());
    CHECK_FALSE(result.status.ok());
    CHECK(result.status.message().find(path) != std::string::npos);
    CHECK(result.status.message().find(reason) != std::string::npos);
  }
}

TEST_CASE("npy: values that are no numbers make a bad row that names them", "[unit]") {
  const ScratchDirectory scratch;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string path =
      scratch.write("a.npy", npy("<f4", "(3, 2)", raw_list<float>({1, nan, INFINITY, 1, 5, 6})));
  const Rows result = read_all(path);
  REQUIRE(result.rows.size() == 3);
  CHECK(result.rows[0].problem == "vector value 1 is not a number");
  CHECK(result.rows[1].problem == "vector value 0 is infinite");
  CHECK(result.rows[1].where == path + ": row 1");
  CHECK(result.rows[2].problem.empty());
}

TEST_CASE("npy: ids, first id and zero rows follow the options", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write("a.npy", npy("<f4", "(3, 1)", raw_list<float>({1, 0, 2})));
  RowOptions options;
  options.first_id = 100;
  options.skips_zero_rows = true;
  const Rows numbered = read_all(path, options);
  REQUIRE(numbered.rows.size() == 3);
  CHECK(numbered.rows[1].is_skipped);
  CHECK(point_json(numbered.rows[2]) == R"({"id":102,"vector":[2]})");

  options = {};
  options.ids_file = scratch.write("i.npy", npy("<i8", "(3,)", raw_list<std::int64_t>({7, -1, 9})));
  const Rows named = read_all(path, options);
  REQUIRE(named.rows.size() == 3);
  CHECK(point_json(named.rows[0]) == R"({"id":7,"vector":[1]})");
  CHECK(named.rows[1].problem.find("id -1") == 0);
  options.ids_file = scratch.write("i.npy", npy("<u4", "(2,)", raw_list<std::uint32_t>({7, 8})));
  CHECK(read_all(path, options).status.message().find("has 2 ids for 3 rows") != std::string::npos);
  options.ids_file = scratch.write("i.npy", npy("<f4", "(3,)", raw_list<float>({7, 8, 9})));
  CHECK(read_all(path, options).status.message().find("element type <f4") != std::string::npos);
}

TEST_CASE("npy: payload lines are found by row or by id", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write("a.npy", npy("<f4", "(3, 1)", raw_list<float>({1, 2, 3})));
  RowOptions options;
  options.payloads_file = scratch.write("p.jsonl", "{\"t\":\"a\"}\n\n{\"t\":\"c\",\"id\":0}\n");
  const Rows by_row = read_all(path, options);
  REQUIRE(by_row.rows.size() == 3);
  CHECK(point_json(by_row.rows[0]) == R"({"id":0,"vector":[1],"payload":{"t":"a"}})");
  CHECK(point_json(by_row.rows[1]) == R"({"id":1,"vector":[2]})");
  CHECK(point_json(by_row.rows[2]) == R"({"id":2,"vector":[3],"payload":{"t":"c","id":0}})");
  check_seek(path, options);

  options.payloads_file = scratch.write(
      "p.jsonl", "{\"id\":2,\"t\":\"c\"}\n{\"id\":0,\"t\":\"a\"}\n{\"id\":77,\"t\":\"z\"}\n");
  const Rows by_id = read_all(path, options);
  REQUIRE(by_id.rows.size() == 3);
  CHECK(point_json(by_id.rows[0]) == R"({"id":0,"vector":[1],"payload":{"t":"a"}})");
  CHECK(point_json(by_id.rows[1]) == R"({"id":1,"vector":[2]})");
  CHECK(point_json(by_id.rows[2]) == R"({"id":2,"vector":[3],"payload":{"t":"c"}})");

  const std::vector<std::pair<std::string, std::string>> bad{
      {"{\"t\":1}\n{\"t\":2}\n", "has 2 lines for 3 rows"},
      {"{\"id\":1}\n{\"id\":1}\n", ":2: id 1 stands in line 1 already"},
      {"{\"id\":1}\n{\"t\":1}\n", ":2: field \"id\" is missing"},
      {"{\"id\":1}\n{\n", ":2: "}};
  for (const auto& [content, reason] : bad) {
    options.payloads_file = scratch.write("p.jsonl", content);
    const Status status = read_all(path, options).status;
    INFO(status.message());
    CHECK(status.message().find(reason) != std::string::npos);
  }
  options.payloads_file = scratch.write("p.jsonl", "{\"t\":1}\n{\"t\":\n{\"t\":3}\n");
  const Rows damaged = read_all(path, options);
  REQUIRE(damaged.rows.size() == 3);
  CHECK(damaged.rows[1].problem.find("p.jsonl:2: ") != std::string::npos);
  CHECK(damaged.rows[2].problem.empty());
}

TEST_CASE("fvecs and bvecs: rows are read, damage is named with its row", "[unit]") {
  const ScratchDirectory scratch;
  const std::string good = fvecs_row(2, {1, 2}) + fvecs_row(2, {3, 4}) + fvecs_row(2, {5, 6.5F});
  const std::string path = scratch.write("a.fvecs", good);
  const Rows result = read_all(path);
  REQUIRE(result.rows.size() == 3);
  CHECK(point_json(result.rows[2]) == R"({"id":2,"vector":[5,6.5]})");
  check_seek(path, {});
  const std::string bytes =
      scratch.write("a.bvecs", raw<std::int32_t>(3) + std::string("\x01\x02\xff"));
  CHECK(point_json(read_all(bytes).rows.at(0)) == R"({"id":0,"vector":[1,2,255]})");
  CHECK(read_all(scratch.write("e.fvecs", "")).rows.empty());

  CHECK(read_all(scratch.write("t.fvecs", good.substr(0, good.size() - 3)))
            .status.message()
            .find("2 rows of dimension 2 (12 bytes each) and 9 bytes more") != std::string::npos);
  CHECK(read_all(scratch.write("s.fvecs", "ab")).status.message().find("truncated") !=
        std::string::npos);
  CHECK(read_all(scratch.write("n.fvecs", fvecs_row(-2, {1, 2})))
            .status.message()
            .find("dimension -2") != std::string::npos);
  const Rows mixed = read_all(
      scratch.write("m.fvecs", fvecs_row(2, {1, 2}) + fvecs_row(3, {3, 4}) + fvecs_row(2, {5, 6})));
  CHECK(mixed.rows.size() == 1);
  CHECK(mixed.status.message().find("row 1 has dimension 3, the first row has 2") !=
        std::string::npos);
}

TEST_CASE("csv: quoting, line ends and cell types follow RFC 4180 and JSON", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write("a.csv",
                                         "\xEF\xBB\xBFv1,id,title,v0,year,code\r\n"
                                         "2,1,\"A, \"\"B\"\"\r\nC\",1,1995,007\r\n"
                                         "\r\n"
                                         " 4 ,2,plain,-3.5e1,-1.5,\n"
                                         "6,3,,5,\"12\",x");
  const Rows result = read_all(path);
  REQUIRE(result.status.ok());
  REQUIRE(result.rows.size() == 3);
  CHECK(point_of(result.rows[0]) == *parse_json(R"({"id":1,"vector":[1,2],"payload":
                        {"title":"A, \"B\"\r\nC","year":1995,"code":"007"}})"));
  CHECK(result.rows[0].where == path + ":2");
  CHECK(result.rows[1].where == path + ":5");
  CHECK(point_of(result.rows[1]) ==
        *parse_json(R"({"id":2,"vector":[-35,4],"payload":{"title":"plain","year":-1.5}})"));
  CHECK(point_of(result.rows[2]) ==
        *parse_json(R"({"id":3,"vector":[5,6],"payload":{"year":12,"code":"x"}})"));
  check_seek(path, {});
}

TEST_CASE("csv: one column may hold the vector, and rows may be numbered", "[unit]") {
  const ScratchDirectory scratch;
  const std::string path =
      scratch.write("a.csv", "key,emb\n9,\"[1, 2.5]\"\n8,\"[oops]\"\n7,\"[3]\"\n");
  RowOptions options;
  options.csv_vector_column = "emb";
  options.id_field = "key";
  const Rows named = read_all(path, options);
  REQUIRE(named.rows.size() == 3);
  CHECK(point_json(named.rows[0]) == R"({"id":9,"vector":[1,2.5]})");
  CHECK(named.rows[1].problem.find("column \"emb\": ") == 0);
  options.first_id = 5;
  CHECK(point_json(read_all(path, options, 2).rows.at(0)) ==
        R"({"id":7,"vector":[1,2.5],"payload":{"key":9}})");
}

TEST_CASE("csv: bad records and bad headers are named", "[unit]") {
  const ScratchDirectory scratch;
  const Rows rows = read_all(scratch.write("a.csv",
                                           "id,v0,t\n1,2\n2,x,y\n3,,y\nz,1,y\n4,1,a\"b\n"
                                           "5,1,\"a\"b\n6,1e400,y\n7,1,\xff\n8,1e-60,y\n"));
  REQUIRE(rows.status.ok());
  const std::vector<std::string> reasons{"has 2 fields, the header has 3",
                                         "column \"v0\": \"x\" is not a number",
                                         "column \"v0\": \"\" is not a number",
                                         "id \"z\" is neither",
                                         "field 3 has a quote inside",
                                         "field 3 goes on after its closing quote",
                                         "column \"v0\": \"1e400\"",
                                         "UTF-8"};
  REQUIRE(rows.rows.size() == reasons.size() + 1);
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    INFO(rows.rows[i].problem);
    CHECK(rows.rows[i].problem.find(reasons[i]) != std::string::npos);
  }
  CHECK(rows.rows.back().problem.empty());

  const Rows open_quote = read_all(scratch.write("q.csv", "id,v0,t\n1,1,a\n2,1,\"b\n3,1,c\n"));
  CHECK(open_quote.rows.size() == 1);
  CHECK(open_quote.status.message().find("q.csv:3: a quote opens here and is never closed") !=
        std::string::npos);

  const std::vector<std::pair<std::string, std::string>> headers{
      {"", "is empty"},
      {"a,v0\n", "there is no column \"id\""},
      {"id,x\n", "there are no columns v0, v1"},
      {"id,v0,v2\n", "column v1 is missing"},
      {"id,v2,v3\n", "column v0 is missing"},
      {"id,v0,t,t\n", "column \"t\" stands there twice"}};
  for (const auto& [header, reason] : headers) {
    const Status status = read_all(scratch.write("h.csv", header)).status;
    INFO(status.message());
    CHECK(status.message().find(reason) != std::string::npos);
  }
}

TEST_CASE("row source: formats, unknown names and flags of other formats are told apart",
          "[unit]") {
  const ScratchDirectory scratch;
  CHECK(read_all(scratch.path("no.jsonl")).status.code() == Code::kNotFound);
  CHECK(read_all(scratch.write("a.txt", "")).status.message().find("--format") !=
        std::string::npos);
  CHECK(read_all(scratch.write("a.jsonl.gz", "")).status.message().find("zcat") !=
        std::string::npos);
  RowOptions options;
  options.ids_file = "x.npy";
  CHECK(read_all(scratch.write("a.csv", ""), options).status.message().find("--ids") !=
        std::string::npos);
  CHECK(read_all(scratch.path(".")).status.code() == Code::kInvalidArgument);
}

TEST_CASE("vectors: the shortest digits read back as the same float", "[unit]") {
  const unsigned seed = 20240517;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    std::string text;
    append_float(text, value);
    const Result<Json> back = parse_json(text);
    REQUIRE(back.has_value());
    if (static_cast<float>(back->get<double>()) != value) FAIL(text);
  }
}
