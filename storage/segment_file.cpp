#include "storage/segment_file.h"

#include <optional>

#include "storage/fixed.h"

namespace tessera::storage {
namespace {

// Collection, vector, metric, value type, segment, row count, dim, spec length; then the spec's
// text.
constexpr std::size_t kHeaderBytes = 32;

std::optional<Metric> metric_of(std::uint8_t number) {
  switch (static_cast<Metric>(number)) {
    case Metric::kCosine:
    case Metric::kEuclid:
    case Metric::kDot:
    case Metric::kManhattan:
      return static_cast<Metric>(number);
  }
  return std::nullopt;
}

std::string encode_header(const SegmentHeader& header) {
  std::string text;
  put_fixed(text, header.collection);
  put_fixed(text, header.vector);
  put_fixed(text, static_cast<std::uint8_t>(header.metric));
  put_fixed(text, static_cast<std::uint8_t>(header.value_type));
  put_fixed(text, header.segment);
  put_fixed(text, header.row_count);
  put_fixed(text, header.dim);
  put_fixed(text, static_cast<std::uint32_t>(header.index_spec.size()));
  text += header.index_spec;
  return text;
}

/// What is wrong with a header's values, by field; empty when nothing is.
std::string range_fault(const SegmentHeader& header) {
  if (header.dim == 0 || header.dim > kSegmentDimMax) {
    return "dim: " + std::to_string(header.dim) + " is not in 1..65536";
  }
  if (header.row_count > kSegmentRowCountMax) {
    return "row_count: " + std::to_string(header.row_count) + " is more than 4294967295";
  }
  if (header.index_spec.size() > kIndexSpecBytesMax) return "index_spec: is longer than 1 MiB";
  return {};
}

/// The first version that knows what the header says.
std::uint32_t version_of(const SegmentHeader& header) {
  return header.value_type == ValueType::kFloat32 ? 1 : 2;
}

Status corrupt(const std::string& path, const std::string& what) {
  return {Code::kCorrupt, path + ": " + what};
}

Result<SegmentHeader> decode_header(const std::string& path, std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) return corrupt(path, "section header: is too short");
  SegmentHeader header;
  header.collection = get_fixed<std::uint32_t>(&bytes[0]);
  header.vector = get_fixed<std::uint16_t>(&bytes[4]);
  const auto metric_number = get_fixed<std::uint8_t>(&bytes[6]);
  const std::optional<Metric> metric = metric_of(metric_number);
  if (!metric) return corrupt(path, "metric: " + std::to_string(metric_number) + " is not known");
  header.metric = *metric;
  const auto type_number = get_fixed<std::uint8_t>(&bytes[7]);
  const std::optional<ValueType> type = value_type_of(type_number);
  if (!type) return corrupt(path, "value_type: " + std::to_string(type_number) + " is not known");
  header.value_type = *type;
  header.segment = get_fixed<std::uint64_t>(&bytes[8]);
  header.row_count = get_fixed<std::uint64_t>(&bytes[16]);
  header.dim = get_fixed<std::uint32_t>(&bytes[24]);
  const auto spec = bytes.subspan(kHeaderBytes);
  if (get_fixed<std::uint32_t>(&bytes[28]) != spec.size()) {
    return corrupt(path, "index_spec: its length does not match the section");
  }
  header.index_spec.assign(reinterpret_cast<const char*>(spec.data()), spec.size());
  if (const std::string fault = range_fault(header); !fault.empty()) return corrupt(path, fault);
  return header;
}

/// A section as an array of `count` elements. Counts are bounded before, so nothing overflows.
template <class Element>
Result<std::span<const Element>> elements(const SectionFile& file, const std::string& path,
                                          const char* name, std::uint64_t count) {
  TESSERA_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, file.section(name));
  if (bytes.size() != count * sizeof(Element)) {
    return corrupt(path, "row_count: section " + std::string(name) + " has " +
                             std::to_string(bytes.size()) + " bytes, the header says " +
                             std::to_string(count * sizeof(Element)));
  }
  // Sections are aligned to 64 bytes in a mapping that is aligned to more.
  return std::span<const Element>(reinterpret_cast<const Element*>(bytes.data()), count);
}

}  // namespace

