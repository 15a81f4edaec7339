#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/support/closed_loop.h"
#include "bench/support/daemon.h"
#include "bench/support/searcher.h"
#include "bench/support/workload.h"

namespace tessera::bench {

/// A rate over HTTP and what it cost the daemon.
struct HttpRate {
  Rate rate;
  double daemon_cpu_us = 0;  ///< A request, all of the daemon's threads.
};

/// "params" of a query.
std::string ef_params(std::size_t ef);

/// "1 connection", "8 connections".
std::string connections_text(unsigned count);

/// One collection of a daemon that holds rows of the workload, row i as the point with id i.
/// Failures throw Failure. Thread rule: const after making.
class HttpCollection {
 public:
  HttpCollection(const Daemon& daemon, const Workload& workload, const Watch& watch,
                 const std::string& name);

  void create(const GraphShape& shape, bool is_indexed) const;
  void remove() const;
  /// `target` is what follows the collection's name in the path.
  std::string call(const std::string& method, const std::string& target,
                   const std::string& body) const;

  /// A POST for run().
  [[nodiscard]] std::string request(const std::string& target, const std::string& body) const;
  /// The first rows in batches of kBatchRowCount, wait=true.
  [[nodiscard]] std::vector<std::string> upsert_requests(std::size_t row_count) const;
  static constexpr std::size_t kBatchRowCount = 100;
  /// One for each query; `rest` is what follows "query" in the body.
  [[nodiscard]] std::vector<std::string> query_requests(const std::string& rest) const;
  /// Interests of `interest_count` queries, each heavier than the next.
  [[nodiscard]] std::vector<std::string> interest_requests(std::size_t interest_count,
                                                           const std::string& rest) const;
  /// The ids in the answers, in the order of the requests.
  [[nodiscard]] std::vector<std::vector<std::uint32_t>> found_ids(
      const std::vector<std::string>& requests) const;

  /// Whether the collection is green, with every row of the workload indexed.
  [[nodiscard]] bool is_settled() const;
  void wait_until_settled() const;
  /// Settled, and the daemon has used no CPU time to speak of for a while.
  void wait_until_quiet() const;

  /// Sends each request once (seconds 0), or round and round.
  HttpRate run(const std::vector<std::string>& requests, unsigned connections,
               double seconds) const;

  [[nodiscard]] const Daemon& daemon() const { return daemon_; }
  [[nodiscard]] const Workload& workload() const { return workload_; }
  [[nodiscard]] const Watch& watch() const { return watch_; }

 private:
  const Daemon& daemon_;
  const Workload& workload_;
  const Watch& watch_;
  const std::string path_;
};

}  // namespace tessera::bench
