#include <algorithm>
#include <atomic>

#include "engine/query_run.h"
#include "index/parallel.h"

namespace tessera::engine {
namespace {

/// Queries that are run in step, so that their vectors and searches are made together: as many as
/// make reading a row cheap for each of them, and few enough that several threads have something to
/// do.
constexpr std::size_t kBlockQueries = 32;
/// Fewer are in step where what they keep meanwhile would be more than this.
constexpr std::size_t kBlockBytesMax = 64U << 20;

std::size_t block_count_of(std::size_t query_count) {
  return (query_count + kBlockQueries - 1) / kBlockQueries;
}

/// What the blocks of a batch know of failures: the place of a query that fails. What comes after
/// it is of no use any more. Thread rule: safe from any thread.
class FirstFailure {
 public:
  void tell(std::size_t place) {
    std::size_t known = place_;
    while (place < known && !place_.compare_exchange_weak(known, place)) {
    }
  }
  [[nodiscard]] bool is_before(std::size_t place) const { return place_ < place; }

 private:
  std::atomic<std::size_t> place_ = SIZE_MAX;
};

/// Queries in step. Thread rule: confined to the thread that runs it.
class QueryBlock {
 public:
  /// `first`: the place of its first query in the batch.
  QueryBlock(const CollectionImpl& collection, std::span<const QueryRequest> requests,
             std::size_t first, const CancelToken& cancel, FirstFailure& failures)
      : collection_(collection),
        requests_(requests),
        first_(first),
        cancel_(cancel),
        failures_(failures) {}

  /// The answers, or the failure of the first query that has one.
  Status run(std::span<QueryResult> results) {
    while (begin_ < requests_.size() && !failures_.is_before(first_)) {
      start_some();
      TESSERA_RETURN_IF_ERROR(drive());
      if (failures_.is_before(first_)) return {};
      finish(results.subspan(begin_));
      if (!failure_.ok()) {
        return named(failure_, "searches[" + std::to_string(first_ + begin_ + live_count_) + "]");
      }
      begin_ += runs_.size();
    }
    return {};
  }

 private:
  struct Asking {
    std::size_t place = 0;
    FieldSearcher::Prepared prepared;
  };

  /// Those before it go on, for one of them may fail as well.
  void fail(std::size_t place, Status status) {
    if (place >= live_count_) return;
    live_count_ = place;
    failure_ = std::move(status);
    failures_.tell(first_ + begin_ + place);
  }
  void check(std::size_t place, Status status) {
    if (!status.ok()) fail(place, std::move(status));
  }

  void start_some() {
    runs_.clear();
    std::size_t bytes = 0;
    for (std::size_t i = begin_; i < requests_.size() && bytes < kBlockBytesMax; ++i) {
      runs_.push_back(std::make_unique<QueryRun>(collection_, requests_[i], cancel_));
      live_count_ = runs_.size();
      check(live_count_ - 1, runs_.back()->start());
      if (!failure_.ok()) return;
      bytes += runs_.back()->held_bytes();
    }
  }

  /// Until nothing is wanted any more.
  Status drive() {
    while (!failures_.is_before(first_)) {
      const bool has_encoded = encode();
      gather();
      if (asking_.empty() && !has_encoded) return {};
      TESSERA_RETURN_IF_ERROR(answer());
    }
    return {};
  }

  void finish(std::span<QueryResult> results) {
    for (std::size_t i = 0; i < live_count_; ++i) {
      auto result = runs_[i]->finish();
      if (result.has_error()) {
        fail(i, result.error());
      } else {
        results[i] = std::move(*result);
      }
      // What it held is no longer needed.
      runs_[i].reset();
    }
  }

