#include "index/hnsw_build.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "index/equal_rows.h"
#include "index/guarded_call.h"
#include "index/hnsw_connect.h"
#include "index/hnsw_growth.h"
#include "index/link_table.h"
#include "index/node_comparer.h"
#include "index/node_inserter.h"

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

/// Inserts all nodes into a table of links. Thread rule: run() is called once; its workers share
/// the table and the atomics below.
class GraphInserter {
 public:
  /// Borrowed. `done_count`: rows that need no insertion.
  GraphInserter(const IndexSpec& spec, LinkTable& links, const NodeComparer& comparer,
                std::size_t done_count, const BuildControl& control)
      : ef_construct_(spec.ef_construct),
        links_(links),
        comparer_(comparer),
        control_(control),
        row_count_(done_count + links.node_count()),
        progress_step_(std::max<std::size_t>(1, row_count_ / kProgressCalls)),
        done_(done_count) {
    order_nodes(spec.seed);
  }

  /// The node from which every walk starts.
  [[nodiscard]] std::uint32_t entry() const { return order_.front(); }

  Status run() {
    next_ = std::min(kFirstInserts, order_.size());
    run_worker([this](NodeInserter& inserter) { return insert(inserter, 0, next_); });
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

 private:
  /// Highest levels first, so that every walk down meets finished levels; shuffled within a level
  /// because neighbours in the data set should not be inserted at the same time.
  void order_nodes(std::uint64_t seed) {
    order_.resize(links_.node_count());
    std::iota(order_.begin(), order_.end(), 0U);
    std::mt19937_64 random(seed);
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random() % i]);
    std::stable_sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      return links_.top_level(a) > links_.top_level(b);
    });
  }

  template <class Function>
  void run_worker(Function&& function) {
    const Status status = guarded_call("hnsw insert", [&]() -> Status {
      NodeInserter inserter(links_, comparer_, ef_construct_, entry());
      return function(inserter);
    });
    if (status.ok()) return;
    const std::lock_guard lock(failure_mutex_);
    if (failure_.ok()) failure_ = status;
    has_failed_ = true;
  }

  void insert_rest() {
    run_worker([this](NodeInserter& inserter) -> Status {
      while (!has_failed_) {
        const std::size_t begin = next_.fetch_add(kInsertsPerTurn);
        if (begin >= order_.size()) break;
        TESSERA_RETURN_IF_ERROR(
            insert(inserter, begin, std::min(begin + kInsertsPerTurn, order_.size())));
      }
      return {};
    });
  }

  /// Inserts order_[begin .. end).
  Status insert(NodeInserter& inserter, std::size_t begin, std::size_t end) {
    if (control_.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control_.cancel->check());
    for (std::size_t i = begin; i < end; ++i) {
      inserter.insert(order_[i]);
      // A request that this thread keeps waiting would otherwise wait for the end of a tick.
      std::this_thread::yield();
    }
    report_progress(end - begin);
    return {};
  }

  void report_progress(std::size_t inserted) {
    const std::size_t done = done_.fetch_add(inserted) + inserted;
    const bool is_step = done / progress_step_ != (done - inserted) / progress_step_;
    if (control_.progress && is_step) control_.progress(done, row_count_);
  }

  const std::size_t ef_construct_;
  LinkTable& links_;
  const NodeComparer& comparer_;
  const BuildControl& control_;
  const std::size_t row_count_;
  const std::size_t progress_step_;
  std::vector<std::uint32_t> order_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> done_;
  std::atomic<bool> has_failed_ = false;
  std::mutex failure_mutex_;
  Status failure_;
};

/// Copies a table of links, which has room for every possible link, into the compact form, with the
/// nodes renumbered as invariant 3 of HnswGraph wants them.
class GraphCopier {
 public:
  /// `source` is borrowed. `entry`: a node of the highest level.
  GraphCopier(const LinkTable& source, std::uint32_t entry)
      : source_(source), entry_(entry), links_(source.room(0)) {
    number_nodes();
  }

