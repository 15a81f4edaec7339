#include <map>
#include <mutex>

#include <catch2/catch.hpp>

#include "tests/server/test_server.h"

namespace tessera::server {
namespace {

using std::chrono::milliseconds;

/// Answers "/quick..." by itself, everything else is for the worker.
std::optional<api::HttpResponse> echo_quickly(const api::HttpRequest& request) {
  if (!request.target.starts_with("/quick")) return std::nullopt;
  api::HttpResponse response = echo(request);
  response.body = "quick " + response.body;
  return response;
}

/// One thread for all connections, one worker.
config::ServerSettings one_thread() {
  auto settings = test_settings();
  settings.io_thread_count = 1;
  settings.worker_count = 1;
  return settings;
}

TEST_CASE("quick: a small request is answered while all workers are busy and the queue is full",
          "[unit]") {
  Gate gate;
  std::atomic<int> begun = 0;
  auto settings = one_thread();
  settings.queue_length_max = 1;
  TestServer server(settings, [&](const api::HttpRequest& request) {
    ++begun;
    gate.wait();
    return echo(request);
  });
  server.server->set_handlers({[&](const api::HttpRequest& request) {
                                 ++begun;
                                 gate.wait();
                                 return echo(request);
                               },
                               echo_quickly});
  RawClient slow(server.port);
  RawClient waiting(server.port);
  REQUIRE(slow.send(get("/slow")));
  REQUIRE(eventually([&] { return begun == 1; }));
  REQUIRE(waiting.send(get("/waiting")));
  RawClient quick(server.port);
  for (int i = 0; i < 10; ++i) {
    const auto answer = quick.request(post("/quick", "body"));
    REQUIRE(answer);
    CHECK(answer->body == "quick 2 /quick body");
  }
  gate.open();
  CHECK(slow.read_answer()->body == "0 /slow ");
  CHECK(waiting.read_answer()->body == "0 /waiting ");
}

TEST_CASE("quick: requests sent ahead are answered in their order, whoever answers them",
          "[unit]") {
  TestServer server(one_thread());
  server.server->set_handlers({echo, echo_quickly});
  RawClient client(server.port);
  std::string bytes;
  constexpr int kCount = 300;
  for (int i = 0; i < kCount; ++i) {
    const std::string target = (i % 7 == 3 ? "/slow" : "/quick") + std::to_string(i);
    // Some are larger than what is read at once.
    bytes += i % 3 == 0 ? get(target) : post(target, std::string((i % 5) * 9000, 'x'));
  }
  REQUIRE(client.send(bytes));
  for (int i = 0; i < kCount; ++i) {
    CAPTURE(i);
    const auto answer = client.read_answer();
    REQUIRE(answer);
    const std::string number = std::to_string(i);
    const std::string method = i % 3 == 0 ? "0 " : "2 ";
    const std::string expected =
        i % 7 == 3 ? method + "/slow" + number : "quick " + method + "/quick" + number;
    CHECK(answer->body.substr(0, expected.size()) == expected);
    CHECK(answer->body.size() == expected.size() + 1 + (i % 3 == 0 ? 0 : (i % 5) * 9000));
  }
}

TEST_CASE("quick: a client that sends ahead does not keep others of its thread waiting", "[unit]") {
  std::atomic<int> begun = 0;
  TestServer server(one_thread());
  server.server->set_handlers({echo, [&](const api::HttpRequest& request) {
                                 if (request.target == "/quick/many") {
                                   ++begun;
                                   std::this_thread::sleep_for(milliseconds(2));
                                 }
                                 return echo_quickly(request);
                               }});
  constexpr int kCount = 1000;
  std::string bytes;
  for (int i = 0; i < kCount; ++i) bytes += get("/quick/many");
  RawClient greedy(server.port);
  RawClient other(server.port);
  REQUIRE(other.request(get("/quick/first")));
  REQUIRE(greedy.send(bytes));
  REQUIRE(eventually([&] { return begun > 0; }));
  const auto answer = other.request(get("/quick/other"));
  const int begun_before = begun;
  REQUIRE(answer);
  CHECK(answer->body == "quick 0 /quick/other ");
  CHECK(begun_before < kCount);
  for (int i = 0; i < kCount; ++i) REQUIRE(greedy.read_answer());
}

TEST_CASE("quick: what a quick handler throws is left to a worker", "[unit]") {
  TestServer server(one_thread());
  server.server->set_handlers(
      {echo, [](const api::HttpRequest& request) -> std::optional<api::HttpResponse> {
         if (request.target == "/quick/1") throw std::bad_alloc();
         if (request.target == "/quick/2") throw std::runtime_error("broken");
         if (request.target == "/quick/3") throw 3;
         return echo_quickly(request);
       }});
  RawClient client(server.port);
  for (const std::string target : {"/quick/1", "/quick/2", "/quick/3"}) {
    CHECK(client.request(get(target))->body == "0 " + target + " ");
  }
  CHECK(client.request(get("/quick/4"))->body == "quick 0 /quick/4 ");
}

TEST_CASE("quick: connections are spread over the threads evenly and stay with theirs", "[unit]") {
  std::mutex mutex;
  std::map<std::string, std::thread::id> thread_of;
  auto settings = test_settings();
  settings.io_thread_count = 3;
  TestServer server(settings);
  bool is_moved = false;
  server.server->set_handlers({echo, [&](const api::HttpRequest& request) {
                                 const std::lock_guard lock(mutex);
                                 const auto id = std::this_thread::get_id();
                                 const auto [found, is_new] = thread_of.emplace(request.target, id);
                                 if (found->second != id) is_moved = true;
                                 return echo_quickly(request);
                               }});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 9; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port));
    const std::string target = "/quick/" + std::to_string(i);
    for (int k = 0; k < 3; ++k) REQUIRE(clients.back()->request(get(target))->status == 200);
  }
  const std::lock_guard lock(mutex);
  std::map<std::thread::id, int> counts;
  for (const auto& [target, id] : thread_of) ++counts[id];
  CHECK_FALSE(is_moved);
  CHECK(counts.size() == 3);
  for (const auto& [id, count] : counts) CHECK(count == 3);
}

TEST_CASE("quick: a draining server finishes the request under way and closes", "[unit]") {
  std::atomic<int> begun = 0;
  TestServer server(one_thread());
  server.server->set_handlers({echo, [&](const api::HttpRequest& request) {
                                 ++begun;
                                 std::this_thread::sleep_for(milliseconds(20));
                                 return echo_quickly(request);
                               }});
  RawClient client(server.port);
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += get("/quick");
  REQUIRE(client.send(bytes));
  REQUIRE(eventually([&] { return begun == 1; }));
  CHECK(server.server->shutdown(milliseconds(15'000)));
  std::optional<Answer> last;
  for (auto answer = client.read_answer(); answer; answer = client.read_answer()) last = answer;
  REQUIRE(last);
  CHECK(last->headers.at("connection") == "close");
  CHECK(begun < 100);
}

}  // namespace
}  // namespace tessera::server
