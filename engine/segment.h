#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "index/ann_index.h"
#include "index/bound_codes.h"
#include "index/kernels.h"
#include "storage/segment_file.h"

namespace tessera::engine {

/// One bit a row, set once when the row dies. Thread rule: safe from any thread.
class DeadRows {
 public:
  explicit DeadRows(std::size_t row_count)
      : words_(std::make_unique<std::atomic<std::uint64_t>[]>(row_count / 64 + 1)) {}

  /// Whether the row was alive.
  bool set(std::uint32_t row) {
    const std::uint64_t bit = std::uint64_t{1} << (row % 64);
    const bool was_alive = (words_[row / 64].fetch_or(bit, std::memory_order_acq_rel) & bit) == 0;
    if (was_alive) count_.fetch_add(1, std::memory_order_relaxed);
    return was_alive;
  }
  [[nodiscard]] bool contains(std::uint32_t row) const {
    return (words_[row / 64].load(std::memory_order_acquire) >> (row % 64) & 1) != 0;
  }
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] const std::atomic<std::uint64_t>* words() const { return words_.get(); }

 private:
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::atomic<std::size_t> count_ = 0;
};

/// How the vectors of a field are stored.
struct RowLayout {
  std::uint32_t dim = 0;
  Metric metric = Metric::kCosine;
  ValueType type = ValueType::kFloat32;

  [[nodiscard]] std::size_t row_bytes() const { return dim * value_bytes(type); }
  [[nodiscard]] bool has_factors() const { return index::has_factors(metric, type); }
  /// Whether rows that are scanned have codes that tell which of them need not be read. Those of
  /// bytes would be no smaller than the rows.
  [[nodiscard]] bool has_codes() const {
    return type != ValueType::kUint8 && index::BoundCodes::are_useful(metric, dim);
  }
};

/// Consecutive rows of a segment.
struct RowBlock {
  index::VectorSpan vectors;
  const std::uint32_t* slots = nullptr;
  const std::uint64_t* versions = nullptr;
  std::uint32_t first_row = 0;
  std::uint32_t row_count = 0;
  const index::BoundCodes* codes = nullptr;  ///< Of the rows from first_code on; null for none.
  std::size_t first_code = 0;
};

/// Rows of one named vector, in the order they were written. A row is a slot, the operation that
/// wrote it, and the vector. Rows only ever die.
/// Thread rule: readers need no lock; see the subclasses for writers.
class Segment {
 public:
  Segment(std::uint64_t number, const RowLayout& layout, std::size_t row_capacity)
      : number_(number), layout_(layout), dead_(row_capacity) {}
  virtual ~Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const RowLayout& layout() const { return layout_; }
  [[nodiscard]] std::size_t dim() const { return layout_.dim; }
  [[nodiscard]] virtual std::uint32_t row_count() const = 0;
  /// The block that holds `row`, up to its end; requires row < row_count().
  [[nodiscard]] virtual RowBlock block_at(std::uint32_t row) const = 0;
  /// Null for rows that are only scanned.
  [[nodiscard]] virtual const index::AnnIndex* index() const { return nullptr; }

  [[nodiscard]] const DeadRows& dead() const { return dead_; }
  DeadRows& dead() { return dead_; }
  [[nodiscard]] std::size_t live_row_count() const {
    const std::size_t rows = row_count(), dead = dead_.count();
    return rows > dead ? rows - dead : 0;
  }

 private:
  const std::uint64_t number_;
  const RowLayout layout_;
  DeadRows dead_;
};

/// Fresh rows, searched exactly, with codes that tell which need not be read, unless the rows are
/// bytes. Appended by one writer while any number of readers scan; a reader sees the rows below the
/// row_count() that it loaded.
class GrowingSegment final : public Segment {
 public:
  GrowingSegment(std::uint64_t number, const RowLayout& layout, std::uint32_t row_capacity);

  /// Requires row_count() < capacity and values that the layout's type can store. Returns the row.
  /// Writer only.
  std::uint32_t append(std::uint32_t slot, std::uint64_t version, const float* vector);
  [[nodiscard]] bool is_full() const { return row_count() == row_capacity_; }

  [[nodiscard]] std::uint32_t row_count() const override {
    return row_count_.load(std::memory_order_acquire);
  }
  [[nodiscard]] RowBlock block_at(std::uint32_t row) const override;

 private:
  struct AlignedFree {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  struct Chunk {
    std::unique_ptr<std::byte[], AlignedFree> vectors;
    std::unique_ptr<float[]> factors;  ///< Null for layouts without.
    std::unique_ptr<std::uint32_t[]> slots;
    std::unique_ptr<std::uint64_t[]> versions;
    std::unique_ptr<index::BoundCodes> codes;
  };
  const bool has_codes_;
  const std::uint32_t row_capacity_;
  const std::uint32_t chunk_row_count_;
  std::vector<Chunk>
      chunks_;  ///< Sized at construction; a chunk is filled in before its first row.
  std::atomic<std::uint32_t> row_count_ = 0;
};

/// The factors of rows one after the other; empty for layouts without.
std::vector<float> factors_of(const RowLayout& layout, const std::byte* rows,
                              std::size_t row_count);

/// Immutable rows with an index over them, in a mapped file. Where the index is flat they have
/// codes as fresh rows do, made from the rows when the segment is built or opened.
class SealedSegment final : public Segment {
 public:
  /// Opens a published file, checks it against what the field expects, loads its index (of the spec
  /// that the file names: settings may have changed since it was built).
  /// `is_on_disk`: the vectors' memory is given back once they are checked; a search reads from the
  /// file what it touches. kNotFound, or kCorrupt with the path and what is wrong.
  static Result<std::shared_ptr<SealedSegment>> open(const std::string& path,
                                                     const storage::SegmentHeader& expected,
                                                     bool is_on_disk);

  SealedSegment(std::unique_ptr<const storage::SegmentFile> file, std::vector<float> factors,
                std::unique_ptr<const index::AnnIndex> index);

  [[nodiscard]] std::uint32_t row_count() const override {
    return static_cast<std::uint32_t>(file_->slots().size());
  }
  [[nodiscard]] RowBlock block_at(std::uint32_t row) const override;
  [[nodiscard]] const index::AnnIndex* index() const override { return index_.get(); }

 private:
  const std::unique_ptr<const storage::SegmentFile> file_;
  const std::vector<float> factors_;  ///< Empty for layouts without.
  const std::unique_ptr<const index::AnnIndex> index_;
  const std::unique_ptr<const index::BoundCodes> codes_;  ///< Null for none.
};

}  // namespace tessera::engine
