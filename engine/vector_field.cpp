#include "engine/vector_field.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/log.h"
#include "index/kernels.h"

namespace tessera::engine {

namespace {

Status value_error(ValueType type, std::size_t position, float value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.begin(), text.end(), value).ptr;
  return {Code::kInvalidArgument,
          "value " + std::string(text.begin(), end) + " at position " + std::to_string(position) +
              " cannot be stored as " + value_type_name(type) + ", which holds " +
              (type == ValueType::kUint8 ? "integers from 0 to 255" : "magnitudes up to 65504")};
}

}  // namespace

VectorField::VectorField(Identity identity, const SlotTable& slots, storage::Store& store,
                         const storage::DataDirectory& directory, BuildBudget* budget)
    : identity_(std::move(identity)),
      slots_(slots),
      store_(store),
      directory_(directory),
      budget_(budget) {
  Lock lock(mutex_);
  FieldView view;
  view.growing = make_growing();
  set_view(std::move(view));
}

std::string VectorField::segments_key(storage::CollectionNumber collection,
                                      storage::VectorNumber number) {
  return "segments/" + std::to_string(collection) + "/" + std::to_string(number);
}

std::shared_ptr<const FieldView> VectorField::view() const {
  SharedLock lock(shown_mutex_);
  return shown_view_;
}

bool VectorField::has(std::uint32_t slot) const {
  SharedLock lock(mutex_);
  return location_of(slot).segment != nullptr;
}

index::Bitmap VectorField::slots_with_vector() const {
  SharedLock lock(mutex_);
  return present_;
}

std::size_t VectorField::slot_count() const {
  return slot_count_.load(std::memory_order_acquire);
}

std::size_t VectorField::row_count() const {
  return row_count_.load(std::memory_order_relaxed);
}

std::size_t VectorField::indexed_row_count() const {
  std::size_t total = 0;
  const auto view = this->view();  // A loop over view()->sealed would not keep it.
  for (const auto& segment : view->sealed) total += segment->live_row_count();
  return total;
}

std::uint32_t VectorField::growing_capacity() const {
  constexpr std::size_t kRowsMin = 256, kRowsMax = 1 << 20;
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(
      identity_.growing_bytes_max / identity_.layout().row_bytes(), kRowsMin, kRowsMax));
}

std::shared_ptr<GrowingSegment> VectorField::make_growing() {
  growing_since_ = Clock::now();
  return std::make_shared<GrowingSegment>(next_segment_++, identity_.layout(), growing_capacity());
}

VectorField::Location VectorField::location_of(std::uint32_t slot) const {
  return slot < locations_.size() ? locations_[slot] : Location{};
}

void VectorField::set_location(std::uint32_t slot, Location location) {
  if (slot >= locations_.size()) {
    locations_.resize(std::max<std::size_t>(slot + 1, 64));
    slot_count_.store(locations_.size(), std::memory_order_release);
  }
  locations_[slot] = location;
}

void VectorField::set_view(FieldView view) {
  view_ = std::make_shared<const FieldView>(std::move(view));
  Lock lock(shown_mutex_);
  shown_view_ = view_;
}

Status VectorField::prepare(std::span<float> vector) const {
  const ValueType type = identity_.value_type;
  // Scaled to unit length, bytes would all be 0 or 1.
  if (identity_.metric == Metric::kCosine && type != ValueType::kUint8) {
    (void)index::normalise(vector);
  }
  if (type == ValueType::kFloat32) return {};
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (!is_storable(type, vector[i])) return value_error(type, i, vector[i]);
    if (type == ValueType::kFloat16) vector[i] = to_float(to_float16(vector[i]));
  }
  return {};
}

void VectorField::prepare_query(std::span<float> vector) const {
  // Stored float32 vectors are of unit length already.
  if (identity_.metric == Metric::kCosine && identity_.value_type != ValueType::kFloat32) {
    (void)index::normalise(vector);
  }
}

std::vector<float> VectorField::vector_of(const SlotHit& hit) const {
  std::vector<float> vector(identity_.dim);
  widen_values(identity_.value_type, hit.vector, identity_.dim, vector.data());
  if (identity_.layout().has_factors()) (void)index::normalise(vector);
  return vector;
}