  /// New number -> node of the table.
  [[nodiscard]] const std::vector<std::uint32_t>& order() const { return order_; }

  /// All but rows and next_equal.
  HnswGraph copy() {
    HnswGraph graph;
    for (std::uint32_t level = 0; level <= source_.top_level(entry_); ++level) {
      graph.levels.push_back(copy_level(level));
    }
    return graph;
  }

 private:
  std::span<const std::uint32_t> links_of(std::uint32_t node, std::uint32_t level) {
    return {links_.data(), source_.read(node, level, links_.data())};
  }

  /// Breadth first from the entry along the lowest level, then higher levels first.
  void number_nodes() {
    const std::size_t node_count = source_.node_count();
    std::vector<bool> is_numbered(node_count, false);
    const auto number = [&](std::uint32_t node) {
      if (is_numbered[node]) return;
      is_numbered[node] = true;
      order_.push_back(node);
    };
    order_.reserve(node_count);
    number(entry_);
    std::uint32_t next_start = 0;
    for (std::size_t done = 0; done < node_count; ++done) {
      while (done == order_.size()) number(next_start++);
      for (const std::uint32_t link : links_of(order_[done], 0)) number(link);
    }
    std::stable_sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      return source_.top_level(a) > source_.top_level(b);
    });
    number_.resize(node_count);
    for (std::uint32_t i = 0; i < order_.size(); ++i) number_[order_[i]] = i;
  }

  GraphLevel copy_level(std::uint32_t level_number) {
    GraphLevel level;
    std::size_t node_count = 0, link_count = 0;
    for (const std::uint32_t node : order_) {
      if (source_.top_level(node) < level_number) break;
      ++node_count;
      link_count += links_of(node, level_number).size();
    }
    level.offsets.reserve(node_count + 1);
    level.links.reserve(link_count);
    level.offsets.push_back(0);
    for (const std::uint32_t node : std::span(order_).first(node_count)) {
      for (const std::uint32_t link : links_of(node, level_number)) {
        level.links.push_back(number_[link]);
      }
      level.offsets.push_back(static_cast<std::uint32_t>(level.links.size()));
    }
    return level;
  }

  const LinkTable& source_;
  const std::uint32_t entry_;
  std::vector<std::uint32_t> links_;  ///< Scratch of links_of().
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

std::unique_ptr<const NodeComparer> make_comparer(Metric metric, VectorSpan rows,
                                                  const std::vector<std::uint32_t>& row_of_node,
                                                  const RowCodes* codes) {
  if (codes != nullptr) return std::make_unique<const CodeComparer>(*codes);
  return std::make_unique<const RowComparer>(metric, rows, row_of_node);
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
    const std::unique_ptr<const NodeComparer> comparer =
        make_comparer(metric, rows, row_of_node, codes);
    LinkTable links(row_of_node.size(), spec.m, spec.seed);
    GraphInserter inserter(spec, links, *comparer, rows.row_count - row_of_node.size(), control);
    TESSERA_RETURN_IF_ERROR(inserter.run());
    GraphCopier copier(links, inserter.entry());
    graph = copier.copy();
    order = copier.order();
  }
  graph.rows.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) graph.rows[i] = row_of_node[order[i]];
  graph.next_equal = std::move(next_equal);
  if (built.codes != nullptr) built.codes = built.codes->reordered(order);
  TESSERA_ASSIGN_OR_RETURN(const std::size_t added_count,
                           connect_graph(graph, metric, rows, 2 * spec.m, control.cancel));
  TESSERA_ASSIGN_OR_RETURN(graph.distance_growth,
                           measure_growth(graph, metric, rows, control.cancel));
  log::debug("hnsw graph built", {{"rows", rows.row_count},
                                  {"distinct_rows", row_of_node.size()},
                                  {"has_codes", built.codes != nullptr},
                                  {"levels", graph.levels.size()},
                                  {"repaired_links", added_count},
                                  {"distance_growth", graph.distance_growth}});
  if (control.progress) control.progress(rows.row_count, rows.row_count);
  return built;
}

}  // namespace tessera::index
