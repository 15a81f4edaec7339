#include <random>

#include <catch2/catch.hpp>

#include "server/request_body.h"
#include "tests/server/test_server.h"

namespace tessera::server {
namespace {

TEST_CASE("server: requests of one connection are answered in their order", "[unit]") {
  // Later requests would be done earlier: a server that mixed them up would be seen.
  const TestServer server(test_settings(), [](const api::HttpRequest& request) {
    const int number = std::stoi(std::string(request.target.substr(1)));
    std::this_thread::sleep_for(std::chrono::microseconds(number % 2 == 0 ? 500 : 0));
    return echo(request);
  });
  RawClient client(server.port);
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    const std::string target = "/" + std::to_string(i);
    requests +=
        i % 3 == 0 ? post(target, std::string(static_cast<std::size_t>(i), 'b')) : get(target);
  }
  REQUIRE(client.send(requests));
  for (int i = 0; i < 100; ++i) {
    CAPTURE(i);
    const auto answer = client.read_answer();
    REQUIRE(answer);
    CHECK(answer->status == 200);
    const std::string body = i % 3 == 0 ? std::string(static_cast<std::size_t>(i), 'b') : "";
    CHECK(answer->body == (i % 3 == 0 ? "2 /" : "0 /") + std::to_string(i) + " " + body);
  }
}

TEST_CASE("server: bodies larger than all buffers arrive and are answered whole", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  std::mt19937 random(7);
  for (const std::size_t bytes :
       {1U, 511U, 512U, 4096U, 65'535U, 65'536U, 1'000'003U, 8'000'000U}) {
    CAPTURE(bytes);
    std::string body(bytes, '\0');
    for (char& c : body) c = static_cast<char>('a' + random() % 26);
    const auto answer = client.request(post("/p", body));
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == "2 /p " + body);
  }
}

TEST_CASE("server: a body has readable padding behind it", "[unit]") {
  std::atomic<std::size_t> padding_bytes = 0;
  const TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    padding_bytes = request.body_padding_bytes;
    std::string copy(request.body.data(), request.body.size() + RequestBody::kPaddingBytes);
    return echo(request);
  });
  RawClient client(server.port);
  for (const std::size_t bytes : {1U, 4032U, 4096U, 100'000U}) {
    CAPTURE(bytes);
    REQUIRE(client.request(post("/", std::string(bytes, 'x'))));
    CHECK(padding_bytes >= RequestBody::kPaddingBytes);
  }
}

