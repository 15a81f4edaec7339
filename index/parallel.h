#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "index/ann_index.h"
#include "index/guarded_call.h"

namespace tessera::index {

/// Calls `Status work(block, worker)` for every block below `block_count`, from
/// control.thread_count threads of which the caller is worker 0, or fewer where the system gives no
/// more. Blocks are begun in their order. Which worker gets which block is left to chance, so
/// `work` writes only to its block and its worker's scratch; what it throws is turned into a status
/// as guarded_call(name) does. The cancel token is polled before every block; `progress`, where
/// there is one, is told the blocks done, from the calling thread. After a failure no block is
/// begun, and one of the failures is returned.
template <class Work>
Status run_blocks(const char* name, std::size_t block_count, const BuildControl& control,
                  Work&& work, const std::function<void(std::size_t done)>& progress = {}) {
  const std::size_t worker_count =
      std::clamp<std::size_t>(control.thread_count, 1, std::max<std::size_t>(1, block_count));
  std::vector<Status> failures(worker_count);
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> done = 0;
  std::atomic<bool> has_failed = false;
  const auto run = [&](std::size_t worker) {
    for (std::size_t block = next++; block < block_count && !has_failed; block = next++) {
      Status status = guarded_call(name, [&]() -> Status {
        if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
        return work(block, worker);
      });
      if (!status.ok()) {
        failures[worker] = std::move(status);
        has_failed = true;
        return;
      }
      ++done;
      if (worker == 0 && progress) progress(done);
    }
  };
  {
    std::vector<std::jthread> helpers;
    helpers.reserve(worker_count - 1);
    for (std::size_t worker = 1; worker < worker_count; ++worker) {
      try {
        helpers.emplace_back(run, worker);
      } catch (const std::system_error&) {
        break;  // No more threads are to be had: those that there are do all blocks.
      }
    }
    run(0);
  }
  for (Status& failure : failures) {
    if (!failure.ok()) return std::move(failure);
  }
  return {};
}

}  // namespace tessera::index
