#include <algorithm>

#include "base/log.h"
#include "engine/vector_field.h"

namespace tessera::engine {

/// What is remembered of the rows of a build; their vectors stay where they are until they are in
/// the new file.
struct VectorField::GatheredRows {
  std::vector<std::uint32_t> slots;
  std::vector<std::uint64_t> versions;
  std::vector<Location> origins;
};

VectorField::GatheredRows VectorField::gather(const BuildPlan& plan) const {
  GatheredRows gathered;
  gathered.slots.reserve(plan.row_count);
  gathered.versions.reserve(plan.row_count);
  gathered.origins.reserve(plan.row_count);
  for (const auto& segment : plan.sources) {
    for (std::uint32_t begin = 0; begin < segment->row_count();) {
      const RowBlock block = segment->block_at(begin);
      for (std::uint32_t i = 0; i < block.row_count; ++i) {
        if (segment->dead().contains(block.first_row + i)) continue;
        gathered.slots.push_back(block.slots[i]);
        gathered.versions.push_back(block.versions[i]);
        gathered.origins.push_back({segment.get(), block.first_row + i});
      }
      begin = block.first_row + block.row_count;
    }
  }
  return gathered;
}

Status VectorField::copy_vectors(const GatheredRows& rows, const index::BuildControl& control,
                                 storage::SegmentFileWriter& file) const {
  constexpr std::size_t kBufferBytes = 1 << 20;
  const std::size_t row_bytes = identity_.layout().row_bytes();
  const std::size_t rows_max = std::max<std::size_t>(1, kBufferBytes / row_bytes);
  std::vector<std::byte> buffer;
  buffer.reserve(rows_max * row_bytes);
  RowBlock block;
  const Segment* segment = nullptr;
  for (std::size_t i = 0; i < rows.origins.size(); ++i) {
    const Location& origin = rows.origins[i];
    const bool is_in_block =
        segment == origin.segment && origin.row - block.first_row < block.row_count;
    if (!is_in_block) {
      segment = origin.segment;
      block = segment->block_at(origin.row);
    }
    const std::byte* const vector = block.vectors.bytes_of(origin.row - block.first_row);
    buffer.insert(buffer.end(), vector, vector + row_bytes);
    if (buffer.size() < rows_max * row_bytes && i + 1 < rows.origins.size()) continue;
    if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
    TESSERA_RETURN_IF_ERROR(file.append_vectors(buffer));
    buffer.clear();
  }
  return {};
}

Result<std::shared_ptr<SealedSegment>> VectorField::build_segment(
    const GatheredRows& rows, const IndexSpec& spec, const index::BuildControl& control) {
  storage::SegmentHeader header;
  header.collection = identity_.collection;
  header.vector = identity_.number;
  {
    Lock lock(mutex_);
    header.segment = next_segment_++;
  }
  header.metric = identity_.metric;
  header.dim = identity_.dim;
  header.value_type = identity_.value_type;
  header.row_count = rows.slots.size();
  header.index_spec = encode_spec(spec);
  TESSERA_RETURN_IF_ERROR(
      storage::create_directories(directory_.segment_directory(identity_.collection)));
  const std::string path =
      directory_.segment_path(identity_.collection, identity_.number, header.segment);
  TESSERA_ASSIGN_OR_RETURN(
      const auto file, storage::SegmentFileWriter::create(path, header, rows.slots, rows.versions));
  TESSERA_RETURN_IF_ERROR(copy_vectors(rows, control, *file));
  // The index is built over the file's rows: the heap holds no second copy of them.
  TESSERA_ASSIGN_OR_RETURN(const std::byte* const vectors, file->map_vectors());
  const RowLayout layout = identity_.layout();
  const std::vector<float> factors = factors_of(layout, vectors, rows.slots.size());
  const index::VectorSpan span{vectors, rows.slots.size(), layout.dim, layout.type,
                               layout.has_factors() ? factors.data() : nullptr};
  {
    TESSERA_ASSIGN_OR_RETURN(const auto index,
                             index::build_index(spec, identity_.metric, span, control));
    if (control.cancel != nullptr) TESSERA_RETURN_IF_ERROR(control.cancel->check());
    TESSERA_RETURN_IF_ERROR(file->finish([&](ByteSink& sink) { return index->save(sink); }));
  }
  return SealedSegment::open(path, header, identity_.is_on_disk);
}

Status VectorField::build(const BuildPlan& plan, const IndexSpec& spec,
                          const index::BuildControl& control) {
  const GatheredRows rows = gather(plan);
  std::shared_ptr<SealedSegment> sealed;
  if (!rows.slots.empty()) {
    TESSERA_ASSIGN_OR_RETURN(sealed, build_segment(rows, spec, control));
  }

  const std::scoped_lock publish_lock(publish_mutex_);
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
    if (sealed != nullptr) {
      (void)storage::remove_all(
          directory_.segment_path(identity_.collection, identity_.number, sealed->number()));
    }
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
