#include <catch2/catch.hpp>

#include "tests/server/test_server.h"

namespace tessera::server {
namespace {

using std::chrono::milliseconds;

constexpr auto kGrace = milliseconds(15'000);

TEST_CASE("shutdown: requests under way finish, idle connections close, new ones are not taken",
          "[unit]") {
  Gate gate;
  std::atomic<int> begun = 0;
  TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    if (request.target == "/slow") {
      ++begun;
      gate.wait();
    }
    return echo(request);
  });
  RawClient idle(server.port);
  REQUIRE(idle.request(get("/"))->status == 200);
  RawClient silent(server.port);
  RawClient slow(server.port);
  REQUIRE(slow.send(get("/slow") + get("/behind")));
  REQUIRE(eventually([&] { return begun == 1; }));

  bool is_clean = false;
  std::thread stopping([&] { is_clean = server.server->shutdown(kGrace); });
  CHECK(idle.is_closed_by_server());
  CHECK(silent.is_closed_by_server());
  CHECK_FALSE(RawClient(server.port).is_connected());
  gate.open();
  const auto answer = slow.read_answer();
  stopping.join();
  REQUIRE(answer);
  CHECK(answer->body == "0 /slow ");
  CHECK(answer->headers.at("connection") == "close");
  CHECK(slow.is_closed_by_server());
  CHECK(is_clean);
}

TEST_CASE("shutdown: large answers under way are not cut off", "[unit]") {
  std::atomic<int> begun = 0;
  TestServer server(test_settings(), [&](const api::HttpRequest&) {
    ++begun;
    api::HttpResponse response;
    response.body.assign(32U << 20, 'x');
    return response;
  });
  RawClient client(server.port);
  REQUIRE(client.send(get("/large")));
  REQUIRE(eventually([&] { return begun == 1; }));
  bool is_clean = false;
  std::thread stopping([&] { is_clean = server.server->shutdown(kGrace); });
  std::this_thread::sleep_for(milliseconds(50));
  const auto answer = client.read_answer();
  client.close();
  stopping.join();
  REQUIRE(answer);
  CHECK(answer->body.size() == 32U << 20);
  CHECK(is_clean);
}

TEST_CASE("shutdown: a request that outlasts the grace is cancelled and still answered", "[unit]") {
  std::atomic<int> begun = 0;
  TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    ++begun;
    const bool is_cancelled = eventually([&] { return request.cancel->is_cancelled(); });
    return refuse_in_test(is_cancelled ? 503 : 200, "stopping");
  });
  RawClient client(server.port);
  REQUIRE(client.send(get("/long")));
  REQUIRE(eventually([&] { return begun == 1; }));
  CHECK_FALSE(server.server->shutdown(milliseconds(50)));
  const auto answer = client.read_answer();
  REQUIRE(answer);
  CHECK(answer->status == 503);
}

TEST_CASE("shutdown: clients that send or read nothing do not hold it up", "[unit]") {
  TestServer server(test_settings(), [](const api::HttpRequest&) {
    api::HttpResponse response;
    response.body.assign(64U << 20, 'x');
    return response;
  });
  RawClient half_a_head(server.port);
  REQUIRE(half_a_head.send("GET / HT"));
  RawClient half_a_body(server.port);
  REQUIRE(half_a_body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx"));
  RawClient not_reading(server.port);
  REQUIRE(not_reading.send(get("/large")));
  std::this_thread::sleep_for(milliseconds(50));
  const auto begin = std::chrono::steady_clock::now();
  CHECK_FALSE(server.server->shutdown(milliseconds(50)));
  server.server.reset();
  CHECK(std::chrono::steady_clock::now() - begin < RawClient::kPatience);
  CHECK(half_a_head.is_closed_by_server());
}

TEST_CASE("shutdown: a server can be destroyed at any moment", "[unit]") {
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    TestServer server;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([port = server.port] {
        for (int i = 0; i < 20; ++i) {
          RawClient client(port);
          if (!client.is_connected() || !client.request(post("/", std::string(5000, 'x')))) return;
        }
      });
    }
    std::this_thread::sleep_for(milliseconds(round));
    server.server.reset();
    for (std::thread& thread : threads) thread.join();
  }
}

TEST_CASE("shutdown: an address in use is named", "[unit]") {
  const TestServer first;
  auto settings = test_settings();
  settings.port = first.port;
  metrics::Registry registry;
  const auto second = Server::open(settings, registry, refuse_in_test, echo);
  REQUIRE(second.has_error());
  CHECK(second.error().code() == Code::kUnavailable);
  CHECK(second.error().message() ==
        "cannot listen on 127.0.0.1:" + std::to_string(first.port) + ": Address already in use");
}

TEST_CASE("shutdown: the port is free again at once", "[unit]") {
  auto settings = test_settings();
  for (int round = 0; round < 3; ++round) {
    TestServer server(settings);
    settings.port = server.port;
    RawClient client(server.port);
    CHECK(client.request(get("/"))->status == 200);
    CHECK(server.server->shutdown(kGrace));
  }
}

TEST_CASE("address: only addresses of this machine's own are listened on without leave", "[unit]") {
  metrics::Registry registry;
  const auto open = [&](const std::string& host, bool allow_remote) {
    auto settings = test_settings();
    settings.host = host;
    settings.allow_remote = allow_remote;
    return Server::open(settings, registry, refuse_in_test, echo);
  };
  for (const std::string host : {"0.0.0.0", "::", "::ffff:0.0.0.0"}) {
    CAPTURE(host);
    const auto refused = open(host, false);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code() == Code::kInvalidArgument);
    CHECK(refused.error().message().find("there is no authentication") != std::string::npos);
    CHECK(refused.error().message().find("server.allow_remote") != std::string::npos);
  }
  CHECK(open("0.0.0.0", true).has_value());
  CHECK(open("127.0.0.2", false).has_value());
  CHECK(open("localhost", false).has_value());
  const auto unknown = open("no such host", false);
  REQUIRE(unknown.has_error());
  CHECK(unknown.error().code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::server