TEST_CASE("server: chunked bodies are put together, trailers and extensions skipped", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  const std::string head = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  auto answer = client.request(head + "5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nA: b\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->body == "3 /c hello world");
  answer = client.request(head + "0\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->body == "3 /c ");

  std::string chunks;
  std::string body;
  for (int i = 0; i < 3000; ++i) {
    chunks += "A\r\n0123456789\r\n";
    body += "0123456789";
  }
  answer = client.request(head + chunks + "0\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->body == "3 /c " + body);
}

TEST_CASE("server: a request that arrives byte by byte is understood", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  const std::string bytes = post("/slow", "{}") + get("/next");
  for (const char c : bytes) REQUIRE(client.send(std::string_view(&c, 1)));
  CHECK(client.read_answer()->body == "2 /slow {}");
  CHECK(client.read_answer()->body == "0 /next ");
}

TEST_CASE("server: an announced body is asked for once", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  REQUIRE(
      client.send("POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                  "Content-Length: 2\r\n\r\n"));
  REQUIRE(client.send("{}"));
  const auto answer = client.read_answer();
  REQUIRE(answer);
  CHECK(answer->body == "2 /e {}");
  CHECK(client.interim_count <= 1);

  RawClient waiting(server.port);
  REQUIRE(
      waiting.send("POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
                   "Content-Length: 2\r\n\r\n"));
  CHECK(waiting.is_closed_by_server() == false);  // Bytes come: the interim answer.
}

TEST_CASE("server: the answer to HEAD has the head of GET and no body", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  REQUIRE(client.send("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n" + get("/next")));
  const auto answer = client.read_answer(true);
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->headers.at("content-length") == "5");
  CHECK(client.read_answer()->body == "0 /next ");
}

TEST_CASE("server: pages of any origin may ask and read", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  const auto preflight = client.request(
      "OPTIONS /collections HTTP/1.1\r\nHost: h\r\nOrigin: http://a.example\r\n"
      "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type\r\n\r\n");
  REQUIRE(preflight);
  CHECK(preflight->status == 204);
  CHECK(preflight->headers.at("access-control-allow-origin") == "*");
  CHECK(preflight->headers.at("access-control-allow-methods").find("PUT") != std::string::npos);
  CHECK(preflight->headers.at("access-control-allow-headers").find("content-type") !=
        std::string::npos);
  CHECK(preflight->headers.count("content-length") == 0);
  const auto any = client.request("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(any);
  CHECK(any->status == 204);
  const auto answer = client.request(get("/x"));
  REQUIRE(answer);
  CHECK(answer->headers.at("access-control-allow-origin") == "*");
}

TEST_CASE("server: methods outside the dialect are refused", "[unit]") {
  const TestServer server;
  for (const std::string method : {"TRACE", "LOCK", "PROPFIND", "BREW", "QUERY"}) {
    CAPTURE(method);
    RawClient client(server.port);
    const auto answer = client.request(method + " / HTTP/1.1\r\nHost: h\r\n\r\n");
    REQUIRE(answer);
    CHECK(answer->status == 405);
    CHECK(answer->headers.at("allow").find("PATCH") != std::string::npos);
    CHECK(client.request(get("/after"))->status == 200);
  }
  RawClient client(server.port);
  const auto answer = client.request("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->status == 405);
  CHECK(client.is_closed_by_server());
}

TEST_CASE("server: HTTP/1.0 connections close unless the client wants them kept", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  auto answer = client.request("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->headers.at("connection") == "keep-alive");
  answer = client.request("GET /2 HTTP/1.0\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->body == "0 /2 ");
  CHECK(answer->headers.at("connection") == "close");
  CHECK(client.is_closed_by_server());
}

TEST_CASE("server: Connection: close is honoured", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  const auto answer = client.request("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->headers.at("connection") == "close");
  CHECK(client.is_closed_by_server());
}

TEST_CASE("server: a client that closed its sending half gets its answers", "[unit]") {
  std::atomic<bool> is_cancelled = false;
  const TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (request.cancel->is_cancelled()) is_cancelled = true;
    return echo(request);
  });
  RawClient client(server.port);
  REQUIRE(client.send(get("/1") + post("/2", "x")));
  client.close_sending_half();
  CHECK(client.read_answer()->body == "0 /1 ");
  CHECK(client.read_answer()->body == "2 /2 x");
  CHECK(client.is_closed_by_server());
  CHECK_FALSE(is_cancelled);
}

TEST_CASE("server: absolute targets are reduced to their path", "[unit]") {
  const TestServer server;
  RawClient client(server.port);
  const auto body_of = [&](const std::string& target) { return client.request(get(target))->body; };
  CHECK(body_of("http://h:6333/a/b?c=d") == "0 /a/b?c=d ");
  CHECK(body_of("HTTP://h") == "0 / ");
  CHECK(body_of("/a%20b?x=%2F") == "0 /a%20b?x=%2F ");
}

TEST_CASE("server: what a handler throws is answered 500 and the next request works", "[unit]") {
  const TestServer server(test_settings(), [](const api::HttpRequest& request) {
    if (request.target == "/throw") throw std::runtime_error("broken");
    if (request.target == "/odd") throw 7;
    if (request.target == "/memory") throw std::bad_alloc();
    return echo(request);
  });
  RawClient client(server.port);
  auto answer = client.request(get("/throw"));
  REQUIRE(answer);
  CHECK(answer->status == 500);
  CHECK(answer->body == R"({"status":{"error":"internal error"}})");
  CHECK(client.request(get("/odd"))->status == 500);
  answer = client.request(get("/memory"));
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->headers.count("retry-after") == 1);
  CHECK(client.request(get("/fine"))->status == 200);
}

TEST_CASE("server: many clients at once each get their own answers", "[unit]") {
  const TestServer server;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int connection = 0; connection < 5; ++connection) {
        RawClient client(server.port);
        for (int i = 0; i < 40; ++i) {
          const std::string target = "/" + std::to_string(t) + "/" + std::to_string(i);
          const std::string body(static_cast<std::size_t>(t * 1000 + i), 'x');
          const auto answer = client.request(post(target, body));
          if (answer && answer->body == "2 " + target + " " + body) ++right;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 8 * 5 * 40);
}

TEST_CASE("server: the handler can be exchanged while requests run", "[unit]") {
  Gate gate;
  std::atomic<bool> is_running = false;
  const TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    is_running = true;
    gate.wait();
    return echo(request);
  });
  RawClient first(server.port);
  REQUIRE(first.send(get("/old")));
  REQUIRE(eventually([&] { return is_running.load(); }));
  const auto accept = [](const api::HttpRequest&) {
    api::HttpResponse response;
    response.status = 202;
    return response;
  };
  server.server->set_handlers({accept, {}});
  RawClient second(server.port);
  CHECK(second.request(get("/new"))->status == 202);
  gate.open();
  CHECK(first.read_answer()->body == "0 /old ");
}

TEST_CASE("server: requests, times and bytes are counted", "[unit]") {
  TestServer server;
  RawClient client(server.port);
  for (int i = 0; i < 3; ++i) REQUIRE(client.request(get("/a")));
  const std::string odd = "BREW / HTTP/1.1\r\nHost: h\r\n\r\n";
  REQUIRE(client.request(odd));
  const auto has = [&](const std::string& line) {
    return server.registry.expose().find("\n" + line + "\n") != std::string::npos;
  };
  // An answer is counted after it is sent, so its client may be ahead.
  CHECK(eventually([&] {
    return has("tessera_http_requests_total{method=\"GET\",status=\"200\"} 3") &&
           has("tessera_http_requests_total{method=\"other\",status=\"405\"} 1");
  }));
  CHECK(has("tessera_http_request_seconds_count 4"));
  CHECK(has("tessera_http_connections 1"));
  const std::size_t received_bytes = 3 * get("/a").size() + odd.size();
  CHECK(has("tessera_http_received_bytes_total " + std::to_string(received_bytes)));
  client.close();
  CHECK(eventually([&] { return has("tessera_http_connections 0"); }));
}

}  // namespace
}  // namespace tessera::server
