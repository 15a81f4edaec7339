#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/mutex.h"
#include "engine/build_budget.h"
#include "engine/collection_config.h"
#include "engine/query_plan.h"
#include "engine/segment.h"
#include "engine/slot_bits.h"
#include "engine/slot_table.h"
#include "storage/data_directory.h"
#include "storage/store.h"

namespace tessera::engine {

/// The segments of one named vector at one moment: sealed ones first, then the frozen ones that
/// wait for their index, the growing one last. Immutable but for dead bits and the growing tail.
struct FieldView {
  std::vector<std::shared_ptr<SealedSegment>> sealed;
  std::vector<std::shared_ptr<GrowingSegment>> frozen;
  std::shared_ptr<GrowingSegment> growing;
};

struct SlotHit {
  float distance = 0;
  std::uint32_t slot = 0;
  const std::byte* vector = nullptr;  ///< As stored; valid as long as the view that was searched.
};

/// How the segments are searched. Tests force a plan, so that the planner cannot hide a bad one.
enum class PlanChoice : std::uint8_t { kCheapest, kScan, kWalk };

struct FieldSearch {
  const float* query = nullptr;
  std::size_t k = 0;
  const SlotBits* allowed = nullptr;  ///< Null: every slot.
  std::size_t allowed_count = 0;      ///< Of `allowed`.
  bool exact = false;
  bool indexed_only = false;  ///< Leave fresh rows out.
  std::optional<std::size_t> ef;
  std::optional<std::size_t> probe_count;
  bool ignore_codes = false;   ///< Compare vectors, not codes, from the beginning.
  bool rescore = true;         ///< False: order and distances are what the codes say.
  double oversampling = 1;     ///< So many times k candidates are re-ranked exactly.
  std::size_t prefix_dim = 0;  ///< Candidates by so many first values; 0: by all of them.
  PlanChoice plan = PlanChoice::kCheapest;
  bool is_part = false;           ///< One of several that make one answer: see walk_ef().
  bool reports_segments = false;  ///< Fill FieldSearchStats::segments.
  const CancelToken* cancel = nullptr;
};

struct FieldSearchStats {
  std::size_t visited_count = 0;
  std::size_t reranked_count = 0;
  std::size_t segment_count = 0;
  const char* strategy = "exact_scan";  ///< Of the last segment that had a choice.
  std::vector<SegmentPlan> segments;    ///< In the order searched, when asked for.
};

struct FieldAnswer {
  std::vector<SlotHit> hits;
  FieldSearchStats stats;
};

/// When background work on a field is due.
struct MaintenanceRules {
  std::chrono::milliseconds idle{500};        ///< No write for this long: seal what is due.
  std::chrono::milliseconds age_max{10'000};  ///< Or the oldest unindexed row is this old.
  unsigned build_thread_count = 1;
  /// Rows that one build may take, but for a single source.
  std::size_t row_count_max = std::numeric_limits<std::size_t>::max();
};

/// Segments that one background build turns into one new sealed segment. As long as the plan lives,
/// no other plan of the field, which outlives it, takes any of them.
struct BuildPlan {
  std::vector<std::shared_ptr<Segment>> sources;
  const char* reason = "";
  std::size_t row_count = 0;
  std::shared_ptr<void> claim;
};

/// The vectors of one name: where each slot's current row is, and how to find the nearest ones.
///
/// Invariants:
///  1. A slot has at most one live row over all segments of the current view: its location.
///  2. Rows are appended before the row they replace dies, and sealed segments are searched before
///     growing ones, so that a search never misses a point that is being replaced.
///  3. Segment files are derived data. The list of current files is in the store; a row of a file
///     counts only if its (slot, version) is the store's.
/// Thread rule: view() and search() from any thread, no lock held while searching. put() and
/// remove() from one writer at a time. Builds from any thread: plans never share a segment, and
/// finished ones are published one after the other.
class VectorField {
 public:
  struct Identity {
    std::string name;
    std::string collection_name;
    storage::CollectionNumber collection = 0;
    storage::VectorNumber number = 0;
    std::uint32_t dim = 0;
    Metric metric = Metric::kCosine;
    std::size_t growing_bytes_max = 256ULL << 20;
    bool is_on_disk = false;  ///< Vectors of sealed segments stay in the file until they are read.
    ValueType value_type = ValueType::kFloat32;

    [[nodiscard]] RowLayout layout() const { return {dim, metric, value_type}; }
  };
  /// `budget`, which may be null, is told of searches.
  VectorField(Identity identity, const SlotTable& slots, storage::Store& store,
              const storage::DataDirectory& directory, BuildBudget* budget = nullptr);

