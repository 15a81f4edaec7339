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

std::uint32_t chunk_row_count_for(std::size_t dim) {
  return static_cast<std::uint32_t>(
      std::clamp<std::size_t>(kChunkBytes / (dim * sizeof(float)), 16, 4096));
}

float* allocate_rows(std::size_t float_count) {
  const std::size_t bytes =
      (float_count * sizeof(float) + kRowAlignment - 1) & ~(kRowAlignment - 1);
  void* memory = std::aligned_alloc(kRowAlignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<float*>(memory);
}

}  // namespace

GrowingSegment::GrowingSegment(std::uint64_t number, Metric metric, std::size_t dim,
                               std::uint32_t row_capacity)
    : Segment(number, dim, row_capacity),
      has_codes_(index::BoundCodes::are_useful(metric, dim)),
      row_capacity_(row_capacity),
      chunk_row_count_(chunk_row_count_for(dim)),
      chunks_((row_capacity + chunk_row_count_ - 1) / chunk_row_count_) {}

std::uint32_t GrowingSegment::append(std::uint32_t slot, std::uint64_t version,
                                     const float* vector) {
  const std::uint32_t row = row_count_.load(std::memory_order_relaxed);
  TESSERA_ASSERT(row < row_capacity_);
  Chunk& chunk = chunks_[row / chunk_row_count_];
  if (chunk.vectors == nullptr) {
    chunk.vectors.reset(allocate_rows(std::size_t{chunk_row_count_} * dim()));
    chunk.slots = std::make_unique<std::uint32_t[]>(chunk_row_count_);
    chunk.versions = std::make_unique<std::uint64_t[]>(chunk_row_count_);
    if (has_codes_) chunk.codes = std::make_unique<index::BoundCodes>(dim(), chunk_row_count_);
  }
  const std::uint32_t offset = row % chunk_row_count_;
  std::memcpy(chunk.vectors.get() + offset * dim(), vector, dim() * sizeof(float));
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
  return {chunk.vectors.get() + offset * dim(),
          chunk.slots.get() + offset,
          chunk.versions.get() + offset,
          row,
          rows,
          chunk.codes.get(),
          offset};
}

SealedSegment::SealedSegment(std::unique_ptr<const storage::SegmentFile> file,
                             std::unique_ptr<const index::AnnIndex> index)
    : Segment(file->header().segment, file->header().dim, file->header().row_count),
      file_(std::move(file)),
      index_(std::move(index)) {}

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
  if (header.metric != expected.metric || header.dim != expected.dim) {
    return Status(Code::kCorrupt, path + ": metric or dim differ from the collection's");
  }
  const auto spec = decode_spec(header.index_spec);
  if (spec.has_error()) return spec.error().with_context(path);
  const index::VectorSpan rows{file->vectors(), file->slots().size(), header.dim};
  auto index = index::load_index(*spec, header.metric, rows, file->index());
  if (index.has_error()) return index.error().with_context(path);
  if (is_on_disk) file->release_vectors();
  return std::make_shared<SealedSegment>(std::move(file), std::move(*index));
}

RowBlock SealedSegment::block_at(std::uint32_t row) const {
  return {file_->vectors() + std::size_t{row} * dim(),
          file_->slots().data() + row,
          file_->versions().data() + row,
          row,
          row_count() - row,
          nullptr,
          0};
}

}  // namespace tessera::engine
