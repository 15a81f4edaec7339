#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/metric.h"
#include "base/status.h"
#include "index/bitmap.h"

namespace tessera::retrieval {

/// Internal number of a point.
using Slot = std::uint32_t;
using SlotSet = index::Bitmap;

struct Hit {
  Slot slot = 0;
  float score = 0;  ///< As a client sees it; which way is nearer depends on the metric.
};

/// One plain nearest-neighbour search.
struct Search {
  std::span<const float> vector;  ///< Of the searcher's dim, finite; any norm.
  std::size_t limit = 0;
  const SlotSet* excluded = nullptr;  ///< Slots that must not be returned; may be null.
  /// Which of the request's per-component filters applies, or -1; the searcher knows them by
  /// number.
  int component_filter = -1;
  std::optional<std::uint32_t> cluster = std::nullopt;  ///< Only rows of this item cluster.
  /// One of several searches that make one answer: where searches are approximate it need not look
  /// as far for its few hits as one that stands alone.
  bool is_part = false;
};

/// What the methods need of a collection. Answers are complete: fewer than `limit` hits mean that
/// no more rows match. Hits come nearest first in a total order (score, then id). Thread rule:
/// confined to the thread that runs the method.
class Searcher {
 public:
  virtual ~Searcher() = default;
  [[nodiscard]] virtual Metric metric() const = 0;
  [[nodiscard]] virtual std::size_t dim() const = 0;
  virtual Result<std::vector<Hit>> search(const Search& search) = 0;
  /// The answers of search() to each, in their order; a searcher may find them together. Fails as
  /// a whole.
  virtual Result<std::vector<std::vector<Hit>>> search_many(std::span<const Search> searches) {
    std::vector<std::vector<Hit>> answers;
    answers.reserve(searches.size());
    for (const Search& one : searches) {
      TESSERA_ASSIGN_OR_RETURN(answers.emplace_back(), search(one));
    }
    return answers;
  }
  /// The stored vector of a slot that search() returned (normalised for Cosine).
  virtual Result<std::vector<float>> vector_of(Slot slot) = 0;
  /// The categories of slots that search() returned, for a request whose diversity goes by them;
  /// none where a point has none. As many lists as slots.
  virtual Result<std::vector<std::vector<std::string>>> categories_of(
      std::span<const Slot> slots) = 0;
  /// Not ok when the work should stop. For loops between searches.
  [[nodiscard]] virtual Status check() const = 0;
  /// The total order of search(): whether `a` comes before `b`.
  [[nodiscard]] virtual bool precedes(const Hit& a, const Hit& b) const = 0;
};

}  // namespace tessera::retrieval
