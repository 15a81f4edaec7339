#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/closed_loop.h"
#include "bench/support/curve.h"
#include "bench/support/http_collection.h"
#include "bench/support/searcher.h"

namespace tessera::bench {

/// One measurement with one ef.
struct LaneRate {
  double per_second = 0;
  double per_cpu_second = 0;  ///< Of the searching side's CPU time, without the HTTP client's.
  double p50_ms = 0;
  double p99_ms = 0;
};

/// Something that answers the workload's queries with an ef, over HTTP or in this process.
class Contender {
 public:
  Contender(std::string key, std::string name, std::vector<unsigned> lanes)
      : key(std::move(key)), name(std::move(name)), lanes(std::move(lanes)) {}
  virtual ~Contender() = default;
  [[nodiscard]] virtual double recall_at(std::size_t ef) = 0;
  [[nodiscard]] virtual LaneRate run(std::size_t ef, unsigned lane, double seconds) = 0;

  const std::string key;
  const std::string name;
  const std::vector<unsigned> lanes;  ///< Numbers of connections or threads to measure with.
};

std::unique_ptr<Contender> http_contender(const HttpCollection& collection,
                                          std::vector<unsigned> connection_counts);
std::unique_ptr<Contender> in_process_contender(std::string key, std::string name,
                                                std::unique_ptr<Searcher> searcher,
                                                const Workload& workload, const Watch& watch);

/// What one contender did at one recall.
struct LevelFigures {
  std::size_t ef = 0;  ///< The smallest that reaches the recall.
  double recall = 0;   ///< With that ef.
  /// By lane: one value a round. Speeds are interpolated at the recall itself, p50 and p99 are
  /// those with `ef`.
  struct Lane {
    std::vector<double> per_second;
    std::vector<double> per_cpu_second;
    std::vector<double> p50_ms;
    std::vector<double> p99_ms;
  };
  std::map<unsigned, Lane> lanes;
};

struct Level {
  std::string key;  ///< "95", "99", "common".
  double recall = 0;
  std::vector<LevelFigures> figures;  ///< In the order of the contenders.
};

struct EqualRecallOptions {
  std::vector<double> recalls;
  std::size_t round_count = 5;
  double slice_seconds = 1;  ///< Of one lane in one round.
};

/// The contenders take turns at each recall. Where one of them finds more than the first recall
/// even with the least ef, the last level is the least recall that all of them can have.
std::vector<Level> race_at_equal_recall(const std::vector<std::unique_ptr<Contender>>& contenders,
                                        const EqualRecallOptions& options, const Watch& watch);

}  // namespace tessera::bench