  /// Opens the listed segment files and takes what is missing from the store. A damaged file is
  /// logged, dropped, and its rows become fresh ones that the next build indexes.
  Status load(std::size_t* damaged_file_count);

  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] std::shared_ptr<const FieldView> view() const;
  [[nodiscard]] bool has(std::uint32_t slot) const;
  [[nodiscard]] index::Bitmap slots_with_vector() const;
  /// Those whose row was written by a later operation than this.
  [[nodiscard]] index::Bitmap slots_written_after(std::uint64_t operation) const;
  /// One more than the largest slot that ever had this vector.
  [[nodiscard]] std::size_t slot_count() const;
  [[nodiscard]] std::size_t row_count() const;
  [[nodiscard]] std::size_t indexed_row_count() const;
  /// Whether rows come faster than they are indexed.
  [[nodiscard]] bool is_behind() const;

  /// Makes a vector of finite values what it is stored as: normalised for Cosine unless it is
  /// bytes, rounded to the value type. kInvalidArgument says which value cannot be stored.
  [[nodiscard]] Status prepare(std::span<float> vector) const;
  /// Makes a stored vector, as the store gives it, what it is searched with: normalised for Cosine.
  void prepare_query(std::span<float> vector) const;
  /// A hit's vector as it is compared.
  [[nodiscard]] std::vector<float> vector_of(const SlotHit& hit) const;

  /// The current vector of each slot as it is searched with, from memory or the mapped files; empty
  /// where there is none. The slots are looked up under one lock.
  [[nodiscard]] std::vector<std::vector<float>> vectors_of(
      std::span<const std::uint32_t> slots) const;

  /// Whether the rows of all these slots are there and were written by operations up to this one.
  [[nodiscard]] bool is_unchanged(std::span<const std::uint32_t> slots,
                                  std::uint64_t operation) const;

  /// `vector`: as prepare() left it.
  void put(std::uint32_t slot, std::uint64_t version, const float* vector);
  void remove(std::uint32_t slot);

  /// The k nearest live, allowed rows in total order (distance, id). Complete: fewer than k only
  /// when fewer exist. kCancelled, kTimeout.
  Status search(const FieldView& view, const FieldSearch& search, std::vector<SlotHit>& hits,
                FieldSearchStats& stats) const;
  /// The answers of search() to each, in their order; fails as a whole. Rows that are scanned are
  /// read once for all of them, indexes are walked one after the other. Requires as many answers,
  /// and the same cancel token in all searches.
  Status search_many(const FieldView& view, std::span<const FieldSearch> searches,
                     std::span<FieldAnswer> answers) const;

  /// The new rows that are due for an index, if any: when writes pause, and before when there are
  /// many. Each row is in one such plan. Freezes the growing segment when it is part of it.
  std::optional<BuildPlan> plan_build(const OptimizersConfig& rules,
                                      const MaintenanceRules& timing);
  /// A segment with many dead rows, or small segments to merge: when writes pause, and before when
  /// there are many segments. A row is in a logarithmic number of merges.
  std::optional<BuildPlan> plan_merge(const OptimizersConfig& rules,
                                      const MaintenanceRules& timing);
  /// Begins to rebuild everything: the segments numbered below the answer. Freezes the growing one.
  std::uint64_t begin_rebuild();
  /// Goes on with the one that was begun with this answer before a restart.
  void resume_rebuild(std::uint64_t before);
  /// The next step of it: the largest segment that is left, or several that are together no larger.
  std::optional<BuildPlan> plan_rebuild(std::uint64_t before, const MaintenanceRules& timing);
  /// Whether plan_build would have something to do once writes pause.
  [[nodiscard]] bool is_build_due(const OptimizersConfig& rules) const;
  /// Builds, writes, publishes. On failure nothing changes. kCancelled.
  Status build(const BuildPlan& plan, const IndexSpec& spec, const index::BuildControl& control);

  /// Meta key of a field's list of segment files.
  static std::string segments_key(storage::CollectionNumber collection,
                                  storage::VectorNumber number);

 private:
  using Clock = std::chrono::steady_clock;
  struct Location {
    Segment* segment = nullptr;
    std::uint32_t row = 0;
  };
  struct GatheredRows;

