#include "base/status.h"

#include <memory>
#include <set>

#include <catch2/catch.hpp>

namespace tessera {
namespace {

Result<std::unique_ptr<int>> make(bool works) {
  if (!works) return Status(Code::kDiskFull, "no room");
  return std::make_unique<int>(7);
}

Result<int> doubled(bool works) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<int> value, make(works));
  return *value * 2;
}

Status checked(bool works, bool& reached) {
  TESSERA_RETURN_IF_ERROR(doubled(works).error());
  reached = true;
  return {};
}

TEST_CASE("status: it is ok by default and tells code and message otherwise", "[unit]") {
  REQUIRE(Status().ok());
  REQUIRE(ok_status().to_string() == "ok");
  const Status status(Code::kCorrupt, "crc does not match");
  REQUIRE_FALSE(status.ok());
  REQUIRE(status.code() == Code::kCorrupt);
  REQUIRE(status.to_string() == "corrupt: crc does not match");
}

TEST_CASE("status: context goes in front of a failure and leaves success alone", "[unit]") {
  const Status status = Status(Code::kNotFound, "no file").with_context("segment 3");
  REQUIRE(status.code() == Code::kNotFound);
  REQUIRE(status.message() == "segment 3: no file");
  REQUIRE(Status().with_context("segment 3").message().empty());
}

TEST_CASE("status: every code has a name of its own", "[unit]") {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    names.insert(code_name(static_cast<Code>(code)));
  }
  REQUIRE(names.size() == static_cast<std::size_t>(Code::kInternal) + 1);
  REQUIRE(names.count("unknown") == 0);
}

TEST_CASE("result: a failure is handed on and a value is moved out", "[unit]") {
  REQUIRE(*doubled(true) == 14);
  REQUIRE(doubled(false).error().code() == Code::kDiskFull);
  bool reached = false;
  REQUIRE(checked(false, reached).code() == Code::kDiskFull);
  REQUIRE_FALSE(reached);
  REQUIRE(checked(true, reached).ok());
  REQUIRE(reached);
}

TEST_CASE("result: asking a failure for its value is reported as our own bug", "[unit]") {
  REQUIRE_THROWS_WITH(doubled(false).value(), Catch::Contains("disk_full: no room"));
}

}  // namespace
}  // namespace tessera
