#include <algorithm>

#include "base/log.h"
#include "engine/vector_field.h"

namespace tessera::engine {
namespace {

constexpr double kDeletedThreshold = 0.2;
constexpr std::uint64_t kVacuumRowsMin = 1000;
constexpr std::uint64_t kIndexingThresholdKib = 10'000;

std::size_t rows_for_indexing(const OptimizersConfig& rules, std::size_t dim) {
  const std::uint64_t kib = rules.indexing_threshold.value_or(kIndexingThresholdKib);
  return std::max<std::size_t>(1, kib * 1024 / (dim * sizeof(float)));
}

bool is_vacuum_due(const SealedSegment& segment, const OptimizersConfig& rules) {
  const std::size_t rows = segment.row_count(), dead = segment.dead().count();
  if (dead == rows) return true;
  return rows >= rules.vacuum_min_vector_number.value_or(kVacuumRowsMin) &&
         static_cast<double>(dead) >
             rules.deleted_threshold.value_or(kDeletedThreshold) * static_cast<double>(rows);
}

/// The sealed segments worth merging with `row_count` new rows: each no larger than what has been
/// gathered so far, smallest first. So every row is rebuilt at most a logarithmic number of times.
std::vector<std::shared_ptr<SealedSegment>> merge_candidates(const FieldView& view,
                                                             std::size_t row_count) {
  auto sorted = view.sealed;
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a->live_row_count() < b->live_row_count(); });
  std::size_t taken = 0, total = row_count;
  std::size_t reach = 0;
  for (const auto& segment : sorted) {
    ++taken;
    if (segment->live_row_count() <= total) reach = taken;
    total += segment->live_row_count();
  }
  sorted.resize(reach);
  return sorted;
}

void add_source(BuildPlan& plan, const std::shared_ptr<Segment>& segment) {
  plan.row_count += segment->live_row_count();
  plan.sources.push_back(segment);
}

}  // namespace

bool VectorField::is_build_due(const OptimizersConfig& rules) const {
  if (rules.indexing_threshold == 0U) return false;
  const auto view = this->view();
  if (!view->frozen.empty()) return true;
  return view->growing->live_row_count() >= rows_for_indexing(rules, identity_.dim) ||
         std::any_of(view->sealed.begin(), view->sealed.end(),
                     [&](const auto& segment) { return is_vacuum_due(*segment, rules); });
}

std::optional<BuildPlan> VectorField::plan_build(const OptimizersConfig& rules,
                                                 const MaintenanceRules& timing) {
  if (rules.indexing_threshold == 0U) return std::nullopt;
  const Clock::time_point now = Clock::now();
  Lock lock(mutex_);
  const bool is_idle = now - last_write_ >= timing.idle;
  const std::size_t growing_rows = view_->growing->live_row_count();
  const bool is_growing_due = growing_rows >= rows_for_indexing(rules, identity_.dim) &&
                              (is_idle || now - growing_since_ >= timing.age_max);
  BuildPlan plan;
  if (!view_->frozen.empty() || is_growing_due) {
    // Many dead rows and few live ones also fill a segment; then there is nothing to index, but the
    // memory is to be had back.
    if (view_->growing->row_count() > 0 && (is_growing_due || is_idle)) freeze_growing();
    plan.reason = "new rows";
    for (const auto& segment : view_->frozen) add_source(plan, segment);
    for (const auto& segment : merge_candidates(*view_, plan.row_count)) add_source(plan, segment);
    return plan;
  }
  for (const auto& segment : view_->sealed) {
    if (!is_vacuum_due(*segment, rules)) continue;
    plan.reason = "dead rows";
    add_source(plan, segment);
    return plan;
  }
  if (is_idle && view_->sealed.size() > 1) {
    const auto mergeable = merge_candidates(*view_, 0);
    if (mergeable.size() > 1) {
      plan.reason = "merge";
      for (const auto& segment : mergeable) add_source(plan, segment);
      return plan;
    }
  }
  return std::nullopt;
}

BuildPlan VectorField::plan_rebuild() {
  Lock lock(mutex_);
  if (view_->growing->row_count() > 0) freeze_growing();
  BuildPlan plan;
  plan.reason = "reindex";
  for (const auto& segment : view_->frozen) add_source(plan, segment);
  for (const auto& segment : view_->sealed) add_source(plan, segment);
  return plan;
}

struct VectorField::GatheredRows {
  std::vector<float> vectors;
  std::vector<std::uint32_t> slots;
  std::vector<std::uint64_t> versions;
  std::vector<Location> origins;
};

