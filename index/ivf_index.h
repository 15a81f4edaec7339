#pragma once

#include <memory>
#include <vector>

#include "index/ann_index.h"
#include "index/ivf_codes.h"
#include "index/ivf_lists.h"
#include "index/ivf_search.h"

namespace tessera::index {

/// An inverted file: rows in lists by their nearest centroid, scored by their codes, the best
/// re-ranked by the rows themselves. The stored form is described in docs/formats.md.
/// Thread rule: immutable after build.
class IvfIndex final : public AnnIndex {
 public:
  IvfIndex(IndexSpec spec, std::unique_ptr<const IvfData> data,
           std::unique_ptr<const IvfCodes> codes, IvfEffort effort);

  [[nodiscard]] const IndexSpec& spec() const override { return spec_; }

  /// Finds min(k, allowed rows) rows whatever the filter. Cost: one distance a list, one score for
  /// each allowed row of the visited lists, one distance for each candidate.
  Status search(const float* query, const SearchOptions& options, const RowFilter& filter,
                std::vector<RowHit>& hits, SearchStats& stats) const override;

  Status save(ByteSink& sink) const override;
  [[nodiscard]] std::size_t memory_bytes() const override;

  [[nodiscard]] const IvfEffort& effort() const { return effort_; }

 private:
  const IndexSpec spec_;
  const std::unique_ptr<const IvfData> data_;
  const std::unique_ptr<const IvfCodes> codes_;
  const IvfEffort effort_;
};

}  // namespace tessera::index
