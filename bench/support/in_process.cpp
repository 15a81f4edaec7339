#include "bench/support/in_process.h"

#include <future>

#include "index/ann_index.h"

namespace tessera::bench {
namespace {

class OwnSearcher final : public Searcher {
 public:
  explicit OwnSearcher(std::unique_ptr<const index::AnnIndex> built) : built_(std::move(built)) {
    options_.k = kRecallK;
  }

  void search(const float* query, std::vector<std::uint32_t>& found) const override {
    std::vector<index::RowHit> hits;
    index::SearchStats stats;
    if (const Status status = built_->search(query, options_, {}, hits, stats); !status.ok()) {
      throw Failure(status.to_string());
    }
    found.clear();
    for (const index::RowHit& hit : hits) found.push_back(hit.row);
  }

  void set_ef(std::size_t ef) override { options_.ef = ef; }

 private:
  const std::unique_ptr<const index::AnnIndex> built_;
  index::SearchOptions options_;
};

}  // namespace

std::unique_ptr<Searcher> build_own(const Workload& workload, const GraphShape& shape,
                                    const Watch& watch) {
  index::IndexSpec spec;
  spec.m = shape.m;
  spec.ef_construct = shape.ef_construct;
  CancelToken cancel;
  index::BuildControl control;
  control.thread_count = shape.thread_count;
  control.cancel = &cancel;
  auto build = std::async(std::launch::async, [&] {
    const testing::Matrix& rows = workload.rows;
    return index::build_index(spec, workload.metric, {rows.values.data(), rows.row_count, rows.dim},
                              control);
  });
  try {
    while (build.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
      watch.check();
    }
  } catch (const Failure&) {
    cancel.cancel();
    build.wait();
    throw;
  }
  auto built = build.get();
  if (built.has_error()) throw Failure(built.error().to_string());
  return std::make_unique<OwnSearcher>(std::move(*built));
}

}  // namespace tessera::bench
