#include <future>
#include <utility>

#include "bench/support/searcher.h"

namespace tessera::bench {
namespace {

class OwnSearcher final : public Searcher {
 public:
  explicit OwnSearcher(std::unique_ptr<const index::AnnIndex> built) : built_(std::move(built)) {
    options_.k = kRecallK;
  }

  void search(const float* query, std::vector<std::uint32_t>& found) const override {
    thread_local std::vector<index::RowHit> hits;
    hits.clear();
    index::SearchStats stats;
    if (const Status status = built_->search(query, options_, {}, hits, stats); !status.ok()) {
      throw Failure(status.to_string());
    }
    found.clear();
    for (const index::RowHit& hit : hits) found.push_back(hit.row);
  }

  void set_knobs(const Knobs& knobs) override {
    options_.ef = knobs.effort;
    options_.probe_count = knobs.effort;
    options_.oversampling = knobs.oversampling;
    options_.ignore_codes = knobs.ignore_codes;
  }

  [[nodiscard]] std::size_t memory_bytes() const override { return built_->memory_bytes(); }

 private:
  const std::unique_ptr<const index::AnnIndex> built_;
  index::SearchOptions options_;
};

}  // namespace

std::string Knobs::text(bool is_graph) const {
  std::string text = is_graph ? "ef " + std::to_string(effort) : std::to_string(effort) + " lists";
  if (ignore_codes) text += ", rows only";
  if (oversampling != 1) text += ", oversampling " + std::to_string(oversampling).substr(0, 3);
  return text;
}

std::unique_ptr<Searcher> build_own(const Workload& workload, const index::IndexSpec& spec,
                                    unsigned thread_count, const Watch& watch) {
  CancelToken cancel;
  index::BuildControl control;
  control.thread_count = thread_count;
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
