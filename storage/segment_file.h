#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/metric.h"
#include "base/value_type.h"
#include "storage/section_file.h"

namespace tessera::storage {

/// What a segment file says of itself. One file holds the rows of one sealed segment of one named
/// vector, and the index over them.
struct SegmentHeader {
  std::uint32_t collection = 0;
  std::uint16_t vector = 0;
  std::uint64_t segment = 0;  ///< Unique in the collection.
  Metric metric = Metric::kCosine;
  std::uint32_t dim = 0;
  std::uint64_t row_count = 0;
  std::string index_spec;  ///< JSON text, opaque here.
  ValueType value_type = ValueType::kFloat32;

  [[nodiscard]] std::uint64_t row_bytes() const { return dim * value_bytes(value_type); }
};

inline constexpr std::string_view kSegmentKind = "segment";
/// What reads version 1 knows float32 alone; files of float32 are still written as that.
inline constexpr std::uint32_t kSegmentVersion = 2;
inline constexpr std::uint32_t kSegmentDimMax = 65536;
inline constexpr std::uint64_t kSegmentRowCountMax = 0xffffffff;  ///< Slots have 32 bits.
inline constexpr std::uint32_t kIndexSpecBytesMax = 1 << 20;

/// Sections "header", "slots" (u32 a row), "versions" (u64 a row), "vectors" (of the header's
/// value type, row-major) and "index" (what the index saved). The rows stay in the file whatever
/// codes the index uses: it is mapped, and results are re-ranked with them. Thread rule: immutable.
class SegmentFile {
 public:
  /// kNotFound, or kCorrupt with the path and the field: checksums, then every count against the
  /// bytes that are there. What the index section holds is for the index to check.
  static Result<std::unique_ptr<const SegmentFile>> open(const std::string& path,
                                                         FileSystem& files = posix_file_system());

  [[nodiscard]] const SegmentHeader& header() const { return header_; }
  [[nodiscard]] std::span<const std::uint32_t> slots() const { return slots_; }
  [[nodiscard]] std::span<const std::uint64_t> versions() const { return versions_; }
  /// row_count rows of header().row_bytes(), aligned to 64 bytes.
  [[nodiscard]] const std::byte* vectors() const { return vectors_; }
  [[nodiscard]] std::span<const std::byte> index() const { return index_; }
  /// Gives the vectors' memory back: from now on they are read where they are touched.
  void release_vectors() const { file_->release("vectors"); }
  [[nodiscard]] std::uint64_t file_bytes() const { return file_->file_bytes(); }

 private:
  SegmentFile() = default;
  std::unique_ptr<const SectionFile> file_;
  SegmentHeader header_;
  std::span<const std::uint32_t> slots_;
  std::span<const std::uint64_t> versions_;
  const std::byte* vectors_ = nullptr;
  std::span<const std::byte> index_;
};

/// Writes a segment file part by part, so that the vectors need not be in memory at once and the
/// index can be built over those in the file. Errors: kInternal when header and parts disagree;
/// else as SectionFileWriter. Thread rule: confined to one thread.
class SegmentFileWriter {
 public:
  static Result<std::unique_ptr<SegmentFileWriter>> create(const std::string& path,
                                                           const SegmentHeader& header,
                                                           std::span<const std::uint32_t> slots,
                                                           std::span<const std::uint64_t> versions,
                                                           FileSystem& files = posix_file_system());

  /// Whole rows or parts of them, in order; row_count * row_bytes() in all.
  Status append_vectors(std::span<const std::byte> bytes);
  /// The rows in the file, once all are appended; valid as long as the writer.
  Result<const std::byte*> map_vectors();
  /// Appends the index section and publishes the file.
  Status finish(const std::function<Status(ByteSink&)>& write_index);

 private:
  SegmentFileWriter(std::string path, std::uint64_t vector_bytes,
                    std::unique_ptr<SectionFileWriter> file)
      : path_(std::move(path)), bytes_left_(vector_bytes), file_(std::move(file)) {}
  [[nodiscard]] Status check_complete() const;

  const std::string path_;
  std::uint64_t bytes_left_;
  std::unique_ptr<MappedFile> mapping_;
  std::unique_ptr<SectionFileWriter> file_;
};

/// Writes and publishes a segment file in one go: `vectors` holds row_count rows.
Status write_segment_file(const std::string& path, const SegmentHeader& header,
                          std::span<const std::uint32_t> slots,
                          std::span<const std::uint64_t> versions, const void* vectors,
                          const std::function<Status(ByteSink&)>& write_index,
                          FileSystem& files = posix_file_system());

}  // namespace tessera::storage
