#include <csignal>
#include <cstdio>
#include <fstream>
#include <random>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "server/request_body.h"
#include "server/response_head.h"
#include "server/startup.h"
#include "server/stop_signal.h"
#include "server/worker_pool.h"
#include "tests/server/test_server.h"

namespace tessera::server {
namespace {

TEST_CASE("request body: what is appended in any pieces is kept, the budget is kept to", "[unit]") {
  const unsigned seed = GENERATE(1U, 2U, 3U, 4U);
  CAPTURE(seed);
  std::mt19937 random(seed);
  ByteBudget budget(1U << 20);
  std::string expected;
  {
    RequestBody body;
    body.open(budget, seed % 2 == 0 ? 0 : 200'000);
    while (expected.size() < 200'000) {
      const std::string piece(std::min<std::size_t>(1 + random() % 9000, 200'000 - expected.size()),
                              static_cast<char>('a' + random() % 26));
      REQUIRE(body.append(piece.data(), piece.size()));
      expected += piece;
      REQUIRE(body.padding_bytes() >= RequestBody::kPaddingBytes);
    }
    CHECK(body.view() == expected);
    CHECK_FALSE(budget.take((1U << 20) - 200'000));
    const std::string large(1U << 20, 'x');
    CHECK_FALSE(body.append(large.data(), large.size()));
    CHECK(body.view() == expected);
  }
  CHECK(budget.take(1U << 20));
  CHECK_FALSE(budget.take(1));
}

TEST_CASE("request body: an announced length takes no memory before its bytes", "[unit]") {
  ByteBudget budget(1U << 20);
  RequestBody body;
  body.open(budget, 1ULL << 40);
  REQUIRE(body.append("x", 1));
  CHECK(body.view() == "x");
  CHECK(budget.take((1U << 20) - 8192));
}

TEST_CASE("response head: lines, dates and lengths are as HTTP wants them", "[unit]") {
  api::HttpResponse response;
  response.status = 404;
  response.body = "{}";
  response.headers = {{"X-Name", "split\r\nInjected: yes"}};
  HeadOptions options;
  options.now = std::chrono::system_clock::from_time_t(784111777);
  CHECK(compose_head(response, options) ==
        "HTTP/1.1 404 Not Found\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 2\r\n"
        "Access-Control-Allow-Origin: *\r\n"
        "X-Name: split  Injected: yes\r\n\r\n");
  options.is_keep_alive = false;
  response.status = 204;
  const std::string head = compose_head(response, options);
  CHECK(head.find("Connection: close\r\n") != std::string::npos);
  CHECK(head.find("Content-") == std::string::npos);
}

TEST_CASE("worker pool: jobs run in order, the queue has a bound, stopping forgets the rest",
          "[unit]") {
  metrics::Registry registry;
  metrics::Gauge& gauge = registry.gauge("tessera_queue_length", "Queue.");
  Gate gate;
  std::atomic<bool> is_running = false;
  std::vector<int> done;
  {
    WorkerPool pool(1, 3, gauge);
    REQUIRE(pool.submit([&] {
      is_running = true;
      gate.wait();
    }));
    REQUIRE(eventually([&] { return is_running.load(); }));
    for (int i = 0; i < 3; ++i) CHECK(pool.submit([&done, i] { done.push_back(i); }));
    CHECK_FALSE(pool.submit([] {}));
    gate.open();
    CHECK(eventually(
        [&] { return registry.expose().find("\ntessera_queue_length 0\n") != std::string::npos; }));
    pool.stop();
    CHECK_FALSE(pool.submit([] {}));
  }
  CHECK(std::is_sorted(done.begin(), done.end()));

  Gate second_gate;
  std::atomic<int> forgotten = 0;
  is_running = false;
  WorkerPool pool(1, 8, gauge);
  REQUIRE(pool.submit([&] {
    is_running = true;
    second_gate.wait();
  }));
  REQUIRE(eventually([&] { return is_running.load(); }));
  REQUIRE(pool.submit([&] { ++forgotten; }));
  std::thread stopping([&] { pool.stop(); });
  REQUIRE(eventually([&] { return !pool.submit([] {}); }));
  second_gate.open();
  stopping.join();
  CHECK(forgotten == 0);
}

TEST_CASE("startup: while the database opens only the probes of life are answered well", "[unit]") {
  const TestServer server(test_settings(), starting_handler(refuse_in_test));
  RawClient client(server.port);
  CHECK(client.request(get("/livez"))->status == 200);
  CHECK(client.request(get("/healthz?x=1"))->body == "healthz check passed");
  CHECK(client.request(get("/readyz"))->status == 503);
  const auto answer = client.request(post("/collections/a/points/query", "{}"));
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->body == R"({"status":{"error":"the database is starting"}})");
  CHECK(answer->headers.count("retry-after") == 1);
}

TEST_CASE("startup: the port file holds the port, or the failure names the file", "[unit]") {
  const std::string name = "/tmp/tessera_port_" + std::to_string(::getpid());
  REQUIRE(write_port_file(name, 54321).ok());
  std::ifstream file(name);
  std::string text;
  std::getline(file, text);
  CHECK(text == "54321");
  std::remove(name.c_str());
  const Status failure = write_port_file("/nonexistent/port", 1);
  REQUIRE_FALSE(failure.ok());
  CHECK(failure.message().find("/nonexistent/port") != std::string::npos);
}

TEST_CASE("startup: the limit of open files is raised, not lowered", "[unit]") {
  const std::uint64_t first = raise_open_file_limit();
  CHECK(first > 0);
  CHECK(raise_open_file_limit() == first);
}

TEST_CASE("stop signal: the first asks, the second forces", "[unit]") {
  std::atomic<int> forced = -1;
  StopSignal stop(std::chrono::minutes(5), [&](int signal) { forced = signal; });
  CHECK_FALSE(stop.is_raised());
  ::kill(::getpid(), SIGTERM);
  stop.wait([] { return false; });
  CHECK(stop.is_raised());
  CHECK(forced == -1);
  ::kill(::getpid(), SIGINT);
  CHECK(eventually([&] { return forced == SIGINT; }));
}

TEST_CASE("stop signal: an end that does not come in time is forced", "[unit]") {
  std::atomic<int> forced = -1;
  StopSignal stop(std::chrono::milliseconds(10), [&](int signal) { forced = signal; });
  ::kill(::getpid(), SIGINT);
  CHECK(eventually([&] { return forced == 0; }));
}

TEST_CASE("stop signal: a waiter can be called back without one", "[unit]") {
  StopSignal stop(std::chrono::minutes(5), [](int) {});
  std::atomic<bool> is_enough = false;
  std::thread caller([&] {
    is_enough = true;
    stop.wake();
  });
  stop.wait([&] { return is_enough.load(); });
  caller.join();
  CHECK_FALSE(stop.is_raised());
}

}  // namespace
}  // namespace tessera::server
