#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace tessera::server {

/// One thread that serves connections. A connection stays with its thread for life, so nothing of a
/// connection needs a lock. Thread rule: the count is safe from any thread.
struct IoThread {
  std::atomic<int> connection_count = 0;
  boost::asio::io_context io{1};  // Goes before the count, which the last connections still change.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
};

/// The threads of one server. Thread rule: start() and stop() are the owner's, the rest is safe
/// from any thread between them.
class IoThreads {
 public:
  /// At least one.
  explicit IoThreads(std::size_t count);
  /// As stop().
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  /// Throws std::system_error when no thread can be had.
  void start();
  [[nodiscard]] bool is_started() const { return !threads_.empty(); }
  /// Waits for the handler that each of them runs, and forgets the rest.
  void stop();

  [[nodiscard]] IoThread& first() { return *all_.front(); }
  /// The one with the fewest connections.
  [[nodiscard]] IoThread& least_busy();

 private:
  static void run(IoThread& thread);

  const std::vector<std::unique_ptr<IoThread>> all_;
  std::vector<std::thread> threads_;
};

}  // namespace tessera::server
