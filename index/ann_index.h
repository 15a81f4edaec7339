#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/cancel.h"
#include "base/metric.h"
#include "base/status.h"
#include "index/vector_span.h"

namespace tessera::index {

/// Stored on disk: never renumber.
enum class IndexType : std::uint8_t { kFlat = 0, kHnsw = 1, kIvfFlat = 2, kIvfSq8 = 3, kIvfPq = 4 };

/// "flat", "hnsw", "ivf_flat", "ivf_sq8", "ivf_pq".
const char* index_type_name(IndexType type);
Result<IndexType> parse_index_type(std::string_view name);

/// A compressed form of the rows that is kept in memory beside them and compared in their place
/// while candidates are looked for. Stored on disk: never renumber.
enum class CodeType : std::uint8_t {
  kNone = 0,    ///< The rows themselves are compared.
  kSq8 = 1,     ///< A byte a value.
  kSq4 = 2,     ///< Four bits a value.
  kBinary = 3,  ///< A bit a value: its sign, relative to the mean.
  kPq = 4,      ///< A byte for each of pq_segment_count parts of the row.
  kAuto = 5,    ///< kSq8 where it is smaller than the rows and a sample shows that it finds what
                ///< they find, else kNone.
};

/// What to build. Zero means "choose from the data".
struct IndexSpec {
  IndexType type = IndexType::kHnsw;
  std::uint32_t m = 16;                ///< HNSW: links a node (twice that on the lowest level).
  std::uint32_t ef_construct = 100;    ///< HNSW: candidates kept while inserting.
  std::uint32_t list_count = 0;        ///< IVF: inverted lists; 0: about 4 sqrt(rows).
  std::uint32_t probe_count = 0;       ///< IVF: lists visited by default; 0: chosen when built.
  std::uint32_t pq_segment_count = 0;  ///< PQ: bytes a code; 0: about dim / 4, dividing dim.
  CodeType codes = CodeType::kAuto;    ///< HNSW: what is compared first.
  float code_quantile = 1;             ///< kSq8: share of the values inside the codes' range.
  std::uint64_t seed = 42;
  bool operator==(const IndexSpec&) const = default;
};

/// Which rows a search may return: those not dead, and, with slot_words, whose slot's bit is set.
/// Rows that are not allowed may still be walked through. The arrays belong to the caller.
struct RowFilter {
  const std::atomic<std::uint64_t>* dead_words = nullptr;  ///< Bit a row; null: none is dead.
  const std::uint32_t* slots = nullptr;                    ///< Row -> slot.
  const std::uint64_t* slot_words = nullptr;               ///< Bit a slot; null: every slot.
  std::size_t slot_word_count = 0;                         ///< Slots beyond are not allowed.

  [[nodiscard]] bool allows(std::uint32_t row) const {
    if (dead_words != nullptr &&
        (dead_words[row / 64].load(std::memory_order_acquire) >> (row % 64) & 1) != 0) {
      return false;
    }
    if (slot_words == nullptr) return true;
    const std::uint32_t slot = slots[row];
    return slot / 64 < slot_word_count && (slot_words[slot / 64] >> (slot % 64) & 1) != 0;
  }
};

struct RowHit {
  float distance = 0;  ///< As index::distance of the raw rows: exact whatever codes were walked.
  std::uint32_t row = 0;
  friend bool operator<(const RowHit& a, const RowHit& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
  }
};

struct SearchOptions {
  std::size_t k = 10;
  std::size_t ef = 0;  ///< HNSW: candidates kept; 0: max(k, ef_construct). At least k is used.
  std::size_t probe_count = 0;  ///< IVF: lists visited; 0: the index's default.
  bool ignore_codes = false;    ///< Compare rows, not codes, from the beginning.
  bool rescore = true;          ///< False: order and distances are what the codes say.
  double oversampling = 1;      ///< So many times k candidates are kept for the exact re-ranking.
  std::size_t prefix_dim = 0;   ///< Candidates by so many first values only; 0: all of them.
  /// HNSW: give up after about so many comparisons; 0: never. SearchStats::gave_up says that it
  /// did, and what was found then is not the answer.
  std::size_t visited_max = 0;
  const CancelToken* cancel = nullptr;
};

struct SearchStats {
  std::size_t visited_count = 0;   ///< Rows (or codes) whose distance was computed.
  std::size_t reranked_count = 0;  ///< Rows compared as a whole after their code or prefix.
  bool gave_up = false;            ///< After SearchOptions::visited_max comparisons.
};

/// How a build is watched and stopped.
struct BuildControl {
  const CancelToken* cancel = nullptr;
  /// Called from any build thread, at most a few hundred times, with rows done and rows in all.
  std::function<void(std::size_t done, std::size_t total)> progress;
  unsigned thread_count = 1;
};

/// An immutable approximate index over the rows of one sealed segment. It borrows the rows: they
/// outlive it. Thread rule: immutable after build; search from any number of threads.
class AnnIndex {
 public:
  virtual ~AnnIndex() = default;

  [[nodiscard]] virtual const IndexSpec& spec() const = 0;

  /// Appends up to options.k allowed rows to `hits`, nearest first, ties by row. May find fewer
  /// than exist; the caller decides whether to scan. kCancelled/kTimeout when the token says so.
  virtual Status search(const float* query, const SearchOptions& options, const RowFilter& filter,
                        std::vector<RowHit>& hits, SearchStats& stats) const = 0;

  /// Writes everything but the rows and the spec, so that load_index with the same rows gives an
  /// index with the same answers.
  virtual Status save(ByteSink& sink) const = 0;

  /// Bytes of memory beside the rows.
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

/// Builds over `rows` (finite; normalised for Cosine). kCancelled when the token says so.
/// kFlat gives an index whose search is an exact scan. Deterministic for IVF and for HNSW with one
/// thread.
Result<std::unique_ptr<const AnnIndex>> build_index(const IndexSpec& spec, Metric metric,
                                                    VectorSpan rows, const BuildControl& control);

/// Reads what save() wrote. The bytes are untrusted: every count and id is checked before use, and
/// a wrong one is kCorrupt with the field's name.
Result<std::unique_ptr<const AnnIndex>> load_index(const IndexSpec& spec, Metric metric,
                                                   VectorSpan rows,
                                                   std::span<const std::byte> bytes);

/// Call once at start: limits FAISS's and OpenBLAS's threads to the calling thread.
void initialise_libraries();

}  // namespace tessera::index
