#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/collection_impl.h"
#include "engine/field_searcher.h"

namespace tessera::engine {
namespace {

/// Queries searched one way before the same are searched the other: an exact scan in between would
/// leave nothing of the index in the caches.
constexpr std::size_t kBlock = 32;

/// `count` of the slots, each subset with the same chance, in ascending order. The same slots and
/// seed give the same sample. Selection sampling: Knuth, vol. 2, 3.4.2 S.
std::vector<std::uint32_t> sample_slots(const index::Bitmap& slots, std::size_t count,
                                        std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uint64_t left = slots.cardinality();
  std::vector<std::uint32_t> sample;
  sample.reserve(std::min<std::uint64_t>(count, left));
  for (const std::uint32_t slot : slots) {
    if (sample.size() == count) break;
    const std::uint64_t wanted = count - sample.size();
    if (left <= wanted || random() % left < wanted) sample.push_back(slot);
    --left;
  }
  return sample;
}

/// One way of searching, and what it took.
class Measured {
 public:
  Measured(const VectorField& field, const SlotTable& slots, const SearchScope& scope)
      : searcher_(field, slots, scope, false) {}

  /// The `limit` nearest, without the query's own slot.
  Result<std::vector<retrieval::Hit>> search(std::span<const float> query, std::uint32_t own,
                                             std::size_t limit) {
    const auto start = std::chrono::steady_clock::now();
    // To find one more and leave the own one out costs less than a filter, and is the same.
    TESSERA_ASSIGN_OR_RETURN(auto hits, searcher_.search({query, limit + 1, nullptr, -1}));
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - start;
    times_us_.push_back(taken.count());
    std::erase_if(hits, [&](const retrieval::Hit& hit) { return hit.slot == own; });
    if (hits.size() > limit) hits.resize(limit);
    return hits;
  }

  [[nodiscard]] std::size_t search_count() const { return times_us_.size(); }
  [[nodiscard]] SearchTimes times() {
    SearchTimes times;
    if (times_us_.empty()) return times;
    std::sort(times_us_.begin(), times_us_.end());
    const auto count = static_cast<double>(times_us_.size());
    times.mean_us = std::accumulate(times_us_.begin(), times_us_.end(), 0.0) / count;
    times.p50_us = percentile(0.5);
    times.p99_us = percentile(0.99);
    times.visited_mean = static_cast<double>(searcher_.plan().visited_count) / count;
    return times;
  }

 private:
  /// Nearest rank.
  [[nodiscard]] double percentile(double share) const {
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(times_us_.size())));
    return times_us_[std::max<std::size_t>(rank, 1) - 1];
  }

  FieldSearcher searcher_;
  std::vector<double> times_us_;
};

/// How many of `exact` were found. With exact scores, a row as near as the last of them counts too.
std::size_t count_found(const std::vector<retrieval::Hit>& exact,
                        const std::vector<retrieval::Hit>& approximate, bool has_exact_scores) {
  std::size_t found = 0;
  for (const retrieval::Hit& hit : approximate) {
    const bool is_listed = std::any_of(exact.begin(), exact.end(), [&](const retrieval::Hit& one) {
      return one.slot == hit.slot;
    });
    const bool is_tie = has_exact_scores && !exact.empty() && hit.score == exact.back().score;
    found += is_listed || is_tie ? 1 : 0;
  }
  return std::min(found, exact.size());
}

}  // namespace

Result<RecallReport> CollectionImpl::recall(const RecallRequest& request,
                                            const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  TESSERA_ASSIGN_OR_RETURN(const Field* field, this->field(request.vector));
  const VectorField& vectors = *field->vectors;
  TESSERA_RETURN_IF_ERROR(check_params(request.params, vectors.identity().dim));
  const std::vector<std::uint32_t> slots =
      sample_slots(vectors.slots_with_vector(), request.sample, request.seed);
  if (slots.empty()) {
    return Status(Code::kInvalidArgument, "there are no vectors to measure with; add points first");
  }
  SearchScope exact_scope;
  if (request.filter && !request.filter->empty()) {
    TESSERA_ASSIGN_OR_RETURN(const index::Bitmap matching, matching_slots(*request.filter, cancel));
    exact_scope.allowed =
        SlotBits::from(matching, matching.isEmpty() ? 0 : std::size_t{matching.maximum()} + 1);
  }
  exact_scope.cancel = &cancel;
  SearchScope scope = exact_scope;
  scope.params = request.params;
  exact_scope.params.exact = true;
  Measured approximate(vectors, slots_, scope), exact(vectors, slots_, exact_scope);

  std::size_t wanted = 0, found = 0;
  for (std::size_t begin = 0; begin < slots.size(); begin += kBlock) {
    const std::span<const std::uint32_t> block(slots.data() + begin,
                                               std::min(kBlock, slots.size() - begin));
    TESSERA_ASSIGN_OR_RETURN(auto queries,
                             shared_.store.get_vectors(number_, vectors.identity().number, block));
    for (auto& query : queries) vectors.prepare_query(query);
    std::vector<std::vector<retrieval::Hit>> answers(block.size());
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (queries[i].empty()) continue;  // Deleted meanwhile.
      TESSERA_ASSIGN_OR_RETURN(answers[i], approximate.search(queries[i], block[i], request.limit));
    }
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (queries[i].empty()) continue;
      TESSERA_ASSIGN_OR_RETURN(const auto truth, exact.search(queries[i], block[i], request.limit));
      wanted += truth.size();
      found += count_found(truth, answers[i], request.params.rescore);
    }
  }
  RecallReport report;
  report.sample = exact.search_count();
  report.limit = request.limit;
  if (wanted > 0) report.recall = static_cast<double>(found) / static_cast<double>(wanted);
  report.approximate = approximate.times();
  report.exact = exact.times();
  return report;
}

}  // namespace tessera::engine
