#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "index/ann_index.h"
#include "index/guarded_call.h"

namespace tessera::index {

/// Calls work(block_index, worker_index) once for every block below `block_count`, from
/// control.thread_count threads of which the caller is worker 0. Which worker gets which block is
/// left to chance, so `work` writes only to its block and its worker's scratch, and it must not
/// throw. The cancel token is polled before every block and `progress`, where there is one, is told
/// the blocks done from the calling thread. Returns the token's status when it stopped the work.
template <class Work>
Status run_blocks(std::size_t block_count, const BuildControl& control, Work&& work,
                  const std::function<void(std::size_t done)>& progress = {}) {
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> done = 0;
  std::atomic<bool> is_stopped = false;
  const auto run = [&](std::size_t worker) {
    for (std::size_t block = next++; block < block_count && !is_stopped; block = next++) {
      if (control.cancel != nullptr && !control.cancel->check().ok()) {
        is_stopped = true;
        return;
      }
      work(block, worker);
      ++done;
      if (worker == 0 && progress) progress(done);
    }
  };
  const std::size_t worker_count =
      std::clamp<std::size_t>(block_count, 1, std::max(1u, control.thread_count));
  {
    std::vector<std::jthread> helpers;
    helpers.reserve(worker_count - 1);
    for (std::size_t worker = 1; worker < worker_count; ++worker) {
      helpers.emplace_back([&run, worker] {
        use_one_library_thread();
        run(worker);
      });
    }
    run(0);
  }
  // A token that has stopped the work once stays as it is.
  return is_stopped ? control.cancel->check() : ok_status();
}

}  // namespace tessera::index
