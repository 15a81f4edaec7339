#include <catch2/catch.hpp>

#include "tests/server/test_server.h"

namespace tessera::server {
namespace {

using std::chrono::milliseconds;

bool has_metric(const TestServer& server, const std::string& line) {
  return server.registry.expose().find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("limits: a head that trickles in ends at its deadline, however steady the bytes",
          "[unit]") {
  auto settings = test_settings();
  settings.header_timeout_ms = 150;
  const TestServer server(settings);
  RawClient client(server.port);
  REQUIRE(client.send("GET / HTTP/1.1\r\nHost: h\r\n"));
  // A deadline that every byte pushed back would never come.
  bool is_cut = false;
  for (int i = 0; i < 1000 && !is_cut; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    is_cut = !client.send("X: y\r\n") || has_metric(server,
                                                    "tessera_http_requests_total"
                                                    "{method=\"other\",status=\"408\"} 1");
  }
  REQUIRE(is_cut);
  const auto answer = client.read_answer();
  REQUIRE(answer);
  CHECK(answer->status == 408);
  CHECK(answer->headers.at("connection") == "close");
  CHECK(RawClient(server.port).request(get("/"))->status == 200);
}

TEST_CASE("limits: a body that trickles in ends at its deadline", "[unit]") {
  auto settings = test_settings();
  settings.body_timeout_ms = 150;
  const TestServer server(settings);
  RawClient client(server.port);
  REQUIRE(client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
  bool is_cut = false;
  for (int i = 0; i < 1000 && !is_cut; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    is_cut = !client.send("x") || has_metric(server,
                                             "tessera_http_requests_total"
                                             "{method=\"POST\",status=\"408\"} 1");
  }
  REQUIRE(is_cut);
  const auto answer = client.read_answer();
  REQUIRE(answer);
  CHECK(answer->status == 408);
}

TEST_CASE("limits: connections that say nothing are closed", "[unit]") {
  auto settings = test_settings();
  settings.header_timeout_ms = 100;
  settings.idle_timeout_ms = 100;
  const TestServer server(settings);
  RawClient silent(server.port);
  CHECK(silent.is_closed_by_server());
  RawClient idle(server.port);
  CHECK(idle.request(get("/"))->status == 200);
  CHECK(idle.is_closed_by_server());
}

TEST_CASE("limits: a client that does not take its answer is cut off", "[unit]") {
  auto settings = test_settings();
  settings.write_timeout_ms = 150;
  const TestServer server(settings, [](const api::HttpRequest&) {
    api::HttpResponse response;
    response.body.assign(64U << 20, 'x');
    return response;
  });
  RawClient client(server.port);
  REQUIRE(client.send(get("/large")));
  CHECK(eventually([&] { return has_metric(server, "tessera_http_connections 1"); }));
  CHECK(eventually([&] { return has_metric(server, "tessera_http_connections 0"); }));
  CHECK_FALSE(client.read_answer());
}

TEST_CASE("limits: a body over the limit is answered 413 and other connections go on", "[unit]") {
  const TestServer server;
  const std::string body(33U << 20, 'x');
  const auto check = [&](const std::string& head, const std::string& sent) {
    RawClient client(server.port);
    REQUIRE(client.send(head));
    REQUIRE(client.send(sent));
    const auto answer = client.read_answer();
    REQUIRE(answer);
    CHECK(answer->status == 413);
    CHECK(answer->body.find("33554432") != std::string::npos);
    CHECK(answer->headers.at("connection") == "close");
    client.close_sending_half();
    CHECK(client.is_closed_by_server());
  };
  SECTION("announced, and the client sends it all before it reads") {
    check("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 34603008\r\n\r\n", body);
  }
  SECTION("announced, and the client waits for leave") {
    check("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 34603008\r\n\r\n",
          "");
  }
  SECTION("announced far beyond what is ever sent") {
    check("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n", "x");
  }
  SECTION("in chunks") {
    check("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
          "1000000\r\n" + body.substr(0, 0x1000000) + "\r\n1000001\r\n" +
              body.substr(0, 0x1000001) + "\r\n0\r\n\r\n");
  }
  SECTION("a body at the limit passes") {
    RawClient client(server.port);
    const auto answer = client.request(post("/", body.substr(0, 32U << 20)));
    REQUIRE(answer);
    CHECK(answer->status == 200);
  }
  CHECK(RawClient(server.port).request(get("/next"))->status == 200);
}

TEST_CASE("limits: a head over the limit is answered 431", "[unit]") {
  auto settings = test_settings();
  settings.header_bytes_max = 4096;
  const TestServer server(settings);
  const auto status_of = [&](const std::string& bytes) {
    RawClient client(server.port);
    const auto answer = client.request(bytes);
    return answer ? answer->status : 0;
  };
  CHECK(status_of(get("/" + std::string(5000, 'a'))) == 431);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(5000, 'a') + "\r\n\r\n") == 431);
  CHECK(status_of("GET /" + std::string(3000, 'a') +
                  " HTTP/1.1\r\nHost: h\r\nX: " + std::string(3000, 'a') + "\r\n\r\n") == 431);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1'000'000, 'a')) == 431);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 2000; ++i) many += "a:\r\n";
  CHECK(status_of(many + "\r\n") == 431);
  CHECK(status_of(get("/" + std::string(3000, 'a'))) == 200);
}