VectorField::GatheredRows VectorField::gather(const BuildPlan& plan) const {
  GatheredRows gathered;
  gathered.vectors.reserve(plan.row_count * identity_.dim);
  gathered.slots.reserve(plan.row_count);
  for (const auto& segment : plan.sources) {
    for (std::uint32_t begin = 0; begin < segment->row_count();) {
      const RowBlock block = segment->block_at(begin);
      for (std::uint32_t i = 0; i < block.row_count; ++i) {
        if (segment->dead().contains(block.first_row + i)) continue;
        const float* vector = block.vectors + std::size_t{i} * identity_.dim;
        gathered.vectors.insert(gathered.vectors.end(), vector, vector + identity_.dim);
        gathered.slots.push_back(block.slots[i]);
        gathered.versions.push_back(block.versions[i]);
        gathered.origins.push_back({segment.get(), block.first_row + i});
      }
      begin = block.first_row + block.row_count;
    }
  }
  return gathered;
}

Status VectorField::build(const BuildPlan& plan, const IndexSpec& spec,
                          const index::BuildControl& control) {
  const GatheredRows rows = gather(plan);
  std::shared_ptr<SealedSegment> sealed;
  std::string path;
  if (!rows.slots.empty()) {
    storage::SegmentHeader header;
    header.collection = identity_.collection;
    header.vector = identity_.number;
    {
      Lock lock(mutex_);
      header.segment = next_segment_++;
    }
    header.metric = identity_.metric;
    header.dim = identity_.dim;
    header.row_count = rows.slots.size();
    header.index_spec = encode_spec(spec);
    path = directory_.segment_path(identity_.collection, identity_.number, header.segment);

    const index::VectorSpan span{rows.vectors.data(), rows.slots.size(), identity_.dim};
    TESSERA_ASSIGN_OR_RETURN(const auto index,
                             index::build_index(spec, identity_.metric, span, control));
    if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
    TESSERA_RETURN_IF_ERROR(
        storage::create_directories(directory_.segment_directory(identity_.collection)));
    TESSERA_RETURN_IF_ERROR(
        storage::write_segment_file(path, header, rows.slots, rows.versions, rows.vectors.data(),
                                    [&](ByteSink& sink) { return index->save(sink); }));
    TESSERA_ASSIGN_OR_RETURN(sealed, SealedSegment::open(path, header, identity_.is_on_disk));
  }

  std::vector<std::uint64_t> numbers;
  const auto current = view();
  const auto is_source = [&](const Segment* segment) {
    return std::any_of(plan.sources.begin(), plan.sources.end(),
                       [&](const auto& source) { return source.get() == segment; });
  };
  for (const auto& segment : current->sealed) {
    if (!is_source(segment.get())) numbers.push_back(segment->number());
  }
  if (sealed != nullptr) numbers.push_back(sealed->number());
  // The list names the new file before readers use it: after a crash the store's (slot, version)
  // records decide, row by row, what of it still counts.
  if (Status status = save_segment_list(numbers); !status.ok()) {
    if (!path.empty()) (void)storage::remove_all(path);
    return status;
  }
  publish(plan, rows, sealed);

  for (const auto& segment : current->sealed) {
    if (!is_source(segment.get())) continue;
    // Searches that still hold the old view keep the mapping; the name can go.
    const std::string old =
        directory_.segment_path(identity_.collection, identity_.number, segment->number());
    if (const Status status = storage::remove_all(old); !status.ok()) {
      log::warn("cannot remove an old index file", {{"path", old}, {"error", status.message()}});
    }
  }
  return {};
}

void VectorField::publish(const BuildPlan& plan, const GatheredRows& rows,
                          const std::shared_ptr<SealedSegment>& sealed) {
  Lock lock(mutex_);
  for (std::uint32_t row = 0; row < rows.slots.size(); ++row) {
    const Location now = location_of(rows.slots[row]);
    if (now.segment == rows.origins[row].segment && now.row == rows.origins[row].row) {
      set_location(rows.slots[row], {sealed.get(), row});
    } else {
      sealed->dead().set(row);  // Replaced or deleted while the index was built.
    }
  }
  const auto is_source = [&](const auto& segment) {
    return std::any_of(plan.sources.begin(), plan.sources.end(), [&](const auto& source) {
      return static_cast<const Segment*>(source.get()) == segment.get();
    });
  };
  FieldView next = *view_;
  std::erase_if(next.sealed, is_source);
  std::erase_if(next.frozen, is_source);
  if (sealed != nullptr) next.sealed.push_back(sealed);
  set_view(std::move(next));
}

}  // namespace tessera::engine
