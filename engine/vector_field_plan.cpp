#include <algorithm>

#include "engine/vector_field.h"

namespace tessera::engine {
namespace {

constexpr double kDeletedThreshold = 0.2;
constexpr std::uint64_t kVacuumRowsMin = 1000;
constexpr std::uint64_t kIndexingThresholdKib = 10'000;
/// While rows are being written, a segment is built when it has this share of the indexed rows, so
/// that a large collection is not cut into many small segments. Few bytes wait for a pause; and
/// unindexed rows are scanned, so many do not.
constexpr std::size_t kDueShare = 8;
constexpr std::size_t kDueBytesMin = 8 << 20, kDueBytesMax = 32 << 20;
/// Dead rows are scanned as well: points that are written again and again fill a segment too.
constexpr std::size_t kScannedShareMax = 2;
/// With so many bytes of unindexed rows, builds do not rest and writers wait.
constexpr std::size_t kBehindBytes = 16 << 20;
/// More sealed segments than this are merged even while rows are being written.
constexpr std::size_t kBusySegmentsMax = 16;

std::size_t rows_for_indexing(const OptimizersConfig& rules, std::size_t row_bytes) {
  const std::uint64_t kib = rules.indexing_threshold.value_or(kIndexingThresholdKib);
  return std::max<std::size_t>(1, kib * 1024 / row_bytes);
}

/// Rows that are indexed when writes pause. What a load leaves over need not fill a segment.
std::size_t rows_when_idle(std::size_t rows_min, std::size_t indexed_rows) {
  constexpr std::size_t kRestShare = 16;
  return indexed_rows >= rows_min ? std::max<std::size_t>(1, rows_min / kRestShare) : rows_min;
}

bool is_vacuum_due(const SealedSegment& segment, const OptimizersConfig& rules) {
  const std::size_t rows = segment.row_count(), dead = segment.dead().count();
  if (dead == rows) return true;
  return rows >= rules.vacuum_min_vector_number.value_or(kVacuumRowsMin) &&
         static_cast<double>(dead) >
             rules.deleted_threshold.value_or(kDeletedThreshold) * static_cast<double>(rows);
}

using SealedSegments = std::vector<std::shared_ptr<SealedSegment>>;

/// The segments worth merging: each no larger than those before it together, smallest first, and
/// all together no more than `row_count_max` rows. So every row is rebuilt at most a logarithmic
/// number of times.
SealedSegments merge_candidates(SealedSegments segments, std::size_t row_count_max) {
  std::sort(segments.begin(), segments.end(),
            [](const auto& a, const auto& b) { return a->live_row_count() < b->live_row_count(); });
  std::size_t total = 0, reach = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::size_t rows = segments[i]->live_row_count();
    if (total + rows > row_count_max) break;
    if (rows <= total) reach = i + 1;
    total += rows;
  }
  segments.resize(reach);
  return segments;
}

}  // namespace

bool VectorField::is_build_due(const OptimizersConfig& rules) const {
  if (rules.indexing_threshold == 0U) return false;
  const auto view = this->view();
  if (!view->frozen.empty()) return true;
  const std::size_t rows_min = rows_for_indexing(rules, identity_.layout().row_bytes());
  return view->growing->live_row_count() >= rows_when_idle(rows_min, indexed_row_count()) ||
         std::any_of(view->sealed.begin(), view->sealed.end(),
                     [&](const auto& segment) { return is_vacuum_due(*segment, rules); });
}

bool VectorField::is_behind() const {
  const auto view = this->view();
  std::size_t rows = view->growing->live_row_count();
  for (const auto& segment : view->frozen) rows += segment->live_row_count();
  return rows * identity_.layout().row_bytes() >= kBehindBytes;
}

void VectorField::claim(BuildPlan& plan) {
  for (const auto& source : plan.sources) {
    plan.row_count += source->live_row_count();
    claimed_.insert(source.get());
  }
  plan.claim = std::shared_ptr<void>(this, [sources = plan.sources](void* field) {
    auto& self = *static_cast<VectorField*>(field);
    Lock lock(self.mutex_);
    for (const auto& source : sources) self.claimed_.erase(source.get());
  });
}

bool VectorField::is_claimed(const Segment& segment) const {
  return claimed_.contains(&segment);
}

