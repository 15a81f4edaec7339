// Compiled with -O3 -march=native, the way hnswlib is meant to be used. Nothing else includes
// hnswlib: its headers define functions that are not inline.
#include <exception>

#include <hnswlib/hnswlib.h>

#include "bench/support/closed_loop.h"
#include "bench/support/searcher.h"

namespace tessera::bench {
namespace {

std::unique_ptr<hnswlib::SpaceInterface<float>> make_space(Metric metric, std::size_t dim) {
  if (metric == Metric::kEuclid) return std::make_unique<hnswlib::L2Space>(dim);
  return std::make_unique<hnswlib::InnerProductSpace>(dim);
}

class HnswlibSearcher final : public Searcher {
 public:
  HnswlibSearcher(const Workload& workload, const GraphShape& shape)
      : space_(make_space(workload.metric, workload.rows.dim)),
        graph_(space_.get(), workload.rows.row_count, shape.m, shape.ef_construct) {}

  void add(const Workload& workload, const GraphShape& shape, const Watch& watch) {
    graph_.addPoint(workload.rows.row(0), 0);
    const LoopOptions options = {shape.thread_count, workload.rows.row_count - 1, 0};
    run_closed_loop(watch, options, [&](unsigned) {
      return [&](std::size_t item) { graph_.addPoint(workload.rows.row(item + 1), item + 1); };
    });
  }

  void search(const float* query, std::vector<std::uint32_t>& found) const override {
    auto queue = graph_.searchKnn(query, kRecallK);
    found.resize(queue.size());
    for (std::size_t i = found.size(); i > 0; --i, queue.pop()) {
      found[i - 1] = static_cast<std::uint32_t>(queue.top().second);
    }
  }

  void set_knobs(const Knobs& knobs) override { graph_.setEf(knobs.effort); }

  [[nodiscard]] std::size_t memory_bytes() const override {
    std::size_t bytes =
        graph_.max_elements_ * (graph_.size_data_per_element_ - graph_.data_size_ + sizeof(char*));
    for (const int level : graph_.element_levels_) {
      bytes += static_cast<std::size_t>(level) * graph_.size_links_per_element_;
    }
    return bytes;
  }

 private:
  const std::unique_ptr<hnswlib::SpaceInterface<float>> space_;
  hnswlib::HierarchicalNSW<float> graph_;
};

}  // namespace

std::unique_ptr<Searcher> build_hnswlib(const Workload& workload, const GraphShape& shape,
                                        const Watch& watch) {
  try {
    auto searcher = std::make_unique<HnswlibSearcher>(workload, shape);
    searcher->add(workload, shape, watch);
    return searcher;
  } catch (const Failure&) {
    throw;
  } catch (const std::exception& failure) {
    throw Failure(std::string("hnswlib: ") + failure.what());
  }
}

}  // namespace tessera::bench
