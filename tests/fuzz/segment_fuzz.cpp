// A byte that says which checks are made to pass, then a file -> section file and segment file.
// Without that the checksums would keep every changed byte from the code behind them.

#include <cstring>

#include "storage/fixed.h"
#include "storage/segment_file.h"
#include "tests/fuzz/seeds.h"
#include "tests/support/fault_file_system.h"

namespace tessera::fuzz {
namespace {

using storage::SectionFile;
using storage::SegmentFile;
using test::FaultFileSystem;

constexpr const char* kPath = "/s.seg";

enum Repair : unsigned { kChecksums = 1, kLengths = 2 };

/// Of the layout in docs/formats.md.
constexpr std::size_t kHeaderBytes = 64, kSectionCount = 32, kTableOffset = 40, kFileBytes = 48,
                      kTableCrc = 56, kHeaderCrc = 60;
constexpr std::size_t kEntryBytes = 56, kEntryOffset = 32, kEntryLength = 40, kEntryCrc = 48;
constexpr std::uint32_t kSectionCountMax = 1024;

template <class Integer>
void set_fixed(std::string& file, std::size_t offset, Integer value) {
  std::memcpy(file.data() + offset, &value, sizeof(value));
}

std::uint32_t crc_of(const std::string& file, std::size_t offset, std::size_t length) {
  return crc32c(0, as_bytes(std::string_view(file).substr(offset, length)));
}

void repair(std::string& file, unsigned what) {
  using storage::get_fixed;
  if (file.size() < kHeaderBytes) return;
  const auto count = get_fixed<std::uint32_t>(&file[kSectionCount]);
  const std::uint64_t table_bytes = std::uint64_t{count} * kEntryBytes;
  if (count > kSectionCountMax || table_bytes > file.size() - kHeaderBytes) return;
  if ((what & kLengths) != 0) {
    set_fixed(file, kFileBytes, std::uint64_t{file.size()});
    set_fixed(file, kTableOffset, std::uint64_t{file.size() - table_bytes});
  }
  if ((what & kChecksums) == 0) return;
  const std::size_t table = file.size() - table_bytes;
  for (std::size_t entry = table; entry < file.size(); entry += kEntryBytes) {
    const auto offset = get_fixed<std::uint64_t>(&file[entry + kEntryOffset]);
    const auto length = get_fixed<std::uint64_t>(&file[entry + kEntryLength]);
    if (offset > file.size() || length > file.size() - offset) continue;
    set_fixed(file, entry + kEntryCrc, crc_of(file, offset, length));
  }
  set_fixed(file, kTableCrc, crc_of(file, table, table_bytes));
  set_fixed(file, kHeaderCrc, crc_of(file, 0, kHeaderCrc));
}

Status write_again(const SegmentFile& segment, FaultFileSystem& files) {
  return storage::write_segment_file(
      kPath, segment.header(), segment.slots(), segment.versions(), segment.vectors(),
      [&](ByteSink& sink) { return sink.append(segment.index()); }, files);
}

void check_segment(const SegmentFile& segment) {
  FaultFileSystem files;
  TESSERA_ASSERT(write_again(segment, files).ok());
  const auto copy = SegmentFile::open(kPath, files);
  TESSERA_ASSERT(copy.has_value());
  FaultFileSystem other_files;
  TESSERA_ASSERT(write_again(**copy, other_files).ok());
  TESSERA_ASSERT(files.contents(kPath) == other_files.contents(kPath));
}

void check_file(std::string_view input) {
  std::string_view bytes = input;
  const unsigned what = take_byte(bytes);
  std::string contents(bytes);
  repair(contents, what);
  FaultFileSystem files;
  files.set_contents(kPath, contents);

  const auto file =
      SectionFile::open(kPath, storage::kSegmentKind, storage::kSegmentVersion, files);
  const auto segment = SegmentFile::open(kPath, files);
  if (file.has_error()) {
    TESSERA_ASSERT(file.error().code() == Code::kCorrupt);
    TESSERA_ASSERT(segment.has_error());
    return;
  }
  std::uint32_t crc = 0;
  for (const std::string& name : (*file)->section_names()) {
    const auto section = (*file)->section(name);
    TESSERA_ASSERT(section.has_value());
    crc = crc32c(crc, *section);
  }
  if (segment.has_value()) {
    check_segment(**segment);
  } else {
    TESSERA_ASSERT(segment.error().code() == Code::kCorrupt);
  }
}

std::string sample_file(std::size_t row_count, ValueType type) {
  constexpr std::uint32_t kDim = 2;
  FaultFileSystem files;
  const std::vector<std::uint32_t> slots(row_count, 7);
  const std::vector<std::uint64_t> versions(row_count, 9);
  const std::vector<float> vectors(row_count * kDim, 0.5F);
  const storage::SegmentHeader header = {.collection = 3,
                                         .vector = 2,
                                         .segment = 1ULL << 40,
                                         .metric = Metric::kDot,
                                         .dim = kDim,
                                         .row_count = row_count,
                                         .index_spec = R"({"type":"hnsw"})",
                                         .value_type = type};
  const Status status = storage::write_segment_file(
      kPath, header, slots, versions, vectors.data(),
      [](ByteSink& sink) { return sink.append(as_bytes("graph")); }, files);
  TESSERA_ASSERT(status.ok());
  return files.contents(kPath);
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> inputs;
  for (const std::size_t row_count : {0, 1, 3}) {
    for (const char what : {'\0', '\1', '\3'}) {
      inputs.push_back(what + sample_file(row_count, ValueType::kFloat32));
      inputs.push_back(what + sample_file(row_count, ValueType::kUint8));
    }
  }
  return inputs;
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_file(tessera::fuzz::text_of(data, size));
  return 0;
}
