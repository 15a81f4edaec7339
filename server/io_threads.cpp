#include "server/io_threads.h"

#include <algorithm>
#include <exception>

#include "base/log.h"

namespace tessera::server {
namespace {

std::vector<std::unique_ptr<IoThread>> make_threads(std::size_t count) {
  std::vector<std::unique_ptr<IoThread>> all;
  for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) {
    all.push_back(std::make_unique<IoThread>());
  }
  return all;
}

}  // namespace

IoThreads::IoThreads(std::size_t count) : all_(make_threads(count)) {}

IoThreads::~IoThreads() {
  stop();
}

void IoThreads::start() {
  for (const auto& thread : all_) {
    threads_.emplace_back([&served = *thread] { run(served); });
  }
}

void IoThreads::stop() {
  for (const auto& thread : all_) {
    thread->work.reset();
    thread->io.stop();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

IoThread& IoThreads::least_busy() {
  const auto found = std::min_element(all_.begin(), all_.end(), [](const auto& a, const auto& b) {
    return a->connection_count.load(std::memory_order_relaxed) <
           b->connection_count.load(std::memory_order_relaxed);
  });
  return **found;
}

void IoThreads::run(IoThread& thread) {
  for (;;) {
    try {
      thread.io.run();
      return;
    } catch (const std::exception& error) {
      log::error("network work failed with an exception", {{"reason", error.what()}});
    } catch (...) {
      log::error("network work failed with an unknown exception");
    }
  }
}

}  // namespace tessera::server
