#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/support/watch.h"
#include "bench/support/workload.h"

namespace tessera::bench {

/// A graph in this process: what a search costs without a daemon around it.
class Searcher {
 public:
  virtual ~Searcher() = default;
  /// Replaces `found` by the nearest kRecallK rows. Any number of threads, with one ef.
  virtual void search(const float* query, std::vector<std::uint32_t>& found) const = 0;
  /// Candidates kept by the searches that follow. Not while one is under way.
  virtual void set_ef(std::size_t ef) = 0;
};

struct GraphShape {
  std::uint32_t m = 16;
  std::uint32_t ef_construct = 100;
  unsigned thread_count = 2;
};

/// Our index over the workload's rows, which outlive it.
std::unique_ptr<Searcher> build_own(const Workload& workload, const GraphShape& shape,
                                    const Watch& watch);

/// hnswlib, compiled for this very machine; it copies the rows.
std::unique_ptr<Searcher> build_hnswlib(const Workload& workload, const GraphShape& shape,
                                        const Watch& watch);

}  // namespace tessera::bench
