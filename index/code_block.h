#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "index/aligned_bytes.h"
#include "index/byte_reader.h"

namespace tessera::index {

/// The codes of rows, one after another, each of the same number of bytes. The first begins on a
/// cache line. Thread rule: as a vector.
class CodeBlock {
 public:
  static constexpr std::size_t kLineBytes = 64;

  CodeBlock() = default;
  /// Zeroed. `stride`: bytes a row, above 0. May throw bad_alloc.
  CodeBlock(std::size_t row_count, std::size_t stride)
      : row_count_(row_count), stride_(stride), bytes_(row_count * stride) {}

  [[nodiscard]] std::size_t row_count() const { return row_count_; }
  [[nodiscard]] std::size_t stride() const { return stride_; }
  [[nodiscard]] std::size_t memory_bytes() const { return bytes_.size(); }

  [[nodiscard]] std::uint8_t* data() { return bytes_.data(); }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] std::uint8_t* row(std::size_t i) { return bytes_.data() + i * stride_; }
  [[nodiscard]] const std::uint8_t* row(std::size_t i) const { return bytes_.data() + i * stride_; }

  /// Equal for equal rows, rarely else.
  [[nodiscard]] std::uint64_t hash(std::size_t i) const;

  /// The same block with row i that of order[i] here.
  [[nodiscard]] CodeBlock reordered(std::span<const std::uint32_t> order) const;

  /// The rows' bytes and nothing else.
  Status save(ByteSink& sink) const;
  /// What save() wrote. kCorrupt that names `codes` when fewer bytes are left, before anything is
  /// allocated.
  static Result<CodeBlock> load(std::size_t row_count, std::size_t stride, ByteReader& reader);

 private:
  std::size_t row_count_ = 0;
  std::size_t stride_ = 1;
  AlignedBytes bytes_;
};

}  // namespace tessera::index
