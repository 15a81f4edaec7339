#include <catch2/catch.hpp>

#include "tests/server/test_server.h"

namespace tessera::server {
namespace {

/// What becomes of the connection after the answer.
enum class Fate { kOpen, kClosed };

struct Case {
  std::string name;
  std::string bytes;
  int status;
  Fate fate = Fate::kClosed;
};

std::string with_header(const std::string& header) {
  return "GET / HTTP/1.1\r\nHost: h\r\n" + header + "\r\n\r\n";
}

std::string with_body(const std::string& headers, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n\r\n" + body;
}

const std::string kChunked = "Transfer-Encoding: chunked";

std::vector<Case> request_line_cases() {
  return {
      {"no HTTP at all", "hello\r\n\r\n", 400},
      {"a TLS client hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400},
      {"binary zeros", std::string(64, '\0'), 400},
      {"high bytes", std::string(64, '\xff').append("\r\n\r\n"), 400},
      {"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"no method", " / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"no target", "GET HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"an empty target", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"no version", "GET /\r\nHost: h\r\n\r\n", 400},
      {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 400},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 400},
      {"a version in lower case", "GET / http/1.1\r\nHost: h\r\n\r\n", 400},
      {"a version of letters", "GET / HTTP/x.y\r\nHost: h\r\n\r\n", 400},
      {"two spaces before the version", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"a control character in the target", "GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"a method with a comma", "GE,T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"a bare line feed after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
      {"a target without slash", "GET collections HTTP/1.1\r\nHost: h\r\n\r\n", 400, Fate::kOpen},
      {"a target that is a star", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, Fate::kOpen},
      {"a target of another scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, Fate::kOpen},
      {"an absolute target without host", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", 400,
       Fate::kOpen},
      {"a method in lower case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", 405, Fate::kOpen},
      {"an unknown method with a body", "BREW / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
       405},
      {"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 405},
  };
}

std::vector<Case> header_cases() {
  return {
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400, Fate::kOpen},
      {"two hosts", with_header("Host: i"), 400, Fate::kOpen},
      {"a header without colon", with_header("novalue"), 400},
      {"a header without name", with_header(": value"), 400},
      {"a space before the colon", with_header("Name : value"), 400},
      {"a space in the name", with_header("Na me: value"), 400},
      {"a control character in a value", with_header("Name: a\x01z"), 400},
      {"a zero byte in a value", with_header(std::string("Name: a\0z", 9)), 400},
      {"a bare carriage return in a value", with_header("Name: a\rz"), 400},
      {"a bare line feed in a value", with_header("Name: a\nz"), 400},
      {"a header of UTF-8 letters", with_header("N\xC3\xA4me: value"), 400},
      {"an unknown expectation", with_header("Expect: wonders"), 417, Fate::kOpen},
      {"a compressed body", with_body("Content-Encoding: gzip\r\nContent-Length: 2", "{}"), 415},
      {"a body compressed twice", with_body("Content-Encoding: br, gzip\r\nContent-Length: 0", ""),
       415, Fate::kOpen},
      {"the end inside the head", "GET / HTTP/1.1\r\nHost: h\r\nX: ", 400},
  };
}

std::vector<Case> length_cases() {
  return {
      {"a length of letters", with_body("Content-Length: abc", ""), 400},
      {"a negative length", with_body("Content-Length: -1", ""), 400},
      {"a length with a plus", with_body("Content-Length: +1", "x"), 400},
      {"a length in hexadecimal", with_body("Content-Length: 0x10", ""), 400},
      {"an empty length", with_body("Content-Length:", ""), 400},
      {"a length beyond 64 bits", with_body("Content-Length: 18446744073709551616", ""), 400},
      {"two lengths that differ", with_body("Content-Length: 1\r\nContent-Length: 2", "xy"), 400},
      {"a list of lengths that differ", with_body("Content-Length: 1, 2", "xy"), 400},
      {"a length and chunks", with_body("Content-Length: 5\r\n" + kChunked, "0\r\n\r\n"), 400},
      {"chunks and a length", with_body(kChunked + "\r\nContent-Length: 5", "0\r\n\r\n"), 400},
      {"chunked twice", with_body(kChunked + "\r\n" + kChunked, "0\r\n\r\n"), 400},
      {"an unknown transfer encoding", with_body("Transfer-Encoding: zip", "x"), 501},
      {"chunks inside compression", with_body("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
       501},
      {"compression inside chunks", with_body("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"),
       501},
      {"two encodings in two headers",
       with_body("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400},
      {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"a chunk size of letters", with_body(kChunked, "xyz\r\nhello\r\n0\r\n\r\n"), 400},
      {"a negative chunk size", with_body(kChunked, "-5\r\nhello\r\n0\r\n\r\n"), 400},
      {"an empty chunk size", with_body(kChunked, "\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size beyond 64 bits",
       with_body(kChunked, "10000000000000000\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size beyond the limit", with_body(kChunked, "FFFFFFFFFFFFFFF\r\nhello"), 413},
      {"a chunk longer than its size", with_body(kChunked, "3\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size that ends in a line feed", with_body(kChunked, "5\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk extension that is none", with_body(kChunked, "5 = \r\nhello\r\n0\r\n\r\n"), 400},
      {"a malformed trailer", with_body(kChunked, "0\r\nno colon\r\n\r\n"), 400},
      {"the end inside a body", with_body("Content-Length: 10", "hello"), 400},
      {"the end inside a chunk", with_body(kChunked, "5\r\nhe"), 400},
      {"the end before the last chunk", with_body(kChunked, "5\r\nhello\r\n"), 400},
  };
}

TEST_CASE("malformed: each broken request is refused in the envelope, and the server goes on",
          "[unit]") {
  const TestServer server;
  std::vector<Case> cases = request_line_cases();
  for (const auto& more : {header_cases(), length_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  REQUIRE(cases.size() >= 60);
  for (const Case& broken : cases) {
    INFO(broken.name);
    RawClient client(server.port);
    REQUIRE(client.send(broken.bytes));
    if (broken.fate == Fate::kClosed) client.close_sending_half();
    const auto answer = client.read_answer();
    REQUIRE(answer);
    CHECK(answer->status == broken.status);
    CHECK(answer->body.starts_with(R"({"status":{"error":")"));
    if (broken.fate == Fate::kOpen) {
      CHECK(answer->headers.count("connection") == 0);
      CHECK(client.request(get("/after"))->body == "0 /after ");
    } else {
      CHECK(answer->headers.at("connection") == "close");
      CHECK(client.is_closed_by_server());
    }
  }
  CHECK(RawClient(server.port).request(get("/"))->status == 200);
}

TEST_CASE("malformed: what only looks odd is served", "[unit]") {
  const TestServer server;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"empty lines before the request", "\r\n\r\n" + get("/")},
      {"a header without value", with_header("X:")},
      {"spaces around a value", with_header("X:  \t v \t ")},
      {"a folded header", with_header("X: a\r\n b")},
      {"a length given twice, alike", with_body("Content-Length: 2\r\nContent-Length: 2", "{}")},
      {"a length of zero", with_body("Content-Length: 0", "")},
      {"a length with zeros in front", with_body("Content-Length: 0002", "{}")},
      {"chunked in capitals", with_body("TRANSFER-ENCODING: CHUNKED", "0\r\n\r\n")},
      {"a body with GET", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"},
      {"an upgrade that is not taken",
       with_header(
           "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAAB")},
      {"identity encoding", with_body("Content-Encoding: identity\r\nContent-Length: 2", "{}")},
      {"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
      {"a target with high bytes", "GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a hundred headers",
       [] {
         std::string headers = "A0: 0";
         for (int i = 1; i < 100; ++i) headers += "\r\nA" + std::to_string(i) + ": v";
         return with_header(headers);
       }()},
  };
  for (const auto& [name, bytes] : cases) {
    INFO(name);
    RawClient client(server.port);
    const auto answer = client.request(bytes);
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(client.request(get("/after"))->body == "0 /after ");
  }
}

TEST_CASE("malformed: a request smuggled behind a doubtful length is never served", "[unit]") {
  std::atomic<int> smuggled = 0;
  const TestServer server(test_settings(), [&](const api::HttpRequest& request) {
    if (request.target == "/smuggled") ++smuggled;
    return echo(request);
  });
  const std::string hidden = get("/smuggled");
  for (const std::string& bytes :
       {with_body("Content-Length: 0\r\n" + kChunked, hidden),
        with_body(kChunked + "\r\nContent-Length: 0", hidden),
        with_body("Transfer-Encoding: zip", hidden),
        with_body("Transfer-Encoding: chunked, zip", hidden),
        with_body("Transfer-Encoding:\x0b"
                  "chunked",
                  hidden),
        with_body("Content-Length: 0, 5", hidden),
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
        "BREW / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n" + hidden,
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n" + hidden}) {
    CAPTURE(bytes);
    RawClient client(server.port);
    REQUIRE(client.send(bytes));
    client.close_sending_half();
    const auto answer = client.read_answer();
    REQUIRE(answer);
    CHECK(answer->status >= 400);
    CHECK(client.is_closed_by_server());
  }
  CHECK(smuggled == 0);
}

}  // namespace
}  // namespace tessera::server
