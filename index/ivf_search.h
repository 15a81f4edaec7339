#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/ann_index.h"
#include "index/ivf_codes.h"
#include "index/ivf_lists.h"

namespace tessera::index {

/// How far a search goes.
struct IvfEffort {
  std::size_t probe_count = 1;    ///< Lists visited, nearest centroid first.
  std::size_t rerank_factor = 1;  ///< Candidates re-ranked by their rows, for each row wanted.
};

/// One search: visits lists until `probe_count` of them and enough allowed rows were seen, or all
/// lists. Finds min(k, allowed rows) rows whatever the filter. Confined to one thread.
class IvfSearch {
 public:
  /// Everything is borrowed.
  IvfSearch(const IvfData& data, const IvfCodes& codes, IvfEffort effort)
      : data_(data), codes_(codes), effort_(effort) {}

  /// Appends the hits, nearest first, with the distances of the rows.
  Status run(const float* query, std::size_t k, const RowFilter& filter, const CancelToken* cancel,
             std::vector<RowHit>& hits, SearchStats& stats) const;

 private:
  struct Walk;
  void scan_list(std::size_t list, Walk& walk) const;
  /// How many candidates were compared.
  std::size_t rerank(const float* query, std::size_t k, Walk& walk,
                     std::vector<RowHit>& hits) const;

  const IvfData& data_;
  const IvfCodes& codes_;
  const IvfEffort effort_;
};

}  // namespace tessera::index
