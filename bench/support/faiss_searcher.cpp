#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <omp.h>

#include "bench/support/searcher.h"

namespace tessera::bench {
namespace {

using idx_t = faiss::Index::idx_t;

faiss::MetricType faiss_metric(const Workload& workload) {
  return workload.metric == Metric::kEuclid ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT;
}

/// What FAISS throws becomes a Failure.
std::unique_ptr<Searcher> guarded(const std::function<std::unique_ptr<Searcher>()>& build) {
  try {
    return build();
  } catch (const Failure&) {
    throw;
  } catch (const std::exception& failure) {
    throw Failure(std::string("FAISS: ") + failure.what());
  }
}

/// Adds the workload's rows with so many threads. Searches are to use one, the caller's.
void fill(faiss::Index& index, const Workload& workload, unsigned thread_count) {
  omp_set_num_threads(static_cast<int>(thread_count));
  const auto count = static_cast<idx_t>(workload.rows.row_count);
  index.train(count, workload.rows.values.data());
  index.add(count, workload.rows.values.data());
  omp_set_num_threads(1);
}

void search_faiss(const faiss::Index& index, const float* query,
                  std::vector<std::uint32_t>& found) {
  float distances[kRecallK];
  idx_t labels[kRecallK];
  index.search(1, query, kRecallK, distances, labels);
  found.clear();
  for (const idx_t label : labels) {
    if (label >= 0) found.push_back(static_cast<std::uint32_t>(label));
  }
}

class FaissHnsw final : public Searcher {
 public:
  FaissHnsw(const Workload& workload, const GraphShape& shape)
      : rows_(static_cast<idx_t>(workload.rows.dim), faiss_metric(workload)),
        index_(&rows_, static_cast<int>(shape.m)) {
    index_.hnsw.efConstruction = static_cast<int>(shape.ef_construct);
    fill(index_, workload, shape.thread_count);
  }

  void search(const float* query, std::vector<std::uint32_t>& found) const override {
    search_faiss(index_, query, found);
  }

  void set_knobs(const Knobs& knobs) override {
    index_.hnsw.efSearch = static_cast<int>(knobs.effort);
  }

  [[nodiscard]] std::size_t memory_bytes() const override {
    return index_.hnsw.neighbors.capacity() * sizeof(index_.hnsw.neighbors[0]) +
           index_.hnsw.offsets.capacity() * sizeof(index_.hnsw.offsets[0]) +
           index_.hnsw.levels.capacity() * sizeof(index_.hnsw.levels[0]);
  }

 private:
  faiss::IndexFlat rows_;
  faiss::IndexHNSW index_;
};

class FaissIvf final : public Searcher {
 public:
  FaissIvf(const Workload& workload, FaissCodes codes, std::size_t list_count,
           unsigned thread_count)
      : centroids_(static_cast<idx_t>(workload.rows.dim), faiss_metric(workload)),
        rows_(static_cast<idx_t>(workload.rows.dim), faiss_metric(workload)) {
    const std::size_t dim = workload.rows.dim;
    const faiss::MetricType metric = faiss_metric(workload);
    if (codes == FaissCodes::kNone) {
      lists_ = std::make_unique<faiss::IndexIVFFlat>(&centroids_, dim, list_count, metric);
    } else if (codes == FaissCodes::kSq8) {
      lists_ = std::make_unique<faiss::IndexIVFScalarQuantizer>(
          &centroids_, dim, list_count, faiss::ScalarQuantizer::QT_8bit, metric);
    } else {
      std::size_t code_bytes = std::max<std::size_t>(1, dim / 4);
      while (dim % code_bytes != 0) --code_bytes;
      lists_ =
          std::make_unique<faiss::IndexIVFPQ>(&centroids_, dim, list_count, code_bytes, 8, metric);
      refined_ = std::make_unique<faiss::IndexRefine>(lists_.get(), &rows_);
    }
    fill(index(), workload, thread_count);
    const std::size_t raw_bytes = workload.rows.row_count * dim * sizeof(float);
    memory_bytes_ = list_count * dim * sizeof(float) +
                    workload.rows.row_count * (lists_->code_size + sizeof(idx_t));
    if (codes == FaissCodes::kNone) memory_bytes_ -= raw_bytes;
  }

  void search(const float* query, std::vector<std::uint32_t>& found) const override {
    search_faiss(index(), query, found);
  }

  void set_knobs(const Knobs& knobs) override {
    lists_->nprobe = knobs.effort;
    if (refined_ != nullptr) refined_->k_factor = static_cast<float>(knobs.oversampling);
  }

  [[nodiscard]] std::size_t memory_bytes() const override { return memory_bytes_; }

 private:
  [[nodiscard]] const faiss::Index& index() const {
    return refined_ != nullptr ? static_cast<const faiss::Index&>(*refined_) : *lists_;
  }
  [[nodiscard]] faiss::Index& index() {
    return refined_ != nullptr ? static_cast<faiss::Index&>(*refined_) : *lists_;
  }

  faiss::IndexFlat centroids_;
  faiss::IndexFlat rows_;  ///< Filled only where candidates are refined.
  std::unique_ptr<faiss::IndexIVF> lists_;
  std::unique_ptr<faiss::IndexRefine> refined_;
  std::size_t memory_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Searcher> build_faiss_hnsw(const Workload& workload, const GraphShape& shape) {
  return guarded([&] { return std::make_unique<FaissHnsw>(workload, shape); });
}

std::unique_ptr<Searcher> build_faiss_ivf(const Workload& workload, FaissCodes codes,
                                          std::size_t list_count, unsigned thread_count) {
  return guarded(
      [&] { return std::make_unique<FaissIvf>(workload, codes, list_count, thread_count); });
}

}  // namespace tessera::bench
