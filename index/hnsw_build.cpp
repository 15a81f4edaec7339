#include "index/hnsw_build.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>
#include <omp.h>

#include "base/log.h"
#include "index/equal_rows.h"
#include "index/guarded_call.h"
#include "index/hnsw_connect.h"
#include "index/kernel_table.h"

namespace tessera::index {
namespace {

// Inserted by one thread: while the graph is tiny, rows inserted at the same time would not see
// each other and the graph would start in pieces.
constexpr std::size_t kFirstInserts = 256;
constexpr std::size_t kInsertsPerTurn = 16;
constexpr std::size_t kProgressCalls = 200;

Status check_spec(const IndexSpec& spec) {
  const auto check = [](const char* field, std::uint32_t value, std::uint32_t least,
                        std::uint32_t most) -> Status {
    if (value >= least && value <= most) return {};
    return {Code::kInvalidArgument, std::string(field) + ": " + std::to_string(value) +
                                        " is not between " + std::to_string(least) + " and " +
                                        std::to_string(most)};
  };
  TESSERA_RETURN_IF_ERROR(check("m", spec.m, kHnswMMin, kHnswMMax));
  return check("ef_construct", spec.ef_construct, 1, kHnswEfConstructMax);
}

/// FAISS's extension point for distances, over the rows that are graph nodes.
class RowDistance final : public faiss::DistanceComputer {
 public:
  RowDistance(Metric metric, VectorSpan rows, const std::vector<std::uint32_t>& row_of_node)
      : pair_(kernels().of(metric).pair), rows_(rows), row_of_node_(row_of_node) {}

  void set_query(const float* query) override { query_ = query; }
  float operator()(idx_t node) override { return pair_(query_, row(node), rows_.dim); }
  float symmetric_dis(idx_t a, idx_t b) override { return pair_(row(a), row(b), rows_.dim); }
  [[nodiscard]] const float* row(idx_t node) const {
    return rows_.row(row_of_node_[static_cast<std::size_t>(node)]);
  }

 private:
  float (*const pair_)(const float*, const float*, std::size_t);
  const VectorSpan rows_;
  const std::vector<std::uint32_t>& row_of_node_;
  const float* query_ = nullptr;
};

/// The locks FAISS wants, one a node.
class NodeLocks {
 public:
  explicit NodeLocks(std::size_t count) : locks_(count) {
    for (omp_lock_t& lock : locks_) omp_init_lock(&lock);
  }
  ~NodeLocks() {
    for (omp_lock_t& lock : locks_) omp_destroy_lock(&lock);
  }
  NodeLocks(const NodeLocks&) = delete;
  NodeLocks& operator=(const NodeLocks&) = delete;
  std::vector<omp_lock_t>& get() { return locks_; }

 private:
  std::vector<omp_lock_t> locks_;
};

/// Inserts all nodes into a faiss::HNSW. Thread rule: run() is called once; its workers share the
/// graph under FAISS's locks and the atomics below.
class Inserter {
 public:
  Inserter(const IndexSpec& spec, Metric metric, VectorSpan rows,
           const std::vector<std::uint32_t>& row_of_node, const BuildControl& control)
      : metric_(metric),
        rows_(rows),
        row_of_node_(row_of_node),
        control_(control),
        progress_step_(std::max<std::size_t>(1, rows.row_count / kProgressCalls)),
        locks_(row_of_node.size()),
        hnsw_(static_cast<int>(spec.m)) {
    hnsw_.efConstruction = static_cast<int>(spec.ef_construct);
    hnsw_.rng = faiss::RandomGenerator(static_cast<std::int64_t>(spec.seed));
    hnsw_.prepare_level_tab(row_of_node.size());
    order_nodes(spec.seed);
  }

