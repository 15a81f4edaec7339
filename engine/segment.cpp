#include "engine/segment.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/collection_config.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kChunkBytes = 1 << 20;
constexpr std::size_t kRowAlignment = 64;

std::uint32_t chunk_row_count_for(const RowLayout& layout) {
  return static_cast<std::uint32_t>(
      std::clamp<std::size_t>(kChunkBytes / layout.row_bytes(), 16, 4096));
}

std::byte* allocate_rows(std::size_t bytes) {
  void* memory =
      std::aligned_alloc(kRowAlignment, (bytes + kRowAlignment - 1) & ~(kRowAlignment - 1));
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

float factor_of(const RowLayout& layout, const std::byte* row) {
  return index::factor_of(reinterpret_cast<const std::uint8_t*>(row), layout.dim);
}

/// Null for an index that is walked, and where codes are of no use.
std::unique_ptr<const index::BoundCodes> codes_of(const RowLayout& layout,
                                                  const index::VectorSpan& rows,
                                                  const index::AnnIndex& index) {
  if (index.spec().type != index::IndexType::kFlat || !layout.has_codes()) return nullptr;
  auto codes = std::make_unique<index::BoundCodes>(rows.dim, rows.row_count);
  index::RowReader reader(rows);
  for (std::size_t row = 0; row < rows.row_count; ++row) codes->set(row, reader(row));
  return codes;
}

}  // namespace

std::vector<float> factors_of(const RowLayout& layout, const std::byte* rows,
                              std::size_t row_count) {
  std::vector<float> factors(layout.has_factors() ? row_count : 0);
  for (std::size_t i = 0; i < factors.size(); ++i) {
    factors[i] = factor_of(layout, rows + i * layout.row_bytes());
  }
  return factors;
}

GrowingSegment::GrowingSegment(std::uint64_t number, const RowLayout& layout,
                               std::uint32_t row_capacity)
    : Segment(number, layout, row_capacity),
      has_codes_(layout.has_codes()),
      row_capacity_(row_capacity),
      chunk_row_count_(chunk_row_count_for(layout)),
      chunks_((row_capacity + chunk_row_count_ - 1) / chunk_row_count_) {}

std::uint32_t GrowingSegment::append(std::uint32_t slot, std::uint64_t version,
                                     const float* vector) {
  const std::uint32_t row = row_count_.load(std::memory_order_relaxed);
  TESSERA_ASSERT(row < row_capacity_);
  Chunk& chunk = chunks_[row / chunk_row_count_];
  if (chunk.vectors == nullptr) {
    chunk.vectors.reset(allocate_rows(chunk_row_count_ * layout().row_bytes()));
    if (layout().has_factors()) chunk.factors = std::make_unique<float[]>(chunk_row_count_);
    chunk.slots = std::make_unique<std::uint32_t[]>(chunk_row_count_);
    chunk.versions = std::make_unique<std::uint64_t[]>(chunk_row_count_);
    if (has_codes_)
      chunk.codes = std::make_unique<index::BoundCodes>(layout().dim, chunk_row_count_);
  }
  const std::uint32_t offset = row % chunk_row_count_;
  std::byte* const target = chunk.vectors.get() + offset * layout().row_bytes();
  narrow_values(layout().type, vector, layout().dim, target);
  if (layout().has_factors()) chunk.factors[offset] = factor_of(layout(), target);
  chunk.slots[offset] = slot;
  chunk.versions[offset] = version;
  if (has_codes_) chunk.codes->set(offset, vector);
  // A reader that sees the new count sees the row and its chunk.
  row_count_.store(row + 1, std::memory_order_release);
  return row;
}

RowBlock GrowingSegment::block_at(std::uint32_t row) const {
  const Chunk& chunk = chunks_[row / chunk_row_count_];
  const std::uint32_t offset = row % chunk_row_count_;
  const std::uint32_t rows = std::min(chunk_row_count_ - offset, row_count() - row);
  const float* const factors = layout().has_factors() ? chunk.factors.get() + offset : nullptr;
  const index::VectorSpan vectors{chunk.vectors.get() + offset * layout().row_bytes(), rows,
                                  layout().dim, layout().type, factors};
  return {vectors,
          chunk.slots.get() + offset,
          chunk.versions.get() + offset,
          row,
          rows,
          chunk.codes.get(),
          offset};
}

SealedSegment::SealedSegment(std::unique_ptr<const storage::SegmentFile> file,
                             std::vector<float> factors,
                             std::unique_ptr<const index::AnnIndex> index)
    : Segment(file->header().segment,
              {file->header().dim, file->header().metric, file->header().value_type},
              file->header().row_count),
      file_(std::move(file)),
      factors_(std::move(factors)),
      index_(std::move(index)),
      codes_(codes_of(layout(),
                      {file_->vectors(), file_->slots().size(), layout().dim, layout().type,
                       layout().has_factors() ? factors_.data() : nullptr},
                      *index_)) {}

Result<std::shared_ptr<SealedSegment>> SealedSegment::open(const std::string& path,
                                                           const storage::SegmentHeader& expected,
                                                           bool is_on_disk) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<const storage::SegmentFile> file,
                           storage::SegmentFile::open(path));
  const storage::SegmentHeader& header = file->header();
  if (header.collection != expected.collection || header.vector != expected.vector ||
      header.segment != expected.segment) {
    return Status(Code::kCorrupt, path + ": it belongs to another collection, vector or segment");
  }
  if (header.metric != expected.metric || header.dim != expected.dim ||
      header.value_type != expected.value_type) {
    return Status(Code::kCorrupt,
                  path + ": metric, dim or value type differ from the collection's");
  }
  const auto spec = decode_spec(header.index_spec);
  if (spec.has_error()) return spec.error().with_context(path);
  const RowLayout layout{header.dim, header.metric, header.value_type};
  std::vector<float> factors = factors_of(layout, file->vectors(), file->slots().size());
  const index::VectorSpan rows{file->vectors(), file->slots().size(), header.dim, header.value_type,
                               layout.has_factors() ? factors.data() : nullptr};
  auto index = index::load_index(*spec, header.metric, rows, file->index());
  if (index.has_error()) return index.error().with_context(path);
  const storage::SegmentFile& mapped = *file;
  auto segment =
      std::make_shared<SealedSegment>(std::move(file), std::move(factors), std::move(*index));
  if (is_on_disk) mapped.release_vectors();
  return segment;
}

RowBlock SealedSegment::block_at(std::uint32_t row) const {
  const float* const factors = layout().has_factors() ? factors_.data() + row : nullptr;
  const index::VectorSpan vectors{file_->vectors() + row * layout().row_bytes(), row_count() - row,
                                  layout().dim, layout().type, factors};
  return {vectors, file_->slots().data() + row, file_->versions().data() + row,
          row,     row_count() - row,           codes_.get(),
          row};
}

}  // namespace tessera::engine
