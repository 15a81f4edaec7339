#include <algorithm>
#include <thread>

#include "engine/query_run.h"
#include "index/parallel.h"

namespace tessera::engine {
namespace {

/// Queries that are run in step, so that their searches are found together: as many as make reading
/// a row cheap for each of them, and few enough that several threads have something to do.
constexpr std::size_t kBlockQueries = 32;

std::size_t block_count_of(std::size_t query_count) {
  return (query_count + kBlockQueries - 1) / kBlockQueries;
}

/// Queries in step. Thread rule: confined to the thread that runs it.
class QueryBlock {
 public:
  QueryBlock(const CollectionImpl& collection, std::span<const QueryRequest> requests,
             const CancelToken& cancel, std::span<Status> failures)
      : failures_(failures) {
    for (const QueryRequest& request : requests) {
      runs_.push_back(std::make_unique<QueryRun>(collection, request, cancel));
    }
  }

  /// The answers of those that did not fail.
  Status run(std::span<QueryResult> results) {
    for (std::size_t i = 0; i < runs_.size(); ++i) failures_[i] = runs_[i]->start();
    for (gather(); !asking_.empty(); gather()) TESSERA_RETURN_IF_ERROR(answer());
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (!failures_[i].ok()) continue;
      auto result = runs_[i]->finish();
      if (result.has_error()) {
        failures_[i] = result.error();
      } else {
        results[i] = std::move(*result);
      }
      // What it held is no longer needed.
      runs_[i].reset();
    }
    return {};
  }

 private:
  struct Asking {
    std::size_t place = 0;
    FieldSearcher::Prepared prepared;
  };

  /// What the queries cannot go on without.
  void gather() {
    asking_.clear();
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (!failures_[i].ok()) continue;
      const auto searches = runs_[i]->wanted();
      if (searches.empty()) continue;
      auto prepared = runs_[i]->searcher().prepare(searches);
      if (prepared.has_error()) {
        failures_[i] = prepared.error();
        continue;
      }
      asking_.push_back({i, std::move(*prepared)});
    }
  }

  /// All searches of one vector's rows at a time.
  Status answer() {
    while (!asking_.empty()) {
      const VectorField& vectors = runs_[asking_.front().place]->vectors();
      const auto others = std::stable_partition(
          asking_.begin(), asking_.end(),
          [&](const Asking& asking) { return &runs_[asking.place]->vectors() == &vectors; });
      TESSERA_RETURN_IF_ERROR(
          answer(vectors, {asking_.data(), static_cast<std::size_t>(others - asking_.begin())}));
      asking_.erase(asking_.begin(), others);
    }
    return {};
  }

  Status answer(const VectorField& vectors, std::span<const Asking> asking) {
    std::vector<FieldSearch> searches;
    for (const Asking& one : asking) {
      const auto requests = one.prepared.requests();
      searches.insert(searches.end(), requests.begin(), requests.end());
    }
    std::vector<FieldAnswer> answers(searches.size());
    auto view = vectors.view();
    TESSERA_RETURN_IF_ERROR(search_stable_view(vectors, searches, view, answers));
    std::size_t next = 0;
    for (const Asking& one : asking) {
      QueryRun& run = *runs_[one.place];
      const std::size_t count = one.prepared.requests().size();
      run.searcher().use_view(view);
      failures_[one.place] = run.accept(run.searcher().take_answers(
          one.prepared, std::span<FieldAnswer>(answers).subspan(next, count)));
      next += count;
    }
    return {};
  }

  std::span<Status> failures_;  ///< One a query.
  std::vector<std::unique_ptr<QueryRun>> runs_;
  std::vector<Asking> asking_;
};

}  // namespace

Result<std::vector<QueryResult>> CollectionImpl::query_many(std::span<const QueryRequest> requests,
                                                            const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  std::vector<QueryResult> results(requests.size());
  std::vector<Status> failures(requests.size());
  index::BuildControl control;
  control.cancel = &cancel;
  control.thread_count = std::max(1U, std::thread::hardware_concurrency());
  // Which blocks are begun after a failure is left to chance, so none is left out: the failure that
  // is reported is that of the first request that has one.
  TESSERA_RETURN_IF_ERROR(index::run_blocks(
      "query batch", block_count_of(requests.size()), control,
      [&](std::size_t block, std::size_t) -> Status {
        const std::size_t first = block * kBlockQueries;
        const std::size_t count = std::min(kBlockQueries, requests.size() - first);
        QueryBlock queries(*this, requests.subspan(first, count), cancel,
                           std::span<Status>(failures).subspan(first, count));
        return queries.run(std::span<QueryResult>(results).subspan(first, count));
      }));
  for (Status& failure : failures) {
    if (!failure.ok()) return std::move(failure);
  }
  return results;
}

}  // namespace tessera::engine