  /// The vectors of everybody whose adapter is the same. False when none were wanted.
  bool encode() {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < live_count_; ++i) {
      if (runs_[i]->encoding() != nullptr) places.push_back(i);
    }
    const bool has_any = !places.empty();
    while (!places.empty()) {
      const adapter::Adapter* const shared = runs_[places.front()]->encoding()->adapter;
      const auto others = std::stable_partition(
          places.begin(), places.end(),
          [&](std::size_t place) { return runs_[place]->encoding()->adapter == shared; });
      encode_together({places.data(), static_cast<std::size_t>(others - places.begin())}, shared);
      places.erase(places.begin(), others);
    }
    return has_any;
  }

  void encode_together(std::span<const std::size_t> places, const adapter::Adapter* shared) {
    retrieval::Encoding all;
    all.adapter = shared;
    for (const std::size_t place : places) {
      const auto& persons = runs_[place]->encoding()->persons;
      all.persons.insert(all.persons.end(), persons.begin(), persons.end());
    }
    const auto check_cancel = [this] { return cancel_.check(); };
    Status status = retrieval::encode(all, check_cancel, scratch_, rows_);
    if (!status.ok()) {
      // Whose vector it is shows when each is alone.
      if (places.size() == 1) return fail(places.front(), std::move(status));
      for (const std::size_t& place : places) encode_together({&place, 1}, shared);
      return;
    }
    std::span<const float> rows = rows_;
    for (const std::size_t place : places) {
      const std::size_t values = runs_[place]->encoding()->persons.size() * shared->dim();
      check(place, runs_[place]->accept_vectors(rows.first(values)));
      rows = rows.subspan(values);
    }
  }

  /// What the queries cannot go on without.
  void gather() {
    asking_.clear();
    for (std::size_t i = 0; i < live_count_; ++i) {
      const auto searches = runs_[i]->wanted();
      if (searches.empty()) continue;
      auto prepared = runs_[i]->searcher().prepare(searches);
      if (prepared.has_error()) {
        fail(i, prepared.error());
      } else {
        asking_.push_back({i, std::move(*prepared)});
      }
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
      check(one.place, run.accept(run.searcher().take_answers(
                           one.prepared, std::span<FieldAnswer>(answers).subspan(next, count))));
      next += count;
    }
    return {};
  }

  const CollectionImpl& collection_;
  const std::span<const QueryRequest> requests_;
  const std::size_t first_;
  const CancelToken& cancel_;
  FirstFailure& failures_;
  std::size_t begin_ = 0;  ///< The first of requests_ that is in step.
  std::vector<std::unique_ptr<QueryRun>> runs_;
  std::size_t live_count_ = 0;  ///< Of runs_: those before the one that failed.
  Status failure_;
  std::vector<Asking> asking_;
  adapter::Scratch scratch_;
  adapter::Values rows_;
};

}  // namespace

Result<std::vector<QueryResult>> CollectionImpl::query_many(std::span<const QueryRequest> requests,
                                                            const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  std::vector<QueryResult> results(requests.size());
  const std::size_t block_count = block_count_of(requests.size());
  std::vector<Status> block_failures(block_count);
  FirstFailure first_failure;
  const auto helpers = shared_.batch_threads.take(block_count > 1 ? block_count - 1 : 0);
  index::BuildControl control;
  control.cancel = &cancel;
  control.thread_count = static_cast<unsigned>(1 + helpers.count());
  const Status status = index::run_blocks(
      "query batch", block_count, control, [&](std::size_t block, std::size_t) -> Status {
        const std::size_t first = block * kBlockQueries;
        const std::size_t count = std::min(kBlockQueries, requests.size() - first);
        QueryBlock queries(*this, requests.subspan(first, count), first, cancel, first_failure);
        block_failures[block] = queries.run(std::span<QueryResult>(results).subspan(first, count));
        return block_failures[block];
      });
  if (status.ok()) return results;
  // Blocks are begun in their order, so all before one that failed have come to their end.
  for (Status& failure : block_failures) {
    if (!failure.ok()) return std::move(failure);
  }
  return status;
}

}  // namespace tessera::engine