TEST_CASE("limits: endless chunk extensions and trailers are refused", "[unit]") {
  const TestServer server;
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto status_of = [&](const std::string& bytes) {
    RawClient client(server.port);
    const auto answer = client.request(bytes);
    return answer ? answer->status : 0;
  };
  CHECK(status_of(head + "5;" + std::string(1'000'000, 'a')) == 431);
  CHECK(status_of(head + "0\r\n" + "A: " + std::string(1'000'000, 'a')) == 431);
}

TEST_CASE("limits: connections past the limit are told so, and a free place is used", "[unit]") {
  auto settings = test_settings();
  settings.connection_count_max = 64;
  const TestServer server(settings);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port));
    REQUIRE(clients.back()->request(get("/"))->status == 200);
  }
  for (int i = 0; i < 8; ++i) {
    RawClient extra(server.port);
    const auto answer = extra.read_answer();
    REQUIRE(answer);
    CHECK(answer->status == 503);
    CHECK(answer->headers.at("retry-after") == "1");
    CHECK(extra.is_closed_by_server());
  }
  for (const auto& client : clients) CHECK(client->request(get("/again"))->status == 200);
  clients.resize(32);
  CHECK(eventually([&] {
    RawClient next(server.port);
    const auto answer = next.request(get("/"));
    return answer && answer->status == 200;
  }));
}

TEST_CASE("limits: a flood of connections is survived", "[unit]") {
  auto settings = test_settings();
  settings.connection_count_max = 32;
  const TestServer server(settings);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 600; ++i) clients.push_back(std::make_unique<RawClient>(server.port));
  clients.clear();
  CHECK(eventually([&] { return has_metric(server, "tessera_http_connections 0"); }));
  CHECK(RawClient(server.port).request(get("/"))->status == 200);
}

TEST_CASE("limits: requests past the queue are refused at once, probes are not", "[unit]") {
  auto settings = test_settings();
  settings.worker_count = 1;
  settings.queue_length_max = 2;
  Gate gate;
  std::atomic<int> running = 0;
  const TestServer server(settings, [&](const api::HttpRequest& request) {
    if (request.target != "/readyz") {
      ++running;
      gate.wait();
    }
    return echo(request);
  });
  RawClient busy(server.port);
  REQUIRE(busy.send(get("/busy")));
  REQUIRE(eventually([&] { return running == 1; }));
  RawClient first(server.port);
  RawClient second(server.port);
  REQUIRE(first.send(get("/1")));
  REQUIRE(second.send(get("/2")));
  REQUIRE(eventually([&] { return has_metric(server, "tessera_http_queue_length 2"); }));

  RawClient extra(server.port);
  const auto answer = extra.request(post("/3", "{}"));
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->headers.at("retry-after") == "1");
  CHECK(extra.request(get("/readyz"))->status == 200);

  gate.open();
  CHECK(busy.read_answer()->body == "0 /busy ");
  CHECK(first.read_answer()->body == "0 /1 ");
  CHECK(second.read_answer()->body == "0 /2 ");
  CHECK(extra.request(post("/3", "{}"))->status == 200);
}

