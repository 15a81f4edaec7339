#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/support/closed_loop.h"
#include "bench/support/daemon.h"
#include "bench/support/report.h"
#include "bench/support/workload.h"

namespace tessera::bench {

constexpr double kRecallTargets[] = {0.95, 0.99};
constexpr unsigned kConnectionCounts[] = {1, 2, 8};

/// How much is measured.
struct Effort {
  double seconds = 5;                     ///< Of each query rate.
  std::size_t upsert_row_count = 20'000;  ///< Of each upsert rate.
  std::size_t recall_query_count = 200;   ///< Of each recall.
};

/// What another way of searching is compared with.
struct QueryFigures {
  std::size_t ef = 0;
  double recall = 0;
  double per_second[3] = {0, 0, 0};  ///< As kConnectionCounts.
  double daemon_cpu_us = 0;          ///< A query with one connection, all of the daemon's threads.
};

/// Measures a daemon over HTTP, phase by phase in the order of the functions. The figures go into
/// the report; its groups "upsert", "query", "special", "restart" and "memory" are made by the
/// caller. Failures throw Failure.
class HttpSuite {
 public:
  HttpSuite(Daemon& daemon, Workload& workload, const Effort& effort, const Watch& watch,
            Report& report);

  /// Rows a second in batches with wait=true, into collections that are not indexed.
  void measure_upserts();
  /// Loads every row and waits until the daemon has indexed and merged them.
  void load();
  /// Fills the workload's bounds from exact queries.
  void find_truth();
  /// One for each recall target, in their order.
  std::vector<QueryFigures> measure_queries();
  /// Filtered queries and interests, at the effort of the first recall target.
  void measure_special(std::size_t ef);
  /// Stops and kills the daemon and starts it again; it runs afterwards.
  void measure_restarts();

 private:
  struct Measured {
    Rate rate;
    double daemon_cpu_us = 0;
  };

  std::string call(const std::string& method, const std::string& target,
                   const std::string& body) const;
  void create_collection(const std::string& name, bool is_indexed) const;
  [[nodiscard]] std::vector<std::string> upsert_requests(const std::string& collection,
                                                         std::size_t row_count) const;
  [[nodiscard]] bool is_settled() const;
  [[nodiscard]] std::vector<std::string> query_requests(std::size_t query_count,
                                                        const std::string& rest) const;
  [[nodiscard]] std::vector<std::string> interest_requests(std::size_t query_count,
                                                           std::size_t ef) const;
  [[nodiscard]] std::vector<std::vector<std::uint32_t>> found_ids(
      const std::vector<std::string>& requests) const;
  [[nodiscard]] double recall_at(std::size_t ef) const;
  [[nodiscard]] std::size_t smallest_ef(double recall) const;
  Measured run(const std::vector<std::string>& requests, unsigned connections,
               double seconds) const;
  void add_rate(const std::string& group, const std::string& key, const std::string& label,
                const Measured& measured) const;
  void add_memory(const std::string& key, const std::string& label) const;
  void check_answers_after_restart() const;

  Daemon& daemon_;
  Workload& workload_;
  const Effort effort_;
  const Watch& watch_;
  Report& report_;
  std::uint64_t empty_resident_bytes_ = 0;
};

}  // namespace tessera::bench
