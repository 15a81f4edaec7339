#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/watch.h"
#include "bench/support/workload.h"
#include "index/ann_index.h"

namespace tessera::bench {

/// What a caller may choose from search to search.
struct Knobs {
  std::size_t effort = kRecallK;  ///< A graph's ef; the lists that an inverted file visits.
  double oversampling = 1;        ///< Where codes are compared first: k times this is re-ranked.
  bool ignore_codes = false;

  /// "ef 24", "12 lists, oversampling 4".
  [[nodiscard]] std::string text(bool is_graph) const;
};

/// An index in this process: what a search costs without a daemon around it.
class Searcher {
 public:
  virtual ~Searcher() = default;
  /// Replaces `found` by the nearest kRecallK rows. Any number of threads, with the same knobs.
  virtual void search(const float* query, std::vector<std::uint32_t>& found) const = 0;
  /// For the searches that follow. Not while one is under way.
  virtual void set_knobs(const Knobs& knobs) = 0;
  /// Memory it needs, less one copy of the raw rows where it needs one.
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

struct GraphShape {
  std::uint32_t m = 16;
  std::uint32_t ef_construct = 200;
  unsigned thread_count = 2;
};

/// Our index over the workload's rows, which outlive it.
std::unique_ptr<Searcher> build_own(const Workload& workload, const index::IndexSpec& spec,
                                    unsigned thread_count, const Watch& watch);

/// hnswlib, compiled for this very machine; it copies the rows.
std::unique_ptr<Searcher> build_hnswlib(const Workload& workload, const GraphShape& shape,
                                        const Watch& watch);

/// FAISS as the distribution ships it.
std::unique_ptr<Searcher> build_faiss_hnsw(const Workload& workload, const GraphShape& shape);

enum class FaissCodes { kNone, kSq8, kPqRefined };
/// FAISS's inverted lists. With kPqRefined a byte codes four values, and the best by code are
/// compared by their rows.
std::unique_ptr<Searcher> build_faiss_ivf(const Workload& workload, FaissCodes codes,
                                          std::size_t list_count, unsigned thread_count);

}  // namespace tessera::bench
