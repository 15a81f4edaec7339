#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/support/daemon.h"
#include "bench/support/http_collection.h"
#include "bench/support/report.h"

namespace tessera::bench {

/// How much is measured.
struct Effort {
  double slice_seconds = 1;               ///< Of one rate in one round.
  std::size_t round_count = 5;            ///< Of all that is compared.
  std::size_t upsert_row_count = 20'000;  ///< Of each upsert rate.
};

struct LoadFigures {
  double indexed_seconds = 0;  ///< From the first upsert until every row is indexed.
  double cpu_seconds = 0;      ///< Of the daemon, until it is quiet.
};

/// What a daemon does besides plain queries, phase by phase in the order of the functions. The
/// figures go into the report. Failures throw Failure.
class HttpSuite {
 public:
  HttpSuite(Daemon& daemon, const HttpCollection& collection, const Effort& effort,
            const GraphShape& shape, Report& report);

  /// Rows a second in batches with wait=true, into collections that are not indexed.
  void measure_upserts();
  /// Loads every row and waits until the daemon has indexed and merged them.
  LoadFigures load();
  /// What a query costs around the search.
  void measure_cost();
  /// With a filter; its recall too.
  void measure_filtered(std::size_t ef);
  /// Eight interests beside a plain query, limit 100.
  void measure_interests(std::size_t ef);
  /// Searches while another client replaces all rows as fast as it can.
  void measure_beside_upserts(std::size_t ef);
  /// Stops and kills the daemon and starts it again; it runs afterwards.
  void measure_restarts();

 private:
  void add_rate(const std::string& group, const std::string& key, const std::string& label,
                const std::vector<HttpRate>& rounds) const;
  void add_memory(const std::string& key, const std::string& label) const;
  void check_answers_after_restart() const;

  Daemon& daemon_;
  const HttpCollection& collection_;
  const Workload& workload_;
  const Watch& watch_;
  const Effort effort_;
  const GraphShape shape_;
  Report& report_;
  const std::uint64_t empty_resident_bytes_;
};

}  // namespace tessera::bench
