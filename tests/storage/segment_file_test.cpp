#include "storage/segment_file.h"

#include <catch2/catch.hpp>

#include "storage/fixed.h"
#include "tests/storage/store_support.h"
#include "tests/support/fault_file_system.h"

namespace tessera::storage {
namespace {

using tessera::test::FaultFileSystem;
using test::require_ok;

constexpr std::uint32_t kDim = 5;
constexpr std::uint32_t kRowCount = 7;

struct Rows {
  SegmentHeader header;
  std::vector<std::uint32_t> slots;
  std::vector<std::uint64_t> versions;
  std::vector<float> vectors;
  std::string index = "graph";
};

Rows sample_rows() {
  Rows rows;
  rows.header = {.collection = 3,
                 .vector = 2,
                 .segment = 1ULL << 40,
                 .metric = Metric::kManhattan,
                 .dim = kDim,
                 .row_count = kRowCount,
                 .index_spec = R"({"type":"hnsw"})"};
  for (std::uint32_t row = 0; row < kRowCount; ++row) {
    rows.slots.push_back(row * 1000);
    rows.versions.push_back(row + (1ULL << 33));
    const std::vector<float> values = test::vector_of(row, row, kDim);
    rows.vectors.insert(rows.vectors.end(), values.begin(), values.end());
  }
  return rows;
}

Status save(const Rows& rows, FileSystem& files, const std::string& path = "/s.seg") {
  return write_segment_file(
      path, rows.header, rows.slots, rows.versions, rows.vectors.data(),
      [&rows](ByteSink& sink) { return sink.append(as_bytes(rows.index)); }, files);
}

Rows rows_of(const SegmentFile& file) {
  const std::size_t count = file.header().row_count * file.header().dim;
  const auto* vectors = reinterpret_cast<const float*>(file.vectors());
  return {file.header(),
          {file.slots().begin(), file.slots().end()},
          {file.versions().begin(), file.versions().end()},
          {vectors, vectors + count},
          std::string(reinterpret_cast<const char*>(file.index().data()), file.index().size())};
}

TEST_CASE("segment file: what was saved is loaded, and saved again it is the same file", "[unit]") {
  FaultFileSystem files;
  const Rows rows = sample_rows();
  require_ok(save(rows, files));
  const auto file = *SegmentFile::open("/s.seg", files);
  const Rows found = rows_of(*file);
  REQUIRE(found.header.collection == 3);
  REQUIRE(found.header.vector == 2);
  REQUIRE(found.header.segment == 1ULL << 40);
  REQUIRE(found.header.metric == Metric::kManhattan);
  REQUIRE(found.header.dim == kDim);
  REQUIRE(found.header.row_count == kRowCount);
  REQUIRE(found.header.index_spec == rows.header.index_spec);
  REQUIRE(found.slots == rows.slots);
  REQUIRE(found.versions == rows.versions);
  REQUIRE(found.vectors == rows.vectors);
  REQUIRE(found.index == rows.index);
  REQUIRE(file->file_bytes() == files.contents("/s.seg").size());
  file->release_vectors();
  REQUIRE(rows_of(*file).vectors == rows.vectors);
  require_ok(save(found, files, "/again.seg"));
  REQUIRE(files.contents("/again.seg") == files.contents("/s.seg"));
}

TEST_CASE("segment file: rows of float32 are still version 1, others are version 2", "[unit]") {
  FaultFileSystem files;
  Rows rows = sample_rows();
  require_ok(save(rows, files));
  REQUIRE((*SectionFile::open("/s.seg", kSegmentKind, kSegmentVersion, files))->kind_version() ==
          1);
  for (const ValueType type : {ValueType::kFloat16, ValueType::kUint8}) {
    rows.header.value_type = type;
    require_ok(save(rows, files));
    REQUIRE((*SectionFile::open("/s.seg", kSegmentKind, kSegmentVersion, files))->kind_version() ==
            2);
    const auto file = *SegmentFile::open("/s.seg", files);
    REQUIRE(file->header().value_type == type);
    REQUIRE(file->header().row_bytes() == kDim * value_bytes(type));
    REQUIRE(std::memcmp(file->vectors(), rows.vectors.data(),
                        kRowCount * file->header().row_bytes()) == 0);
  }
}

TEST_CASE("segment file: no rows and no index bytes are allowed", "[unit]") {
  FaultFileSystem files;
  Rows rows;
  rows.header.dim = kSegmentDimMax;
  rows.index = "";
  require_ok(save(rows, files));
  REQUIRE((*SegmentFile::open("/s.seg", files))->slots().empty());
  REQUIRE((*SegmentFile::open("/s.seg", files))->index().empty());
}

TEST_CASE("segment file: a header that breaks its limits is not written", "[unit]") {
  FaultFileSystem files;
  const auto refused = [&files](auto change) {
    Rows rows = sample_rows();
    change(rows);
    const Status status = save(rows, files);
    REQUIRE(status.code() == Code::kInternal);
    REQUIRE(files.files().empty());
    return status.message();
  };
  REQUIRE(refused([](Rows& rows) { rows.header.dim = 0; }).find("dim: 0") != std::string::npos);
  REQUIRE(refused([](Rows& r) { r.header.dim = 65537; }).find("dim: 65537") != std::string::npos);
  REQUIRE(refused([](Rows& r) { r.header.row_count = 8; }).find("row_count") != std::string::npos);
  REQUIRE(refused([](Rows& r) { r.slots.pop_back(); }).find("row_count") != std::string::npos);
  REQUIRE(refused([](Rows& r) { r.versions.pop_back(); }).find("row_count") != std::string::npos);
  REQUIRE(refused([](Rows& r) { r.header.metric = Metric{4}; }).find("metric") !=
          std::string::npos);
  REQUIRE(refused([](Rows& r) {
            r.header.index_spec.resize(kIndexSpecBytesMax + 1);
          }).find("index_spec") != std::string::npos);
}

TEST_CASE("segment file: an index that fails to save leaves no file", "[unit]") {
  FaultFileSystem files;
  const Rows rows = sample_rows();
  const Status status = write_segment_file(
      "/s.seg", rows.header, rows.slots, rows.versions, rows.vectors.data(),
      [](ByteSink&) { return Status(Code::kCancelled, "stopped"); }, files);
  REQUIRE(status.code() == Code::kCancelled);
  REQUIRE(files.files().empty());
}

/// Writes a file with right checksums around sections as given.
Status open_sections(const std::vector<std::pair<std::string, std::string>>& sections,
                     std::uint32_t version = kSegmentVersion) {
  FaultFileSystem files;
  const auto writer = *SectionFileWriter::create("/s.seg", kSegmentKind, version, files);
  for (const auto& [name, bytes] : sections) {
    require_ok(writer->begin_section(name));
    require_ok(writer->append(as_bytes(bytes)));
  }
  require_ok(writer->publish());
  return SegmentFile::open("/s.seg", files).error();
}

TEST_CASE("segment file: hostile values behind right checksums are refused by field", "[unit]") {
  std::string header;
  put_fixed(header, std::uint32_t{3});  // collection
  put_fixed(header, std::uint16_t{2});  // vector
  put_fixed(header, std::uint8_t{1});   // metric
  put_fixed(header, std::uint8_t{0});   // value type
  put_fixed(header, std::uint64_t{9});  // segment
  put_fixed(header, std::uint64_t{7});  // row_count
  put_fixed(header, std::uint32_t{5});  // dim
  put_fixed(header, std::uint32_t{2});  // index_spec
  header += "{}";
  using Sections = std::vector<std::pair<std::string, std::string>>;
  const Sections good = {{"header", header},
                         {"slots", std::string(28, 's')},
                         {"versions", std::string(56, 'v')},
                         {"vectors", std::string(140, '\0')},
                         {"index", "graph"}};
  require_ok(open_sections(good));
  require_ok(open_sections(good, 1));
  REQUIRE(open_sections(good, 3).message().find("kind_version: 3") != std::string::npos);

  const auto with_header = [&](std::size_t offset, auto value) {
    Sections changed = good;
    std::memcpy(changed[0].second.data() + offset, &value, sizeof(value));
    return open_sections(changed);
  };
  const auto with_section = [&](std::size_t index, const std::string& bytes) {
    Sections changed = good;
    changed[index].second = bytes;
    return open_sections(changed);
  };
  const auto without = [&](std::size_t index) {
    Sections changed = good;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(index));
    return open_sections(changed);
  };
  Sections typed = good;
  typed[0].second[7] = 2;
  typed[3].second.resize(35);
  require_ok(open_sections(typed));
  const std::uint64_t huge = ~std::uint64_t{0};
  const std::vector<std::pair<Status, std::string>> cases = {
      {with_header(6, std::uint8_t{4}), "metric: 4"},
      {with_header(6, std::uint8_t{255}), "metric: 255"},
      {with_header(7, std::uint8_t{1}), "section vectors"},
      {with_header(7, std::uint8_t{2}), "section vectors"},
      {with_header(7, std::uint8_t{3}), "value_type: 3"},
      {with_header(7, std::uint8_t{255}), "value_type: 255"},
      {open_sections(typed, 1), "value_type: is not of this kind version"},
      {with_header(16, std::uint64_t{6}), "row_count"},
      {with_header(16, std::uint64_t{8}), "row_count"},
      {with_header(16, huge), "row_count"},
      {with_header(16, huge / 20 + 8), "row_count"},  // Overflows to seven rows.
      {with_header(16, std::uint64_t{1} << 32), "row_count"},
      {with_header(24, std::uint32_t{0}), "dim: 0"},
      {with_header(24, std::uint32_t{4}), "section vectors"},
      {with_header(24, std::uint32_t{65537}), "dim: 65537"},
      {with_header(24, ~std::uint32_t{0}), "dim"},
      {with_header(28, std::uint32_t{1}), "index_spec"},
      {with_header(28, std::uint32_t{3}), "index_spec"},
      {with_header(28, ~std::uint32_t{0}), "index_spec"},
      {with_section(0, ""), "section header"},
      {with_section(0, header.substr(0, 31)), "section header"},
      {with_section(1, std::string(27, 's')), "section slots"},
      {with_section(1, ""), "section slots"},
      {with_section(2, std::string(28, 'v')), "section versions"},
      {with_section(3, std::string(139, '\0')), "section vectors"},
      {with_section(3, std::string(160, '\0')), "section vectors"},
      {without(0), "no section \"header\""},
      {without(1), "no section \"slots\""},
      {without(2), "no section \"versions\""},
      {without(3), "no section \"vectors\""},
      {without(4), "no section \"index\""},
  };
  for (const auto& [status, field] : cases) {
    CAPTURE(field, status.to_string());
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find("/s.seg: ") == 0);
    REQUIRE(status.message().find(field) != std::string::npos);
  }
}

}  // namespace
}  // namespace tessera::storage
