#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tessera::cli::test {

struct FakeRequest {
  std::string method;
  std::string target;
  std::string body;
};

/// `status` 0: the connection is closed without an answer.
struct FakeReply {
  int status = 200;
  std::string body = R"({"result":true,"status":"ok","time":0})";
  std::string retry_after;
};

/// An HTTP server on a free port whose answers a test decides. The handler is called by one thread
/// at a time.
class FakeDaemon {
 public:
  using Handler = std::function<FakeReply(const FakeRequest&)>;

  explicit FakeDaemon(Handler handler);
  ~FakeDaemon();

  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::size_t connection_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The points of all upserts of a collection named "c", by id as text; refuses a batch that holds a
/// point for which `is_bad` answers true, as the real daemon does: whole, with 400.
class FakeCollection {
 public:
  std::function<bool(const std::string& id)> is_bad = [](const std::string&) { return false; };
  std::function<FakeReply(std::size_t upsert_number)> interrupt;  ///< Set: may answer instead.
  bool exists = true;

  FakeReply handle(const FakeRequest& request);

  std::vector<std::string> ids;          ///< In order of arrival, repeats included.
  std::vector<std::string> points;       ///< JSON of each, as sent.
  std::vector<std::size_t> batch_sizes;  ///< Of accepted batches.
  std::vector<std::string> creations;    ///< Bodies of PUT /collections/c.
  std::size_t upsert_count = 0;
};

}  // namespace tessera::cli::test
