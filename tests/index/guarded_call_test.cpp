#include "index/guarded_call.h"

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <faiss/impl/FaissAssert.h>
#include <omp.h>

using namespace tessera;
using tessera::index::guarded_call;

TEST_CASE("guarded call: values and failures pass through unchanged") {
  const auto value = guarded_call("door", []() -> Result<int> { return 7; });
  REQUIRE(value.has_value());
  REQUIRE(*value == 7);
  const Status status = guarded_call("door", [] { return Status(Code::kCancelled, "stop"); });
  REQUIRE(status.code() == Code::kCancelled);
  REQUIRE(status.message() == "stop");
}

TEST_CASE("guarded call: each kind of exception becomes a status with the door's name") {
  const auto status_of = [](auto&& thrower) {
    const Result<int> result = guarded_call("door", [&]() -> Result<int> {
      thrower();
      return 0;
    });
    REQUIRE(result.has_error());
    REQUIRE_THAT(result.error().message(), Catch::StartsWith("door: "));
    return result.error();
  };
  REQUIRE(status_of([] { throw std::bad_alloc(); }).code() == Code::kResourceExhausted);
  REQUIRE(status_of([] { std::vector<char>().reserve(~std::size_t{0}); }).code() ==
          Code::kResourceExhausted);
  const Status faiss_failure = status_of([] { FAISS_THROW_MSG("no such list"); });
  REQUIRE(faiss_failure.code() == Code::kInternal);
  REQUIRE_THAT(faiss_failure.message(), Catch::Contains("no such list"));
  REQUIRE(status_of([] { throw std::runtime_error("why"); }).code() == Code::kInternal);
  REQUIRE(status_of([] { throw 3; }).code() == Code::kInternal);
}

TEST_CASE("guarded call: OpenMP regions behind the door stay in the calling thread") {
  omp_set_num_threads(4);
  int thread_count = 0;
  const Status status = guarded_call("door", [&]() -> Status {
    thread_count = omp_get_max_threads();
    return {};
  });
  REQUIRE(status.ok());
  REQUIRE(thread_count == 1);
}
