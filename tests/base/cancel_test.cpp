#include "base/cancel.h"

#include <thread>

#include <catch2/catch.hpp>

namespace tessera {
namespace {

using Clock = CancelToken::Clock;
using std::chrono::hours;

TEST_CASE("cancel token: it goes on until cancelled, seen from other threads", "[unit]") {
  CancelToken token;
  REQUIRE(token.check().ok());
  REQUIRE_FALSE(token.is_cancelled());
  std::thread([&token] { token.cancel(); }).join();
  REQUIRE(token.is_cancelled());
  REQUIRE(token.check().code() == Code::kCancelled);
}

TEST_CASE("cancel token: a deadline that has passed is a timeout, cancelling wins over it",
          "[unit]") {
  REQUIRE(CancelToken(Clock::now() + hours(1)).check().ok());
  CancelToken token(Clock::now() - hours(1));
  REQUIRE_FALSE(token.is_cancelled());
  REQUIRE(token.check().code() == Code::kTimeout);
  token.cancel();
  REQUIRE(token.check().code() == Code::kCancelled);
}

TEST_CASE("cancel token: a parent stops its child, never the other way", "[unit]") {
  CancelToken parent;
  CancelToken child(&parent, Clock::now() + hours(1));
  REQUIRE(child.check().ok());
  child.cancel();
  REQUIRE(parent.check().ok());
  CancelToken other(&parent, Clock::now() + hours(1));
  parent.cancel();
  REQUIRE(other.is_cancelled());
  REQUIRE(other.check().code() == Code::kCancelled);

  const CancelToken late(Clock::now() - hours(1));
  REQUIRE(CancelToken(&late, Clock::now() + hours(1)).check().code() == Code::kTimeout);
  REQUIRE(CancelToken(nullptr, Clock::now() + hours(1)).check().ok());
  REQUIRE(CancelToken(nullptr, Clock::now() - hours(1)).check().code() == Code::kTimeout);
}

}  // namespace
}  // namespace tessera