  Status run() {
    next_ = std::min(kFirstInserts, order_.size());
    done_ = rows_.row_count - order_.size();
    run_worker([this](Worker& worker) { return insert(worker, 0, next_); });
    std::vector<std::jthread> helpers;
    const std::size_t turn_count = (order_.size() - next_) / kInsertsPerTurn;
    for (std::size_t i = 1; i < std::min<std::size_t>(control_.thread_count, turn_count); ++i) {
      helpers.emplace_back([this] { insert_rest(); });
    }
    insert_rest();
    helpers.clear();
    const std::lock_guard lock(failure_mutex_);
    return failure_;
  }

  [[nodiscard]] const faiss::HNSW& graph() const { return hnsw_; }

 private:
  /// Highest levels first, so that every walk down meets finished levels; shuffled within a level
  /// because neighbours in the data set should not be inserted at the same time.
  void order_nodes(std::uint64_t seed) {
    order_.resize(row_of_node_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int>(i);
    std::mt19937_64 random(seed);
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random() % i]);
    std::stable_sort(order_.begin(), order_.end(),
                     [this](int a, int b) { return level_of(a) > level_of(b); });
  }

  [[nodiscard]] int level_of(int node) const {
    return hnsw_.levels[static_cast<std::size_t>(node)] - 1;
  }

  /// What one thread needs to insert.
  struct Worker {
    RowDistance distance;
    faiss::VisitedTable visited;
  };

  template <class Function>
  void run_worker(Function&& function) {
    const Status status = guarded_call("hnsw insert", [&]() -> Status {
      Worker worker{RowDistance(metric_, rows_, row_of_node_),
                    faiss::VisitedTable(static_cast<int>(order_.size()))};
      return function(worker);
    });
    if (status.ok()) return;
    const std::lock_guard lock(failure_mutex_);
    if (failure_.ok()) failure_ = status;
    has_failed_ = true;
  }

  void insert_rest() {
    run_worker([this](Worker& worker) -> Status {
      while (!has_failed_) {
        const std::size_t begin = next_.fetch_add(kInsertsPerTurn);
        if (begin >= order_.size()) break;
        TESSERA_RETURN_IF_ERROR(
            insert(worker, begin, std::min(begin + kInsertsPerTurn, order_.size())));
      }
      return {};
    });
  }

  /// Inserts order_[begin .. end).
  Status insert(Worker& worker, std::size_t begin, std::size_t end) {
    if (control_.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control_.cancel->check());
    for (std::size_t i = begin; i < end; ++i) {
      const int node = order_[i];
      worker.distance.set_query(worker.distance.row(node));
      hnsw_.add_with_locks(worker.distance, level_of(node), node, locks_.get(), worker.visited);
    }
    report_progress(end - begin);
    return {};
  }

  void report_progress(std::size_t inserted) {
    const std::size_t done = done_.fetch_add(inserted) + inserted;
    const bool is_step = done / progress_step_ != (done - inserted) / progress_step_;
    if (control_.progress && is_step) control_.progress(done, rows_.row_count);
  }

  const Metric metric_;
  const VectorSpan rows_;
  const std::vector<std::uint32_t>& row_of_node_;
  const BuildControl& control_;
  const std::size_t progress_step_;
  NodeLocks locks_;
  faiss::HNSW hnsw_;
  std::vector<int> order_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<bool> has_failed_ = false;
  std::mutex failure_mutex_;
  Status failure_;
};

/// Copies FAISS's tables, which have room for every possible link, into the compact form.
class GraphCopier {
 public:
  GraphCopier(const faiss::HNSW& source, const std::vector<std::uint32_t>& row_of_node)
      : source_(source), row_of_node_(row_of_node) {}

  HnswGraph copy(std::size_t row_count) {
    HnswGraph graph;
    // Number of each FAISS node on the level being copied and on the one below.
    std::vector<std::uint32_t> number = row_of_node_;
    graph.levels.push_back(copy_lowest(row_count));
    for (int level = 1; level <= source_.max_level; ++level) {
      std::vector<std::uint32_t> lower =
          std::exchange(number, std::vector<std::uint32_t>(row_of_node_.size(), HnswGraph::kNoRow));
      graph.levels.push_back(copy_upper(level, lower, number));
    }
    graph.entry = number[static_cast<std::size_t>(source_.entry_point)];
    return graph;
  }