std::vector<std::vector<float>> VectorField::vectors_of(
    std::span<const std::uint32_t> slots) const {
  std::vector<Location> rows;
  rows.reserve(slots.size());
  std::shared_ptr<const FieldView> view;  // Keeps the segments while their rows are copied.
  {
    SharedLock lock(mutex_);
    view = view_;
    for (const std::uint32_t slot : slots) rows.push_back(location_of(slot));
  }
  std::vector<std::vector<float>> vectors(slots.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].segment == nullptr) continue;
    const RowBlock block = rows[i].segment->block_at(rows[i].row);
    vectors[i].resize(identity_.dim);
    widen_values(identity_.value_type, block.vectors.bytes_of(rows[i].row - block.first_row),
                 identity_.dim, vectors[i].data());
    prepare_query(vectors[i]);
  }
  return vectors;
}

bool VectorField::is_unchanged(std::span<const std::uint32_t> slots,
                               std::uint64_t operation) const {
  SharedLock lock(mutex_);
  // A loop: clang's analysis of locks does not look into what all_of() would be given.
  for (const std::uint32_t slot : slots) {
    const Location location = location_of(slot);
    if (location.segment == nullptr || version_at(location) > operation) return false;
  }
  return true;
}

index::Bitmap VectorField::slots_written_after(std::uint64_t operation) const {
  index::Bitmap slots;
  SharedLock lock(mutex_);
  for (const std::uint32_t slot : present_) {
    if (version_at(location_of(slot)) > operation) slots.add(slot);
  }
  return slots;
}

std::uint64_t VectorField::version_at(const Location& location) {
  const RowBlock block = location.segment->block_at(location.row);
  return block.versions[location.row - block.first_row];
}

void VectorField::put(std::uint32_t slot, std::uint64_t version, const float* vector) {
  Lock lock(mutex_);
  put_locked(slot, version, vector);
  last_write_ = Clock::now();
}

void VectorField::put_locked(std::uint32_t slot, std::uint64_t version, const float* vector) {
  if (view_->growing->is_full()) freeze_growing();
  GrowingSegment* growing = view_->growing.get();
  if (growing->row_count() == 0) growing_since_ = Clock::now();
  const std::uint32_t row = growing->append(slot, version, vector);
  const Location old = location_of(slot);
  if (old.segment != nullptr) old.segment->dead().set(old.row);
  set_location(slot, {growing, row});
  if (present_.addChecked(slot)) row_count_.fetch_add(1, std::memory_order_relaxed);
}

void VectorField::remove(std::uint32_t slot) {
  Lock lock(mutex_);
  const Location old = location_of(slot);
  if (old.segment == nullptr) return;
  old.segment->dead().set(old.row);
  set_location(slot, {});
  present_.remove(slot);
  row_count_.fetch_sub(1, std::memory_order_relaxed);
  last_write_ = Clock::now();
}

void VectorField::freeze_growing() {
  FieldView next = *view_;
  next.frozen.push_back(next.growing);
  next.growing = make_growing();
  set_view(std::move(next));
}

// ---- recovery ---------------------------------------------------------------------------------

namespace {

std::string join_numbers(const std::vector<std::uint64_t>& numbers) {
  std::string text;
  for (const std::uint64_t number : numbers) {
    if (!text.empty()) text += ',';
    text += std::to_string(number);
  }
  return text;
}

Result<std::vector<std::uint64_t>> split_numbers(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  while (!text.empty()) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const auto length = static_cast<std::size_t>(end - text.data());
    if (error != std::errc{} || (length < text.size() && text[length] != ',')) {
      return Status(Code::kCorrupt, "the store's list of segment files is not a list of numbers");
    }
    numbers.push_back(number);
    text.remove_prefix(std::min(text.size(), length + 1));
  }
  return numbers;
}

}  // namespace

Status VectorField::save_segment_list(const std::vector<std::uint64_t>& numbers) const {
  storage::Batch batch;
  batch.put_meta(segments_key(identity_.collection, identity_.number), join_numbers(numbers));
  return store_.write(std::move(batch), true);
}

void VectorField::remove_unlisted_files(const std::vector<std::uint64_t>& listed) const {
  const std::string directory = directory_.segment_directory(identity_.collection);
  const auto names = storage::list_directory(directory);
  if (names.has_error()) return;
  const std::string prefix = std::to_string(identity_.number) + "-";
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    const std::string path = directory + "/" + name;
    const bool is_listed = std::any_of(listed.begin(), listed.end(), [&](std::uint64_t number) {
      return path == directory_.segment_path(identity_.collection, identity_.number, number);
    });
    if (is_listed) continue;
    if (const Status status = storage::remove_all(path); !status.ok()) {
      log::warn("cannot remove a leftover file", {{"path", path}, {"error", status.message()}});
    }
  }
}