TEST_CASE("limits: a request that waits past its deadline is not begun", "[unit]") {
  auto settings = test_settings();
  settings.worker_count = 1;
  settings.request_timeout_ms = 50;
  Gate gate;
  std::atomic<int> begun = 0;
  const TestServer server(settings, [&](const api::HttpRequest& request) {
    ++begun;
    gate.wait();
    return echo(request);
  });
  RawClient busy(server.port);
  REQUIRE(busy.send(get("/busy")));
  REQUIRE(eventually([&] { return begun == 1; }));
  RawClient late(server.port);
  REQUIRE(late.send(get("/late")));
  REQUIRE(eventually([&] { return has_metric(server, "tessera_http_queue_length 1"); }));
  std::this_thread::sleep_for(milliseconds(100));
  gate.open();
  const auto answer = late.read_answer();
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->headers.count("retry-after") == 1);
  CHECK(begun == 1);
  CHECK(busy.read_answer()->status == 200);
}

TEST_CASE("limits: bodies of all requests share one amount of memory", "[unit]") {
  auto settings = test_settings();
  settings.body_bytes_max = 1U << 20;
  settings.body_bytes_total_max = (1U << 20) + 8192;
  Gate gate;
  std::atomic<bool> is_running = false;
  const TestServer server(settings, [&](const api::HttpRequest& request) {
    is_running = true;
    gate.wait();
    return echo(request);
  });
  RawClient large(server.port);
  REQUIRE(large.send(post("/large", std::string(1U << 20, 'x'))));
  REQUIRE(eventually([&] { return is_running.load(); }));
  RawClient refused(server.port);
  const auto answer = refused.request(post("/refused", std::string(100'000, 'x')));
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->headers.count("retry-after") == 1);
  gate.open();
  CHECK(large.read_answer()->status == 200);
  // What the first request had is free again.
  CHECK(eventually([&] {
    const auto next = RawClient(server.port).request(post("/next", std::string(1U << 20, 'x')));
    return next && next->status == 200;
  }));
}

TEST_CASE("limits: work is cancelled when its client goes away", "[unit]") {
  std::atomic<int> begun = 0;
  std::atomic<int> cancelled = 0;
  const TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    ++begun;
    if (eventually([&] { return request.cancel->is_cancelled(); })) ++cancelled;
    return echo(request);
  });
  SECTION("behind one request") {
    RawClient client(server.port);
    REQUIRE(client.send(get("/1")));
    REQUIRE(eventually([&] { return begun == 1; }));
    client.close();
  }
  SECTION("behind the beginning of another") {
    RawClient client(server.port);
    REQUIRE(client.send(get("/1") + "GET /2 HT"));
    REQUIRE(eventually([&] { return begun == 1; }));
    client.close();
  }
  SECTION("by a reset") {
    RawClient client(server.port);
    REQUIRE(client.send(get("/1")));
    REQUIRE(eventually([&] { return begun == 1; }));
    client.reset();
  }
  CHECK(eventually([&] { return cancelled == 1; }));
  CHECK(eventually([&] {
    return has_metric(server, "tessera_http_requests_total{method=\"GET\",status=\"499\"} 1");
  }));
  CHECK(eventually([&] { return has_metric(server, "tessera_http_connections 0"); }));
}

TEST_CASE("limits: a client that sends far ahead and leaves does no harm", "[unit]") {
  Gate gate;
  std::atomic<int> begun = 0;
  const TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    ++begun;
    gate.wait();
    return echo(request);
  });
  RawClient client(server.port);
  REQUIRE(client.send(get("/1")));
  REQUIRE(eventually([&] { return begun == 1; }));
  REQUIRE(client.send(std::string(200'000, 'x')));
  client.close();
  gate.open();
  CHECK(eventually([&] { return has_metric(server, "tessera_http_connections 0"); }));
  CHECK(RawClient(server.port).request(get("/"))->status == 200);
}

}  // namespace
}  // namespace tessera::server