 private:
  GraphLevel copy_lowest(std::size_t row_count) {
    GraphLevel level;
    level.offsets.assign(row_count + 1, 0);
    std::size_t node = 0;
    for (std::size_t row = 0; row < row_count; ++row) {
      if (node < row_of_node_.size() && row_of_node_[node] == row) {
        append_links(static_cast<int>(node++), 0, row_of_node_, level.links);
      }
      level.offsets[row + 1] = level.links.size();
    }
    level.links.shrink_to_fit();
    return level;
  }

  GraphLevel copy_upper(int level_number, const std::vector<std::uint32_t>& lower,
                        std::vector<std::uint32_t>& number) {
    GraphLevel level;
    std::vector<int> nodes;
    for (std::size_t node = 0; node < row_of_node_.size(); ++node) {
      if (source_.levels[node] <= level_number) continue;
      number[node] = static_cast<std::uint32_t>(nodes.size());
      nodes.push_back(static_cast<int>(node));
      level.rows.push_back(row_of_node_[node]);
      level.below.push_back(lower[node]);
    }
    level.offsets.push_back(0);
    for (const int node : nodes) {
      append_links(node, level_number, number, level.links);
      level.offsets.push_back(level.links.size());
    }
    return level;
  }

  /// Links of a node, without the repetitions that concurrent insertion leaves behind.
  void append_links(int node, int level, const std::vector<std::uint32_t>& number,
                    std::vector<std::uint32_t>& links) const {
    std::size_t begin = 0, end = 0;
    source_.neighbor_range(node, level, &begin, &end);
    const auto first = static_cast<std::ptrdiff_t>(links.size());
    for (std::size_t i = begin; i < end && source_.neighbors[i] >= 0; ++i) {
      const std::uint32_t link = number[static_cast<std::size_t>(source_.neighbors[i])];
      if (std::find(links.begin() + first, links.end(), link) == links.end()) {
        links.push_back(link);
      }
    }
  }

  const faiss::HNSW& source_;
  const std::vector<std::uint32_t>& row_of_node_;
};

/// The representatives among the rows, ascending.
std::vector<std::uint32_t> rows_to_insert(const std::vector<std::uint32_t>& next_equal,
                                          std::size_t row_count) {
  std::vector<bool> is_chained(row_count, false);
  for (const std::uint32_t next : next_equal) {
    if (next != HnswGraph::kNoRow) is_chained[next] = true;
  }
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < row_count; ++row) {
    if (!is_chained[row]) rows.push_back(row);
  }
  return rows;
}

}  // namespace

Result<HnswGraph> build_graph(const IndexSpec& spec, Metric metric, VectorSpan rows,
                              const BuildControl& control) {
  TESSERA_RETURN_IF_ERROR(check_spec(spec));
  if (rows.row_count == 0) return HnswGraph();
  std::vector<std::uint32_t> next_equal = chain_equal_rows(rows);
  const std::vector<std::uint32_t> row_of_node = rows_to_insert(next_equal, rows.row_count);
  HnswGraph graph;
  {
    Inserter inserter(spec, metric, rows, row_of_node, control);
    TESSERA_RETURN_IF_ERROR(inserter.run());
    graph = GraphCopier(inserter.graph(), row_of_node).copy(rows.row_count);
  }
  graph.next_equal = std::move(next_equal);
  TESSERA_ASSIGN_OR_RETURN(const std::size_t added_count,
                           connect_graph(graph, metric, rows, 2 * spec.m, control.cancel));
  log::debug("hnsw graph built", {{"rows", rows.row_count},
                                  {"distinct_rows", row_of_node.size()},
                                  {"levels", graph.levels.size()},
                                  {"repaired_links", added_count}});
  if (control.progress) control.progress(rows.row_count, rows.row_count);
  return graph;
}

}  // namespace tessera::index
