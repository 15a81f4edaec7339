#include "index/hnsw_build.h"

#include <algorithm>
#include <atomic>
#include <memory>
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

/// Offsets of links have 32 bits. Repairs add at most a few links a node beyond 2 m.
Status check_link_count(const IndexSpec& spec, std::size_t node_count) {
  constexpr std::uint64_t kLinkCountMax = 0xffffffff;
  if (std::uint64_t{node_count} * (2 * spec.m + 2) <= kLinkCountMax) return {};
  return {Code::kInvalidArgument, "m: " + std::to_string(node_count) + " rows with " +
                                      std::to_string(spec.m) +
                                      " links each are more than one graph holds"};
}

/// FAISS's extension point for distances, over the rows that are graph nodes.
class NodeDistance : public faiss::DistanceComputer {
 public:
  /// The node that is to be inserted becomes the query.
  virtual void set_node(std::uint32_t node) = 0;
  /// FAISS only reads what set_node has set.
  void set_query(const float* /*query*/) override {}
};

class RowDistance final : public NodeDistance {
 public:
  RowDistance(Metric metric, VectorSpan rows, const std::vector<std::uint32_t>& row_of_node)
      : pair_(kernels().of(metric).pair), rows_(rows), row_of_node_(row_of_node) {}

  void set_node(std::uint32_t node) override { query_ = row(node); }
  float operator()(idx_t node) override { return pair_(query_, row(node), rows_.dim); }
  float symmetric_dis(idx_t a, idx_t b) override { return pair_(row(a), row(b), rows_.dim); }

 private:
  [[nodiscard]] const float* row(idx_t node) const {
    return rows_.row(row_of_node_[static_cast<std::size_t>(node)]);
  }

  float (*const pair_)(const float*, const float*, std::size_t);
  const VectorSpan rows_;
  const std::vector<std::uint32_t>& row_of_node_;
  const float* query_ = nullptr;
};

class CodeDistance final : public NodeDistance {
 public:
  explicit CodeDistance(const RowCodes& codes) : codes_(codes) {}

  void set_node(std::uint32_t node) override { codes_.prepare_row(node, query_); }
  float operator()(idx_t node) override { return distance(query_, node); }
  /// FAISS compares one `b` with many `a` in turn.
  float symmetric_dis(idx_t a, idx_t b) override {
    if (b != other_) {
      codes_.prepare_row(static_cast<std::uint32_t>(b), other_query_);
      other_ = b;
    }
    return distance(other_query_, a);
  }

 private:
  float distance(CodeQuery& query, idx_t node) const {
    const auto id = static_cast<std::uint32_t>(node);
    float result = 0;
    codes_.distances_at(query, {&id, 1}, &result);
    return result;
  }

