#include "bench/support/goals.h"

namespace tessera::bench {
namespace {

constexpr bool kMinimum = true, kMaximum = false;

/// Every goal of the project's speed. docs/benchmarks.md says what the figures are.
constexpr Goal kGoals[] = {
    {"search", "", "ratio.hnsw_95", kMinimum, 2.0},
    {"search", "", "ratio.hnsw_99", kMinimum, 2.0},
    {"search", "", "ratio.build", kMaximum, 1.0},
    {"search", "text-768", "memory.own_hnsw_with_rows", kMaximum, 1.35},
    {"search", "text-768", "memory.own_hnsw_beside_rows", kMaximum, 0.4},
    {"search", "text-768", "ratio.ivf_95", kMinimum, 3.0},
    {"search", "mnist", "ratio.ivf_95", kMinimum, 3.0},

    {"http", "text-768", "ratio.own_95_connections_2", kMinimum, 0.6},
    {"http", "text-768", "cost.parse_and_write_us", kMaximum, 40},
    {"http", "clustered", "ratio.hnswlib_95_connections_2", kMinimum, 0.3},
    {"http", "clustered", "ratio.hnswlib_95_connections_8", kMinimum, 0.3},
    {"http", "clustered", "ratio.hnswlib_99_connections_2", kMinimum, 0.6},
    {"http", "clustered", "ratio.hnswlib_99_connections_8", kMinimum, 0.6},
    {"http", "mnist", "ratio.hnswlib_95_connections_2", kMinimum, 0.45},
    {"http", "mnist", "ratio.hnswlib_95_connections_8", kMinimum, 0.45},
    {"http", "mnist", "ratio.hnswlib_99_connections_2", kMinimum, 0.9},
    {"http", "mnist", "ratio.hnswlib_99_connections_8", kMinimum, 0.9},
    {"http", "clustered", "ratio.load", kMaximum, 1.3},
    {"http", "", "ratio.p99_beside_upserts", kMaximum, 3},
    {"http", "clustered", "restart.start_s", kMaximum, 1},
    {"http", "", "ratio.interests_p50", kMaximum, 3},

    {"adapters", "", "ratio.http_history_9", kMaximum, 4},
    {"adapters", "", "ratio.http_history_50", kMaximum, 4},
    {"interests", "", "ratio.fresh_5_p50", kMaximum, 2.5},
    {"interests", "", "ratio.fresh_8_p50", kMaximum, 3},
    {"interests", "", "ratio.indexed_5_p50", kMaximum, 2.5},
    {"interests", "", "ratio.indexed_8_p50", kMaximum, 3},
    {"interests", "", "indexed.interests_5_overlap", kMinimum, 0.97},
    {"interests", "", "indexed.interests_8_overlap", kMinimum, 0.97},

    {"events", "", "events.per_s", kMinimum, 20'000},

    // The best of two database servers with vector indexes, 8 connections, and their loading.
    {"http", "clustered", "query.recall_95_connections_8_per_s", kMinimum, 11'458, true},
    {"http", "clustered", "query.recall_99_connections_8_per_s", kMinimum, 3'791, true},
    {"http", "mnist", "query.recall_99_connections_8_per_s", kMinimum, 11'863, true},
    {"http", "clustered", "upsert.indexed_s", kMaximum, 38, true},
};

}  // namespace

std::vector<Goal> goals_of(std::string_view benchmark, std::string_view data) {
  std::vector<Goal> found;
  for (const Goal& goal : kGoals) {
    if (goal.benchmark == benchmark && (goal.data.empty() || goal.data == data)) {
      found.push_back(goal);
    }
  }
  return found;
}

}  // namespace tessera::bench