  [[nodiscard]] std::uint32_t growing_capacity() const;
  std::shared_ptr<GrowingSegment> make_growing() TESSERA_REQUIRES(mutex_);
  void put_locked(std::uint32_t slot, std::uint64_t version, const float* vector)
      TESSERA_REQUIRES(mutex_);
  void freeze_growing() TESSERA_REQUIRES(mutex_);
  void claim(BuildPlan& plan) TESSERA_REQUIRES(mutex_);
  [[nodiscard]] bool is_claimed(const Segment& segment) const TESSERA_REQUIRES_SHARED(mutex_);
  [[nodiscard]] Location location_of(std::uint32_t slot) const TESSERA_REQUIRES_SHARED(mutex_);
  /// Of a slot that has a row: the operation that wrote it.
  [[nodiscard]] static std::uint64_t version_at(const Location& location);
  void set_location(std::uint32_t slot, Location location) TESSERA_REQUIRES(mutex_);
  void set_view(FieldView view) TESSERA_REQUIRES(mutex_);

  Result<std::vector<std::shared_ptr<SealedSegment>>> open_listed_segments(
      std::size_t* damaged_file_count);
  void remove_unlisted_files(const std::vector<std::uint64_t>& listed) const;
  GatheredRows gather(const BuildPlan& plan) const;
  Status copy_vectors(const GatheredRows& rows, const index::BuildControl& control,
                      storage::SegmentFileWriter& file) const;
  Result<std::shared_ptr<SealedSegment>> build_segment(const GatheredRows& rows,
                                                       const IndexSpec& spec,
                                                       const index::BuildControl& control);
  Status save_segment_list(const std::vector<std::uint64_t>& numbers) const;
  void publish(const BuildPlan& plan, const GatheredRows& rows,
               const std::shared_ptr<SealedSegment>& sealed);

  struct Part;
  using Parts = std::span<Part* const>;

  /// `may_skip`: the caller searches again when hits are fewer than k.
  Status search_segments(const FieldView& view, Parts parts, bool may_skip) const;
  Status search_sealed(const SealedSegment& segment, Parts parts) const;
  Status search_fresh(const FieldView& view, Parts parts, bool may_skip) const;
  /// Whether the segment must be scanned for the part after all.
  Result<bool> walk(const SealedSegment& segment, Part& part) const;
  Status scan_rows(const Segment& segment, Parts parts) const;
  void scan_stretch(const Segment& segment, const RowBlock& block, std::uint32_t begin,
                    std::uint32_t end, Parts parts) const;
  /// The parts that gain by codes by these, where the segment has any, and the others row by row.
  Status scan(const Segment& segment, Parts parts) const;
  /// By codes: rows that are farther than the part's limit or than its k best are not read.
  Status scan_codes(const Segment& segment, Parts parts) const;
  Result<bool> scan_matches(const FieldView& view, const FieldSearch& search, class TopK& top,
                            FieldSearchStats& stats) const;
  bool look_up(const FieldView& view, std::span<const std::uint32_t> slots,
               std::vector<Location>& rows) const;
  void offer_locations(const FieldView& view, std::span<const Location> rows,
                       const FieldSearch& search, class TopK& top, FieldSearchStats& stats) const;
  /// `rows`: offsets in the block, ascending.
  void offer_rows(const RowBlock& block, std::span<const std::uint32_t> rows,
                  const FieldSearch& search, class TopK& top) const;

  // Constant after construction.
  const Identity identity_;
  const SlotTable& slots_;
  storage::Store& store_;
  const storage::DataDirectory& directory_;
  BuildBudget* const budget_;

  /// Held while a finished build takes its place in the store's list of files and in the view.
  std::mutex publish_mutex_;
  mutable Mutex mutex_;
  std::shared_ptr<const FieldView> view_ TESSERA_GUARDED_BY(mutex_);
  std::vector<Location> locations_ TESSERA_GUARDED_BY(mutex_);  ///< By slot.
  /// Of locations_, for searches: they would wait for a writer, and for whoever keeps it waiting.
  std::atomic<std::size_t> slot_count_ = 0;
  index::Bitmap present_ TESSERA_GUARDED_BY(mutex_);
  std::atomic<std::size_t> row_count_ = 0;  ///< Of present_.
  std::uint64_t next_segment_ TESSERA_GUARDED_BY(mutex_) = 1;
  std::set<const Segment*> claimed_ TESSERA_GUARDED_BY(mutex_);  ///< Sources of living plans.
  Clock::time_point last_write_ TESSERA_GUARDED_BY(mutex_){};
  Clock::time_point growing_since_ TESSERA_GUARDED_BY(mutex_){};

  /// What view() gives. A lock of its own, held for a moment: a writer that the scheduler stops
  /// while it holds mutex_ must not stop the searches.
  mutable Mutex shown_mutex_;
  std::shared_ptr<const FieldView> shown_view_ TESSERA_GUARDED_BY(shown_mutex_);
};

}  // namespace tessera::engine