std::optional<BuildPlan> VectorField::plan_build(const OptimizersConfig& rules,
                                                 const MaintenanceRules& timing) {
  if (rules.indexing_threshold == 0U) return std::nullopt;
  const std::size_t indexed_rows = indexed_row_count();
  const Clock::time_point now = Clock::now();
  Lock lock(mutex_);
  const bool is_idle = now - last_write_ >= timing.idle;
  const std::size_t growing_rows = view_->growing->live_row_count();
  const std::size_t row_bytes = identity_.layout().row_bytes();
  const std::size_t rows_min = rows_for_indexing(rules, row_bytes);
  const std::size_t rows_busy = std::max(
      rows_min,
      std::clamp(indexed_rows / kDueShare, kDueBytesMin / row_bytes, kDueBytesMax / row_bytes));
  const bool is_growing_due = (is_idle && growing_rows >= rows_when_idle(rows_min, indexed_rows)) ||
                              growing_rows >= rows_busy ||
                              view_->growing->row_count() >= kScannedShareMax * rows_busy ||
                              (growing_rows >= rows_min && now - growing_since_ >= timing.age_max);
  bool has_frozen = false;
  for (const auto& segment : view_->frozen) has_frozen = has_frozen || !is_claimed(*segment);
  // Many dead rows and few live ones also fill a segment; then there is nothing to index, but the
  // memory is to be had back.
  if (is_growing_due || (has_frozen && is_idle && view_->growing->row_count() > 0)) {
    freeze_growing();
  }
  BuildPlan plan;
  plan.reason = "new rows";
  std::size_t row_count = 0;
  for (const auto& segment : view_->frozen) {
    if (is_claimed(*segment)) continue;
    row_count += segment->live_row_count();
    if (!plan.sources.empty() && row_count > timing.row_count_max) break;
    plan.sources.push_back(segment);
  }
  if (plan.sources.empty()) return std::nullopt;
  claim(plan);
  return plan;
}

std::optional<BuildPlan> VectorField::plan_merge(const OptimizersConfig& rules,
                                                 const MaintenanceRules& timing) {
  if (rules.indexing_threshold == 0U) return std::nullopt;
  const Clock::time_point now = Clock::now();
  Lock lock(mutex_);
  BuildPlan plan;
  SealedSegments candidates;
  for (const auto& segment : view_->sealed) {
    if (is_claimed(*segment)) continue;
    candidates.push_back(segment);
    if (!is_vacuum_due(*segment, rules) || segment->live_row_count() > timing.row_count_max) {
      continue;
    }
    plan.reason = "dead rows";
    plan.sources.push_back(segment);
    claim(plan);
    return plan;
  }
  const bool is_idle = now - last_write_ >= timing.idle;
  if (!is_idle && candidates.size() <= kBusySegmentsMax) return std::nullopt;
  candidates = merge_candidates(std::move(candidates), timing.row_count_max);
  if (candidates.size() < 2) return std::nullopt;
  plan.reason = "merge";
  plan.sources.assign(candidates.begin(), candidates.end());
  claim(plan);
  return plan;
}

std::uint64_t VectorField::begin_rebuild() {
  Lock lock(mutex_);
  if (view_->growing->row_count() > 0) freeze_growing();
  return next_segment_;
}

void VectorField::resume_rebuild(std::uint64_t before) {
  Lock lock(mutex_);
  next_segment_ = std::max(next_segment_, before);
}

std::optional<BuildPlan> VectorField::plan_rebuild(std::uint64_t before,
                                                   const MaintenanceRules& timing) {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<Segment>> sources;
  const auto add = [&](const auto& segments) TESSERA_REQUIRES(mutex_) {
    for (const auto& segment : segments) {
      if (segment->number() < before && !is_claimed(*segment)) sources.push_back(segment);
    }
  };
  add(view_->frozen);
  add(view_->sealed);
  if (sources.empty()) return std::nullopt;
  std::sort(sources.begin(), sources.end(),
            [](const auto& a, const auto& b) { return a->live_row_count() > b->live_row_count(); });
  // The largest alone, the small ones together: what is finished is kept when the next step fails.
  const std::size_t rows_max = std::min(timing.row_count_max, sources.front()->live_row_count());
  BuildPlan plan;
  plan.reason = "reindex";
  std::size_t row_count = 0;
  for (const auto& segment : sources) {
    row_count += segment->live_row_count();
    if (!plan.sources.empty() && row_count > rows_max) break;
    plan.sources.push_back(segment);
  }
  claim(plan);
  return plan;
}

}  // namespace tessera::engine
