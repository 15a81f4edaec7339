#include "cli/http_client.h"

#include <catch2/catch.hpp>

#include "cli/api_client.h"
#include "fake_daemon.h"

using namespace tessera;
using namespace tessera::cli;
using namespace tessera::cli::test;

TEST_CASE("daemon url: host, port and prefix are told apart", "[unit]") {
  const auto plain = parse_daemon_url("http://example.org/");
  REQUIRE(plain.has_value());
  CHECK(plain->host == "example.org");
  CHECK(plain->port == "6333");
  CHECK(plain->prefix.empty());
  CHECK(plain->text == "http://example.org");
  const auto full = parse_daemon_url("http://[::1]:7000/a/b/");
  REQUIRE(full.has_value());
  CHECK(full->host == "::1");
  CHECK(full->port == "7000");
  CHECK(full->prefix == "/a/b");
  for (const char* bad : {"", "localhost:6333", "https://x", "http://", "http://:80",
                          "http://x:", "http://x:0", "http://x:65536", "http://x:8a", "http://[::1",
                          "http://u@x", "http://x y", "http://x/?q"}) {
    INFO(bad);
    const auto url = parse_daemon_url(bad);
    REQUIRE_FALSE(url.has_value());
    CHECK(url.error().code() == Code::kInvalidArgument);
    CHECK(url.error().message().find(bad) != std::string::npos);
  }
}

TEST_CASE("http client: an unreachable daemon is named with a hint", "[unit]") {
  std::string url;
  {
    const FakeDaemon daemon([](const FakeRequest&) { return FakeReply(); });
    url = daemon.url();
  }
  HttpClient client(*parse_daemon_url(url), {});
  const auto reply = client.send("GET", "/", "");
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().code() == Code::kUnavailable);
  CHECK(reply.error().message() ==
        "cannot reach " + url + ": Connection refused. Is tesserad running?");
}

TEST_CASE("http client: calls share a connection, and a silent daemon is a timeout", "[unit]") {
  FakeDaemon daemon([](const FakeRequest& request) {
    return FakeReply{200, request.method + " " + request.target + " " + request.body, ""};
  });
  HttpClient client(*parse_daemon_url(daemon.url() + "/p"), {});
  for (int i = 0; i < 5; ++i) {
    const auto reply = client.send("PUT", "/x", "{}");
    REQUIRE(reply.has_value());
    CHECK(reply->body == "PUT /p/x {}");
  }
  CHECK(daemon.connection_count() == 1);
}

TEST_CASE("http client: a daemon that does not answer in time is a timeout", "[unit]") {
  std::mutex gate;
  std::unique_lock closed(gate);
  FakeDaemon daemon([&](const FakeRequest&) {
    const std::lock_guard wait(gate);
    return FakeReply();
  });
  HttpClient client(*parse_daemon_url(daemon.url()),
                    {.connect_timeout = std::chrono::milliseconds(1000),
                     .request_timeout = std::chrono::milliseconds(100)});
  const auto reply = client.send("GET", "/", "");
  closed.unlock();
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().code() == Code::kTimeout);
}

TEST_CASE(
    "http client: a kept connection that the daemon closed is opened again, but not for a "
    "POST",
    "[unit]") {
  std::size_t calls = 0;
  FakeDaemon daemon([&](const FakeRequest&) {
    FakeReply reply;
    if (++calls % 2 == 0) reply.status = 0;
    return reply;
  });
  HttpClient client(*parse_daemon_url(daemon.url()), {});
  CHECK(client.send("GET", "/", "").has_value());
  CHECK(client.send("GET", "/", "").has_value());
  CHECK(calls == 3);
  const auto post = client.send("POST", "/", "{}");
  REQUIRE_FALSE(post.has_value());
  CHECK(post.error().code() == Code::kUnavailable);
  CHECK(calls == 4);
}

TEST_CASE("api client: envelopes are taken off, refusals keep their text", "[unit]") {
  FakeReply reply;
  FakeDaemon daemon([&](const FakeRequest&) { return reply; });
  ApiClient client(*parse_daemon_url(daemon.url()));
  reply.body = R"({"result":{"a":18446744073709551615},"status":"ok","time":0.1})";
  CHECK(member_count(*client.call("GET", "/"), "a") == 18446744073709551615ULL);
  reply.body = R"({"title":"t","version":"1"})";
  CHECK(member_text(*client.call("GET", "/"), "title") == "t");

  reply = {404, R"({"status":{"error":"Not found: X"},"time":0})", ""};
  CHECK(client.call("GET", "/").error().code() == Code::kNotFound);
  CHECK(client.call("GET", "/").error().message() == "Not found: X");
  reply = {401, "Must provide an API key", ""};
  CHECK(client.call("GET", "/").error().message() == "Must provide an API key");
  reply = {503, "", "7"};
  const auto busy = client.send("GET", "/");
  REQUIRE(busy.has_value());
  CHECK(busy->retry_after_seconds == 7U);
  CHECK(busy->error == "HTTP status 503");
  reply = {200, "<html>", ""};
  CHECK(client.call("GET", "/").error().code() == Code::kInternal);
}

TEST_CASE("paths: names are percent-encoded", "[unit]") {
  CHECK(collection_path("a b/é", "/points") == "/collections/a%20b%2F%C3%A9/points");
}