Result<std::vector<std::shared_ptr<SealedSegment>>> VectorField::open_listed_segments(
    std::size_t* damaged_file_count) {
  std::vector<std::shared_ptr<SealedSegment>> segments;
  TESSERA_ASSIGN_OR_RETURN(const auto text,
                           store_.get_meta(segments_key(identity_.collection, identity_.number)));
  if (!text) {
    remove_unlisted_files({});
    return segments;
  }
  TESSERA_ASSIGN_OR_RETURN(const auto numbers, split_numbers(*text));
  remove_unlisted_files(numbers);
  for (const std::uint64_t number : numbers) {
    storage::SegmentHeader expected;
    expected.collection = identity_.collection;
    expected.vector = identity_.number;
    expected.segment = number;
    expected.metric = identity_.metric;
    expected.dim = identity_.dim;
    expected.value_type = identity_.value_type;
    const std::string path =
        directory_.segment_path(identity_.collection, identity_.number, number);
    auto segment = SealedSegment::open(path, expected, identity_.is_on_disk);
    if (segment.has_error()) {
      // Out of memory or descriptors, say: the file may be good.
      const bool is_file_bad =
          segment.error().code() == Code::kCorrupt || segment.error().code() == Code::kNotFound;
      if (!is_file_bad) return segment.error();
      ++*damaged_file_count;
      log::warn("an index file cannot be used; it will be rebuilt from the store",
                {{"collection", identity_.collection_name},
                 {"vector", identity_.name},
                 {"path", path},
                 {"error", segment.error().message()}});
      continue;
    }
    segments.push_back(std::move(*segment));
  }
  for (const std::uint64_t number : numbers) {
    Lock lock(mutex_);
    next_segment_ = std::max(next_segment_, number + 1);
  }
  if (segments.size() < numbers.size()) {
    std::vector<std::uint64_t> usable;
    for (const auto& segment : segments) usable.push_back(segment->number());
    TESSERA_RETURN_IF_ERROR(save_segment_list(usable));
    remove_unlisted_files(usable);
  }
  return segments;
}

Status VectorField::load(std::size_t* damaged_file_count) {
  TESSERA_ASSIGN_OR_RETURN(auto segments, open_listed_segments(damaged_file_count));

  constexpr std::uint64_t kNoVersion = ~std::uint64_t{0};
  std::vector<std::uint64_t> versions;  // By slot: the store's word on which row is current.
  TESSERA_RETURN_IF_ERROR(store_.visit_rows(identity_.collection, identity_.number,
                                            [&](std::uint32_t slot, std::uint64_t version) {
                                              // A write that was answered with an error may still
                                              // be in the log: a row without its point is not one.
                                              if (!slots_.live().contains(slot)) return true;
                                              if (slot >= versions.size())
                                                versions.resize(slot + 1, kNoVersion);
                                              versions[slot] = version;
                                              return true;
                                            }));

  Lock lock(mutex_);
  FieldView view;
  locations_.assign(versions.size(), {});
  slot_count_.store(locations_.size(), std::memory_order_release);
  for (auto& segment : segments) {
    const RowBlock rows = segment->row_count() > 0 ? segment->block_at(0) : RowBlock{};
    for (std::uint32_t row = 0; row < rows.row_count; ++row) {
      const std::uint32_t slot = rows.slots[row];
      const bool is_current = slot < versions.size() && versions[slot] == rows.versions[row] &&
                              locations_[slot].segment == nullptr;
      if (is_current) {
        locations_[slot] = {segment.get(), row};
        if (present_.addChecked(slot)) row_count_.fetch_add(1, std::memory_order_relaxed);
      } else {
        segment->dead().set(row);
      }
    }
    view.sealed.push_back(std::move(segment));
  }
  view.growing = make_growing();
  set_view(std::move(view));

  std::vector<std::uint32_t> missing;
  for (std::uint32_t slot = 0; slot < versions.size(); ++slot) {
    if (versions[slot] != kNoVersion && locations_[slot].segment == nullptr)
      missing.push_back(slot);
  }
  constexpr std::size_t kBlock = 1024;
  for (std::size_t begin = 0; begin < missing.size(); begin += kBlock) {
    const std::span<const std::uint32_t> block(missing.data() + begin,
                                               std::min(kBlock, missing.size() - begin));
    TESSERA_ASSIGN_OR_RETURN(const auto vectors,
                             store_.get_vectors(identity_.collection, identity_.number, block));
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (vectors[i].size() != identity_.dim) {
        return {Code::kCorrupt,
                "the store has a row record but no vector of the right length for "
                "slot " +
                    std::to_string(block[i]) + " of collection " + identity_.collection_name};
      }
      put_locked(block[i], versions[block[i]], vectors[i].data());
    }
  }
  return {};
}

}  // namespace tessera::engine