Result<std::unique_ptr<const SegmentFile>> SegmentFile::open(const std::string& path,
                                                             FileSystem& files) {
  auto segment = std::make_unique<SegmentFile>(SegmentFile());
  TESSERA_ASSIGN_OR_RETURN(segment->file_,
                           SectionFile::open(path, kSegmentKind, kSegmentVersion, files));
  const SectionFile& file = *segment->file_;
  TESSERA_ASSIGN_OR_RETURN(const std::span<const std::byte> header, file.section("header"));
  TESSERA_ASSIGN_OR_RETURN(segment->header_, decode_header(path, header));
  const std::uint64_t row_count = segment->header_.row_count;
  TESSERA_ASSIGN_OR_RETURN(segment->slots_,
                           elements<std::uint32_t>(file, path, "slots", row_count));
  TESSERA_ASSIGN_OR_RETURN(segment->versions_,
                           elements<std::uint64_t>(file, path, "versions", row_count));
  if (version_of(segment->header_) > file.kind_version()) {
    return corrupt(path, "value_type: is not of this kind version");
  }
  TESSERA_ASSIGN_OR_RETURN(
      const std::span<const std::byte> vectors,
      elements<std::byte>(file, path, "vectors", row_count * segment->header_.row_bytes()));
  segment->vectors_ = vectors.data();
  TESSERA_ASSIGN_OR_RETURN(segment->index_, file.section("index"));
  return std::unique_ptr<const SegmentFile>(std::move(segment));
}

Result<std::unique_ptr<SegmentFileWriter>> SegmentFileWriter::create(
    const std::string& path, const SegmentHeader& header, std::span<const std::uint32_t> slots,
    std::span<const std::uint64_t> versions, FileSystem& files) {
  const auto misuse = [&path](const std::string& what) {
    return Status(Code::kInternal, path + ": " + what);
  };
  if (const std::string fault = range_fault(header); !fault.empty()) return misuse(fault);
  if (!metric_of(static_cast<std::uint8_t>(header.metric))) return misuse("metric: is not known");
  if (slots.size() != header.row_count || versions.size() != header.row_count) {
    return misuse("row_count: slots or versions have another length");
  }
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<SectionFileWriter> file,
      SectionFileWriter::create(path, kSegmentKind, version_of(header), files));
  TESSERA_RETURN_IF_ERROR(file->begin_section("header"));
  TESSERA_RETURN_IF_ERROR(file->append(as_bytes(encode_header(header))));
  TESSERA_RETURN_IF_ERROR(file->begin_section("slots"));
  TESSERA_RETURN_IF_ERROR(file->append(std::as_bytes(slots)));
  TESSERA_RETURN_IF_ERROR(file->begin_section("versions"));
  TESSERA_RETURN_IF_ERROR(file->append(std::as_bytes(versions)));
  TESSERA_RETURN_IF_ERROR(file->begin_section("vectors"));
  return std::make_unique<SegmentFileWriter>(
      SegmentFileWriter(path, header.row_count * header.row_bytes(), std::move(file)));
}

Status SegmentFileWriter::append_vectors(std::span<const std::byte> bytes) {
  if (bytes.size() > bytes_left_) {
    return {Code::kInternal, path_ + ": row_count: there are more vectors"};
  }
  bytes_left_ -= bytes.size();
  return file_->append(bytes);
}

Status SegmentFileWriter::check_complete() const {
  if (bytes_left_ == 0) return {};
  return {Code::kInternal, path_ + ": row_count: there are fewer vectors"};
}

Result<const std::byte*> SegmentFileWriter::map_vectors() {
  TESSERA_RETURN_IF_ERROR(check_complete());
  TESSERA_ASSIGN_OR_RETURN(mapping_, file_->map_written());
  // Sections are aligned to 64 bytes in a mapping that is aligned to more.
  return mapping_->bytes().data() + file_->section_offset();
}

Status SegmentFileWriter::finish(const std::function<Status(ByteSink&)>& write_index) {
  TESSERA_RETURN_IF_ERROR(check_complete());
  TESSERA_RETURN_IF_ERROR(file_->begin_section("index"));
  TESSERA_RETURN_IF_ERROR(write_index(*file_));
  return file_->publish();
}

Status write_segment_file(const std::string& path, const SegmentHeader& header,
                          std::span<const std::uint32_t> slots,
                          std::span<const std::uint64_t> versions, const void* vectors,
                          const std::function<Status(ByteSink&)>& write_index, FileSystem& files) {
  TESSERA_ASSIGN_OR_RETURN(const auto writer,
                           SegmentFileWriter::create(path, header, slots, versions, files));
  TESSERA_RETURN_IF_ERROR(writer->append_vectors(
      {static_cast<const std::byte*>(vectors), header.row_count * header.row_bytes()}));
  return writer->finish(write_index);
}

}  // namespace tessera::storage