  const RowCodes& codes_;
  CodeQuery query_;
  CodeQuery other_query_;
  idx_t other_ = -1;
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
  Inserter(const IndexSpec& spec, Metric metric, VectorSpan rows, const RowCodes* codes,
           const std::vector<std::uint32_t>& row_of_node, const BuildControl& control)
      : metric_(metric),
        rows_(rows),
        codes_(codes),
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
    std::unique_ptr<NodeDistance> distance;
    faiss::VisitedTable visited;
  };

  [[nodiscard]] std::unique_ptr<NodeDistance> make_distance() const {
    if (codes_ != nullptr) return std::make_unique<CodeDistance>(*codes_);
    return std::make_unique<RowDistance>(metric_, rows_, row_of_node_);
  }

  template <class Function>
  void run_worker(Function&& function) {
    const Status status = guarded_call("hnsw insert", [&]() -> Status {
      Worker worker{make_distance(), faiss::VisitedTable(static_cast<int>(order_.size()))};
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
      worker.distance->set_node(static_cast<std::uint32_t>(node));
      hnsw_.add_with_locks(*worker.distance, level_of(node), node, locks_.get(), worker.visited);
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
  const RowCodes* codes_;  ///< Null: rows are compared.
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

/// Copies FAISS's tables, which have room for every possible link, into the compact form, with the
/// nodes renumbered as invariant 3 of HnswGraph wants them.
class GraphCopier {
 public:
  explicit GraphCopier(const faiss::HNSW& source) : source_(source) { number_nodes(); }

  /// New number -> node of FAISS's graph.
  [[nodiscard]] const std::vector<std::uint32_t>& order() const { return order_; }

  /// All but rows and next_equal.
  HnswGraph copy() const {
    HnswGraph graph;
    for (int level = 0; level <= source_.max_level; ++level) {
      graph.levels.push_back(copy_level(level));
    }
    return graph;
  }

 private:
  [[nodiscard]] std::size_t node_count() const { return source_.levels.size(); }

  /// Breadth first from the entry along the lowest level, then higher levels first.
  void number_nodes() {
    std::vector<bool> is_numbered(node_count(), false);
    const auto number = [&](std::uint32_t node) {
      if (is_numbered[node]) return;
      is_numbered[node] = true;
      order_.push_back(node);
    };
    order_.reserve(node_count());
    number(static_cast<std::uint32_t>(source_.entry_point));
    std::uint32_t next_start = 0;
    for (std::size_t done = 0; done < node_count(); ++done) {
      while (done == order_.size()) number(next_start++);
      for_each_link(order_[done], 0, number);
    }
    std::stable_sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      return source_.levels[a] > source_.levels[b];
    });
    number_.resize(node_count());
    for (std::uint32_t i = 0; i < order_.size(); ++i) number_[order_[i]] = i;
  }

  template <class Function>
  void for_each_link(std::uint32_t node, int level, Function&& function) const {
    std::size_t begin = 0, end = 0;
    source_.neighbor_range(node, level, &begin, &end);
    for (std::size_t i = begin; i < end && source_.neighbors[i] >= 0; ++i) {
      function(static_cast<std::uint32_t>(source_.neighbors[i]));
    }
  }

  GraphLevel copy_level(int level_number) const {
    GraphLevel level;
    level.offsets.push_back(0);
    for (const std::uint32_t node : order_) {
      if (source_.levels[node] <= level_number) break;
      const auto first = static_cast<std::ptrdiff_t>(level.links.size());
      // Concurrent insertion leaves repetitions behind.
      for_each_link(node, level_number, [&](std::uint32_t link) {
        const std::uint32_t number = number_[link];
        if (std::find(level.links.begin() + first, level.links.end(), number) ==
            level.links.end()) {
          level.links.push_back(number);
        }
      });
      level.offsets.push_back(static_cast<std::uint32_t>(level.links.size()));
    }
    level.links.shrink_to_fit();
    return level;
  }

  const faiss::HNSW& source_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> number_;
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

Result<BuiltGraph> build_graph(const IndexSpec& spec, Metric metric, VectorSpan rows,
                               const BuildControl& control) {
  TESSERA_RETURN_IF_ERROR(check_spec(spec));
  BuiltGraph built;
  if (rows.row_count == 0) return built;
  std::vector<std::uint32_t> next_equal = chain_equal_rows(rows);
  const std::vector<std::uint32_t> row_of_node = rows_to_insert(next_equal, rows.row_count);
  TESSERA_RETURN_IF_ERROR(check_link_count(spec, row_of_node.size()));
  TESSERA_ASSIGN_OR_RETURN(built.codes, build_row_codes(spec, metric, rows, row_of_node, control));
  // Coarse codes would link nodes to the wrong neighbours: they are for searching only.
  IndexSpec fine_spec = spec;
  fine_spec.codes = CodeType::kAuto;
  std::unique_ptr<const RowCodes> fine_codes;
  if (built.codes != nullptr && built.codes->type() != CodeType::kSq8) {
    TESSERA_ASSIGN_OR_RETURN(fine_codes,
                             build_row_codes(fine_spec, metric, rows, row_of_node, control));
  }
  const bool has_fine_codes = built.codes != nullptr && built.codes->type() == CodeType::kSq8;
  HnswGraph& graph = built.graph;
  std::vector<std::uint32_t> order;
  {
    const RowCodes* const codes = has_fine_codes ? built.codes.get() : fine_codes.get();
    Inserter inserter(spec, metric, rows, codes, row_of_node, control);
    TESSERA_RETURN_IF_ERROR(inserter.run());
    const GraphCopier copier(inserter.graph());
    graph = copier.copy();
    order = copier.order();
  }
  graph.rows.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) graph.rows[i] = row_of_node[order[i]];
  graph.next_equal = std::move(next_equal);
  if (built.codes != nullptr) built.codes = built.codes->reordered(order);
  TESSERA_ASSIGN_OR_RETURN(const std::size_t added_count,
                           connect_graph(graph, metric, rows, 2 * spec.m, control.cancel));
  log::debug("hnsw graph built", {{"rows", rows.row_count},
                                  {"distinct_rows", row_of_node.size()},
                                  {"has_codes", built.codes != nullptr},
                                  {"levels", graph.levels.size()},
                                  {"repaired_links", added_count}});
  if (control.progress) control.progress(rows.row_count, rows.row_count);
  return built;
}

}  // namespace tessera::index
